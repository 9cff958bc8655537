"""The keyholder as a pure state machine: step(state, event, now) → effects.

Rule 1: nothing here knows a socket, a file or a clock; `now` is milliseconds of CLOCK_BOOTTIME.
Rule 2: an Audit effect stands before the Reply it speaks of; if the line can't be written, nothing of the reply is
        sent and the answer is AuditFailed's.
Rule 3: values stay in Secret buffers; a reply refers to their views and the driver encodes it at once.
Rule 4: a refused request leaves its connection usable and changes nothing.
"""

from agentkeys.core import holdings, refs, status
from agentkeys.core.effects import Audit, Close, Effect, Reply, SealAudit, SetTimer, Stop, Wipe
from agentkeys.core.events import (
    AuditDurable,
    AuditFailed,
    Disconnected,
    Event,
    Pairs,
    PeerRefused,
    Request,
    Tick,
)
from agentkeys.core.holdings import Held, Holdings, Injection, NotUnlocked
from agentkeys.core.secret import Secret
from agentkeys.errors import MALFUNCTION, AgentkeysError, Denied, UsageFault

STATE_KEY_SIZE = 32
"""Bytes of the key that chains the audit log (agentkeys.core.derive)."""

MAX_SLUG = 2 * refs.MAX_LABEL + refs.MAX_NAME + 2
"""Characters of the longest slug."""

MAX_STAGED = 20_000
"""Values in one unlock: twice the 10,000 keys the budgets speak of."""


class Staged:
    """An unlock under way on one connection: nothing of it counts until its commit."""

    __slots__ = ("brought", "directory", "size")

    def __init__(self) -> None:
        self.brought: dict[str, Held] = {}
        self.size = 0
        """Bytes of values added so far."""
        self.directory: list[str] | None = None
        """Every slug of the rack, once the commit was asked for."""


class AgentState:
    """Everything an agent knows."""

    def __init__(self, owner: str, facts: status.AgentFacts, started: int, allowed_names: "frozenset[str]") -> None:
        self.owner = owner
        self.facts = facts
        self.started = started
        self.allowed_names = allowed_names
        """Names from the operator's config that may be put into an environment although they load code."""
        self.holdings = Holdings(owner)
        self.staged: dict[int, Staged] = {}
        self.timer: int | None = None


def step(state: AgentState, event: Event, now: int) -> "list[Effect]":
    """The one transition function."""
    if type(event) is Request:
        return _request(state, event, now)
    if type(event) is Tick:
        state.timer = None
        return [Wipe(state.holdings.expire(now)), *_timer(state)]
    if type(event) is Disconnected:
        staged = state.staged.pop(event.conn, None)
        return [Wipe([held.secret for held in staged.brought.values()])] if staged else []
    if type(event) is PeerRefused:
        return [
            Audit(event.conn, "connect", event.peer.uid, event.peer.pid, [], "deny", event.why),
            Close(event.conn),
        ]
    if type(event) is AuditDurable:
        return _committed(state, event.conn)
    if type(event) is AuditFailed:
        staged = state.staged.pop(event.conn, None)
        return [
            Wipe([held.secret for held in staged.brought.values()] if staged else []),
            _error(event.conn, MALFUNCTION, "the audit log can't be written, so nothing is done", AUDIT_HINT),
        ]
    return [Wipe(_forget_everything(state)), Stop()]


def _forget_everything(state: AgentState) -> "list[Secret]":
    """Every secret, held or staged; the state refers to none of them any more."""
    gone = state.holdings.forget(list(state.holdings.held), drop=False)
    for staged in state.staged.values():
        gone += [held.secret for held in staged.brought.values()]
    state.staged.clear()
    return gone


AUDIT_HINT = "df ~/.agentkeys/audit"


