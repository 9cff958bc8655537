"""A whole agent locked by a passphrase, as `ssh-add -x` does: it keeps what it holds and serves none of it.

The passphrase guards the socket, not the memory, so its digest is a plain salted BLAKE2b: whoever could read it could
read the values beside it. Guessing is slowed per attempt, and one attempt is judged at a time.
"""

from _blake2 import blake2b

from agentkeys.errors import Denied, Locked, UsageFault

SALT_SIZE = 16
"""Bytes (RFC 7693 gives BLAKE2b a salt of that size)."""

PENALTY = 100
"""Milliseconds that the answer to a wrong passphrase waits for each wrong one so far, as in ssh-agent."""

PENALTY_AT_MOST = 10_000
"""Milliseconds of one such wait."""

MAX_PASSPHRASE = 1024
"""Bytes: a person types them."""

OPEN_HINT = "agentkeys lock --open"


class Padlock:
    """Whether an agent is locked, and by what."""

    def __init__(self) -> None:
        self._salt = b""
        self._digest = b""
        self._failures = 0
        self._judged_at = 0

    @property
    def closed(self) -> bool:
        """Whether the agent serves nothing."""
        return bool(self._digest)

    def close(self, passphrase: memoryview, salt: bytes) -> None:
        """Lock. Raises UsageFault for an empty passphrase, Locked when it is locked already."""
        if self.closed:
            raise Locked("this agent is locked already", OPEN_HINT)
        if not 0 < len(passphrase) <= MAX_PASSPHRASE or len(salt) != SALT_SIZE:
            raise UsageFault("an empty or endless passphrase locks nothing", "agentkeys lock --passphrase")
        self._salt = salt
        self._digest = self._hash(passphrase)
        self._failures = 0

    def open(self, passphrase: memoryview, now: int) -> int:
        """Unlock. Returns 0, or after a wrong passphrase the milliseconds that its refusal is to wait.

        Raises UsageFault when it isn't locked, and Denied while another wrong attempt waits: guessing on many
        connections at once is no quicker than on one.
        """
        if not self.closed:
            raise UsageFault("this agent is not locked", "agentkeys lock --passphrase")
        if now < self._judged_at:
            raise Denied("another attempt to open this agent is being answered", OPEN_HINT)
        if self._same(self._hash(passphrase)):
            self._salt = self._digest = b""
            self._failures = 0
            return 0
        self._failures += 1
        wait = min(PENALTY * self._failures, PENALTY_AT_MOST)
        self._judged_at = now + wait
        return wait

    def _hash(self, passphrase: memoryview) -> bytes:
        return blake2b(passphrase, salt=self._salt, person=b"agentkeys lock").digest()

    def _same(self, digest: bytes) -> bool:
        """Compare in a time that doesn't depend on where they differ."""
        different = 0
        for one, other in zip(digest, self._digest, strict=True):
            different |= one ^ other
        return different == 0
