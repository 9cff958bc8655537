"""The session store, shared by the command line and the starts of agents: save, load, list, move, clear by session id.

Keychain first, a file where there is none. What the rules of agentkeys.core.session and agentkeys.stores.slots come to:

Rule 1: the slot says where a session rests; a copy elsewhere, or one of a lower serial, is never taken for it.
Rule 2: locked is not absent. A session in a keychain that is locked, silent or away is an error, and nothing is
        written in its stead, to a file or anywhere.
Rule 3: the session is written first, its slot then, the other copy removed last: a kill leaves the old or the new one.
Rule 4: nothing is written before the wallet is known: an id is the master's, or made of the wallet.

Only ever called in a worker; the index may be read by anybody.
"""

from agentkeys import paths
from agentkeys.core import session
from agentkeys.core.session import Damaged, Newer, Session
from agentkeys.errors import Absent, AgentkeysError, Locked, TimedOut, UsageFault, VaultFault
from agentkeys.stores import atomic
from agentkeys.stores.keychain import Dropped
from agentkeys.stores.session_finder import Away, SessionFinder, TooNew, show_time
from agentkeys.stores.session_places import MAX_RECORD
from agentkeys.stores.slots import FILE, KEYCHAIN, NOWHERE, Slot, owner_of, remove_slot, slot_ids, where, write_slot

TAKEN = "the keychain took it"
BY_VARIABLE = "AGENTKEYS_SESSION_STORE was file"
BY_HAND = "it was moved there by hand"
NO_KEYCHAIN = "there was no keychain"
WAS_LOCKED = "the keychain was locked"
NOT_OURS = "the keychain has an entry of that name that isn't of this home"
"""Why a session is where it is, as `session doctor` tells."""


