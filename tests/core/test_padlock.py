"""A locked agent keeps what it holds and serves none of it; only the passphrase opens it, and guessing is slow."""

import pytest

from agentkeys.core.padlock import PENALTY_AT_MOST
from agentkeys.errors import ABSENT, DENIED, LOCKED, USAGE
from tests.core.playbook import Playbook, add, ask, audit, error, ok, replacing, secret, timer, wipe

SALT = bytes(range(16))
LOCK = ask("lock", ("passphrase", "sesame"), ("salt", SALT))
OPEN = ask("open", ("passphrase", "sesame"))
WRONG = ask("open", ("passphrase", "Sesame"))
SERVED = [audit("get", "@all.all.A", "allow"), secret("value", "one")]


def locked() -> Playbook:
    """An agent that holds A and is locked."""
    return Playbook().unlock(A="one").play((LOCK, 0, [audit("lock", "", "allow"), ok()]))


@pytest.mark.parametrize(
    "event",
    [ask("get", key="A"), ask("exec"), ask("unlock"), add({"@all.all.A": "x"}), ask("unlock-commit")],
    ids=lambda event: event.verb.decode(),
)
def test_a_locked_agent_serves_and_takes_nothing(event: object) -> None:
    """Reads and unlocks are refused with the way out."""
    book = locked()
    assert book.step(event)[-1] == error(LOCKED)
    assert book.hint == "agentkeys lock --open --for ana"


def test_the_passphrase_opens_it_with_everything_still_there() -> None:
    """Nothing has to be unlocked again."""
    locked().play((OPEN, 0, [audit("open", "", "allow"), ok()]), (ask("get", key="A"), 0, SERVED))


def test_time_goes_on_while_it_is_locked() -> None:
    """What expires meanwhile is gone."""
    book = Playbook().unlock(A="one", ttl=60)
    book.step(LOCK)
    assert book.step(ask("open", ("passphrase", "sesame")), 61_000)[:2] == [wipe("one"), timer(None)]
    assert book.step(ask("get", key="A"), 61_000)[-1] == error(LOCKED)


def test_a_locked_agent_still_forgets_and_learns_of_a_set() -> None:
    """Else it would hold what was relocked, deleted or replaced."""
    book = locked()
    assert ok() in book.step(replacing("@all.all.A", "two"))
    assert ok("slug", "@all.all.A") in book.step(ask("relock", key="A"))
    assert ok() in book.step(ask("forget", slug="@all.all.A"))
    book.step(OPEN)
    assert book.step(ask("get", key="A"))[-1] == error(ABSENT)


def test_a_locked_agent_shows_no_names() -> None:
    """`status` says that it is locked, and nothing of what it holds."""
    (reply,) = locked().step(ask("status", format="json"))
    assert b'"locked":true' in reply[-1]
    assert b"@all.all.A" not in reply[-1]


def test_each_wrong_passphrase_waits_longer() -> None:
    """100 ms for each so far, 10 s at most; a right one in between begins anew."""
    book = locked()
    now = 0
    for number in range(1, 120):
        seen = book.step(WRONG, now)
        assert seen == [audit("open", "", "deny"), error(DENIED)]
        assert book.wait == min(100 * number, PENALTY_AT_MOST)
        now += book.wait
    book.step(OPEN, now)
    book.step(LOCK, now)
    book.step(WRONG, now)
    assert book.wait == 100


def test_one_attempt_is_judged_at_a_time() -> None:
    """Many connections guess no quicker than one; even the right one is told to come again."""
    book = locked()
    book.step(WRONG, 0)
    other = ask("open", ("passphrase", "sesame"), conn=2)
    assert book.step(other, 99)[-1] == error(DENIED, conn=2)
    assert book.step(other, 100)[-1] == ok(conn=2)


REFUSED = {
    "lock with an empty passphrase": (LOCKED, USAGE, ask("lock", ("passphrase", ""), ("salt", SALT))),
    "lock with an endless passphrase": (LOCKED, USAGE, ask("lock", ("passphrase", "x" * 1025), ("salt", SALT))),
    "lock with a short salt": (LOCKED, USAGE, ask("lock", ("passphrase", "x"), ("salt", SALT[:15]))),
    "lock without a salt": (USAGE, USAGE, ask("lock", ("passphrase", "x"))),
    "open without a passphrase": (USAGE, USAGE, ask("open")),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(case: "tuple[int, int, object]") -> None:
    """Whether the agent is locked already or not; and it stays as it was."""
    when_locked, when_open, event = case
    assert locked().step(event)[-1] == error(when_locked)
    assert Playbook().step(event)[-1] == error(when_open)


def test_locking_twice_and_opening_what_is_open_are_refused() -> None:
    """A second passphrase would lock the first person out."""
    assert locked().step(ask("lock", ("passphrase", "mine"), ("salt", SALT)))[-1] == error(LOCKED)
    assert Playbook().step(OPEN)[-1] == error(USAGE)
