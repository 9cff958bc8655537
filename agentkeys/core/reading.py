"""The requests that take something out of the keyholder: values for `get`, `exec` and the hook, names, matches.

None of them changes what is held. One that hands out a value, or is refused one, leaves a line in the audit log.
"""

from _blake2 import blake2b

from agentkeys.core import asked, refs
from agentkeys.core.effects import Audit, Effect, Reply
from agentkeys.core.events import Request
from agentkeys.core.holdings import Held, Injection, LeftOut, NotUnlocked
from agentkeys.core.state import AgentState, denial
from agentkeys.errors import Absent, AgentkeysError, Denied, Locked, UsageFault

DIGEST_SIZE = 16
"""Bytes of a salt and of a digest of `known`: a chance match of two values is none."""

MAX_DIGESTS = 4096
"""Of one `known`: an environment has a few hundred variables, and one request a moment of the agent's time."""

_WHERE = frozenset((b"key", b"want", b"env", b"org"))
_EXEC = _WHERE | {b"lenient"}
_HOOK = _WHERE | {b"word"}
_KEYS = (b"key", b"want")


def _where(fields: "dict[bytes, str]") -> "tuple[str, str]":
    return refs.check_org(fields.get(b"org", refs.ANY_ORG)), refs.check_env(fields.get(b"env", refs.ANY_ENV))


def get(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """One value, by `key` or by a `want` with a minimum grade."""
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


def exec_(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """The variables of one environment: all, or those that are named; with `lenient`, as many as can be given."""
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


def hook(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """Say whether `exec` would be given this; where the operator's config has it so, give the keys that are named.

    Without a value it is no use of a key, and leaves no line. With `word` there is none: who asks couldn't set it.
    """
    fields = asked.fields(event.pairs, _HOOK, repeated=_KEYS)
    if fields.get(b"word", "1") != "1":
        raise UsageFault("word is 1, or not there")
    org, env = _where(fields)
    named = asked.wants(event.pairs)
    injection = _injection(state, org, env, named)
    if not named or not state.inject or b"word" in fields:
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
        effects.append(denial(state, event.conn, event.peer, "exec", [key for key, _ in left_out], why))
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


def names(state: AgentState, event: Request, now: int) -> "list[Effect]":
    """The slugs of the rack, locked ones too, as the last unlock told them; no value, and no use of a key."""
    asked.fields(event.pairs, frozenset())
    slugs = sorted(state.holdings.directory or ())
    found = [b"slugs", "\n".join(slugs).encode("ascii")] if slugs else []
    return [Reply(event.conn, [b"ok", *found])]


def known(state: AgentState, event: Request, now: int) -> "list[Effect]":
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