class SessionStore(SessionFinder):
    """The sessions of one home."""

    def save_session(self, saved: Session, session_id: str, without: str = "") -> Slot:
        """Put a session into its slot, over an older one; the slot then.

        A slot keeps its place. A new one is in the keychain, or in a file where that can't be; `without` says why the
        keychain isn't to be asked. Raises UsageFault for another wallet's id, VaultFault where a write fails or isn't
        kept, and as load_session() where an older session can't be reached or is a later version's.
        """
        if session.check_id(session_id) not in (session.MASTER, session.PREFIX + saved.wallet):
            raise UsageFault("a session goes by its own wallet", "agentkeys session list")
        with self.changing(session_id):
            before = self.find(session_id)
            if before is None or before.place == NOWHERE:
                return self._save_new(saved, session_id, before, without)
            self.require_allowed(before)
            self._make_room(before)
            return self._put(saved, before, before.place, before.why)

    def load_session(self, session_id: str) -> Session:
        """The session in a slot.

        Raises Absent when there is none, or it is gone from where it was; Locked when its keychain is locked or it has
        expired; VaultFault when it is damaged, of a later version, or out of reach; TimedOut; and UsageFault where
        $AGENTKEYS_SESSION_STORE forbids its place.
        """
        slot = self.require(self.slot(session_id), session_id)
        self.require_allowed(slot)
        found = self.open(slot)
        if found.expires <= self.now:
            raise Locked(f"session {session_id} expired on {show_time(found.expires)}", self.again(session_id))
        return found

    def list_sessions(self) -> "list[Slot]":
        """Every slot, the master's first. Raises VaultFault for a damaged index, Locked for one lost and locked."""
        slots = [self.slot(session_id) for session_id in slot_ids(self.root)]
        return [slot for slot in slots if slot is not None and slot.place != NOWHERE]

    def move_session(self, session_id: str, place: str) -> Slot:
        """Let a session, also an expired one, rest in the other place; the old copy goes.

        Raises as load_session() and save_session(); the session is in its old place then.
        """
        if self.slot(session_id) is None:
            self.require(None, session_id)
        with self.changing(session_id):
            slot = self.require(self.find(session_id), session_id)
            if slot.place == place:
                self._drop_other(slot)  # what a move that was killed has left
                return slot
            if self.only and self.only != place:
                raise UsageFault(
                    f"AGENTKEYS_SESSION_STORE is {self.only}, so no session is put {where(place)}",
                    f"env -u AGENTKEYS_SESSION_STORE agentkeys session move {session_id} --to {place}",
                )
            found = self.open(slot)
            if place == KEYCHAIN:
                self._expect_two_copies(slot)
            return self._put(found, slot, place, BY_HAND)

    def clear_session(self, session_id: str, leave: bool = False) -> bool:
        """Forget a session and what was put aside of it; whether there was one. No other id is touched.

        With `leave`, one in a keychain that can't be reached is left there, and never taken for a session again; else
        that raises Locked, TimedOut or VaultFault, and changes nothing.
        """
        if self.slot(session_id) is None:
            remove_slot(self.root, session_id)  # a directory that a clear which was killed has left
            return False
        with self.changing(session_id):
            slot = self.find(session_id)
            if slot is None:
                return False
            was_there = slot.place != NOWHERE
            if slot.place == KEYCHAIN or slot.left_behind:
                try:
                    self._remove_entry(slot)
                except AgentkeysError:
                    if slot.place == KEYCHAIN and not leave:
                        raise
                    slot.place, slot.left_behind = NOWHERE, True
                    write_slot(self.root, slot)
            self.files.remove(session_id)
            if not slot.left_behind:
                remove_slot(self.root, session_id)
            return was_there

    def settle_legacy(self) -> str:
        """Move the one session of programs that knew one to a machine into its slot; its id, or "".

        One that is no session, or whose slot there is already, stays where it is and is never used.
        """
        path = paths.legacy_session(self.root)
        try:
            record = atomic.read_file(path, MAX_RECORD)
            if record is None:
                return ""
            found = session.from_bytes(record)
            owner = owner_of(self.root, session.PREFIX + found.wallet)
            session_id = session.id_of(owner, found.wallet)
            with self.changing(session_id):
                if self.find(session_id) is not None:
                    return ""
                self._save_new(found, session_id, None, "")
            atomic.remove_file(path)
            atomic.sync_dir(self.root)
        except (AgentkeysError, Damaged, Newer):
            return ""
        return session_id

    # --- writing; all of it needs the lock

    def _make_room(self, slot: Slot) -> None:
        """See that a session may be written over. Raises as save_session().

        A damaged file is put aside, for whoever wants to know what happened to it. A damaged entry isn't: no keychain
        can be listed, so a copy under another name would be found by nobody, and outlive its owner.
        """
        try:
            self.open(slot)
        except Absent:
            return
        except (Away, TooNew):
            raise
        except VaultFault:
            if slot.place == FILE:
                self.files.put_aside(slot.id)

    def _save_new(self, saved: Session, session_id: str, before: Slot | None, without: str) -> Slot:
        slot = before or Slot(session_id, saved.wallet, NOWHERE)
        if self.only == FILE or without:
            return self._put(saved, slot, FILE, without or BY_VARIABLE)
        try:
            why = self._why_not_keychain(slot)
            if not why:
                return self._put(saved, slot, KEYCHAIN, TAKEN)
        except Dropped:
            raise
        except (Locked, TimedOut, VaultFault) as fault:
            why = fault.message
            slot.left_behind = slot.left_behind or isinstance(fault, TimedOut)
        if self.only == KEYCHAIN:
            raise VaultFault(
                f"{why}, and AGENTKEYS_SESSION_STORE=keychain allows no file",
                f"env -u AGENTKEYS_SESSION_STORE {self.again(session_id)}",
            )
        return self._put(saved, slot, FILE, why)

    def _why_not_keychain(self, slot: Slot) -> str:
        """Why a new session can't go to the keychain, or "". Raises what the keychain does."""
        state = self.keychain.state()
        if state != "ready":
            return NO_KEYCHAIN if state == "absent" else WAS_LOCKED
        return NOT_OURS if not slot.left_behind and self.keychain.holds(slot.id) else ""

    def _expect_two_copies(self, slot: Slot) -> None:
        """Note that the keychain may hold a second copy from here on, whatever happens. Raises why it can't."""
        self.keychain.require_ready()
        if slot.left_behind:
            return
        if self.keychain.holds(slot.id):
            raise UsageFault(
                "the keychain has an entry of that name that isn't of this home",
                f"secret-tool search --all service agentkeys account {slot.id}",
            )
        slot.left_behind = True
        write_slot(self.root, slot)

    def _put(self, saved: Session, slot: Slot, place: str, why: str) -> Slot:
        """Write the session, then its slot, then see to the other copy. Raises VaultFault, and what a keychain does."""
        saved.serial = max(slot.serial + 1, self.now)  # so that it rises across a clear as well
        was_in_keychain = slot.place == KEYCHAIN or slot.left_behind
        (self.keychain if place == KEYCHAIN else self.files).write(slot.id, saved.to_bytes())
        slot.place, slot.why = place, why
        slot.left_behind = place == FILE and was_in_keychain
        slot.describe(saved)
        write_slot(self.root, slot)
        self._drop_other(slot)
        return slot

    def _drop_other(self, slot: Slot) -> None:
        """Remove the copy in the other place, where that can be; it counts for nothing in any case."""
        if slot.place == KEYCHAIN:
            self.files.remove(slot.id)
        if slot.place == KEYCHAIN or not slot.left_behind:
            return
        try:
            self._remove_entry(slot)
        except AgentkeysError:
            return
        write_slot(self.root, slot)

    def _remove_entry(self, slot: Slot) -> None:
        if self.only == FILE:
            raise UsageFault(
                f"session {slot.id} is {where(KEYCHAIN)}, and AGENTKEYS_SESSION_STORE is {FILE}",
                f"env -u AGENTKEYS_SESSION_STORE agentkeys session clear {slot.id}",
            )
        self.within(slot.id, lambda: self.keychain.remove(slot.id))
        slot.left_behind = False
