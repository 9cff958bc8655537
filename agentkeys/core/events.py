"""What happens to an agent, as the driver tells the state machine. Plain slotted classes, as in `effects`."""

from agentkeys.errors import AgentkeysError

Pairs = list[tuple[bytes, memoryview]]


class Peer:
    """Who asks, from the kernel."""

    __slots__ = ("limited", "pid", "uid")

    def __init__(self, uid: int, pid: int, limited: str = "") -> None:
        self.uid = uid
        self.pid = pid
        """0 when unknown: another pid namespace."""
        self.limited = limited
        """Why it may only use TAKING_AWAY verbs, as in "a process of another login session"; "" when it needn't."""


class Request:
    """A whole message of a peer that passed the checks."""

    __slots__ = ("conn", "pairs", "peer", "verb")

    def __init__(self, conn: int, peer: Peer, verb: bytes, pairs: Pairs) -> None:
        self.conn = conn
        self.peer = peer
        self.verb = verb
        self.pairs = pairs


class Disconnected:
    """The connection is gone, with whatever it staged."""

    __slots__ = ("conn",)

    def __init__(self, conn: int) -> None:
        self.conn = conn


class PeerRefused:
    """A peer failed the kernel checks before it could say anything."""

    __slots__ = ("conn", "peer", "why")

    def __init__(self, conn: int, peer: Peer, why: str) -> None:
        self.conn = conn
        self.peer = peer
        self.why = why


class AuditFailed:
    """A record couldn't be written; the effects after it were dropped."""

    __slots__ = ("conn",)

    def __init__(self, conn: int) -> None:
        self.conn = conn


class AuditDurable:
    """A record that asked for it is on the disk; what waited for it may happen."""

    __slots__ = ("conn",)

    def __init__(self, conn: int) -> None:
        self.conn = conn


class Tick:
    """The timer fired."""

    __slots__ = ()


class ConfigRead:
    """The operator's config as it is now, as far as the state machine goes by it."""

    __slots__ = ("allowed_names", "idle", "inject", "longest", "request")

    def __init__(
        self, allowed_names: "frozenset[str]", longest: int, idle: int, inject: bool, request: "Request | None"
    ) -> None:
        self.allowed_names = allowed_names
        self.longest = longest
        """Seconds that anything stays at most, with what the agent was started with."""
        self.idle = idle
        """Seconds without a use after which everything is forgotten, likewise; 0 for never."""
        self.inject = inject
        """Whether a shell's hook gets values."""
        self.request = request
        """What waited for it; None when its asker isn't served any more."""


class ConfigRefused:
    """The operator's config can't be read or understood, so nothing changed."""

    __slots__ = ("fault", "request")

    def __init__(self, fault: AgentkeysError, request: Request) -> None:
        self.fault = fault
        self.request = request
        """What waited for it, and is refused."""


class UnlockEnded:
    """The worker of an Unlock effect is gone."""

    __slots__ = ("fault",)

    def __init__(self, fault: str) -> None:
        self.fault = fault
        """What it said went wrong, or empty."""


class Terminated:
    """The process was told to leave (signal, socket gone)."""

    __slots__ = ()


Event = (
    Request
    | Disconnected
    | PeerRefused
    | AuditFailed
    | AuditDurable
    | Tick
    | UnlockEnded
    | ConfigRead
    | ConfigRefused
    | Terminated
)
