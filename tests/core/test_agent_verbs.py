"""What every request owes its asker, whatever the verb: known fields, known verbs, and nothing changed by a refusal."""

import pytest

from agentkeys.core.events import AuditFailed, Peer, PeerRefused, Terminated
from agentkeys.errors import ABSENT, DENIED, LOCKED, MALFUNCTION, USAGE
from tests.core.playbook import (
    CLOSE,
    PEER,
    STATE_KEY,
    STOP,
    Playbook,
    add,
    ask,
    audit,
    error,
    ok,
    replacing,
    secret,
    timer,
    wipe,
)

OTHER_SESSION = Peer(PEER.uid, PEER.pid, "a process of another login session")

VERBS = (
    "ping", "query", "get", "exec", "hook", "status", "names", "known", "relock", "unlock", "unlock-add",
    "unlock-keep", "unlock-commit", "replace", "forget", "session", "reload", "lock", "open", "stop",
)  # fmt: skip

REFUSED = {
    "known without a salt": ask("known", digests="0" * 16),
    "known with a short salt": ask("known", salt="0", digests="0" * 16),
    "known with half a digest": ask("known", salt="0" * 16, digests="0" * 15),
    "get without a key": ask("get"),
    "get of two keys": ask("get", ("key", "A"), ("key", "B")),
    "get of a name that can't be": ask("get", key="1A"),
    "get of a name that isn't ASCII": ask("get", key="Ä"),
    "get in an env that can't be": ask("get", key="A", env="Prod"),
    "get in an org that can't be": ask("get", key="A", org="@acme"),
    "get with an unknown field": ask("get", key="A", colour="red"),
    "exec with an unknown field": ask("exec", key="A", colour="red"),
    "exec in two envs": ask("exec", ("env", "prod"), ("env", "test")),
    "exec with an empty new name": ask("exec", key="A="),
    "exec with a new name that can't be": ask("exec", key="A=B C"),
    "exec of all sudo keys": ask("exec", env="sudo"),
    "status with an unknown field": ask("status", colour="red"),
    "status with a format twice": ask("status", ("format", "json"), ("format", "json")),
    "relock with an unknown field": ask("relock", colour="red"),
    "unlock with a field": ask("unlock", key="A"),
    "unlock-add without an unlock": add({"@all.all.A": "1"}),
    "unlock-commit without an unlock": ask("unlock-commit", ("state-key", STATE_KEY)),
    "replace without a value": ask("replace", slug="@all.all.A", cap="0"),
    "replace without a cap": ask("replace", slug="@all.all.A", value="1"),
    "replace with a field twice": ask("replace", ("slug", "@all.all.A"), ("value", "1"), ("value", "2"), ("cap", "0")),
    "replace with an unknown field": replacing("@all.all.A", "1", colour="red"),
    "replace of no slug": replacing("A", "1"),
    "replace with a cap in words": replacing("@all.all.A", "1", "soon"),
    "replace with a cap below zero": replacing("@all.all.A", "1", "-1"),
    "forget of no slug": ask("forget", slug="A"),
    "forget of something else": ask("forget", key="@all.all.A"),
    "forget with one slug bad": ask("forget", ("slug", "@all.all.A"), ("slug", "bad")),
    "reload with a field": ask("reload", path="/tmp"),
    "stop with a field": ask("stop", now="yes"),
    "a verb nobody knows": ask("explode"),
    "a verb in other letters": ask("GET", key="A"),
    "an empty verb": ask(""),
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_and_changes_nothing(request_: object) -> None:
    """Exit code 2, the state as before (the playbook compares it), and the connection stays usable."""
    book = Playbook().unlock(A="one")
    assert book.step(request_, 5)[-1] == error(USAGE)
    assert book.said
    book.play((ask("get", key="A"), 6, [audit("get", "@all.all.A", "allow"), secret("value", "one")]))


@pytest.mark.parametrize("verb", ["get", "exec"])
def test_a_refused_read_is_audited(verb: str) -> None:
    """A denial leaves a line with its reason before its answer, but no text that never named a key."""
    book = Playbook().unlock(A="one")
    book.play(
        (ask(verb, key="B"), 0, [audit(verb, "B", "deny"), error(ABSENT)]),
        (ask(verb, key="no name"), 0, [audit(verb, "", "deny"), error(USAGE)]),
    )
    assert book.why == book.said


def test_a_denial_names_only_what_can_be_a_key() -> None:
    """Text behind the key that was refused is the asker's own, unchecked and of any length: none of it is logged."""
    book = Playbook().unlock(locked="@all.all.LOCKED", A="one")
    keys = ["LOCKED", "x y", "A" * 200_000]
    seen = book.step(ask("exec", *[("key", key) for key in keys]))
    assert seen == [audit("exec", "LOCKED", "deny"), error(LOCKED)]


def test_every_verb_is_told() -> None:
    """`query` lists what this agent understands, so that a client of another version can ask first."""
    expected = ok(*[part for verb in VERBS for part in ("verb", verb)])
    Playbook().play((ask("query"), 0, [expected]))


def test_ping_answers_what_it_was_sent() -> None:
    """Any field, any byte: ping proves a connection and costs nothing."""
    Playbook().play((ask("ping", ("any", b"\0\xff"), ("more", "")), 0, [ok("any", b"\0\xff", "more", "")]))


def test_a_refused_peer_is_audited_and_closed() -> None:
    """Its line says why and stands before the hang-up; it gets no answer."""
    book = Playbook()
    book.play((PeerRefused(1, PEER, "uid 1001"), 0, [audit("connect", "", "deny"), CLOSE]))
    assert book.why == "uid 1001"


def test_an_audit_that_fails_is_said() -> None:
    """Nothing of the reply was sent, so the answer is a malfunction with a way out."""
    book = Playbook().unlock(A="one")
    book.play((AuditFailed(1), 0, [error(MALFUNCTION)]))
    assert "nothing is done" in book.said
    assert book.hint


def test_stop_wipes_everything_and_leaves() -> None:
    """What was held and what was being brought is overwritten before the answer."""
    book = Playbook().unlock(A="one", B="two")
    book.step(ask("unlock", conn=2))
    book.step(add({"@all.all.C": "three"}, conn=2))
    book.play((ask("stop"), 0, [wipe("one", "two", "three"), ok(), STOP]))


def test_an_agent_told_to_leave_wipes_everything() -> None:
    """A signal, or the loss of its socket, ends it as `stop` does."""
    book = Playbook().unlock(A="one", B="two")
    book.play((Terminated(), 0, [wipe("one", "two"), STOP]))


def test_nothing_wiped_is_ever_served() -> None:
    """A request that was already on its way when the agent stopped gets no zeros for a value."""
    book = Playbook().unlock(A="one")
    book.step(ask("stop"))
    assert book.step(ask("get", key="A", conn=2))[-1] == error(LOCKED, conn=2)


@pytest.mark.parametrize("verb", ["get", "exec", "status", "unlock", "unlock-add", "unlock-commit", "stop", "explode"])
def test_a_limited_peer_gets_nothing(verb: str) -> None:
    """A peer that may only make the agent forget is denied with the reason, on record, and changes nothing."""
    book = Playbook().unlock(A="one")
    seen = book.step(ask(verb, ("key", "A"), peer=OTHER_SESSION))
    assert [plain[0] for plain in seen] == ["audit", "error"]
    assert seen[-1] == error(DENIED)
    assert book.said.startswith(OTHER_SESSION.limited)


@pytest.mark.parametrize("request_", [ask("\xff", peer=OTHER_SESSION), ask("get", key="\xff", peer=OTHER_SESSION)])
def test_a_limited_peer_is_refused_whatever_it_says(request_: object) -> None:
    """Bytes that are no text are refused as well; they neither raise nor reach the log."""
    request_.verb = request_.verb.replace(b"\xc3\xbf", b"\xff")
    request_.pairs = [(name, memoryview(bytes(value).replace(b"\xc3\xbf", b"\xff"))) for name, value in request_.pairs]
    assert Playbook().unlock(A="one").step(request_)[-1] == error(DENIED)


def test_a_limited_peer_may_take_away() -> None:
    """What makes the agent hold less, or hold a newer value, is no privilege."""
    book = Playbook().unlock(A="one", B="two", C="three")
    new = replacing("@all.all.A", "new", peer=OTHER_SESSION)
    book.play(
        (new, 0, [wipe("one"), ok()]),
        (ask("forget", slug="@all.all.B", peer=OTHER_SESSION), 0, [wipe("two"), ok()]),
        (ask("relock", key="C", peer=OTHER_SESSION), 0, [wipe("three"), ok("slug", "@all.all.C")]),
        (ask("relock", peer=OTHER_SESSION), 0, [wipe("new"), timer(None), ok("slug", "@all.all.A")]),
    )
