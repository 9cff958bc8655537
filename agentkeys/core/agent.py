"""The keyholder as a pure state machine: step(state, event, now) → effects.

Rule 1: nothing here knows a socket, a file or a clock; `now` is milliseconds of CLOCK_BOOTTIME.
Rule 2: an Audit effect stands before the Reply it speaks of; if the line can't be written, nothing of the reply is
        sent and the answer is AuditFailed's.
Rule 3: values stay in Secret buffers; a reply refers to their views and the driver encodes it at once.
Rule 4: a refused request leaves its connection usable and changes nothing.
"""

from _blake2 import blake2b

from agentkeys.core import asked, own_session, refs, status, unlocking
from agentkeys.core.effects import Audit, Close, Effect, NewEpoch, ReadConfig, Reply, Stop, Unlock, Wipe
from agentkeys.core.events import (
    AuditDurable,
    AuditFailed,
    ConfigRead,
    ConfigRefused,
    Disconnected,
    Event,
    Pairs,
    Peer,
    PeerRefused,
    Request,
    Tick,
    UnlockEnded,
)
from agentkeys.core.grades import GRADES
from agentkeys.core.holdings import Held, Injection, LeftOut, NotUnlocked
from agentkeys.core.padlock import OPEN_HINT
from agentkeys.core.secret import Secret
from agentkeys.core.state import AgentState, expire, forget_everything, set_timer
from agentkeys.errors import DENIED, MALFUNCTION, Absent, AgentkeysError, Denied, Locked, UsageFault


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
        return [_denial(state, event.conn, event.peer, "connect", [], event.why), Close(event.conn)]
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


DIGEST_SIZE = 16
"""Bytes of a salt and of a digest of `known`: a chance match of two values is none."""

MAX_DIGESTS = 4096
"""Of one `known`: an environment has a few hundred variables, and one request a moment of the agent's time."""

AUDIT_HINT = "df ~/.agentkeys/audit"


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


def _denial(state: AgentState, conn: int, peer: Peer, verb: str, keys: "list[str]", why: str) -> Audit:
    """The line that says so; `status` counts them."""
    state.use.denied += 1
    return Audit(conn, verb, peer.uid, peer.pid, keys, "deny", why)


def _refusal(state: AgentState, event: Request, fault: AgentkeysError) -> "list[Effect]":
    effects: list[Effect] = []
    if event.verb in _READS or isinstance(fault, Denied):
        verb = event.verb.decode("ascii") if event.verb in _HANDLERS else "unknown"
        keys = _askable(event.pairs)
        effects.append(_denial(state, event.conn, event.peer, verb, keys, fault.message))
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


_WHERE = frozenset((b"key", b"want", b"env", b"org"))
_EXEC = _WHERE | {b"lenient"}
_KEYS = (b"key", b"want")


def _where(fields: "dict[bytes, str]") -> "tuple[str, str]":
    return refs.check_org(fields.get(b"org", refs.ANY_ORG)), refs.check_env(fields.get(b"env", refs.ANY_ENV))


def _get(state: AgentState, event: Request, now: int) -> "list[Effect]":
    fields = asked.fields(event.pairs, _WHERE)
    if (b"key" in fields) == (b"want" in fields):
        raise UsageFault("get names one key", "agentkeys get GITHUB_TOKEN")
    org, env = _where(fields)
    if b"key" in fields:
        slug, held = state.holdings.resolve(org, env, fields[b"key"])
    else:
        (want,) = asked.wants(event.pairs)
        slug, held = state.holdings.resolve(org, env, want.key)
        state.holdings.check_grade(slug, held, want.minimum)
    state.gave(now)
    return [
        Audit(event.conn, "get", event.peer.uid, event.peer.pid, [slug], "allow"),
        Reply(event.conn, [b"ok", b"value", held.secret.view()], secret=True),
    ]


def _exec(state: AgentState, event: Request, now: int) -> "list[Effect]":
    fields = asked.fields(event.pairs, _EXEC, repeated=_KEYS)
    org, env = _where(fields)
    named = asked.wants(event.pairs)
    if not named and env == refs.SUDO_ENV:
        raise UsageFault("sudo keys are only given by name", "agentkeys exec --env sudo --key NAME -- command")
    if fields.get(b"lenient", "1") != "1":
        raise UsageFault("lenient is 1, or not there")
    if b"lenient" in fields:
        return _exec_lenient(state, event, org, env, now)
    prepared = _injection(state, org, env, named)
    state.gave(now)
    return [
        Audit(event.conn, "exec", event.peer.uid, event.peer.pid, prepared.slugs, "allow"),
        Reply(event.conn, prepared.fields, secret=True),
    ]


