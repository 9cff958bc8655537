"""An owner's rack on disk: the manifest, how it is opened, and the one way it changes.

A change is made under the rack's lock: open, verify, change, let the vaults write beside what counts, and then
commit() by the manifest's rename. The highest version seen is remembered apart from the rack, so that an older
copy put back in its place is refused.
"""

import json
import os

from agentkeys import paths
from agentkeys.client.near import no_owner
from agentkeys.core import derive, manifest
from agentkeys.core.manifest import Manifest
from agentkeys.core.sealed_json import RESTORE_HINT
from agentkeys.errors import Locked, UsageFault, VaultFault
from agentkeys.stores import age, atomic, succession, wallet_key
from agentkeys.stores.asking import Means
from agentkeys.stores.card import Card, publish, read_card
from agentkeys.stores.identities import open_identity
from agentkeys.stores.identity import OpenIdentity


class Rack:
    """One owner's rack, opened with its identity."""

    def __init__(self, root: str, owner: str, identity: OpenIdentity) -> None:
        self.root = root
        self.owner = owner
        self.identity = identity
        self.keys = derive.OwnerKeys(identity.material, owner)
        self.path = paths.manifest(root, owner)
        self.lock = atomic.FileLock(paths.rack_lock(root, owner))
        """What every writer holds."""

    def read(self, locked: bool = False) -> Manifest | None:
        """The verified manifest, or None when there is none. An unclaimed one is claimed, under the rack's lock.

        `locked` says that the caller holds that lock by another object than ours.

        Raises VaultFault when it can't be opened, wasn't written by this owner, or is older than one seen before.
        """
        data = atomic.read_file(self.path)
        seen = self.seen_version()
        if data is None:
            if seen:
                raise VaultFault(f"{self.path} is gone, and this machine has seen it", f"ls -l {self.path}")
            return None
        text = self.unseal(data, self.path)
        if manifest.is_unclaimed(text):
            return self._claim(text, seen, locked or self.lock.fd >= 0)
        found = manifest.from_bytes(text, self.keys.manifest, self.owner)
        if found.version < seen:
            raise VaultFault(
                f"{self.path} is version {found.version}, and this machine has seen {seen}: an older copy was put back",
                RESTORE_HINT,
            )
        if found.version > seen and (locked or self.lock.fd >= 0):
            self._remember(found.version)
        return found

    def read_verified(self) -> Manifest:
        """The manifest whatever its version, its MAC checked: what `restore --accept-older` begins with."""
        data = atomic.read_file(self.path)
        if data is None:
            raise VaultFault(f"{self.path} is gone, and this machine has seen it", f"ls -l {self.path}")
        return manifest.from_bytes(self.unseal(data, self.path), self.keys.manifest, self.owner)

    def forget_version(self) -> None:
        """Let an older version count."""
        atomic.remove_file(paths.state_file(self.root, self.owner))

    def unseal(self, data: bytes, what: str) -> bytes:
        """Decrypt with the identity. Raises VaultFault, or why a plugin's question couldn't be put."""
        try:
            return age.open_sealed(data, self.identity.decryptor, what)
        except VaultFault:
            refusal = self.identity.refusal()
            if refusal is not None:
                raise refusal from None
            raise

    def _claim(self, text: bytes, seen: int, locked: bool) -> Manifest:
        """Make a manifest that was sealed to the public key alone this owner's own; it is empty by its nature."""
        if seen:
            raise VaultFault(
                f"{self.path} is unclaimed, and this machine has seen version {seen}: it was put back or forged",
                RESTORE_HINT,
            )
        if locked:
            card = read_card(self.root, self.owner)
            found = manifest.from_unclaimed(text, self.owner, *wallet_key.generate())
            self.commit(found)
            if card is not None:
                card.wallet = found.wallet
                publish(self.root, card)
            return found
        with self.lock:
            again = self.read()
        if again is None:
            raise VaultFault(f"{self.path} is gone", RESTORE_HINT)
        return again

    def require(self) -> Manifest:
        """As read(), but raises UsageFault when there is no rack yet."""
        found = self.read()
        if found is None:
            raise UsageFault(f"{self.owner} has no rack yet", f"agentkeys init --for {self.owner}")
        return found

    def commit(self, changed: Manifest) -> None:
        """Make `changed` the rack. Raises VaultFault, and the old one counts then."""
        changed.version += 1
        sweep(self.root, self.owner)
        atomic.write_file(self.path, age.seal(changed.to_bytes(self.keys.manifest), changed.sealed_to()))
        self._remember(changed.version)

    def seen_version(self) -> int:
        """See the function of that name."""
        return seen_version(self.root, self.owner)

    def _remember(self, version: int) -> None:
        path = paths.state_file(self.root, self.owner)
        atomic.make_private_dir(os.path.dirname(path))
        atomic.write_file(path, json.dumps({"version": version}).encode("ascii") + b"\n")


def seen_version(root: str, owner: str) -> int:
    """The highest version this machine has seen, 0 before the first. Raises VaultFault when that is damaged."""
    path = paths.state_file(root, owner)
    data = atomic.read_file(path)
    if data is None:
        return 0
    try:
        return int(json.loads(data)["version"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise VaultFault(f"{path} is damaged", f"rm {path}") from None


def sweep(root: str, owner: str) -> None:
    """Remove what killed writers of this owner left unfinished; call it under the rack's lock. Raises VaultFault."""
    for directory in (root, f"{root}/identity", f"{root}/owners", os.path.dirname(paths.state_file(root, owner))):
        atomic.remove_leftovers(directory, f"{owner}.", f"host.{owner}.")


def open_rack(root: str, owner: str, means: Means | None = None) -> Rack:
    """The owner's rack, with the identity its card names. Never called under the rack's lock.

    Raises UsageFault for no such owner, VaultFault, Locked, and what `means` raises.
    """
    succession.settle_if_needed(root, owner)
    card = read_card(root, owner)
    if card is None:
        raise no_owner(root, owner)
    return Rack(root, owner, open_identity(root, card, means or Means(_nobody)))


def _nobody(_question: str) -> bytes:
    raise Locked("somebody has to be asked, and nobody can be", "agentkeys unlock")


def write_unclaimed(root: str, card: Card) -> None:
    """Seal an empty manifest to a public key alone; the first use of the private key claims it. Raises VaultFault."""
    made = Manifest(card.owner, "", "", card.via, card.recipients)
    atomic.write_file(paths.manifest(root, card.owner), age.seal(made.to_unclaimed(), card.recipients))
