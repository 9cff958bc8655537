"""The keyholder as a pure state machine: step(state, event, now) → effects.

Rule 1: nothing here knows a socket, a file or a clock; `now` is milliseconds of CLOCK_BOOTTIME.
Rule 2: an Audit effect stands before the Reply it speaks of; if the line can't be written, nothing of the reply is
        sent and the answer is AuditFailed's.
Rule 3: values stay in Secret buffers; a reply refers to their views and the driver encodes it at once.
Rule 4: a refused request leaves its connection usable and changes nothing.
"""

from agentkeys.core import asked, own_session, reading, refs, status, unlocking
from agentkeys.core.effects import Audit, Close, Effect, NewEpoch, ReadConfig, Reply, Stop, Unlock, Wipe
from agentkeys.core.events import (
    AuditDurable,
    AuditFailed,
    ConfigRead,
    ConfigRefused,
    Disconnected,
    Event,
    Pairs,
    PeerRefused,
    Request,
    Tick,
    UnlockEnded,
)
from agentkeys.core.grades import GRADES
from agentkeys.core.holdings import Held, NotUnlocked
from agentkeys.core.padlock import OPEN_HINT
from agentkeys.core.secret import Secret
from agentkeys.core.state import AgentState, denial, expire, forget_everything, set_timer
from agentkeys.errors import DENIED, MALFUNCTION, AgentkeysError, Denied, Locked, UsageFault

AUDIT_HINT = "df ~/.agentkeys/audit"


def step(state: AgentState, event: Event, now: int) -> "list[Effect]":
    """The one transition function."""
    if type(event) is Request:
        return _request(state, event, now)
    if type(event) is Tick:
        state.timer = None
        return [*expire(state, now), *_renew(state, now), *set_timer(state)]
    if type(event) is Disconnected:
        return unlocking.abandoned(state, event.conn)
    if type(event) is PeerRefused:
        return [denial(state, event.conn, event.peer, "connect", [], event.why), Close(event.conn)]
    if type(event) is AuditDurable:
        return unlocking.committed(state, event.conn, now)
    if type(event) is AuditFailed:
        return [
            *unlocking.abandoned(state, event.conn),
            _error(event.conn, MALFUNCTION, "the audit log can't be written, so nothing is done", AUDIT_HINT),
        ]
    if type(event) is UnlockEnded:
        state.renewals.ended(event.fault, now)
        return [*_renew(state, now), *set_timer(state)]
    if type(event) is ConfigRead:
        state.allowed_names, state.longest, state.idle = event.allowed_names, event.longest, event.idle
        state.inject = event.inject
        state.holdings.prepared.clear()  # what was refused or given by the old names
        state.holdings.shorten(now + state.longest * 1000)
        return [*set_timer(state), *(_answer(state, event.request, now) if event.request else [])]
    if type(event) is ConfigRefused:
        return _refusal(state, event.request, event.fault)
    return [Wipe(forget_everything(state)), Stop()]


def _renew(state: AgentState, now: int) -> "list[Effect]":
    request = state.renewals.start(now)
    return [Unlock(request, sorted(state.renewals.withheld))] if request else []


def _request(state: AgentState, event: Request, now: int) -> "list[Effect]":
    effects: list[Effect] = []
    if state.timer is not None and state.timer <= now:
        # A suspended machine may deliver the request before the timer: never serve what is due.
        effects.extend(expire(state, now))
        effects.extend(set_timer(state))
    if event.verb in _CONFIGURED:
        effects.append(ReadConfig(event))
    else:
        effects.extend(_answer(state, event, now))
    return effects


def _answer(state: AgentState, event: Request, now: int) -> "list[Effect]":
    handler = _HANDLERS.get(event.verb)
    try:
        if event.peer.limited and event.verb not in TAKING_AWAY:
            raise Denied(f"{event.peer.limited} may only make this agent forget", "agentkeys agent")
        if handler is None:
            raise UsageFault("the agent doesn't know this verb", "agentkeys status")
        if state.padlock.closed and event.verb not in WHILE_LOCKED:
            raise Locked(f"the agent of {state.owner} is locked", f"{OPEN_HINT} --for {state.owner}")
        return handler(state, event, now)
    except AgentkeysError as fault:
        return _refusal(state, event, fault)