def _injection(state: AgentState, org: str, env: str, named: "list[asked.Want]") -> Injection:
    """All that was asked for. Raises Absent, Locked, Denied, UsageFault."""
    prepared = None if named else state.holdings.prepared.get((org, env))
    if prepared is None:
        found = _named(state, org, env, named) if named else state.holdings.resolve_all(org, env)
        prepared = Injection(found, state.allowed_names)
        if not named:
            state.holdings.prepare(org, env, prepared)
    return prepared


def _hook(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """Say whether `exec` would be given this; where the operator's config has it so, give the keys that are named.

    Without a value it is no use of a key, and leaves no line.
    """
    fields = asked.fields(event.pairs, _WHERE, repeated=_KEYS)
    org, env = _where(fields)
    named = asked.wants(event.pairs)
    injection = _injection(state, org, env, named)
    if not named or not state.inject:
        return [Reply(event.conn, [b"ok"])]
    state.gave(now)
    return [
        Audit(event.conn, "hook", event.peer.uid, event.peer.pid, injection.slugs, "allow"),
        Reply(event.conn, injection.fields, secret=True),
    ]


def _exec_lenient(state: AgentState, event: Request, org: str, env: str, now: int) -> "list[Effect]":
    """What can be given; the rest is named in `left-out` fields, which no variable can be called, and in the log."""
    left_out: LeftOut = []
    named = asked.wants(event.pairs)
    held = state.holdings
    found = _named(state, org, env, named, left_out) if named else held.resolve_all(org, env, left_out)
    given = []
    for row in found:
        try:
            Injection([row], state.allowed_names)
        except AgentkeysError as fault:
            left_out.append((row[0], fault))
        else:
            given.append(row)
    injection = Injection(given, state.allowed_names)
    uid, pid = event.peer.uid, event.peer.pid
    effects: list[Effect] = []
    if given:
        state.gave(now)
        effects.append(Audit(event.conn, "exec", uid, pid, injection.slugs, "allow"))
    if left_out:
        why = "; ".join([reason.message for _, reason in left_out])
        effects.append(_denial(state, event.conn, event.peer, "exec", [key for key, _ in left_out], why))
    for _, reason in left_out:
        injection.fields += (b"left-out", reason.message.encode("utf-8", "replace"))
    return [*effects, Reply(event.conn, injection.fields, secret=True)]


def _named(
    state: AgentState, org: str, env: str, named: "list[asked.Want]", left_out: "LeftOut | None" = None
) -> "list[tuple[str, str, Held]]":
    """(slug, variable, value) for each key asked for; one that is optional and absent is passed over.

    With `left_out`, a key that isn't held goes there, once an unlock told which keys there are.
    """
    found = []
    for want in named:
        try:
            slug, held = state.holdings.resolve(org, env, want.key)
            state.holdings.check_grade(slug, held, want.minimum)
        except (Absent, Denied, Locked) as fault:
            if want.optional and isinstance(fault, Absent):
                continue
            if left_out is None or isinstance(fault, NotUnlocked):
                raise
            left_out.append((want.key, fault))
        else:
            found.append((slug, want.variable, held))
    return found


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


def _names(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """The slugs of the rack, locked ones too, as the last unlock told them; no value, and no use of a key."""
    asked.fields(event.pairs, frozenset())
    slugs = sorted(state.holdings.directory or ())
    found = [b"slugs", "\n".join(slugs).encode("ascii")] if slugs else []
    return [Reply(event.conn, [b"ok", *found])]


def _known(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """`salt`, and `digests` that were made with it: say which of them are of values that are held, by their place.

    It tells a caller nothing of a value that it doesn't have, and is no use of a key.
    """
    known = asked.exactly(event.pairs, frozenset((b"salt", b"digests")), "known")
    salt, digests = bytes(known[b"salt"]), bytes(known[b"digests"])
    if len(salt) != DIGEST_SIZE or len(digests) % DIGEST_SIZE or len(digests) > MAX_DIGESTS * DIGEST_SIZE:
        raise UsageFault("a salt and up to 4096 digests are 16 bytes each")
    places = {digests[at : at + DIGEST_SIZE]: at // DIGEST_SIZE for at in range(0, len(digests), DIGEST_SIZE)}
    reply: list[bytes | bytearray | memoryview] = [b"ok"]
    for slug, held in state.holdings.held.items():
        digest = blake2b(held.secret.view(), digest_size=DIGEST_SIZE, key=salt).digest()
        if digest in places:
            reply += (b"match", b"%d %s" % (places[digest], slug.encode("ascii")))
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
        return [_denial(state, event.conn, event.peer, "open", [], "wrong passphrase"), refusal]
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
    b"get": _get,
    b"exec": _exec,
    b"hook": _hook,
    b"status": _status,
    b"names": _names,
    b"known": _known,
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
