"""Dialogues with the agent's state machine as plain data: (event, now) and the effects it must have.

    Playbook().play(
        (ask("unlock"), 0, [ok()]),
        (ask("get", key="A"), 0, [audit("get", "A", "deny"), error(LOCKED)]),
    )

It acts as the driver does (a Wipe overwrites, a reply is read at once) and holds two rules in each step of each
dialogue: a refused request changes nothing, and a secret is wiped exactly when the state lets go of it.
"""

from typing import Any

from agentkeys.core.agent import step
from agentkeys.core.effects import (
    Audit,
    Close,
    Effect,
    NewEpoch,
    ReadConfig,
    Reply,
    SealAudit,
    SetTimer,
    Stop,
    Unlock,
    Wipe,
)
from agentkeys.core.events import AuditDurable, ConfigRead, Event, Peer, Request
from agentkeys.core.secret import Secret
from agentkeys.core.state import AgentState
from agentkeys.core.status import AgentFacts

STATE_KEY = bytes(range(32))
PEER = Peer(uid=1000, pid=4242)
FACTS = AgentFacts(77, "/run/user/1000/agentkeys/ana.sock", "0xAb", "0.1.0", "", False)

Plain = tuple[Any, ...]


def ask(verb: str, *fields: "tuple[str, bytes | str]", conn: int = 1, peer: Peer = PEER, **more: str) -> Request:
    """A request; fields that repeat, or whose name is no Python name, come as tuples."""
    pairs = [(name.encode(), memoryview(_bytes(value))) for name, value in (*fields, *more.items())]
    return Request(conn, peer, verb.encode(), pairs)


def add(
    values: "dict[str, bytes | str]",
    ttl: int = 60,
    vault: str = "os.secure",
    grade: str = "encrypted/permanent",
    conn: int = 1,
) -> Request:
    """An unlock-add of these values by slug."""
    rows = [_bytes(value) for value in values.values()]
    return ask(
        "unlock-add",
        ("vault", vault),
        ("grade", grade),
        ("ttl", str(ttl)),
        ("slugs", "\n".join(values)),
        ("sizes", " ".join([str(len(row)) for row in rows])),
        ("values", b"".join(rows)),
        conn=conn,
    )


def replacing(
    slug: str, value: "bytes | str", cap: str = "0", grade: str = "encrypted/permanent", **more: Any
) -> Request:
    """A replace, of an encrypted value unless `grade` says otherwise."""
    facts = {"vault": "os.secure", "grade": grade}
    return ask("replace", ("slug", slug), ("value", value), ("cap", cap), *facts.items(), **more)


def began(conn: int = 1) -> Plain:
    """The reply to an unlock."""
    return ok("max-ttl", "604800", conn=conn)


def ok(*fields: "bytes | str", conn: int = 1) -> Plain:
    """A reply that refers to no secret."""
    return ("reply", conn, b"ok", *[_bytes(field) for field in fields])


def secret(*fields: "bytes | str", conn: int = 1) -> Plain:
    """A reply that must be overwritten once it is sent."""
    return ("secret reply", conn, b"ok", *[_bytes(field) for field in fields])


def error(code: int, *slugs: str, conn: int = 1) -> Plain:
    """A refusal by its exit code; Playbook.said and .hint keep what it says."""
    return ("error", conn, code, *slugs)


def audit(verb: str, keys: str, decision: str, durable: bool = False) -> Plain:
    """A line about space-separated keys."""
    return ("audit", verb, keys, decision, durable)


def seal(key: bytes = STATE_KEY) -> Plain:
    """The audit chain's key."""
    return ("seal", key)


def timer(deadline: "int | None") -> Plain:
    """The one timer, set."""
    return ("timer", deadline)


def wipe(*values: "bytes | str") -> Plain:
    """These secrets are overwritten. A Wipe of nothing isn't listed."""
    return ("wipe", *sorted(_bytes(value) for value in values))


def as_read(state: AgentState, request: "Request | None" = None) -> ConfigRead:
    """The config says what it said before."""
    return ConfigRead(state.allowed_names, state.longest, state.idle, state.inject, request)


CLOSE: Plain = ("close", 1)
STOP: Plain = ("stop",)


