"""Everything an agent knows, and its one timer."""

from agentkeys.core import refs
from agentkeys.core.effects import Audit, Effect, NewEpoch, SetTimer, Wipe
from agentkeys.core.events import Peer
from agentkeys.core.holdings import Holdings, Staged
from agentkeys.core.padlock import Padlock
from agentkeys.core.renewals import Renewals
from agentkeys.core.secret import Secret
from agentkeys.core.status import AgentFacts, KeyState, Limits, Report, Use


class AgentState:
    """What `agentkeys.core.agent.step` decides from and changes."""

    def __init__(self, owner: str, facts: AgentFacts, started: int, allowed_names: "frozenset[str]") -> None:
        self.owner = owner
        self.facts = facts
        self.started = started
        self.allowed_names = allowed_names
        """Names from the operator's config that may be put into an environment although they load code."""
        self.longest = refs.MAX_TTL
        """Seconds that anything stays at most."""
        self.idle = 0
        """Seconds without a use after which everything is forgotten; 0 for never."""
        self.inject = False
        """Whether a shell's hook gets values, and not only word of them."""
        self.last_use = started
        """When a value was last given out or brought; asking for status or lists is no use."""
        self.use = Use()
        self.holdings = Holdings(owner)
        self.staged: dict[int, Staged] = {}
        self.renewals = Renewals()
        self.padlock = Padlock()
        self.timer: int | None = None

    def shown_keys(self, now: int) -> "list[KeyState]":
        """What `status` shows of keys: nothing while the agent is locked."""
        return [] if self.padlock.closed else self.holdings.key_states(now)

    def limits(self, now: int) -> Limits:
        """What `status` shows of time."""
        at = self.renewals.next()
        renewal = None if at is None else max(0, at - now) // 1000
        return Limits(self.longest, self.idle, renewal, self.renewals.fault, self.padlock.closed)

    def gave(self, now: int) -> None:
        """Values were given out."""
        self.last_use = self.use.last = now
        self.use.given += 1

    def report(self, now: int) -> Report:
        """What `status` shows."""
        shown = Report(self.owner, self.facts, self.started, now, self.limits(now), self.use)
        shown.unlocked, shown.keys = self.holdings.directory is not None, self.shown_keys(now)
        return shown

    def idle_since(self, now: int) -> bool:
        """Whether the idle limit is reached."""
        return bool(self.idle) and now >= self.last_use + self.idle * 1000


def denial(state: AgentState, conn: int, peer: Peer, verb: str, keys: "list[str]", why: str) -> Audit:
    """The line that says so; `status` counts them."""
    state.use.denied += 1
    return Audit(conn, verb, peer.uid, peer.pid, keys, "deny", why)


def set_timer(state: AgentState) -> "list[Effect]":
    """A SetTimer when the next deadline changed.

    The idle limit's deadline moves with each use. The timer isn't moved along, which would cost every read a system
    call: it fires at the old one, and is set anew then.
    """
    deadline = state.holdings.next_deadline()
    if deadline is not None and state.idle:
        deadline = min(deadline, state.last_use + state.idle * 1000)
    renewal = state.renewals.next()
    if renewal is not None:
        deadline = renewal if deadline is None else min(deadline, renewal)
    if deadline == state.timer:
        return []
    state.timer = deadline
    return [SetTimer(deadline)]


def expire(state: AgentState, now: int) -> "list[Effect]":
    """Wipe what is due."""
    idle = state.idle_since(now)
    gone = state.holdings.expire(now, everything=idle)
    if gone and idle:
        state.renewals.relocked([], everything=True)  # or all would be back by itself, used by nobody
    return [Wipe(gone), NewEpoch()] if gone else []


def forget_everything(state: AgentState) -> "list[Secret]":
    """Every secret, held or staged; the state refers to none of them any more."""
    gone = state.holdings.forget(list(state.holdings.held), drop=False)
    for staged in state.staged.values():
        gone += staged.secrets()
    state.staged.clear()
    return gone
