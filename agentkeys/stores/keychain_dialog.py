"""A locked keychain with a person before it: its own dialog is opened, and what was asked is asked again.

Rule 1: one dialog in the life of a worker. What came of it answers every later use.
Rule 2: the person is told on the terminal before the dialog opens.
Rule 3: what only looks (`holds`, `probe`) opens none.
"""

from collections.abc import Callable
from typing import TypeVar

from agentkeys.errors import AgentkeysError, Locked
from agentkeys.stores.keychain import Keychain, Probe

T = TypeVar("T")


class Dialog:
    """The one time that a keychain may ask."""

    def __init__(self, announce: Callable[[], None]) -> None:
        """`announce` tells the person what is about to open. Raises AgentkeysError when that can't be said."""
        self._announce = announce
        self._was_opened = False
        self.fault: AgentkeysError | None = None
        """Why the keychain is locked still; None before, and when it was unlocked."""

    def opens(self, keychain: Keychain) -> bool:
        """Have the person unlock `keychain`, unless that was tried before; whether it is open now."""
        if self._was_opened:
            return False
        self._was_opened = True
        try:
            self._announce()
            keychain.unlock()
        except AgentkeysError as fault:
            self.fault = fault
        return self.fault is None


class AttendedKeychain(Keychain):
    """Another keychain, which is unlocked where it is found locked."""

    def __init__(self, keychain: Keychain, dialog: Dialog) -> None:
        self._keychain = keychain
        self._dialog = dialog

    def state(self) -> str:
        """See Keychain. `locked` is what it is after the dialog."""
        found = self._keychain.state()
        return self._keychain.state() if found == "locked" and self._dialog.opens(self._keychain) else found

    def read(self, account: str) -> bytes | None:
        """See Keychain."""
        found = self._opened(lambda: self._keychain.read(account))
        if found is None and self._keychain.state() == "locked" and self._dialog.opens(self._keychain):
            return self._keychain.read(account)  # some hide all they have while they are locked
        return found

    def write(self, account: str, value: bytes) -> None:
        """See Keychain."""
        self._opened(lambda: self._keychain.write(account, value))

    def delete(self, account: str) -> None:
        """See Keychain."""
        self._opened(lambda: self._keychain.delete(account))

    def holds(self, account: str) -> bool:
        """See Keychain."""
        return self._keychain.holds(account)

    def probe(self) -> Probe:
        """See Keychain."""
        return self._keychain.probe()

    def unlock(self) -> None:
        """See Keychain."""
        self._keychain.unlock()

    @property
    def left_locked(self) -> AgentkeysError | None:
        """See Keychain."""
        return self._dialog.fault

    def _opened(self, use: "Callable[[], T]") -> "T":
        """What `use` gives, after the dialog if need be. Raises what came of the dialog, where that is why."""
        try:
            return use()
        except Locked as fault:
            if not self._dialog.opens(self._keychain):
                raise (self._dialog.fault or fault) from None
        return use()
