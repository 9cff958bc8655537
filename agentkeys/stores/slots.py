"""The index of sessions: `<session id>/slot.json`, the public facts of each, because no keychain can be listed.

A slot says where its session rests and which write was the last, so that of two copies the older never wins. It holds
no token. It is written after the session itself, and that is the moment at which a save counts.
"""

import json
import os

from agentkeys import paths
from agentkeys.core import refs, session, wallet
from agentkeys.errors import VaultFault
from agentkeys.stores import atomic

FILE = "file"
KEYCHAIN = "keychain"
NOWHERE = "nowhere"
"""It was cleared, and a copy that couldn't be reached may be left: it is never taken for a session again."""

PLACES = (FILE, KEYCHAIN, NOWHERE)

MAX_SLOT = 16 * 1024
"""Bytes of a slot we read: it is a few lines."""

MAX_SLOTS = 1000
"""Slots listed: far more than one machine runs agents."""


class Slot:
    """What everybody may know of a session."""

    def __init__(self, session_id: str, wallet: str, place: str, why: str = "") -> None:
        self.id = session_id
        self.wallet = wallet
        """In lower case."""
        self.place = place
        """One of PLACES."""
        self.why = why
        """Why it is there, for people."""
        self.serial = 0
        """As the session's, when it was saved last."""
        self.issued = 0
        self.expires = 0
        self.grant = ""
        self.left_behind = False
        """Whether the keychain may hold an older copy, which couldn't be removed."""

    def describe(self, kept: session.Session) -> None:
        """Take over what everybody may know of the session that is kept."""
        self.wallet = kept.wallet or self.wallet
        self.serial, self.issued, self.expires, self.grant = kept.serial, kept.issued, kept.expires, kept.grant

    def half_over(self, now: int) -> bool:
        """Whether its session should be renewed."""
        return session.is_half_over(self.issued, self.expires, self.grant, now)

    def to_bytes(self) -> bytes:
        """Its JSON."""
        return (json.dumps(self.as_json(), indent=1) + "\n").encode("ascii")

    def as_json(self) -> "dict[str, object]":
        """Its members; times are seconds of Unix time."""
        return {
            "id": self.id,
            "wallet": self.wallet,
            "place": self.place,
            "why": self.why,
            "serial": self.serial,
            "issued_at": self.issued,
            "expires_at": self.expires,
            "grant": self.grant,
            "left_behind": self.left_behind,
        }


def read_slot(root: str, session_id: str) -> Slot | None:
    """The slot, or None when there is none. Raises VaultFault when its file is damaged."""
    path = paths.slot(root, session_id)
    data = atomic.read_file(path, MAX_SLOT)
    if data is None:
        return None
    try:
        found = json.loads(data)
        slot = Slot(session_id, str(found["wallet"]), str(found["place"]), str(found["why"]))
        slot.serial, slot.issued, slot.expires = int(found["serial"]), int(found["issued_at"]), int(found["expires_at"])
        slot.grant, slot.left_behind = str(found["grant"]), bool(found["left_behind"])
        if found["id"] != session_id or slot.place not in PLACES or not wallet.is_address(slot.wallet):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise VaultFault(f"{path} is damaged", f"rm {path}") from None
    return slot


def write_slot(root: str, slot: Slot) -> None:
    """Make it count. Raises VaultFault."""
    path = paths.slot(root, slot.id)
    atomic.make_private_dir(os.path.dirname(path))
    atomic.write_file(path, slot.to_bytes())


def remove_slot(root: str, session_id: str) -> None:
    """Remove it, and its directory, if nothing else is in there. Raises VaultFault."""
    path = paths.slot(root, session_id)
    atomic.remove_file(path)
    try:
        os.rmdir(os.path.dirname(path))
    except OSError:
        return  # somebody put something else into it
    atomic.sync_dir(root)


def where(place: str) -> str:
    """A place, for people."""
    return "in the keychain" if place == KEYCHAIN else "in a file"


def slot_ids(root: str) -> "list[str]":
    """The ids of all slots, by their directories: the master's first, then by wallet."""
    found = [name for name in _directories(root) if session.is_id(name)]
    return sorted(found, key=lambda name: (name != session.MASTER, name))[:MAX_SLOTS]


def strange_slots(root: str) -> "list[str]":
    """Directories that hold a session.json and have another name than a slot's: another program's, or renamed."""
    names = [name for name in _directories(root) if not session.is_id(name)]
    return sorted([name for name in names if paths.exists(f"{root}/{name}/session.json")])[:MAX_SLOTS]


def _directories(root: str) -> "list[str]":
    try:
        with os.scandir(root) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def owner_of(root: str, session_id: str, address: str = "") -> str:
    """The owner here whose session that is, or "" when there is none."""
    if session_id == session.MASTER:
        return refs.DEFAULT_OWNER if paths.exists(paths.owner_card(root, refs.DEFAULT_OWNER)) else ""
    try:
        return os.readlink(paths.name_link(root, address or session_id.removeprefix(session.PREFIX)))
    except OSError:
        return ""
