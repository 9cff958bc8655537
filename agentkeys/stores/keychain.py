"""The user's keychain: the Secret Service on Linux, the login keychain on macOS; only ever called in a worker.

The backend is named here, never chosen by a configuration file or variable, and a keychain that is *locked* is told
from one that is *absent*: what can't be read now is no reason to make a new secret. Every write is read back.

Entries are `service=agentkeys, account=<slot>`. Linux goes through secretstorage, because asking keyring for a
password opens a prompt; macOS through keyring's own backend class (written from its source, not run on a Mac).
"""

import abc
import base64
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from agentkeys.errors import AgentkeysError, Locked, TimedOut, UsageFault, VaultFault

SERVICE = "agentkeys"

PROBE_SECONDS = 2.0
"""What a keychain that works needs at most without a person; a hung one is given up after it."""

PROMPT_SECONDS = 60.0
"""For the one call that may open a dialog: a person finds the window and types."""

FILES_HINT = "AGENTKEYS_SESSION_STORE=file keeps to files"

OPEN_HINT = "unlock it by logging in to the desktop, then again"

SOME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.@ABCDEFGHIJKLMNOPQRSTUVWXYZ")
MAX_ACCOUNT = 200
"""Characters of a slot's name: owner, wallet or slug, with room."""


def check_account(account: str) -> str:
    """`account` if it can name a slot. Raises UsageFault."""
    if not (0 < len(account) <= MAX_ACCOUNT and SOME_LETTERS.issuperset(account)):
        raise UsageFault("not a slot's name in the keychain")
    return account


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise TimedOut out of whatever the body waits for. A worker has one thread, so SIGALRM reaches it."""
    import signal  # its enums take half a millisecond, and most owners have no keychain

    def late(_number: int, _frame: FrameType | None) -> None:
        raise TimedOut(f"the keychain didn't answer within {seconds:g} s", FILES_HINT)

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Dropped(VaultFault):
    """The keychain took a write and didn't keep it."""


class Probe:
    """What a keychain looks like from outside."""

    def __init__(self, state: str, program: str = "", pid: int = 0) -> None:
        self.state = state
        """`ready`, `locked`, `absent`; `empty`: it answers and has no keychain by default yet; `asleep`: the first
        use starts it; `silent`: it doesn't answer within PROBE_SECONDS."""
        self.program = program
        """The name of the program behind it, or empty."""
        self.pid = pid
        """Its process, or 0."""


class Keychain(abc.ABC):
    """What a worker needs of a keychain. Values are bytes."""

    name = "keychain"

    @abc.abstractmethod
    def read(self, account: str) -> bytes | None:
        """The value in a slot, or None when there is no such slot.

        Raises Locked when it is there but can't be read now, TimedOut, VaultFault when there is no keychain.
        """

    @abc.abstractmethod
    def write(self, account: str, value: bytes) -> None:
        """Put a value into a slot and read it back. Raises as read(), and VaultFault when it didn't stay."""

    @abc.abstractmethod
    def delete(self, account: str) -> None:
        """Empty a slot, if it is there. Raises as read()."""

    @abc.abstractmethod
    def holds(self, account: str) -> bool:
        """Whether there is such a slot, also in a locked keychain. Raises TimedOut, VaultFault."""

    @abc.abstractmethod
    def state(self) -> str:
        """`ready`, `locked` or `absent`, asking nobody.

        Raises TimedOut for one that hangs, VaultFault for one that refuses or vanishes.
        """

    def probe(self) -> Probe:
        """How it stands, and what it is, within PROBE_SECONDS; asks nobody and starts nothing."""
        return Probe(self.state())

    def unlock(self) -> None:
        """Let it ask the person in a dialog of its own, within PROMPT_SECONDS; it is open afterwards.

        Raises Locked when the dialog is dismissed or it has none, TimedOut when nobody answers, VaultFault when it
        refuses.
        """
        raise locked("what is asked for")

    @property
    def left_locked(self) -> AgentkeysError | None:
        """Why it is locked although a person was asked; None where nobody was."""
        return None


def read_back(keychain: Keychain, account: str, value: bytes) -> None:
    """Raise VaultFault unless the slot holds `value` now: some backends accept a write and drop it."""
    if keychain.read(account) != value:
        raise Dropped("the keychain took the value and didn't keep it", "agentkeys init --via file")


def locked(account: str) -> AgentkeysError:
    """The error for a slot that is there and can't be read."""
    return Locked(f"the keychain is locked, and {account} is in it", OPEN_HINT)


def to_text(value: bytes) -> str:
    """Bytes for a backend that stores text only."""
    return base64.b64encode(value).decode("ascii")


def from_text(text: str) -> bytes:
    """Back from to_text(). Raises VaultFault when it is none of ours."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise VaultFault("the keychain's entry was not written by agentkeys", "remove the entry, then again") from None
