"""What is unlocked again by itself: due at nine tenths, one worker at a time, and never against a person's relock."""

import pytest

from agentkeys.core.events import AuditDurable, AuditFailed, Tick, UnlockEnded
from agentkeys.core.renewals import MAX_REQUEST, MAX_REQUESTS, RETRY, RETRY_AT_MOST
from agentkeys.errors import LOCKED, USAGE
from tests.core.playbook import (
    STATE_KEY,
    Plain,
    Playbook,
    add,
    ask,
    audit,
    error,
    ok,
    replacing,
    secret,
    snapshot,
    timer,
    wipe,
)

ALL = "org=@all\nenv=all\nduration=0"
PROD = "org=@all\nenv=prod\nduration=0"
A, B = "@all.all.A", "@all.all.B"
AGAIN = ("again", "1")


def start(*withheld: str, request: str = ALL) -> Plain:
    """The worker is started."""
    return ("start unlock", request.encode(), *withheld)


def renewed(ttl: int = 60, request: str = ALL, now: int = 0, **values: str) -> Playbook:
    """An agent whose keys are to be unlocked again."""
    return Playbook().unlock_slugs(
        {f"@all.all.{name}": value.encode() for name, value in values.items()}, now, ttl, renew=request
    )


def again(book: Playbook, now: int, ttl: int = 60, conn: int = 5, **values: str) -> "list[Plain]":
    """What the worker does that the agent started; the effects of its commit and of that being durable."""
    slugs = {f"@all.all.{name}": value.encode() for name, value in values.items()}
    book.step(ask("unlock", conn=conn), now)
    if slugs:
        book.step(add(slugs, ttl, conn=conn), now)
    commit = [("directory", f"{A}\n{B}"), ("state-key", STATE_KEY), AGAIN]
    done = book.step(ask("unlock-commit", *commit, conn=conn), now)
    if done[-1][0] == "error":
        return done
    return done + book.step(AuditDurable(conn), now)


# --- when


def test_it_is_due_at_nine_tenths_of_the_time() -> None:
    """The timer stands there rather than at the end, and the worker is started with what it was asked for."""
    book = renewed(60, A="one")
    assert book.state.timer == 54_000
    book.play((Tick(), 53_999, [timer(54_000)]), (Tick(), 54_000, [start(), timer(60_000)]))


def test_the_shortest_time_counts() -> None:
    """Of all values that one unlock brought or kept, whatever their caps."""
    book = Playbook()
    book.step(ask("unlock"))
    book.step(add({A: "one"}, 100))
    book.step(add({B: "two"}, 40))
    book.step(ask("unlock-commit", ("directory", f"{A}\n{B}"), ("state-key", STATE_KEY), ("renew", ALL)))
    book.step(AuditDurable(1))
    assert book.state.timer == 36_000


def test_the_time_runs_from_the_commit() -> None:
    """A machine that was up for a day counts from now, not from its start."""
    assert renewed(60, now=86_400_000, A="one").state.timer == 86_454_000


def test_an_unlock_that_brought_nothing_is_tried_again_in_an_hour() -> None:
    """A robot that waits for its first key asks rarely."""
    book = renewed(60)
    assert book.state.timer == RETRY_AT_MOST
    book.play((Tick(), RETRY_AT_MOST, [start()]))


def test_without_a_request_nothing_is_started() -> None:
    """A person's plain unlock expires as ever."""
    book = Playbook().unlock(A="one", ttl=60)
    book.play((Tick(), 54_000, [timer(60_000)]), (Tick(), 60_000, [wipe("one")]))


def test_what_was_brought_again_counts_from_then() -> None:
    """New values, a new time, and the next one in its turn; nobody notices a gap."""
    book = renewed(60, A="one")
    book.step(Tick(), 54_000)
    effects = again(book, 54_100, A="two")
    assert wipe("one") in effects
    book.play(
        (UnlockEnded(""), 54_200, [timer(54_100 + 54_000)]),
        (ask("get", key="A"), 60_000, [audit("get", A, "allow"), secret("value", "two")]),
        (Tick(), 108_100, [start(), timer(114_100)]),
    )


def test_values_expire_while_the_worker_is_late() -> None:
    """Their time is theirs; what the worker then brings is served."""
    book = renewed(60, A="one")
    book.step(Tick(), 54_000)
    book.play((Tick(), 60_000, [wipe("one")]))
    assert book.state_of(A) == "expired"
    again(book, 61_000, A="two")
    assert book.held == {A: b"two"}


def test_one_worker_runs_at_a_time() -> None:
    """A second request that is due waits for the end of the first."""
    book = renewed(60, A="one").unlock_slugs({"@all.prod.B": b"two"}, ttl=60, locked=A, renew=PROD)
    book.play(
        (Tick(), 54_000, [start(), timer(60_000)]),
        (Tick(), 55_000, [timer(60_000)]),
        (UnlockEnded("no disk"), 56_000, [start(request=PROD)]),
    )


