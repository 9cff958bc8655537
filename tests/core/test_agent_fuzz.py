"""Random dialogues: whatever is asked in whatever order, the rules of the playbook hold and nothing is raised."""

from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from agentkeys.core import agent, secret
from agentkeys.core.events import AuditDurable, AuditFailed, Disconnected, Event, Tick, UnlockEnded
from agentkeys.core.secret import Secret
from tests.core.playbook import STATE_KEY, Playbook, add, ask, reachable

SLUGS = ("@all.all.A", "@all.prod.A", "acme.prod.B", "@all.sudo.C")
VERBS = tuple(verb.decode() for verb in agent._HANDLERS)
NAMES = (
    "key",
    "env",
    "org",
    "lenient",
    "format",
    "vault",
    "ttl",
    "slug",
    "value",
    "cap",
    "directory",
    "state-key",
    "slugs",
    "sizes",
    "values",
    "grade",
    "memory",
    "absent",
    "expired",
    "locked",
    "renew",
    "again",
    *SLUGS,
)
TEXTS = ("A", "B", "C=D", "all", "prod", "sudo", "@all", "json", "0", "1", "60", "", *SLUGS, "\n".join(SLUGS))

fields = st.lists(
    st.tuples(
        st.sampled_from(NAMES) | st.text(max_size=3),
        st.sampled_from([text.encode() for text in TEXTS]) | st.just(STATE_KEY) | st.binary(max_size=8),
    ),
    max_size=6,
)
conns = st.integers(1, 2)
ttls = st.integers(1, 100)
slugs_of_some = st.lists(st.sampled_from(SLUGS), min_size=1, unique=True).map("\n".join)
grades = st.sampled_from(("encrypted/permanent", "encrypted/transient"))
values = st.dictionaries(st.sampled_from(SLUGS), st.binary(min_size=1, max_size=8), max_size=3)
unlock_adds = st.builds(
    lambda ttl, rows, grade, conn: add(rows, ttl, grade=grade, conn=conn), ttls, values, grades, conns
)
keeps = st.builds(
    lambda ttl, slugs, conn: ask("unlock-keep", ttl=str(ttl), slugs=slugs, conn=conn), ttls, slugs_of_some, conns
)
lists = st.dictionaries(st.sampled_from(("memory", "absent", "expired", "locked")), slugs_of_some, max_size=2)
renewals = st.sampled_from(({}, {"renew": "env=all"}, {"renew": "env=prod"}, {"again": "1"}))
commits = st.builds(
    lambda slugs, more, renew, conn: ask(
        "unlock-commit",
        *[("directory", it) for it in slugs],
        ("state-key", STATE_KEY),
        *more.items(),
        *renew.items(),
        conn=conn,
    ),
    st.lists(st.sampled_from(SLUGS)),
    lists,
    renewals,
    conns,
)
whole_unlocks = st.builds(
    lambda ttl, rows, others, grade, more, renew, conn: [
        ask("unlock", conn=conn),
        *([add(rows, ttl, grade=grade, conn=conn)] if rows else []),
        ask("unlock-keep", ttl=str(ttl), slugs="\n".join(others), conn=conn),
        ask(
            "unlock-commit",
            ("directory", "\n".join([*rows, *others])),
            ("state-key", STATE_KEY),
            *more.items(),
            *renew.items(),
            conn=conn,
        ),
    ],
    ttls,
    values,
    st.lists(st.sampled_from(SLUGS), min_size=1),
    grades,
    lists,
    renewals,
    conns,
)
replaces = st.builds(
    lambda slug, value, cap, grade: ask(
        "replace", ("slug", slug), ("value", value), ("cap", cap), ("vault", "it"), ("grade", grade)
    ),
    st.sampled_from(SLUGS),
    st.binary(max_size=8),
    st.sampled_from(("0", "5", "x")),
    grades,
)
anything = st.builds(
    lambda verb, rows, conn: ask(verb, *rows, conn=conn),
    st.sampled_from(VERBS) | st.text(max_size=5),
    fields,
    conns,
)
single = st.one_of(
    anything,
    unlock_adds,
    keeps,
    commits,
    replaces,
    st.builds(lambda verb, slug: ask(verb, slug=slug), st.sampled_from(("forget", "replace")), st.sampled_from(SLUGS)),
    st.builds(UnlockEnded, st.sampled_from(("", "the disk is full"))),
    st.builds(lambda conn: ask("unlock", conn=conn), conns),
    st.builds(Disconnected, conns),
    st.just(Tick()),
)
scenes_of_events = st.lists(
    st.tuples(whole_unlocks | single.map(lambda it: [it]), st.integers(0, 40_000), st.booleans()), min_size=3
)


class Buffers:
    """Every buffer that ever held a secret, from its making."""

    def __init__(self) -> None:
        self.made: list[bytearray] = []

    def stray(self, known: "set[Secret]") -> "list[bytes]":
        """What they still hold beside the `known` secrets."""
        views = [secret.view() for secret in known]
        found = []
        for buffer in self.made:
            left = len(buffer) - buffer.count(0)
            for view in views:
                left -= sum(1 for byte in view if byte) if view.obj is buffer else 0
            if left:
                found.append(bytes(buffer))
        return found


def perform(book: Playbook, event: Event, now: int, audit_works: bool) -> None:
    """One event, and what a driver that keeps the log answers to a durable line."""
    conn = getattr(event, "conn", 0)
    busy = book.state.renewals.running and not isinstance(event, UnlockEnded)
    for plain in book.step(event, now):
        assert not (busy and plain[0] == "start unlock"), "one worker at a time"
        if plain[0] == "audit" and plain[-1]:
            book.step(AuditDurable(conn) if audit_works else AuditFailed(conn), now)


@settings(max_examples=150, deadline=None)
@given(scenes_of_events, st.sampled_from((0, 30)))
def test_no_dialogue_breaks_a_rule(scenes: "list[tuple[list[Event], int, bool]]", idle: int) -> None:
    """No exception, no change by a refusal, and every secret ever made is held, staged, handed out or overwritten."""
    buffers = Buffers()
    now = 0
    with mock.patch.object(secret, "on_new_buffer", buffers.made.append):
        book = Playbook()
        book.state.idle = idle
        for events, later, audit_works in scenes:
            now += later
            for event in events:
                perform(book, event, now, audit_works)
            assert buffers.stray(reachable(book.state) | set(book.sealed)) == []
            if book.state.timer is None:
                assert not book.state.holdings.held
                assert book.state.renewals.next() is None
            assert set(book.state.holdings.held) <= set(book.state.holdings.directory or ())


@settings(max_examples=100, deadline=None)
@given(scenes_of_events)
def test_an_agent_without_an_unlock_serves_nothing(scenes: "list[tuple[list[Event], int, bool]]") -> None:
    """Without a commit no reply carries a secret, whatever else was said."""
    book = Playbook()
    for event in [event for events, _later, _works in scenes for event in events]:
        if getattr(event, "verb", b"") != b"unlock-commit":
            assert "secret reply" not in [plain[0] for plain in book.step(event)]
    assert book.state.holdings.held == {}
