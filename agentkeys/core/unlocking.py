"""The unlock transaction: unlock, then unlock-add and unlock-keep as often as needed, then unlock-commit.

Nothing of it counts before its audit line is on the disk; a connection that goes takes what it staged along.
"""

from agentkeys.core import asked, holdings
from agentkeys.core.effects import Audit, Effect, NewEpoch, Reply, SealAudit, Wipe
from agentkeys.core.events import Request
from agentkeys.core.grades import GRADES
from agentkeys.core.holdings import Held, Staged
from agentkeys.core.secret import Secret, split
from agentkeys.core.state import AgentState, set_timer
from agentkeys.errors import UsageFault

STATE_KEY_SIZE = 32
"""Bytes of the key that chains the audit log (agentkeys.core.derive)."""

MAX_STAGED = 20_000
"""Values in one unlock: twice the 10,000 keys the budgets speak of."""


def unlock(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """Begin. The reply says how many seconds this agent lets anything stay."""
    asked.fields(event.pairs, frozenset())
    old = state.staged.get(event.conn)
    state.staged[event.conn] = Staged()
    return [
        Wipe(old.secrets() if old else []),
        Reply(event.conn, [b"ok", b"max-ttl", b"%d" % state.longest]),
    ]


def _staged(state: AgentState, event: Request) -> Staged:
    staged = state.staged.get(event.conn)
    if staged is None:
        raise UsageFault("no unlock is under way on this connection")
    return staged


_BATCH = frozenset((b"vault", b"grade", b"ttl", b"slugs", b"sizes", b"values"))


def add(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """One batch of values. A field for each would cost 10,000 keys 10 ms at either end.

    `vault`, `grade` and `ttl` (seconds) hold for all `slugs` (separated by newlines); `values` stand end to end, and
    `sizes` are their lengths in decimal, separated by spaces.
    """
    staged = _staged(state, event)
    known = asked.exactly(event.pairs, _BATCH, "unlock-add")
    vault, grade, values = asked.text(known[b"vault"]), asked.text(known[b"grade"]), known[b"values"]
    if grade not in GRADES:
        raise UsageFault("not a grade")
    deadline = now + min(asked.seconds(asked.text(known[b"ttl"])), state.longest) * 1000
    slugs = asked.slugs(bytes(known[b"slugs"]))
    sizes = asked.sizes(bytes(known[b"sizes"]))
    if len(sizes) != len(slugs) or sum(sizes) != len(values) or len(set(slugs)) != len(slugs):
        raise UsageFault("unlock-add takes each slug once, and a size for each value")
    if len(staged.brought) + len(slugs) > MAX_STAGED or staged.size + len(values) > holdings.MAX_HELD:
        raise UsageFault("too much for one unlock", "agentkeys unlock --key NAME")
    gone = [staged.brought[slug].secret for slug in slugs if slug in staged.brought] if staged.brought else []
    staged.size += len(values)
    # Secrets last: nothing can be refused any more, so none is dropped unwiped.
    for slug, secret in zip(slugs, split(values, sizes), strict=True):
        staged.brought[slug] = Held(secret, deadline, vault, grade)
    return [Wipe(gone), Reply(event.conn, [b"ok"])] if gone else [Reply(event.conn, [b"ok"])]


def keep(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """A new `ttl` (seconds) for `slugs` whose values no vault has: what this agent holds of them stays."""
    staged = _staged(state, event)
    known = asked.exactly(event.pairs, frozenset((b"ttl", b"slugs")), "unlock-keep")
    deadline = now + min(asked.seconds(asked.text(known[b"ttl"])), state.longest) * 1000
    slugs = asked.slugs(bytes(known[b"slugs"]))
    if len(staged.kept) + len(slugs) > MAX_STAGED:
        raise UsageFault("too much for one unlock", "agentkeys unlock --key NAME")
    staged.kept.update(dict.fromkeys(slugs, deadline))
    return [Reply(event.conn, [b"ok"])]


_UNDONE = (b"absent", b"expired", b"locked")
_LISTS = frozenset((b"memory", *_UNDONE))


def commit(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """Make it count, once it is on record.

    `directory`: every slug of the rack; `memory`: those whose values rest nowhere; `absent`, `expired`, `locked`: those
    that were asked for and can't be held; all separated by newlines, all but the directory at most once. `state-key`:
    32 bytes for the audit chain. `renew`: what to unlock again before the first of these values expires; or `again`,
    1: so says the worker that this agent started for such a request.
    """
    staged = _staged(state, event)
    directory: list[str] = []
    lists: dict[bytes, list[str]] = {}
    key: memoryview | None = None
    renew, again = b"", False
    for name, value in event.pairs:
        if name == b"directory":
            directory += asked.slugs(bytes(value))
        elif name in _LISTS and name not in lists:
            lists[name] = asked.slugs(bytes(value))
        elif name == b"renew" and not renew and not again:
            renew = bytes(value)
        elif name == b"again" and bytes(value) == b"1" and not renew and not again:
            again = True
        elif name == b"state-key" and len(value) == STATE_KEY_SIZE and key is None:
            key = value
        else:
            raise UsageFault("unlock-commit takes directory, its lists, renew or again, and one state-key")
    if key is None or not staged.brought.keys() <= set(directory):
        raise UsageFault("unlock-commit without a state-key, or a value whose key is not in the directory")
    if not staged.brought.keys().isdisjoint([slug for name in _UNDONE for slug in lists.get(name, [])]):
        raise UsageFault("unlock-commit with a value that it says can't be held")
    if again:
        renew = state.renewals.require_running()
    elif renew:
        state.renewals.check(renew)
    state.holdings.check_room(staged.brought, staged.size)
    staged.directory = directory
    staged.memory, staged.absent = lists.get(b"memory", []), lists.get(b"absent", [])
    staged.expired, staged.locked = lists.get(b"expired", []), lists.get(b"locked", [])
    staged.renew, staged.again = renew, again
    return [
        Wipe(staged.leave_out(state.renewals.withheld) if again else []),
        SealAudit(event.conn, Secret(key)),
        Audit(event.conn, "unlock", event.peer.uid, event.peer.pid, list(staged.brought), "allow", durable=True),
    ]


def committed(state: AgentState, conn: int, now: int) -> "list[Effect]":
    """Its line is durable: now it counts. The reply names what it asked to keep and nobody has any more."""
    staged = state.staged.pop(conn)
    gone, lost = state.holdings.bring(staged)
    slugs = [*staged.brought, *staged.kept]
    deadlines = [state.holdings.held[slug].deadline for slug in slugs if slug in state.holdings.held]
    state.renewals.committed(staged.renew, slugs, deadlines, now)
    if not staged.again:
        state.last_use = now
    reply: list[bytes | bytearray | memoryview] = [b"ok"]
    if lost:
        reply += (b"lost", "\n".join(lost).encode("ascii"))
    return [Wipe(gone), NewEpoch(), *set_timer(state), Reply(conn, reply)]


def abandoned(state: AgentState, conn: int) -> "list[Effect]":
    """The connection is gone, or its commit can't be put on record: wipe what it staged."""
    staged = state.staged.pop(conn, None)
    return [Wipe(staged.secrets())] if staged else []