def _refusal(state: AgentState, event: Request, fault: AgentkeysError) -> "list[Effect]":
    effects: list[Effect] = []
    if event.verb in _READS or isinstance(fault, Denied):
        verb = event.verb.decode("ascii") if event.verb in _HANDLERS else "unknown"
        keys = _askable(event.pairs)
        effects.append(denial(state, event.conn, event.peer, verb, keys, fault.message))
    reply = _error(event.conn, fault.exit_code, fault.message, fault.hint)
    if isinstance(fault, NotUnlocked):
        for slug in fault.slugs:
            reply.fields += (b"slug", slug.encode("ascii"))
    effects.append(reply)
    return effects


def _error(conn: int, code: int, message: str, hint: str) -> Reply:
    return Reply(
        conn,
        [
            b"error",
            b"code",
            b"%d" % code,
            b"message",
            message.encode("utf-8", "replace"),
            b"hint",
            hint.encode("utf-8", "replace"),
        ],
    )


def _askable(pairs: Pairs) -> "list[str]":
    """What was asked for, as an audit line may show it: names and slugs that can be, and nothing else."""
    named = [bytes(value).partition(b" ")[0] for name, value in pairs if name == b"want"]
    named += [bytes(value) for name, value in pairs if name == b"key"]
    texts = [text.partition(b"=")[0].decode("ascii", "replace") for text in named]
    return [text for text in texts if refs.is_name(text) or refs.is_slug(text)]


def _status(state: AgentState, event: Request, now: int) -> "list[Effect]":
    fields = asked.fields(event.pairs, frozenset((b"format",)))
    render = status.as_json if fields.get(b"format") == "json" else status.as_text
    return [Reply(event.conn, [b"ok", b"text", render(state.report(now))])]


def _relock(state: AgentState, event: Request, now: int) -> "list[Effect]":
    fields = asked.fields(event.pairs, frozenset((b"key", b"env")))
    key, env = fields.get(b"key", ""), fields.get(b"env", "")
    if key:
        refs.candidates(refs.ANY_ORG, refs.ANY_ENV, key)
    if env:
        refs.check_env(env)
    slugs = state.holdings.select(key, env)
    state.renewals.relocked(state.holdings.select(key, env, locked=True), everything=not key and not env)
    gone = state.holdings.forget(slugs, drop=False)
    reply: list[bytes | bytearray | memoryview] = [b"ok"]
    for slug in slugs:
        reply += (b"slug", slug.encode("ascii"))
    effects: list[Effect] = [Wipe(gone), NewEpoch()] if gone else []
    return [*effects, *set_timer(state), Reply(event.conn, reply)]


_REPLACE = frozenset((b"slug", b"value", b"cap", b"vault", b"grade"))


