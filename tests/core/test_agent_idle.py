"""The two limits on staying: without a use for so long, and however much it is used."""

import pytest

from agentkeys.core import refs
from agentkeys.core.events import AuditDurable, Tick
from agentkeys.errors import LOCKED, USAGE
from tests.core.playbook import (
    STATE_KEY,
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

A, B = "@all.all.A", "@all.all.B"
GIVEN = [audit("get", A, "allow"), secret("value", "one")]
IDLE = 60
"""Seconds."""


def idle(ttl: int = 3600, **values: str) -> Playbook:
    """An agent that forgets everything after IDLE."""
    book = Playbook()
    book.state.idle = IDLE
    return book.unlock(ttl=ttl, **(values or {"A": "one"}))


# --- idle


def test_without_a_use_everything_goes() -> None:
    """At the limit, by the one timer; then it is expired, and the command that brings it back is named."""
    book = idle(A="one", B="two")
    assert book.state.timer == 60_000
    book.play((Tick(), 59_999, [timer(60_000)]), (Tick(), 60_000, [wipe("one", "two")]))
    book.play((ask("get", key="A"), 60_001, [audit("get", "A", "deny"), error(LOCKED)]))
    assert (book.said, book.hint) == (f"{A} is expired", "agentkeys unlock --for ana --key A")


@pytest.mark.parametrize("verb", ["get", "exec"])
def test_a_use_extends_it_without_touching_the_timer(verb: str) -> None:
    """get and exec are uses; the timer stays, fires early, and is set anew: a read costs no system call."""
    book = idle()
    book.step(ask(verb, key="A"), 40_000)
    book.play((Tick(), 60_000, [timer(100_000)]), (Tick(), 100_000, [wipe("one")]))


def test_an_exec_of_everything_is_a_use_each_time() -> None:
    """Also when its answer was prepared before."""
    book = idle()
    book.step(ask("exec"), 30_000)
    book.step(ask("exec"), 50_000)
    book.play((Tick(), 60_000, [timer(110_000)]))


QUESTIONS = [ask("status"), ask("status", format="json"), ask("ping"), ask("query"), ask("get", key="NONE"),
             ask("exec", key="NONE"), ask("get"), ask("nonsense"), replacing(A, "two"), ask("relock", key="B"),
             ask("forget", slug=B), ask("unlock")]  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda it: it.verb.decode())
def test_asking_is_no_use(question: object) -> None:
    """Status, questions, refusals and changes of the rack leave it where it was."""
    book = idle()
    book.step(question, 40_000)
    assert book.step(Tick(), 60_000)[0][0] == "wipe"
    assert book.held == {}


def test_an_unlock_is_a_use() -> None:
    """Of everything: what was brought before stays with it."""
    book = idle()
    book.unlock(now=40_000, ttl=3600, B="two", locked=A)
    book.play((Tick(), 60_000, [timer(100_000)]), (Tick(), 100_000, [wipe("one", "two")]))


def test_a_keys_own_time_ends_before_it() -> None:
    """The earlier of the two."""
    book = idle(ttl=30)
    assert book.state.timer == 30_000
    book.play((Tick(), 30_000, [wipe("one")]))


@pytest.mark.parametrize("late", [0, 1, 10**12])
def test_what_is_over_is_not_served_although_the_timer_did_not_fire(late: int) -> None:
    """A machine that wakes from suspend may hear the request first."""
    book = idle()
    now = 60_000 + late
    refused = [wipe("one"), timer(None), audit("get", "A", "deny"), error(LOCKED)]
    book.play((ask("get", key="A"), now, refused))


def test_an_agent_that_holds_nothing_is_never_idle() -> None:
    """No timer, no wake-up."""
    book = idle()
    book.step(Tick(), 60_000)
    assert book.state.timer is None
    book.play((Tick(), 120_000, []), (ask("relock"), 120_000, [ok("slug", A)]))


def test_without_the_limit_nothing_is_ever_idle() -> None:
    """0 is off, as it is by default."""
    book = Playbook().unlock(A="one")
    assert book.state.idle == 0
    book.play((ask("get", key="A"), 3_599_999, GIVEN))