def _request(state: AgentState, event: Request, now: int) -> "list[Effect]":
    handler = _HANDLERS.get(event.verb)
    effects: list[Effect] = []
    if state.timer is not None and state.timer <= now:
        # A suspended machine may deliver the request before the timer: never serve what is due.
        effects.append(Wipe(state.holdings.expire(now)))
        effects.extend(_timer(state))
    try:
        if event.peer.limited and event.verb not in TAKING_AWAY:
            raise Denied(f"{event.peer.limited} may only make this agent forget", "agentkeys agent")
        if handler is None:
            raise UsageFault("the agent doesn't know this verb", "agentkeys status")
        effects.extend(handler(state, event, now))
    except AgentkeysError as fault:
        if event.verb in _READS or isinstance(fault, Denied):
            verb = event.verb.decode("ascii") if handler else "unknown"
            keys = _askable(event.pairs)
            effects.append(Audit(event.conn, verb, event.peer.uid, event.peer.pid, keys, "deny", fault.message))
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


def _asked(pairs: Pairs) -> "list[str]":
    return [_text(value) for name, value in pairs if name == b"key"]


def _askable(pairs: Pairs) -> "list[str]":
    """What was asked for, as an audit line may show it: names and slugs that can be, and nothing else."""
    texts = [bytes(value).partition(b"=")[0].decode("ascii", "replace") for name, value in pairs if name == b"key"]
    return [text for text in texts if refs.is_name(text) or refs.is_slug(text)]


def _text(value: memoryview) -> str:
    """A field that is a name. Raises UsageFault when it isn't ASCII."""
    try:
        return str(value, "ascii")
    except UnicodeDecodeError:
        raise UsageFault("a name is not ASCII") from None


def _fields(pairs: Pairs, known: "frozenset[bytes]", repeated: bytes = b"") -> "dict[bytes, str]":
    """The fields of a request by name. Raises UsageFault for an unknown one and for one given twice."""
    found: dict[bytes, str] = {}
    for name, value in pairs:
        if name not in known:
            raise UsageFault("the agent doesn't know a field of this request", "agentkeys status")
        if name == repeated:
            continue
        if name in found:
            raise UsageFault(f"field given twice: {name.decode('ascii', 'replace')}")
        found[name] = _text(value)
    return found


_WHERE = frozenset((b"key", b"env", b"org"))


def _where(fields: "dict[bytes, str]") -> "tuple[str, str]":
    return refs.check_org(fields.get(b"org", refs.ANY_ORG)), refs.check_env(fields.get(b"env", refs.ANY_ENV))


def _get(state: AgentState, event: Request, now: int) -> "list[Effect]":
    fields = _fields(event.pairs, _WHERE)
    if b"key" not in fields:
        raise UsageFault("get names one key", "agentkeys get GITHUB_TOKEN")
    org, env = _where(fields)
    slug, held = state.holdings.resolve(org, env, fields[b"key"])
    return [
        Audit(event.conn, "get", event.peer.uid, event.peer.pid, [slug], "allow"),
        Reply(event.conn, [b"ok", b"value", held.secret.view()], secret=True),
    ]


def _exec(state: AgentState, event: Request, now: int) -> "list[Effect]":
    org, env = _where(_fields(event.pairs, _WHERE, repeated=b"key"))
    asked = _asked(event.pairs)
    if not asked and env == refs.SUDO_ENV:
        raise UsageFault("sudo keys are only given by name", "agentkeys exec --env sudo --key NAME -- command")
    prepared = None if asked else state.holdings.prepared.get((org, env))
    if prepared is None:
        prepared = Injection(
            _named(state, org, env, asked) or state.holdings.resolve_all(org, env), state.allowed_names
        )
        if not asked:
            state.holdings.prepare(org, env, prepared)
    return [
        Audit(event.conn, "exec", event.peer.uid, event.peer.pid, prepared.slugs, "allow"),
        Reply(event.conn, prepared.fields, secret=True),
    ]


