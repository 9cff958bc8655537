"""What the state machine wants done; the driver in `agentkeys.agent` does it, in order.

Plain slotted classes: an enum or a dataclass would cost each agent's start 4 to 16 ms of imports.
"""

from agentkeys.core.events import Request
from agentkeys.core.secret import Secret


class Reply:
    """Send one message to a connection. `secret` buffers are encoded once and overwritten after the send."""

    __slots__ = ("conn", "fields", "secret", "wait")

    def __init__(self, conn: int, fields: "list[bytes | bytearray | memoryview]", secret: bool = False) -> None:
        self.conn = conn
        self.fields = fields
        self.secret = secret
        self.wait = 0
        """Milliseconds to hold it back, and with it whatever else this one connection asks."""


class Audit:
    """Append one record before the effects that follow; if it can't be written, they don't happen (AuditFailed).

    `durable` asks for an AuditDurable event once it is on the disk.
    """

    __slots__ = ("conn", "decision", "durable", "keys", "pid", "uid", "verb", "why")

    def __init__(
        self,
        conn: int,
        verb: str,
        uid: int,
        pid: int,
        keys: "list[str]",
        decision: str,
        why: str = "",
        durable: bool = False,
    ) -> None:
        self.conn = conn
        self.verb = verb
        self.uid = uid
        self.pid = pid
        self.keys = keys
        self.decision = decision
        self.why = why
        self.durable = durable


class SealAudit:
    """The state key is known from now on: start chaining, and link in what was written before."""

    __slots__ = ("conn", "key")

    def __init__(self, conn: int, key: Secret) -> None:
        self.conn = conn
        self.key = key


class SetTimer:
    """Send a Tick at `deadline`, milliseconds of CLOCK_BOOTTIME; None means never. Replaces the timer before."""

    __slots__ = ("deadline",)

    def __init__(self, deadline: "int | None") -> None:
        self.deadline = deadline


class Wipe:
    """Overwrite these secrets; nothing refers to them any more."""

    __slots__ = ("secrets",)

    def __init__(self, secrets: "list[Secret]") -> None:
        self.secrets = secrets


class Close:
    """Close a connection after what was already queued for it."""

    __slots__ = ("conn",)

    def __init__(self, conn: int) -> None:
        self.conn = conn


class ReadConfig:
    """Read the operator's config again, then send ConfigRead, or ConfigRefused, with the request that waits for it."""

    __slots__ = ("request",)

    def __init__(self, request: Request) -> None:
        self.request = request


class NewEpoch:
    """What a shell's hook was told may be no longer so: give it the sign that it looks for at each prompt."""

    __slots__ = ()


class Stop:
    """Leave: unlink the socket and exit 0, after the replies queued so far."""

    __slots__ = ()


class Unlock:
    """Run an unlock worker for `request`, as an earlier unlock-commit gave it, without `withheld`; then UnlockEnded."""

    __slots__ = ("request", "withheld")

    def __init__(self, request: bytes, withheld: "list[str]") -> None:
        self.request = request
        self.withheld = withheld


Effect = Reply | Audit | SealAudit | SetTimer | Wipe | Close | ReadConfig | NewEpoch | Stop | Unlock