def _replace(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """`slug`, `value`, its `vault` and `grade`, and `cap`, the key's own limit in seconds (0 for none).

    Or `slug` alone: it was set, and its value isn't known before the next unlock.
    """
    if len(event.pairs) == 1:
        slug = asked.text(asked.exactly(event.pairs, frozenset((b"slug",)), "replace")[b"slug"])
        gone = state.holdings.outdate(refs.slug(*refs.split_slug(slug)))
        return [Wipe(gone), NewEpoch(), *set_timer(state), Reply(event.conn, [b"ok"])]
    known = asked.exactly(event.pairs, _REPLACE, "replace")
    slug = refs.slug(*refs.split_slug(asked.text(known[b"slug"])))
    cap, grade = asked.text(known[b"cap"]), asked.text(known[b"grade"])
    if grade not in GRADES:
        raise UsageFault("not a grade")
    limit = state.longest if cap == "0" else min(asked.seconds(cap), state.longest)
    new = Held(Secret(known[b"value"]), now + limit * 1000, asked.text(known[b"vault"]), grade)
    gone = state.holdings.replace(slug, new)
    return [Wipe(gone), NewEpoch(), *set_timer(state), Reply(event.conn, [b"ok"])]


def _forget(state: AgentState, event: Request, now: int) -> "list[Effect]":
    slugs = []
    for name, value in event.pairs:
        if name != b"slug":
            raise UsageFault("forget takes slugs")
        slugs += asked.slugs(bytes(value))
    gone = state.holdings.forget(slugs, drop=True)
    return [Wipe(gone), NewEpoch(), *set_timer(state), Reply(event.conn, [b"ok"])]


def _session(state: AgentState, event: Request, now: int) -> "list[Effect]":
    state.facts.own_session = own_session.from_request(event.pairs, max(0, now - state.started) // 1000)
    return [Reply(event.conn, [b"ok"])]


def _ping(state: AgentState, event: Request, now: int) -> "list[Effect]":
    return [Reply(event.conn, [b"ok", *[part for pair in event.pairs for part in (pair[0], bytes(pair[1]))]])]


def _query(state: AgentState, event: Request, now: int) -> "list[Effect]":
    reply: list[bytes | bytearray | memoryview] = [b"ok"]
    for verb in _HANDLERS:
        reply += (b"verb", verb)
    return [Reply(event.conn, reply)]


def _reload(state: AgentState, event: Request, now: int) -> "list[Effect]":
    asked.fields(event.pairs, frozenset())
    return [NewEpoch(), Reply(event.conn, [b"ok"])]


def _lock(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """`passphrase`, and `salt`, 16 random bytes: keep everything, serve nothing."""
    known = asked.exactly(event.pairs, frozenset((b"passphrase", b"salt")), "lock")
    state.padlock.close(known[b"passphrase"], bytes(known[b"salt"]))
    return [
        Audit(event.conn, "lock", event.peer.uid, event.peer.pid, [], "allow"),
        NewEpoch(),
        Reply(event.conn, [b"ok"]),
    ]


def _open(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """`passphrase`: serve again. The refusal of a wrong one waits, and delays its own connection alone."""
    known = asked.exactly(event.pairs, frozenset((b"passphrase",)), "open")
    wait = state.padlock.open(known[b"passphrase"], now)
    if wait:
        refusal = _error(event.conn, DENIED, "wrong passphrase", f"{OPEN_HINT} --for {state.owner}")
        refusal.wait = wait
        return [denial(state, event.conn, event.peer, "open", [], "wrong passphrase"), refusal]
    return [
        Audit(event.conn, "open", event.peer.uid, event.peer.pid, [], "allow"),
        NewEpoch(),
        Reply(event.conn, [b"ok"]),
    ]


def _stop(state: AgentState, event: Request, now: int) -> "list[Effect]":
    asked.fields(event.pairs, frozenset())
    return [Wipe(forget_everything(state)), Reply(event.conn, [b"ok"]), Stop()]


TAKING_AWAY = frozenset((b"ping", b"query", b"relock", b"replace", b"forget", b"session", b"reload"))
"""What a `set`, `del`, `relock` or `session` in another login session must reach us with: none takes a value out."""

_CONFIGURED = frozenset((b"unlock", b"reload"))
"""The verbs that go by the operator's config as it is then: it is read first, and they are refused if it can't be."""
WHILE_LOCKED = TAKING_AWAY | {b"status", b"open", b"lock", b"stop"}
"""What a locked agent still does: say so, forget, learn of a `set`, and be opened."""

_READS = frozenset((b"get", b"exec"))
"""The verbs whose refusals are audited as well."""

_HANDLERS = {
    b"ping": _ping,
    b"query": _query,
    b"get": reading.get,
    b"exec": reading.exec_,
    b"hook": reading.hook,
    b"status": _status,
    b"names": reading.names,
    b"known": reading.known,
    b"relock": _relock,
    b"unlock": unlocking.unlock,
    b"unlock-add": unlocking.add,
    b"unlock-keep": unlocking.keep,
    b"unlock-commit": unlocking.commit,
    b"replace": _replace,
    b"forget": _forget,
    b"session": _session,
    b"reload": _reload,
    b"lock": _lock,
    b"open": _open,
    b"stop": _stop,
}

VERBS = frozenset(_HANDLERS)
"""Every verb there is."""