def test_the_end_of_a_worker_that_never_committed_is_no_busy_loop() -> None:
    """It said nothing went wrong and brought nothing: again in an hour."""
    book = renewed(60, A="one")
    book.step(Tick(), 54_000)
    book.step(Tick(), 60_000)
    book.play((UnlockEnded(""), 60_001, [timer(60_001 + RETRY_AT_MOST)]))


# --- what fails


def test_a_failure_is_tried_again_ever_later() -> None:
    """After a minute, two, four, at most an hour; status says why, until it works."""
    book = renewed(60, A="one")
    book.step(Tick(), 54_000)
    book.step(Tick(), 60_000)
    now, waits = 60_000, []
    for _ in range(9):
        ((_timer, at),) = book.step(UnlockEnded("the keychain is locked"), now)
        assert book.state.limits(now).fault == "the keychain is locked"
        assert book.state.limits(now).renewal == (at - now) // 1000
        waits.append(at - now)
        now = at
        book.play((Tick(), now, [start()]))
    assert waits[:3] == [RETRY, 2 * RETRY, 4 * RETRY]
    assert waits[-1] == RETRY_AT_MOST
    again(book, now, A="two")
    book.step(UnlockEnded(""), now)
    assert book.state.limits(now).fault == ""
    book.step(Tick(), now + 54_000)
    book.step(Tick(), now + 60_000)
    assert book.step(UnlockEnded("again"), now + 60_000) == [timer(now + 60_000 + RETRY)]


def test_a_worker_that_brought_the_rest_is_tried_again_too() -> None:
    """Its commit counts and its fault is said; a minute later it tries again, not in nine hours."""
    book = renewed(36_000, A="one")
    now = 32_400_000
    book.step(Tick(), now)
    again(book, now, 36_000, A="two")
    assert book.step(UnlockEnded("one vault can't be read"), now) == [timer(now + RETRY)]
    assert book.held == {A: b"two"}


def test_a_commit_of_it_that_cant_be_put_on_record_changes_nothing() -> None:
    """As with every unlock."""
    book = renewed(60, A="one")
    book.step(Tick(), 54_000)
    book.step(ask("unlock", conn=5), 54_000)
    book.step(add({A: "two"}, conn=5), 54_000)
    before = book.held
    commit = [("directory", A), ("state-key", STATE_KEY), AGAIN]
    book.step(ask("unlock-commit", *commit, conn=5), 54_000)
    assert wipe("two") in book.step(AuditFailed(5), 54_000)
    assert book.held == before


# --- what a person relocks


def test_a_relock_of_everything_ends_it() -> None:
    """Nothing comes back by itself: no timer, no request, and status shows none."""
    book = renewed(60, A="one")
    book.play((ask("relock"), 1000, [wipe("one"), timer(None), ok("slug", A)]), (Tick(), 54_000, []))
    limits = book.state.limits(54_000)
    assert (limits.renewal, limits.fault) == (None, "")


def test_a_relock_of_everything_outruns_the_worker_under_way() -> None:
    """What it brings after the relock is refused and wiped, and it isn't tried again."""
    book = renewed(60, A="one")
    book.step(Tick(), 54_000)
    book.step(ask("unlock", conn=5), 54_000)
    book.step(add({A: "two"}, conn=5), 54_000)
    book.step(ask("relock"), 54_001)
    commit = [("directory", A), ("state-key", STATE_KEY), AGAIN]
    assert book.step(ask("unlock-commit", *commit, conn=5), 54_002) == [error(LOCKED, conn=5)]
    assert book.held == {}
    book.play((UnlockEnded("this unlock isn't wanted any more"), 54_003, []))
    assert book.state.limits(54_003).fault == ""


def test_after_a_relock_of_everything_a_person_can_begin_it_anew() -> None:
    """Also while the worker of before still runs."""
    book = renewed(60, A="one")
    book.step(Tick(), 54_000)
    book.step(ask("relock"), 54_001)
    book.unlock_slugs({A: b"mine"}, 54_002, 60, renew=ALL)
    assert book.held == {A: b"mine"}
    book.step(UnlockEnded(""), 54_003)
    assert book.state.timer == 54_002 + 54_000


@pytest.mark.parametrize("relock", [{"key": "A"}, {"key": A}, {"env": "all", "key": "A"}])
def test_a_key_that_was_relocked_is_withheld(relock: dict[str, str]) -> None:
    """The worker is told to leave it out; the others go on."""
    book = renewed(60, A="one", B="two")
    book.step(ask("relock", **relock), 1000)
    book.play((Tick(), 54_000, [start(A), timer(60_000)]))


def test_an_env_that_was_relocked_is_withheld() -> None:
    """Each of its keys."""
    book = Playbook().unlock_slugs({"@all.prod.A": b"1", "@all.prod.C": b"2", B: b"3"}, ttl=60, renew=PROD)
    book.step(ask("relock", env="prod"), 1000)
    book.play((Tick(), 54_000, [start("@all.prod.A", "@all.prod.C", request=PROD), timer(60_000)]))


