"""Owner cards: `owners/<owner>.json`, the public facts of an owner; nothing in one is secret, or trusted."""

import json
import os
import time

from agentkeys import paths
from agentkeys.errors import VaultFault
from agentkeys.stores import atomic

MAX_CARD = 65536
"""Bytes of a card that is read: it is half a page."""


def timestamp() -> str:
    """Now, RFC 3339 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Card:
    """Who an owner is, as far as everybody may know."""

    def __init__(
        self, owner: str, wallet: str, via: str, recipients: "list[str]", key_path: str, created: str = ""
    ) -> None:
        self.owner = owner
        self.wallet = wallet
        self.via = via
        self.recipients = recipients
        """The owner's own first."""
        self.key_path = key_path
        """The user's own ssh private key; empty for an identity that we keep."""
        self.created = created or timestamp()
        self.aliases: list[str] = []

    def to_bytes(self) -> bytes:
        """The card's JSON."""
        return (json.dumps(self.as_json(), indent=2) + "\n").encode("ascii")

    def as_json(self) -> "dict[str, object]":
        """Its members, as `owner show --json` prints them too."""
        return {
            "owner": self.owner,
            "wallet": self.wallet,
            "aliases": self.aliases,
            "via": self.via,
            "recipients": self.recipients,
            "key_path": self.key_path,
            "created_at": self.created,
        }


def read_card(root: str, owner: str) -> Card | None:
    """The owner's card, or None when there is no such owner. Raises VaultFault when it is damaged."""
    path = paths.owner_card(root, owner)
    data = atomic.read_file(path, MAX_CARD)
    if data is None:
        return None
    try:
        return card_from_json(owner, json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise VaultFault(f"{path} is damaged", f"mv {path} {path}.damaged && agentkeys init --for {owner}") from None


def card_from_json(owner: str, found: "dict[str, object]") -> Card:
    """The card in what as_json() made. Raises ValueError, KeyError, TypeError for anything else."""
    recipients, aliases = found["recipients"], found.get("aliases", [])
    if not isinstance(recipients, list) or not recipients or not isinstance(aliases, list):
        raise ValueError
    card = Card(
        owner,
        str(found["wallet"]),
        str(found["via"]),
        [str(text) for text in recipients],
        str(found["key_path"]),
        str(found["created_at"]),
    )
    card.aliases = [str(text) for text in aliases]
    return card


def publish(root: str, card: Card) -> None:
    """Write a card, and the names that lead to it, where they aren't as they should be. Raises VaultFault."""
    path = paths.owner_card(root, card.owner)
    if atomic.read_file(path) != card.to_bytes():
        atomic.make_private_dir(os.path.dirname(path))
        atomic.write_file(path, card.to_bytes())
    for name in filter(None, (card.wallet.lower(), *card.aliases)):
        link = paths.name_link(root, name)
        if not os.path.islink(link):
            atomic.make_private_dir(os.path.dirname(link))
            try:
                os.symlink(card.owner, link)
            except OSError as error:
                raise VaultFault(f"{link} can't be made: {error.strerror}", f"ls -ld {os.path.dirname(link)}") from None
            atomic.sync_dir(os.path.dirname(link))


def linked_names(root: str, owner: str) -> "list[str]":
    """The aliases that lead to an owner, by what lies on the disk: how a card that is made again finds them."""
    try:
        names = sorted(os.listdir(f"{root}/names"))
    except OSError:
        return []
    return [name for name in names if not name.startswith("0x") and _leads_to(paths.name_link(root, name), owner)]


def _leads_to(link: str, owner: str) -> bool:
    try:
        return os.readlink(link) == owner
    except OSError:
        return False
