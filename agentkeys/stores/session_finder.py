"""Finding sessions: the slot of an id, what rests in it, and why it can't be had; the reading half of the store.

A slot whose index was lost is made again from what lies there. Of two copies the one written last wins.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agentkeys import paths
from agentkeys.core import session
from agentkeys.core.session import Damaged, Newer, Session
from agentkeys.errors import Absent, Locked, TimedOut, UsageFault, VaultFault
from agentkeys.stores import atomic
from agentkeys.stores.card import read_card
from agentkeys.stores.keychain import Keychain
from agentkeys.stores.keychain_here import open_keychain
from agentkeys.stores.session_places import Files, InKeychain
from agentkeys.stores.slots import FILE, KEYCHAIN, NOWHERE, Slot, owner_of, read_slot, where, write_slot

DOCTOR = "agentkeys session doctor"

FOUND = "it was found there without an index"


class Away(VaultFault):
    """The keychain that holds the session can't be reached."""


class TooNew(VaultFault):
    """A later version of agentkeys wrote the session."""


class SessionFinder:
    """The sessions of one home, as they are."""

    def __init__(self, root: str, only: str = "", keychain: Keychain | None = None, now: int | None = None) -> None:
        """`only` is $AGENTKEYS_SESSION_STORE: file, keychain (no file), or "" for keychain first."""
        self.root = root
        self.only = only
        self.now = int(time.time()) if now is None else now
        self.files = Files(root)
        self.keychain = InKeychain(keychain or open_keychain())

    def slot(self, session_id: str) -> Slot | None:
        """The slot; one whose index is lost is made again. Raises VaultFault, and Locked where that is locked."""
        found = read_slot(self.root, session.check_id(session_id))
        if found is not None or not os.path.isdir(self.root):
            return found
        with self.changing(session_id):
            return self.find(session_id)

    def require(self, found: Slot | None, session_id: str) -> Slot:
        """The slot of a session that there is. Raises Absent."""
        if found is None or found.place == NOWHERE:
            raise Absent(f"there is no session {session_id} here", self.again(session_id))
        return found

    def open(self, slot: Slot) -> Session:
        """The session of a slot, expired or not.

        Raises Absent when it is gone, Locked, TimedOut, Away, TooNew, and VaultFault when it is damaged.
        """
        record = self._record(slot)
        if record is not None:
            return self._judged(slot, record)
        again = read_slot(self.root, slot.id)
        if again is not None and (again.place, again.serial) != (slot.place, slot.serial):
            return self.open(again)  # it was moved while we looked
        was_in = "the keychain" if slot.place == KEYCHAIN else paths.session_file(self.root, slot.id)
        raise Absent(f"session {slot.id} is gone from {was_in}", self.again(slot.id))

    def state_of(self, slot: Slot) -> "tuple[str, str]":
        """(state, what is wrong) of a slot, as agentkeys.core.session has them."""
        if self.only == FILE and slot.place == KEYCHAIN:
            return session.UNREACHABLE, "AGENTKEYS_SESSION_STORE is file, so the keychain isn't asked"
        try:
            expires = self.open(slot).expires
        except Locked as fault:
            return session.LOCKED, fault.message
        except Absent as fault:
            return session.GONE, fault.message
        except (TimedOut, Away) as fault:
            return session.UNREACHABLE, fault.message
        except TooNew as fault:
            return session.NEWER, fault.message
        except VaultFault as fault:
            return session.DAMAGED, fault.message
        if expires <= self.now:
            return session.EXPIRED, f"session {slot.id} expired on {show_time(expires)}"
        return session.READY, ""

    def again(self, session_id: str) -> str:
        """The command that makes a session again."""
        owner = owner_of(self.root, session_id)
        return f"agentkeys init --for {owner}" if owner else "agentkeys session list"

    def require_allowed(self, slot: Slot) -> None:
        """Raise UsageFault where $AGENTKEYS_SESSION_STORE forbids the place that a session is in."""
        if self.only and slot.place in (FILE, KEYCHAIN) and slot.place != self.only:
            raise UsageFault(
                f"session {slot.id} is {where(slot.place)}, and AGENTKEYS_SESSION_STORE is {self.only}",
                f"env -u AGENTKEYS_SESSION_STORE agentkeys session move {slot.id} --to {self.only}",
            )

    # --- for whoever changes

    @contextmanager
    def changing(self, session_id: str) -> Iterator[None]:
        """The lock of a slot, and nothing left in it of a writer that was killed. Raises TimedOut, VaultFault."""
        with atomic.FileLock(paths.session_lock(self.root, session_id)):
            atomic.remove_leftovers(os.path.dirname(paths.slot(self.root, session_id)))
            yield

    def find(self, session_id: str) -> Slot | None:
        """The slot, or a new one for what lies there without an index; needs the lock. Raises as slot()."""
        slot = read_slot(self.root, session_id)
        if slot is not None:
            return slot
        lying = [(FILE, self._unindexed_file(session_id)), (KEYCHAIN, self._unindexed_entry(session_id))]
        found = [(_parsed(record), place) for place, record in lying if record is not None]
        if not found:
            return None
        newest, place = max(found, key=lambda row: (row[0].serial, row[0].issued, row[1] == KEYCHAIN))
        slot = Slot(session_id, newest.wallet or self._wallet_of(session_id), place, FOUND)
        if not slot.wallet:
            path = paths.session_file(self.root, session_id)
            raise VaultFault(f"{path} is damaged, and nothing says whose it is", f"rm {path}")
        slot.describe(newest)
        slot.left_behind = place == FILE and len(found) > 1
        write_slot(self.root, slot)
        return slot

    def within(self, session_id: str, ask: "Callable[[], bytes | None]") -> bytes | None:
        """What the keychain answers about a session that is in it. Raises Locked, TimedOut, Away, each naming it."""
        try:
            return ask()
        except TimedOut as fault:
            raise TimedOut(f"{fault.message}, and session {session_id} is in it", DOCTOR) from None
        except VaultFault as fault:
            raise Away(f"{fault.message}, and session {session_id} is in the keychain", DOCTOR) from None

    # --- what lies there

    def _record(self, slot: Slot) -> bytes | None:
        if slot.place == KEYCHAIN:
            return self.within(slot.id, lambda: self.keychain.read(slot.id))
        return self.files.read(slot.id)

    def _judged(self, slot: Slot, record: bytes) -> Session:
        try:
            found = session.from_bytes(record)
        except Newer:
            raise TooNew(
                f"session {slot.id} was written by a later version of agentkeys", "pipx upgrade agentkeysd"
            ) from None
        except Damaged:
            raise VaultFault(f"session {slot.id} is damaged", self.again(slot.id)) from None
        if found.wallet != slot.wallet:
            raise VaultFault(f"session {slot.id} is of another wallet", self.again(slot.id))
        if found.serial < slot.serial:
            raise VaultFault(f"session {slot.id} is older than the last one saved", self.again(slot.id))
        return found

    def _unindexed_file(self, session_id: str) -> bytes | None:
        """What lies in a file; b"" for what can't be read, which is damaged and not absent."""
        try:
            return self.files.read(session_id)
        except VaultFault:
            return b""

    def _unindexed_entry(self, session_id: str) -> bytes | None:
        """This home's entry in the keychain, where it is known to be that. Raises Locked."""
        if self.only == FILE:
            return None
        try:
            if self.keychain.state() == "absent":
                return None
            record = self.keychain.read(session_id)
        except (TimedOut, VaultFault):
            return None
        whose = self._wallet_of(session_id)
        return record if record is not None and whose and _parsed(record).wallet == whose else None

    def _wallet_of(self, session_id: str) -> str:
        """The wallet whose session that has to be; "" for a master's whose owner isn't here."""
        if session_id != session.MASTER:
            return session_id.removeprefix(session.PREFIX)
        owner = owner_of(self.root, session_id)
        card = read_card(self.root, owner) if owner else None
        return card.wallet.lower() if card else ""


def show_time(seconds: int) -> str:
    """A time for people and for JSON: RFC 3339 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _parsed(record: bytes) -> Session:
    """The session in a record; one of no wallet, older than any, for what is none."""
    try:
        return session.from_bytes(record)
    except (Damaged, Newer):
        return Session("", b"", 0, 0, serial=-1)