class Playbook:
    """One agent, and what was played with it."""

    def __init__(self, allowed_names: str = "", owner: str = "ana") -> None:
        self.state = AgentState(owner, FACTS, 0, frozenset(allowed_names.split()))
        self.said = ""
        """The message of the last refusal."""
        self.hint = ""
        self.why = ""
        """The reason in the last audit line."""
        self.config_reads = 0
        """How often the operator's config was read again, which no scene lists: it says what it said before."""
        self.epochs = 0
        """How many began; no scene lists them."""
        self.wait = 0
        """Milliseconds that the last reply is held back."""
        self.wiped: list[Secret] = []
        """Every secret that was overwritten so far."""
        self.sealed: list[Secret] = []
        """Every state key that was handed out."""

    def play(self, *scenes: "tuple[Event, int, list[Plain]]") -> "Playbook":
        """Each event's effects must be exactly those."""
        for number, (event, now, expected) in enumerate(scenes):
            assert self.step(event, now) == expected, f"scene {number}: {getattr(event, 'verb', event)}"
        return self

    def step(self, event: Event, now: int = 0) -> "list[Plain]":
        """One step as plain data."""
        before, secrets = snapshot(self.state), reachable(self.state)
        effects = step(self.state, event, now)
        if effects and isinstance(effects[-1], ReadConfig):
            self.config_reads += 1
            effects[-1:] = step(self.state, as_read(self.state, effects[-1].request), now)
        seen = [plain for effect in effects for plain in self._do(effect)]
        for dropped in secrets - reachable(self.state):
            assert not any(dropped.view()), "the state let go of a secret that wasn't wiped"
        assert not reachable(self.state) & set(self.wiped), "the state still refers to a wiped secret"
        kinds = {plain[0] for plain in seen}
        if isinstance(event, Request) and "error" in kinds and not {"wipe", "timer"} & kinds:
            assert snapshot(self.state) == before, "a refused request changed something"
        return seen

    def unlock(self, now: int = 0, ttl: int = 3600, locked: str = "", conn: int = 1, **values: str) -> "Playbook":
        """A whole unlock of @all.all keys (or of slugs, by unlock_slugs), which must succeed."""
        slugs = {f"@all.all.{name}": value.encode() for name, value in values.items()}
        return self.unlock_slugs(slugs, now, ttl, locked, conn)

    def unlock_slugs(
        self,
        values: "dict[str, bytes]",
        now: int = 0,
        ttl: int = 3600,
        locked: str = "",
        conn: int = 1,
        grade: str = "encrypted/permanent",
        keep: str = "",
        lost: str = "",
        refused: str = "",
        **lists: str,
    ) -> "Playbook":
        """As unlock(); `locked` are further slugs of the directory, separated by spaces.

        `keep` are those of an unlock-keep, `lost` those that the answer must name, `refused` the commit's `locked`;
        `lists` are further fields of the commit.
        """
        directory = "\n".join([*values, *locked.split()])
        commit = [("directory", directory)] if directory else []
        commit += [("locked", refused)] if refused else []
        self.step(ask("unlock", conn=conn), now)
        if values:
            self.step(add(dict(values), ttl, grade=grade, conn=conn), now)
        if keep:
            self.step(ask("unlock-keep", ttl=str(ttl), slugs="\n".join(keep.split()), conn=conn), now)
        self.step(ask("unlock-commit", *commit, ("state-key", STATE_KEY), *lists.items(), conn=conn), now)
        answer = ok(*(("lost", "\n".join(lost.split())) if lost else ()), conn=conn)
        assert self.step(AuditDurable(conn), now)[-1] == answer
        return self

    @property
    def held(self) -> "dict[str, bytes]":
        """What it would serve."""
        return {slug: bytes(held.secret.view()) for slug, held in self.state.holdings.held.items()}

    def state_of(self, slug: str, now: int = 0) -> str:
        """What status says of a slug; "" for one that isn't there."""
        return {it.slug: it.state for it in self.state.holdings.key_states(now)}.get(slug, "")

    def _do(self, effect: Effect) -> "list[Plain]":
        """What the driver does with an effect, and its plain form."""
        if isinstance(effect, NewEpoch):
            self.epochs += 1
            return []
        if isinstance(effect, Wipe):
            values = [bytes(it.view()) for it in effect.secrets]
            for it in effect.secrets:
                it.wipe()
            self.wiped += effect.secrets
            return [wipe(*values)] if values else []
        if isinstance(effect, Reply):
            fields = [bytes(field) for field in effect.fields]
            self.wait = effect.wait
            if fields[0] != b"error":
                return [("secret reply" if effect.secret else "reply", effect.conn, *fields)]
            assert fields[1] == b"code"
            assert fields[3] == b"message"
            assert fields[5] == b"hint"
            self.said, self.hint = fields[4].decode(), fields[6].decode()
            assert fields[7::2] == [b"slug"] * len(fields[8::2])
            return [("error", effect.conn, int(fields[2]), *[slug.decode() for slug in fields[8::2]])]
        if isinstance(effect, Audit):
            assert (effect.uid, effect.pid) == (PEER.uid, PEER.pid)
            self.why = effect.why
            return [("audit", effect.verb, " ".join(effect.keys), effect.decision, effect.durable)]
        if isinstance(effect, SealAudit):
            self.sealed.append(effect.key)
            return [("seal", bytes(effect.key.view()))]
        if isinstance(effect, SetTimer):
            return [("timer", effect.deadline)]
        if isinstance(effect, Close):
            return [("close", effect.conn)]
        if isinstance(effect, Unlock):
            return [("start unlock", effect.request, *effect.withheld)]
        assert isinstance(effect, Stop)
        return [STOP]


def snapshot(state: AgentState) -> Plain:
    """All that an agent knows and could forget or learn, as plain data."""
    holdings = state.holdings
    staged = {conn: (_plain_held(it.brought), dict(it.kept)) for conn, it in state.staged.items()}
    directory = None if holdings.directory is None else list(holdings.directory)
    renewals = (dict(state.renewals.due), state.renewals.running, sorted(state.renewals.withheld))
    times = (state.timer, state.last_use)
    return (directory, _plain_held(holdings.held), sorted(holdings.expired), staged, times, renewals)


def reachable(state: AgentState) -> "set[Secret]":
    """Every secret that the state refers to."""
    places = [state.holdings.held, *[staged.brought for staged in state.staged.values()]]
    return {held.secret for place in places for held in place.values()}


def _plain_held(place: "dict[str, Any]") -> "dict[str, Plain]":
    return {slug: (bytes(held.secret.view()), held.deadline, held.vault, held.grade) for slug, held in place.items()}


def _bytes(value: "bytes | str") -> bytes:
    return value.encode() if isinstance(value, str) else value
