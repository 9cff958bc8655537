"""The loop's idea of now, and everything that its one timer waits for."""

from agentkeys.agent.poller import now_ms


class Deadlines:
    """Milliseconds of now_ms(); None is never."""

    __slots__ = ("door", "hall", "keys", "now", "penalty", "sweep", "sync", "unlock")

    def __init__(self) -> None:
        self.now = now_ms()
        """When the events at hand were fetched; the loop sets it."""
        self.keys: int | None = None
        """The state machine's own timer."""
        self.sync: int | None = None
        """The audit log has to be on the disk."""
        self.sweep: int | None = None
        """Clients that owe us something are closed."""
        self.penalty: int | None = None
        """The first answer to a wrong passphrase may go."""
        self.door: int | None = None
        """Accepting is tried again."""
        self.hall: int | None = None
        """Who waits for the first unlock is let in all the same."""
        self.unlock: int | None = None
        """The worker of an automatic unlock is given up."""

    def earliest(self) -> "int | None":
        """When to wake up next."""
        first = self.keys
        for other in (self.sync, self.sweep, self.penalty, self.door, self.hall, self.unlock):
            if other is not None and (first is None or other < first):
                first = other
        return first
