"""Unlocks that are to be repeated before what they brought expires: the agent's half of `agent --auto-unlock`.

An unlock says with its commit what to ask for again. At nine tenths of its shortest time a worker is started for it;
what a person relocked meanwhile is left out, until a person unlocks it again.
"""

from agentkeys.errors import Locked, UsageFault

MAX_REQUESTS = 16
"""Different unlocks kept up by one agent; a robot has one."""

MAX_REQUEST = 64 * 1024
"""Bytes of one: a few hundred names."""

RETRY = 60_000
RETRY_AT_MOST = 3_600_000
"""Milliseconds after a failure, doubled with each further one, at most: a dead disk isn't woken every minute."""


class Renewals:
    """When to unlock what again."""

    def __init__(self) -> None:
        self.due: dict[bytes, int] = {}
        """Milliseconds of CLOCK_BOOTTIME, by request."""
        self.running = b""
        """The request whose worker runs, or b""."""
        self.withheld: set[str] = set()
        """Slugs that a person relocked."""
        self.fault = ""
        """Why the last one failed, or empty."""
        self._retry = RETRY

    def want(self, request: bytes, now: int) -> None:
        """Ask for this now, and then again and again."""
        self.due[request] = now

    def check(self, request: bytes) -> None:
        """Raise UsageFault for a request that can't be kept."""
        if len(request) > MAX_REQUEST or (len(self.due) >= MAX_REQUESTS and request not in self.due):
            raise UsageFault("too many automatic unlocks for one agent", "agentkeys relock")

    def require_running(self) -> bytes:
        """The request whose worker runs. Raises Locked when none does, or it isn't wanted any more."""
        if self.running in self.due:
            return self.running
        raise Locked("this unlock isn't wanted any more: everything was relocked", "agentkeys unlock")

    def committed(self, request: bytes, slugs: "list[str]", deadlines: "list[int]", now: int) -> None:
        """An unlock of `slugs` counts; `request` is what to repeat before the first of `deadlines`, or b"" for nothing.

        A person's own unlock lifts what they withheld; one that we asked for has none of that among its `slugs`.
        """
        self.withheld.difference_update(slugs)
        if request:
            self.due[request] = now + (min(deadlines) - now) * 9 // 10 if deadlines else now + RETRY_AT_MOST

    def relocked(self, slugs: "list[str]", everything: bool) -> None:
        """A person made the agent forget `slugs`, or (as the idle limit) `everything`: none comes back by itself."""
        if everything:
            self.due.clear()
            self.withheld.clear()
            self.fault = ""
        else:
            self.withheld.update(slugs)

    def start(self, now: int) -> bytes:
        """The request to run a worker for now, or b""; one runs at a time."""
        if self.running:
            return b""
        for request, at in self.due.items():
            if at <= now:
                self.running = request
                return request
        return b""

    def ended(self, fault: str, now: int) -> None:
        """The worker is gone; after a `fault`, or without a commit, it is tried again later."""
        request, self.running = self.running, b""
        self.fault = fault if request in self.due else ""  # nobody waits for one that was called off
        if request in self.due and (fault or self.due[request] <= now):
            self.due[request] = now + (self._retry if fault else RETRY_AT_MOST)
        self._retry = min(2 * self._retry, RETRY_AT_MOST) if fault else RETRY

    def next(self) -> "int | None":
        """When the next one is due; None when none is, or one runs."""
        return None if self.running else min(self.due.values(), default=None)