def _named(state: AgentState, org: str, env: str, asked: "list[str]") -> "list[tuple[str, str, Held]]":
    """(slug, variable, value) for each NAME or NAME=VARIABLE asked for."""
    found = []
    for text in asked:
        key, equals, rename = text.partition("=")
        slug, held = state.holdings.resolve(org, env, key)
        found.append((slug, refs.check_name(rename) if equals else slug.rpartition(".")[2], held))
    return found


def _status(state: AgentState, event: Request, now: int) -> "list[Effect]":
    fields = _fields(event.pairs, frozenset((b"format",)))
    render = status.as_json if fields.get(b"format") == "json" else status.as_text
    holdings = state.holdings
    up = max(0, now - state.started) // 1000
    text = render(state.owner, state.facts, up, holdings.directory is not None, holdings.key_states(now))
    return [Reply(event.conn, [b"ok", b"text", text])]


def _relock(state: AgentState, event: Request, now: int) -> "list[Effect]":
    fields = _fields(event.pairs, frozenset((b"key", b"env")))
    key, env = fields.get(b"key", ""), fields.get(b"env", "")
    if key:
        refs.candidates(refs.ANY_ORG, refs.ANY_ENV, key)
    if env:
        refs.check_env(env)
    slugs = state.holdings.select(key, env)
    gone = state.holdings.forget(slugs, drop=False)
    reply: list[bytes | bytearray | memoryview] = [b"ok"]
    for slug in slugs:
        reply += (b"slug", slug.encode("ascii"))
    return [Wipe(gone), *_timer(state), Reply(event.conn, reply)]


def _unlock(state: AgentState, event: Request, now: int) -> "list[Effect]":
    _fields(event.pairs, frozenset())
    old = state.staged.get(event.conn)
    state.staged[event.conn] = Staged()
    return [Wipe([held.secret for held in old.brought.values()] if old else []), Reply(event.conn, [b"ok"])]


def _staged(state: AgentState, event: Request) -> Staged:
    staged = state.staged.get(event.conn)
    if staged is None:
        raise UsageFault("no unlock is under way on this connection")
    return staged


