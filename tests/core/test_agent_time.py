"""Deadlines: one timer at the next of them, and nothing that is due is ever served."""

import pytest

from agentkeys.core.events import AuditDurable, Tick
from agentkeys.errors import LOCKED
from tests.core.playbook import STATE_KEY, Playbook, add, ask, audit, error, ok, replacing, secret, timer, wipe


def test_the_timer_stands_at_the_next_deadline() -> None:
    """It is set when that changes, and only then."""
    book = Playbook().unlock(A="one", ttl=60)
    assert book.state.timer == 60_000
    book.unlock(B="two", ttl=30, locked="@all.all.A")
    assert book.state.timer == 30_000
    book.play(
        (ask("relock", key="A"), 0, [wipe("one"), ok("slug", "@all.all.A")]),
        (ask("relock", key="B"), 0, [wipe("two"), timer(None), ok("slug", "@all.all.B")]),
    )


def test_each_tick_takes_what_is_due_and_sets_the_next() -> None:
    """Each key goes at its own time, and after the last no timer is left."""
    book = Playbook().unlock(A="one", ttl=60).unlock(B="two", ttl=30, locked="@all.all.A")
    book.play(
        (Tick(), 30_000, [wipe("two"), timer(60_000)]),
        (Tick(), 60_000, [wipe("one")]),
    )
    assert book.state.timer is None


def test_a_tick_that_comes_early_takes_nothing() -> None:
    """A timer left from before is harmless: it is set again."""
    book = Playbook().unlock(A="one", ttl=60)
    book.play(
        (Tick(), 59_999, [timer(60_000)]),
        (ask("get", key="A"), 59_999, [audit("get", "@all.all.A", "allow"), secret("value", "one")]),
    )


@pytest.mark.parametrize("late", [0, 1, 10**12])
@pytest.mark.parametrize("verb", ["get", "exec"])
def test_what_is_due_is_not_served_although_the_timer_did_not_fire(verb: str, late: int) -> None:
    """A machine that wakes from suspend may hear the request first."""
    now = 60_000 + late
    book = Playbook().unlock(A="one", ttl=60)
    book.play((ask(verb, key="A"), now, [wipe("one"), timer(None), audit(verb, "A", "deny"), error(LOCKED)]))
    assert book.said == "@all.all.A is expired"


def test_one_that_is_due_takes_no_other_along() -> None:
    """The rest is served in the same breath, and the timer moves on."""
    book = Playbook().unlock(A="one", ttl=60).unlock(B="two", ttl=90, locked="@all.all.A")
    allowed = [audit("get", "@all.all.B", "allow"), secret("value", "two")]
    book.play((ask("get", key="B"), 70_000, [wipe("one"), timer(90_000), *allowed]))


def test_a_value_that_was_long_on_its_way_is_not_served() -> None:
    """Its time runs from unlock-add; a commit after its end brings something that is due at once."""
    book = Playbook()
    book.step(ask("unlock"), 0)
    book.step(add({"@all.all.A": "one"}), 0)
    book.step(ask("unlock-commit", ("directory", "@all.all.A"), ("state-key", STATE_KEY)), 90_000)
    book.step(AuditDurable(1), 90_000)
    refused = [audit("get", "A", "deny"), error(LOCKED)]
    book.play((ask("get", key="A"), 90_000, [wipe("one"), timer(None), *refused]))


def test_a_replacement_is_due_when_the_old_value_was() -> None:
    """A `set` at the very deadline brings nothing."""
    book = Playbook().unlock(A="old", ttl=60)
    new = replacing("@all.all.A", "new")
    book.play((new, 60_000, [wipe("old"), timer(None), wipe("new"), ok()]))


def test_an_unlock_brings_back_what_expired() -> None:
    """Expired is no scar: after the next unlock it is served."""
    book = Playbook().unlock(A="one", ttl=60)
    book.step(Tick(), 60_000)
    book.unlock(now=70_000, A="two")
    book.play((ask("get", key="A"), 70_000, [audit("get", "@all.all.A", "allow"), secret("value", "two")]))
