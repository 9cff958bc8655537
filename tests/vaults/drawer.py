"""A keychain in memory that keeps the contract of agentkeys.stores.keychain.Keychain, in all its moods."""

from collections.abc import Callable

from agentkeys.errors import TimedOut, VaultFault
from agentkeys.stores import keychain

READY, LOCKED, ABSENT, HANGING, REFUSING, DROPPING, HIDING = (
    "ready", "locked", "absent", "hanging", "refusing", "dropping", "hiding",
)  # fmt: skip
"""`refusing` takes no write, `dropping` takes it and keeps nothing, `hiding` is locked and shows no item meanwhile."""


def _nothing(_what: str) -> None:
    """Nothing happens before a call."""


class Drawer(keychain.Keychain):
    """Items by account."""

    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}
        self.mood = READY
        self.before: Callable[[str], None] = _nothing
        """Called with `write ACCOUNT` or `delete ACCOUNT` before that is done."""

    def read(self, account: str) -> bytes | None:
        """See Keychain."""
        keychain.check_account(account)
        self._answer()
        if account not in self.items or self.mood == HIDING:
            return None
        if self.mood == LOCKED:
            raise keychain.locked(account)
        return self.items[account]

    def write(self, account: str, value: bytes) -> None:
        """See Keychain."""
        keychain.check_account(account)
        self.before(f"write {account}")
        self._answer()
        if self.mood in (LOCKED, HIDING):
            raise keychain.locked(account)
        if self.mood == REFUSING:
            raise VaultFault("no keychain answers on this session's D-Bus", "log in")
        if self.mood != DROPPING:
            self.items[account] = value
        keychain.read_back(self, account, value)

    def delete(self, account: str) -> None:
        """See Keychain."""
        keychain.check_account(account)
        self.before(f"delete {account}")
        self._answer()
        if account in self.items:
            if self.mood == LOCKED:
                raise keychain.locked(account)
            if self.mood != HIDING:
                del self.items[account]

    def holds(self, account: str) -> bool:
        """See Keychain."""
        keychain.check_account(account)
        self._answer()
        return account in self.items and self.mood != HIDING

    def state(self) -> str:
        """See Keychain."""
        if self.mood == ABSENT:
            return "absent"
        self._answer()
        return "locked" if self.mood in (LOCKED, HIDING) else "ready"

    def _answer(self) -> None:
        if self.mood == HANGING:
            raise TimedOut("the keychain didn't answer within 2 s", "AGENTKEYS_SESSION_STORE=file keeps to files")
        if self.mood == ABSENT:
            raise VaultFault("no keychain answers on this session's D-Bus", "log in")
