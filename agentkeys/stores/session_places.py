"""The two places where a session can rest, behind one interface: a file of ours, and the user's keychain.

A place says what it found or why it can't tell; what follows from that is decided by agentkeys.stores.sessions.
"""

import abc
import os
import stat
import time
from collections.abc import Callable
from typing import TypeVar

from agentkeys import paths
from agentkeys.errors import AgentkeysError, Locked, TimedOut, VaultFault
from agentkeys.stores import atomic
from agentkeys.stores.keychain import OPEN_HINT, Keychain

MAX_RECORD = 16 * 1024
"""Bytes of a session's record we read: it is a few lines."""

T = TypeVar("T")

ASIDE = ".damaged-"
"""Follows a file's name when it was put aside; then the time."""


class Place(abc.ABC):
    """Where the record of a session id rests."""

    @abc.abstractmethod
    def read(self, session_id: str) -> bytes | None:
        """The record, or None when there is none.

        Raises Locked when it is there and can't be read now, TimedOut, VaultFault.
        """

    @abc.abstractmethod
    def write(self, session_id: str, record: bytes) -> None:
        """Replace the record, durable before it returns. Raises as read(), and VaultFault when it didn't stay."""

    @abc.abstractmethod
    def remove(self, session_id: str) -> None:
        """Remove the record, if there is one. Raises as read()."""


class Files(Place):
    """`<session id>/session.json`, 0600 in a directory 0700."""

    def __init__(self, root: str) -> None:
        self.root = root

    def read(self, session_id: str) -> bytes | None:
        """See Place. Raises VaultFault also for a file that others can read."""
        path = paths.session_file(self.root, session_id)
        record = atomic.read_file(path, MAX_RECORD)
        if record is not None and stat.S_IMODE(os.stat(path).st_mode) & 0o077:
            raise VaultFault(f"{path} can be read by others", f"chmod 600 {path}")
        return record

    def write(self, session_id: str, record: bytes) -> None:
        """See Place."""
        path = paths.session_file(self.root, session_id)
        atomic.make_private_dir(os.path.dirname(path))
        atomic.write_file(path, record)

    def remove(self, session_id: str) -> None:
        """See Place. What was put aside goes as well."""
        path = paths.session_file(self.root, session_id)
        atomic.remove_file(path)
        directory, name = os.path.split(path)
        if os.path.isdir(directory):
            for other in os.listdir(directory):
                if other.startswith(name + ASIDE):
                    atomic.remove_file(f"{directory}/{other}")
            atomic.sync_dir(directory)

    def put_aside(self, session_id: str) -> str:
        """Keep a record that is damaged under another name; its path. Raises VaultFault."""
        path = paths.session_file(self.root, session_id)
        aside = path + ASIDE + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        atomic.move_file(path, aside)
        return aside


class InKeychain(Place):
    """`service=agentkeys, account=<session id>`. One that was silent once isn't waited for again."""

    def __init__(self, keychain: Keychain) -> None:
        self.keychain = keychain
        self._state: str | None = None
        self._silence: TimedOut | None = None

    def state(self) -> str:
        """`ready`, `locked` or `absent`, asked once. Raises TimedOut for one that hangs."""
        if self._state is None:
            self._state = self._asked(self.keychain.state)
        return self._state

    def read(self, session_id: str) -> bytes | None:
        """See Place."""
        self._require_present()
        return self._asked(lambda: self.keychain.read(session_id))

    def holds(self, session_id: str) -> bool:
        """Whether there is an entry, also in a locked keychain. Raises TimedOut, VaultFault."""
        self._require_present()
        return self._asked(lambda: self.keychain.holds(session_id))

    def write(self, session_id: str, record: bytes) -> None:
        """See Place. A write that timed out is read back before it counts as failed."""
        self._require_present()
        try:
            self._asked(lambda: self.keychain.write(session_id, record))
        except TimedOut:
            if not self._landed(session_id, record):
                raise
            self._silence = None

    def _landed(self, session_id: str, record: bytes) -> bool:
        try:
            return self.keychain.read(session_id) == record
        except AgentkeysError:
            return False

    def remove(self, session_id: str) -> None:
        """See Place. It is looked at afterwards: some backends accept a removal and drop it."""
        self._require_present()
        self._asked(lambda: self.keychain.delete(session_id))
        if self.holds(session_id):
            raise VaultFault("the keychain took the removal and has the entry still", "agentkeys session doctor")

    def require_ready(self) -> None:
        """Raise Locked, TimedOut or VaultFault unless something can be put into it."""
        if self.state() == "absent":
            raise VaultFault("there is no keychain here", "agentkeys session doctor")
        if self.state() == "locked":
            raise self.keychain.left_locked or Locked("the keychain is locked", OPEN_HINT)

    def _require_present(self) -> None:
        if self.state() == "absent":
            raise VaultFault("no keychain answers here", "agentkeys session doctor")

    def _asked(self, ask: "Callable[[], T]") -> "T":
        """What the keychain answers. Raises at once, without asking, when it was silent before."""
        if self._silence is not None:
            raise self._silence
        try:
            return ask()
        except TimedOut as fault:
            self._silence = fault
            raise
