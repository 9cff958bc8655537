"""An owner's rack on disk: the manifest, how it is opened, and the one way it changes.

A change is made under the rack's lock: open, verify, change, let the vaults write beside what counts, and then
commit() by the manifest's rename. The highest version seen is remembered apart from the rack, so that an older
copy put back in its place is refused.
"""

import json
import os
import time

from agentkeys import paths
from agentkeys.core import derive, manifest
from agentkeys.core.manifest import Manifest
from agentkeys.core.sealed_json import RESTORE_HINT
from agentkeys.errors import UsageFault, VaultFault
from agentkeys.stores import age, atomic
from agentkeys.stores.identity import OpenIdentity, open_file, open_ssh


def timestamp() -> str:
    """Now, RFC 3339 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Card:
    """The public facts of an owner, `owners/<owner>.json`; nothing in it is secret, and nothing in it is trusted."""

    def __init__(self, owner: str, wallet: str, via: str, recipients: "list[str]", key_path: str, created: str) -> None:
        self.owner = owner
        self.wallet = wallet
        self.via = via
        self.recipients = recipients
        self.key_path = key_path
        """The user's own ssh private key; empty for an identity that we keep."""
        self.created = created

    def to_bytes(self) -> bytes:
        """The card's JSON."""
        members = {
            "owner": self.owner,
            "wallet": self.wallet,
            "via": self.via,
            "recipients": self.recipients,
            "key_path": self.key_path,
            "created_at": self.created,
        }
        return (json.dumps(members, indent=2) + "\n").encode("ascii")


def read_card(root: str, owner: str) -> Card | None:
    """The owner's card, or None when there is no such owner. Raises VaultFault when it is damaged."""
    path = paths.owner_card(root, owner)
    data = atomic.read_file(path)
    if data is None:
        return None
    try:
        found = json.loads(data)
        recipients = [str(text) for text in found["recipients"]]
        return Card(
            owner,
            str(found["wallet"]),
            str(found["via"]),
            recipients,
            str(found["key_path"]),
            str(found["created_at"]),
        )
    except (ValueError, KeyError, TypeError):
        raise VaultFault(f"{path} is damaged", f"agentkeys init --for {owner} makes it again") from None


def no_owner(root: str, owner: str) -> UsageFault:
    """The error for an owner that isn't there, with those that are."""
    try:
        there = sorted([name.removesuffix(".json") for name in os.listdir(f"{root}/owners") if name.endswith(".json")])
    except OSError:
        there = []
    known = f"; there is {', '.join(there)}" if there else ""
    return UsageFault(f"no owner {owner} here{known}", f"agentkeys init --for {owner}")


class Rack:
    """One owner's rack, opened with its identity."""

    def __init__(self, root: str, owner: str, identity: OpenIdentity) -> None:
        self.root = root
        self.owner = owner
        self.identity = identity
        self.keys = derive.OwnerKeys(identity.material, owner)
        self.path = paths.manifest(root, owner)

    def read(self) -> Manifest | None:
        """The verified manifest, or None when there is none.

        Raises VaultFault when it can't be opened, wasn't written by this owner, or is older than one seen before.
        """
        data = atomic.read_file(self.path)
        seen = self.seen_version()
        if data is None:
            if seen:
                raise VaultFault(f"{self.path} is gone, and this machine has seen it", f"ls -l {self.path}")
            return None
        text = age.open_sealed(data, self.identity.decryptor, self.path)
        found = manifest.from_bytes(text, self.keys.manifest, self.owner)
        if found.version < seen:
            raise VaultFault(
                f"{self.path} is version {found.version}, and this machine has seen {seen}: an older copy was put back",
                RESTORE_HINT,
            )
        if found.version > seen:
            self._remember(found.version)
        return found

    def require(self) -> Manifest:
        """As read(), but raises UsageFault when there is no rack yet."""
        found = self.read()
        if found is None:
            raise UsageFault(f"{self.owner} has no rack yet", f"agentkeys init --for {self.owner}")
        return found

    def commit(self, changed: Manifest) -> None:
        """Make `changed` the rack. Raises VaultFault, and the old one counts then."""
        changed.version += 1
        atomic.remove_leftovers(self.root, f"host.{self.owner}.")
        atomic.write_file(self.path, age.seal(changed.to_bytes(self.keys.manifest), changed.recipients))
        self._remember(changed.version)

    def seen_version(self) -> int:
        """The highest version this machine has seen, 0 before the first. Raises VaultFault when that is damaged."""
        path = paths.state_file(self.root, self.owner)
        data = atomic.read_file(path)
        if data is None:
            return 0
        try:
            return int(json.loads(data)["version"])
        except (ValueError, KeyError, TypeError):
            raise VaultFault(f"{path} is damaged", f"rm {path}") from None

    def _remember(self, version: int) -> None:
        path = paths.state_file(self.root, self.owner)
        atomic.make_private_dir(os.path.dirname(path))
        atomic.write_file(path, json.dumps({"version": version}).encode("ascii") + b"\n")


def open_rack(root: str, owner: str) -> Rack:
    """The owner's rack, with the identity its card names. Raises UsageFault for no such owner, and VaultFault."""
    card = read_card(root, owner)
    if card is None:
        raise no_owner(root, owner)
    return Rack(root, owner, open_identity(root, card))


def open_identity(root: str, card: Card) -> OpenIdentity:
    """The identity that opens a card's rack. Raises VaultFault."""
    if card.via == "ssh":
        return open_ssh(card.key_path, card.recipients[0])
    return open_file(paths.identity(root, card.owner))