def test_an_automatic_unlock_is_no_use() -> None:
    """Or an agent that nobody uses would hold its keys for ever."""
    book = idle(ttl=60)
    book.unlock_slugs({A: b"one"}, 0, 50, renew="env=all")
    assert book.step(Tick(), 45_000)[0][0] == "start unlock"
    book.step(ask("unlock", conn=5), 45_000)
    book.step(add({A: "two"}, 50, conn=5), 45_000)
    book.step(ask("unlock-commit", ("directory", A), ("state-key", STATE_KEY), ("again", "1"), conn=5), 45_000)
    book.step(AuditDurable(5), 45_000)
    book.play((Tick(), 60_000, [wipe("two")]))


def test_what_idleness_took_does_not_come_back_by_itself() -> None:
    """As after a relock of everything: a person unlocks."""
    book = Playbook()
    book.state.idle = IDLE
    book.unlock_slugs({A: b"one"}, 0, 3600, renew="env=all")
    book.play((Tick(), 60_000, [wipe("one")]), (Tick(), 3_240_000, []))
    assert book.state.limits(60_000).renewal is None


def test_it_is_shown() -> None:
    """By status, in both forms."""
    book = idle()
    ((_reply, _conn, _ok, _text, text),) = book.step(ask("status", format="json"))
    assert b'"idle_seconds":60,' in text
    ((_reply, _conn, _ok, _text, text),) = book.step(ask("status"))
    assert b"idle     forgets all after 1m without a use\n" in text


# --- the absolute cap


def capped(seconds: int) -> Playbook:
    """An agent that lets nothing stay longer."""
    book = Playbook()
    book.state.longest = seconds
    return book


def test_nothing_stays_over_the_cap_however_much_it_is_used() -> None:
    """A use a second for an hour; at the cap it goes."""
    book = capped(3600)
    assert book.step(ask("unlock")) == [ok("max-ttl", "3600")]
    book.step(add({A: "one"}, 99_999))
    book.step(ask("unlock-commit", ("directory", A), ("state-key", STATE_KEY)))
    book.step(AuditDurable(1))
    for now in range(0, 3_600_000, 1000):
        book.play((ask("get", key="A"), now, GIVEN))
    refused = [wipe("one"), timer(None), audit("get", "A", "deny"), error(LOCKED)]
    book.play((ask("get", key="A"), 3_600_000, refused))


def test_neither_replace_nor_keep_passes_the_cap() -> None:
    """A new value has what is left of the old one's time; an unlock-keep counts from now, within the cap."""
    book = capped(3600)
    book.step(ask("unlock"))
    book.step(add({A: "one"}, 99_999, grade="encrypted/transient"))
    commit = [("directory", A), ("memory", A), ("state-key", STATE_KEY)]
    book.step(ask("unlock-commit", *commit))
    book.step(AuditDurable(1))
    book.step(replacing(A, "two", cap="999999", grade="encrypted/transient"), 1_000_000)
    assert book.state.holdings.held[A].deadline == 3_600_000
    book.step(ask("unlock"), 2_000_000)
    book.step(ask("unlock-keep", ttl="999999", slugs=A), 2_000_000)
    book.step(ask("unlock-commit", *commit), 2_000_000)
    book.step(AuditDurable(1), 2_000_000)
    assert book.state.holdings.held[A].deadline == 2_000_000 + 3_600_000


def test_the_cap_is_a_week_without_a_setting() -> None:
    """And shown by status."""
    book = Playbook()
    assert book.state.longest == refs.MAX_TTL == 7 * 86_400
    ((_reply, _conn, _ok, _text, text),) = book.step(ask("status", format="json"))
    assert b'"max_seconds":604800,' in text


@pytest.mark.parametrize("ttl", ["0", "-1", "x", "999999999"])
def test_a_ttl_that_is_none_is_refused(ttl: str) -> None:
    """As unlock-add does, so does unlock-keep."""
    book = capped(3600)
    book.step(ask("unlock"))
    book.play((ask("unlock-keep", ttl=ttl, slugs=A), 0, [error(USAGE)]))