def test_a_key_that_was_not_even_held_is_withheld_too() -> None:
    """Its vault failed, a person relocks it all the same: it must not come when the vault is well again."""
    book = Playbook().unlock_slugs({A: b"one"}, ttl=60, locked=B, renew=ALL)
    book.play((ask("relock", key="B"), 1000, [ok()]))
    book.play((Tick(), 54_000, [start(B), timer(60_000)]))


def test_a_relock_outruns_the_worker_under_way() -> None:
    """It was started before: what it brings of the relocked key is wiped, the rest counts."""
    book = renewed(60, A="one", B="two")
    book.step(Tick(), 54_000)
    book.step(ask("relock", key="A"), 54_001)
    assert wipe("new") in again(book, 54_002, A="new", B="newer")
    assert book.held == {B: b"newer"}
    assert book.state_of(A) == "locked"


def test_a_relock_outruns_the_keeping_of_a_key_too() -> None:
    """And what is withheld is not called lost."""
    book = Playbook().unlock_slugs({A: b"one"}, ttl=60, grade="encrypted/transient", renew=ALL)
    book.step(Tick(), 54_000)
    book.step(ask("relock", key="A"), 54_001)
    book.step(ask("unlock", conn=5), 54_002)
    book.step(ask("unlock-keep", ttl="60", slugs=A, conn=5), 54_002)
    commit = [("directory", A), ("memory", A), ("state-key", STATE_KEY), AGAIN]
    book.step(ask("unlock-commit", *commit, conn=5), 54_002)
    assert book.step(AuditDurable(5), 54_002)[-1] == ok(conn=5)
    assert book.held == {}


def test_only_a_person_unlocks_what_a_person_relocked() -> None:
    """The worker's own commit lifts nothing, however often; a person's does, also while a worker runs."""
    book = renewed(60, A="one", B="two")
    book.step(ask("relock", key="A"), 1000)
    now = 0
    for _ in range(3):
        now += 54_000
        assert book.step(Tick(), now)[0] == start(A)
        again(book, now, B="two")
        book.step(UnlockEnded(""), now)
    now += 54_000
    book.step(Tick(), now)
    book.unlock_slugs({A: b"mine"}, now, 3600, locked=B)
    again(book, now, B="two")
    book.step(UnlockEnded(""), now)
    assert book.held == {A: b"mine", B: b"two"}
    assert book.step(Tick(), now + 54_000)[0] == start()


@pytest.mark.parametrize("scene", [replacing(A, "new"), ask("replace", slug=A), ask("forget", slug=A)])
def test_a_change_of_the_rack_is_no_relock(scene: object) -> None:
    """What `set` and `del` tell an agent withholds nothing: the next worker finds what is in the rack then."""
    book = renewed(60, A="one", B="two")
    book.step(scene, 1000)
    assert book.step(Tick(), 54_000)[0] == start()


# --- what is refused


def test_a_seventeenth_request_is_refused() -> None:
    """And brings nothing; those that are kept up can still be committed anew."""
    book = Playbook()
    for number in range(MAX_REQUESTS):
        book.unlock_slugs({A: b"one"}, renew=f"env=e{number}")
    before = book.held
    book.step(ask("unlock"))
    book.step(add({A: "two"}))
    commit = [("directory", A), ("state-key", STATE_KEY)]
    assert book.step(ask("unlock-commit", *commit, ("renew", "env=more"))) == [error(USAGE)]
    assert book.held == before
    book.step(ask("unlock-commit", *commit, ("renew", "env=e3")))
    book.step(AuditDurable(1))
    assert book.held == {A: b"two"}
    assert len(book.state.renewals.due) == MAX_REQUESTS


@pytest.mark.parametrize("first", [("renew", ALL), AGAIN])
def test_a_request_is_named_once(first: tuple[str, str]) -> None:
    """Not renew and again, not either twice, not endless, and `again` is 1."""
    book = renewed(60, A="one")
    book.step(Tick(), 54_000)
    book.step(ask("unlock", conn=5), 54_000)
    before = snapshot(book.state)
    commit = [("directory", A), ("state-key", STATE_KEY)]
    for more in ([first, ("renew", ALL)], [first, AGAIN], [("renew", "x" * (MAX_REQUEST + 1))], [("again", ALL)]):
        assert book.step(ask("unlock-commit", *commit, *more, conn=5), 54_000) == [error(USAGE, conn=5)]
    assert snapshot(book.state) == before


def test_nobody_says_that_it_was_asked_for_while_nothing_is() -> None:
    """`again` is taken while a worker runs; before that and after its end it is refused, and nothing is brought."""
    book = renewed(60, A="one")
    assert again(book, 1000, A="two")[-1] == error(LOCKED, conn=5)
    book.step(Tick(), 54_000)
    book.step(UnlockEnded("no disk"), 54_001)
    assert again(book, 54_002, A="two")[-1] == error(LOCKED, conn=5)
    assert book.held == {A: b"one"}
    assert again(Playbook(), 0, A="two")[-1] == error(LOCKED, conn=5)