def _unlock_add(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """`vault` and `ttl` (seconds) hold for the slug, value pairs behind them; a slug is told by its dots."""
    staged = _staged(state, event)
    added: dict[str, tuple[memoryview, int, str]] = {}
    vault, deadline = "", 0
    for name, value in event.pairs:
        if name == b"vault":
            vault = _text(value)
        elif name == b"ttl":
            deadline = now + min(_seconds(_text(value)), refs.MAX_TTL) * 1000
        else:
            slugs = _checked_slugs(name)
            if len(slugs) != 1 or slugs[0] in added or not deadline:
                raise UsageFault("unlock-add takes vault, ttl, and then each slug once")
            added[slugs[0]] = (value, deadline, vault)
    size = sum([len(value) for value, _, _ in added.values()])
    if len(staged.brought) + len(added) > MAX_STAGED or staged.size + size > holdings.MAX_HELD:
        raise UsageFault("too much for one unlock", "agentkeys unlock --key NAME")
    gone = [staged.brought[slug].secret for slug in added if slug in staged.brought]
    staged.size += size
    # Secrets last: nothing can be refused any more, so none is dropped unwiped.
    staged.brought.update({slug: Held(Secret(value), due, where) for slug, (value, due, where) in added.items()})
    return [Wipe(gone), Reply(event.conn, [b"ok"])] if gone else [Reply(event.conn, [b"ok"])]


_SLUG_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-@.\n"


def _checked_slugs(text: bytes) -> "list[str]":
    """Newline-separated slugs, checked as far as this process relies on it: three parts of harmless characters.

    The worker, which knows the rack, has checked the rest; at 10,000 keys each microsecond here is 10 ms.
    """
    slugs = text.translate(None, _SLUG_BYTES) == b"" and text.decode("ascii").split("\n")
    if not slugs or any(slug.count(".") != 2 or len(slug) > MAX_SLUG for slug in slugs):
        raise UsageFault("not a slug")
    return slugs


def _seconds(text: str) -> int:
    if not (text.isdigit() and len(text) < 9 and int(text) > 0):
        raise UsageFault("not a number of seconds")
    return int(text)


def _unlock_commit(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """`directory`: every slug in the rack, separated by newlines; `state-key`: 32 bytes for the audit chain."""
    staged = _staged(state, event)
    directory: list[str] = []
    key: memoryview | None = None
    for name, value in event.pairs:
        if name == b"directory":
            directory += _checked_slugs(bytes(value))
        elif name == b"state-key" and len(value) == STATE_KEY_SIZE and key is None:
            key = value
        else:
            raise UsageFault("unlock-commit takes directory and one state-key")
    if key is None or not staged.brought.keys() <= set(directory):
        raise UsageFault("unlock-commit without a state-key, or a value whose key is not in the directory")
    state.holdings.check_room(staged.brought, staged.size)
    staged.directory = directory
    return [
        SealAudit(event.conn, Secret(key)),
        Audit(event.conn, "unlock", event.peer.uid, event.peer.pid, list(staged.brought), "allow", durable=True),
    ]


def _committed(state: AgentState, conn: int) -> "list[Effect]":
    staged = state.staged.pop(conn)
    gone = state.holdings.bring(staged.brought, staged.directory or [])
    return [Wipe(gone), *_timer(state), Reply(conn, [b"ok"])]


def _replace(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """`slug`, `value`, and `cap`, the key's own limit in seconds (0 for none)."""
    known = dict(event.pairs)
    if set(known) != {b"slug", b"value", b"cap"} or len(event.pairs) != 3:
        raise UsageFault("replace takes slug, cap, value")
    slug = refs.slug(*refs.split_slug(_text(known[b"slug"])))
    cap = _text(known[b"cap"])
    limit = 0 if cap == "0" else _seconds(cap) * 1000
    gone = state.holdings.replace(slug, Secret(known[b"value"]), limit, now)
    return [Wipe(gone), *_timer(state), Reply(event.conn, [b"ok"])]


def _forget(state: AgentState, event: Request, now: int) -> "list[Effect]":
    slugs = []
    for name, value in event.pairs:
        if name != b"slug":
            raise UsageFault("forget takes slugs")
        slugs += _checked_slugs(bytes(value))
    gone = state.holdings.forget(slugs, drop=True)
    return [Wipe(gone), *_timer(state), Reply(event.conn, [b"ok"])]


def _ping(state: AgentState, event: Request, now: int) -> "list[Effect]":
    return [Reply(event.conn, [b"ok", *[part for pair in event.pairs for part in (pair[0], bytes(pair[1]))]])]


def _query(state: AgentState, event: Request, now: int) -> "list[Effect]":
    reply: list[bytes | bytearray | memoryview] = [b"ok"]
    for verb in _HANDLERS:
        reply += (b"verb", verb)
    return [Reply(event.conn, reply)]


def _stop(state: AgentState, event: Request, now: int) -> "list[Effect]":
    _fields(event.pairs, frozenset())
    return [Wipe(_forget_everything(state)), Reply(event.conn, [b"ok"]), Stop()]


def _timer(state: AgentState) -> "list[Effect]":
    """A SetTimer when the next deadline changed."""
    deadline = state.holdings.next_deadline()
    if deadline == state.timer:
        return []
    state.timer = deadline
    return [SetTimer(deadline)]


TAKING_AWAY = frozenset((b"ping", b"query", b"relock", b"replace", b"forget"))
"""What a `set`, `del` or `relock` in another login session must reach us with: it can't take a value out."""

_READS = frozenset((b"get", b"exec"))
"""The verbs whose refusals are audited as well."""

_HANDLERS = {
    b"ping": _ping,
    b"query": _query,
    b"get": _get,
    b"exec": _exec,
    b"status": _status,
    b"relock": _relock,
    b"unlock": _unlock,
    b"unlock-add": _unlock_add,
    b"unlock-commit": _unlock_commit,
    b"replace": _replace,
    b"forget": _forget,
    b"stop": _stop,
}
