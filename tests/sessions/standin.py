"""A keychain in memory that can be locked, hang, refuse, lie and disappear, and the sessions that tests put into it."""

import os
from collections.abc import Callable

from agentkeys.core.session import LIFE, PREFIX, Session
from agentkeys.errors import TimedOut, VaultFault
from agentkeys.stores.keychain import Keychain, locked, read_back

NOW = 1_800_000_000
"""What time it is in the tests of the store: seconds of Unix time."""

A, B, C = (f"0x{letter * 40}" for letter in "abc")
"""Wallets."""


def session(wallet: str = A, expires: int = NOW + LIFE) -> Session:
    """A new one, with a token of its own."""
    return Session(wallet, os.urandom(32), NOW, expires)


def id_of(wallet: str) -> str:
    """The session id of a robot."""
    return PREFIX + wallet


class StandIn(Keychain):
    """Entries by account; what `broken` holds is how it fails."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.broken: set[str] = set()
        """Of `locked`, `away`, `silent`, `late` (writes land after the time-out), `lost` (they don't), `lying`
        (writes are acknowledged and dropped), `refusing` (writes), `clinging` (removals)."""
        self.calls: list[str] = []
        """What was asked, in order."""
        self.on_write: Callable[[], None] = lambda: None

    def state(self) -> str:
        """See Keychain."""
        self._ask("state")
        if "away" in self.broken:
            return "absent"
        return "locked" if "locked" in self.broken else "ready"

    def read(self, account: str) -> bytes | None:
        """See Keychain."""
        self._ask("read")
        found = self.entries.get(account)
        if found is not None and "locked" in self.broken:
            raise locked(account)
        return found

    def write(self, account: str, value: bytes) -> None:
        """See Keychain."""
        self._ask("write")
        self.on_write()
        if "locked" in self.broken:
            raise locked(account)
        if "refusing" in self.broken:
            raise VaultFault("the keychain refused the write")
        if "lost" not in self.broken and "lying" not in self.broken:
            self.entries[account] = value
        if "late" in self.broken or "lost" in self.broken:
            raise TimedOut("the keychain didn't answer within 2 s")
        read_back(self, account, value)

    def delete(self, account: str) -> None:
        """See Keychain."""
        self._ask("delete")
        if "locked" in self.broken and account in self.entries:
            raise locked(account)
        if "clinging" not in self.broken:
            self.entries.pop(account, None)

    def holds(self, account: str) -> bool:
        """See Keychain."""
        self._ask("holds")
        return account in self.entries

    def _ask(self, what: str) -> None:
        self.calls.append(what)
        if "silent" in self.broken:
            raise TimedOut("the keychain didn't answer within 2 s")
        if "away" in self.broken and what != "state":
            raise VaultFault("no keychain answers on this session's D-Bus")
