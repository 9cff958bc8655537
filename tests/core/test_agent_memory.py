"""Keys whose values rest nowhere, and what an unlock says of those it could not bring."""

import pytest

from agentkeys.core.events import AuditDurable, Disconnected, Tick
from agentkeys.core.unlocking import MAX_STAGED
from agentkeys.errors import ABSENT, LOCKED, USAGE
from tests.core.playbook import STATE_KEY, Playbook, add, ask, audit, error, ok, replacing, secret, timer, wipe

A, B, C = "@all.all.A", "@all.all.B", "@all.all.C"
TRANSIENT = "encrypted/transient"
GET_A = ask("get", key="A")
DENIED = audit("get", "A", "deny")


def holding(ttl: int = 60, now: int = 0) -> Playbook:
    """An agent that alone has A, beside B from a vault."""
    book = Playbook().unlock_slugs({A: b"one"}, now, ttl, locked=B, grade=TRANSIENT, memory=A)
    return book.unlock_slugs({B: b"two"}, now, 3600, locked=A, memory=A)


# --- what only an agent has


def test_a_kept_key_gets_a_new_time_and_keeps_its_value() -> None:
    """Longer or shorter, as any unlocked key."""
    for ttl in (100, 10):
        book = holding()
        book.unlock_slugs({}, 30_000, ttl, locked=f"{A} {B}", keep=A, memory=A)
        assert book.state.holdings.held[A].deadline == 30_000 + ttl * 1000
        book.play((GET_A, 30_000, [audit("get", A, "allow"), secret("value", "one")]))


def test_an_unlock_of_other_keys_leaves_it_alone() -> None:
    """Value and time."""
    book = holding()
    book.unlock_slugs({B: b"new"}, 30_000, locked=A, memory=A)
    assert book.held == {A: b"one", B: b"new"}
    assert book.state.holdings.held[A].deadline == 60_000


def test_relocked_it_is_gone() -> None:
    """Absent, not locked: no unlock brings it back, so none is proposed."""
    book = holding()
    book.play((ask("relock", key="A"), 0, [wipe("one"), timer(3_600_000), ok("slug", A)]))
    book.play((GET_A, 0, [DENIED, error(ABSENT)]))
    assert book.hint == "agentkeys set A --for ana"
    assert book.state_of(A) == ""
    assert book.state_of(B) == "unlocked"


def test_an_unlock_that_wants_to_keep_what_is_gone_is_told_so() -> None:
    """It is named as lost, and absent from then on."""
    book = holding()
    book.step(ask("relock", key="A"))
    book.unlock_slugs({B: b"two"}, locked=A, keep=A, lost=A, memory=A)
    book.play((GET_A, 0, [DENIED, error(ABSENT)]))


def test_expired_it_is_expired_until_an_unlock_finds_it_lost() -> None:
    """exec names it meanwhile, rather than to run a command without it; then it is absent."""
    book = holding()
    book.play((Tick(), 60_000, [wipe("one"), timer(3_600_000)]))
    book.play((GET_A, 60_000, [DENIED, error(LOCKED)]))
    assert book.said == f"{A} is expired"
    book.play((ask("exec"), 60_000, [audit("exec", "", "deny"), error(LOCKED)]))
    book.unlock_slugs({B: b"two"}, 61_000, locked=A, memory=A)
    assert book.state_of(A) == "expired", "an unlock that didn't ask for it says nothing of it"
    book.unlock_slugs({B: b"two"}, 61_000, locked=A, keep=A, lost=A, memory=A)
    assert book.state_of(A) == ""
    book.play((GET_A, 61_000, [DENIED, error(ABSENT)]))
    assert book.step(ask("exec"), 61_000)[-1][0] == "secret reply"


def test_an_agent_that_never_had_it_has_no_such_key() -> None:
    """Another agent of the owner may have it; this one's unlock says absent, not locked."""
    book = Playbook().unlock_slugs({B: b"two"}, locked=A, memory=A)
    book.play((GET_A, 0, [DENIED, error(ABSENT)]))
    assert [it.slug for it in book.state.holdings.key_states(0)] == [B]


def test_a_set_into_another_agent_gives_this_one_no_such_key() -> None:
    """It hears of the change, and must not call locked what no unlock of its own can bring."""
    book = Playbook().unlock_slugs({B: b"two"}, locked=A, memory=A)
    book.play((replacing(A, "new", grade=TRANSIENT), 0, [wipe("new"), ok()]))
    book.play((GET_A, 0, [DENIED, error(ABSENT)]))


def test_a_key_that_moves_into_memory_is_replaced_where_it_is_held() -> None:
    """And absent where it is not, also where it was locked or expired before."""
    book = Playbook().unlock(A="one", ttl=60)
    book.step(replacing(A, "new", grade=TRANSIENT))
    assert book.held == {A: b"new"}
    book.step(ask("relock", key="A"))
    assert book.state_of(A) == ""
    for locked in (Playbook().unlock(B="two", locked=A), Playbook().unlock(A="one", ttl=1).unlock(B="two", locked=A)):
        locked.step(Tick(), 1000)
        locked.step(replacing(A, "new", grade=TRANSIENT), 1000)
        locked.play((GET_A, 1000, [DENIED, error(ABSENT)]))


def test_a_key_that_moves_out_of_memory_is_locked_where_it_is_not_held() -> None:
    """An unlock brings it now."""
    book = holding()
    book.step(ask("relock", key="A"))
    book.step(replacing(A, "new"))
    assert book.state_of(A) == "locked"
    book.play((GET_A, 0, [DENIED, error(LOCKED)]))


def test_keeping_changes_nothing_of_what_a_vault_has() -> None:
    """Only a value that rests nowhere gets its time that way; any other would outlive its limits unread."""
    book = Playbook().unlock(A="one", ttl=60)
    book.unlock_slugs({}, 30_000, 3600, locked=A, keep=A)
    assert book.state.holdings.held[A].deadline == 60_000


def test_what_is_kept_counts_for_nothing_before_the_commit() -> None:
    """A connection that goes takes it along."""
    book = holding()
    book.step(ask("unlock", conn=7), 1000)
    book.step(ask("unlock-keep", ttl="3600", slugs=A, conn=7), 1000)
    book.step(Disconnected(7), 1000)
    assert book.state.holdings.held[A].deadline == 60_000
    book.play((ask("unlock-keep", ttl="3600", slugs=A, conn=7), 1000, [error(USAGE, conn=7)]))


REFUSED_KEEPS = {
    "no ttl": [("slugs", A)],
    "no slugs": [("ttl", "60")],
    "an empty slug": [("ttl", "60"), ("slugs", "")],
    "a name": [("ttl", "60"), ("slugs", "A")],
    "a field twice": [("ttl", "60"), ("ttl", "61"), ("slugs", A)],
    "a field too many": [("ttl", "60"), ("slugs", A), ("grade", TRANSIENT)],
    "too many": [("ttl", "60"), ("slugs", "\n".join([f"@all.all.A{number}" for number in range(MAX_STAGED + 1)]))],
}


@pytest.mark.parametrize("fields", REFUSED_KEEPS.values(), ids=REFUSED_KEEPS)
def test_a_refused_unlock_keep_stages_nothing(fields: "list[tuple[str, str]]") -> None:
    """And the unlock goes on."""
    book = holding()
    book.step(ask("unlock", conn=7))
    book.play((ask("unlock-keep", *fields, conn=7), 0, [error(USAGE, conn=7)]))
    assert book.state.staged[7].kept == {}


def test_keeping_is_bounded_over_all_requests_of_an_unlock() -> None:
    """What one connection may make an agent remember has an end."""
    book = Playbook()
    book.step(ask("unlock"))
    answers = []
    for part in range(11):
        slugs = "\n".join([f"@all.all.A{part}_{number}" for number in range(MAX_STAGED // 10)])
        answers += book.step(ask("unlock-keep", ttl="60", slugs=slugs))
    assert answers == [ok()] * 10 + [error(USAGE)]
    assert len(book.state.staged[1].kept) == MAX_STAGED


# --- what could not be brought


def test_what_is_absent_is_forgotten_and_no_such_key() -> None:
    """Its reference leads nowhere, or its vault has lost it: 5, and exec of everything goes without it."""
    book = Playbook().unlock(A="one", B="two")
    book.unlock_slugs({B: b"new"}, locked=A, absent=A)
    assert book.held == {B: b"new"}
    book.play((GET_A, 0, [DENIED, error(ABSENT)]))
    assert book.state_of(A) == ""
    assert book.step(ask("exec"))[-1][0] == "secret reply"


def test_what_was_absent_comes_with_a_later_unlock() -> None:
    """It is no scar."""
    book = Playbook().unlock_slugs({}, locked=A, absent=A).unlock(A="one")
    book.play((GET_A, 0, [audit("get", A, "allow"), secret("value", "one")]))


def test_what_its_issuer_ended_is_forgotten_and_expired() -> None:
    """4, by that word; exec of everything names it rather than to run without."""
    book = Playbook().unlock(A="one", B="two")
    book.unlock_slugs({B: b"new"}, locked=A, expired=A)
    assert book.held == {B: b"new"}
    book.play((GET_A, 0, [DENIED, error(LOCKED)]))
    assert (book.said, book.state_of(A)) == (f"{A} was ended by its issuer", "expired")
    assert book.step(ask("exec"))[-1] == error(LOCKED)
    book.unlock(A="renewed", B="two")
    assert book.state_of(A) == "unlocked"


def test_what_the_operator_keeps_out_is_forgotten_and_locked() -> None:
    """4, by that word."""
    book = Playbook().unlock(A="one", B="two")
    book.unlock_slugs({B: b"new"}, locked=A, refused=A)
    assert book.held == {B: b"new"}
    book.play((GET_A, 0, [DENIED, error(LOCKED)]))
    assert (book.said, book.state_of(A)) == (f"{A} is locked", "locked")


def test_what_only_failed_keeps_value_and_time() -> None:
    """An unlock that says nothing of a key changes nothing of it."""
    book = Playbook().unlock(A="one", ttl=60)
    book.unlock_slugs({B: b"two"}, 30_000, locked=A)
    assert book.state.holdings.held[A].deadline == 60_000
    book.play((GET_A, 30_000, [audit("get", A, "allow"), secret("value", "one")]))


@pytest.mark.parametrize("name", ["absent", "expired", "locked"])
def test_a_value_cant_be_brought_and_not_be_there(name: str) -> None:
    """Held it would be a key that no directory names, or one that is both; refused, and a right commit may follow."""
    book = Playbook()
    book.step(ask("unlock"))
    book.step(add({A: "one"}))
    commit = [("directory", f"{A}\n{B}"), ("state-key", STATE_KEY)]
    book.play((ask("unlock-commit", *commit, (name, f"{B}\n{A}")), 0, [error(USAGE)]))
    assert book.state.holdings.directory is None
    book.step(ask("unlock-commit", *commit))
    book.step(AuditDurable(1))
    assert book.held == {A: b"one"}


def test_a_list_may_name_what_is_not_there() -> None:
    """It makes nothing known."""
    book = Playbook().unlock_slugs({A: b"one"}, absent=B, expired=C, memory="x.y.Z")
    assert [it.slug for it in book.state.holdings.key_states(0)] == [A]


# --- a set whose value isn't known


def test_a_set_of_a_reference_forgets_the_old_value() -> None:
    """What it leads to is known at the next unlock: locked until then, whatever it was."""
    book = Playbook().unlock(A="one", ttl=60, locked=B)
    book.play((ask("replace", slug=A), 0, [wipe("one"), timer(None), ok()]))
    book.play((GET_A, 0, [DENIED, error(LOCKED)]))
    book.unlock(A="one", ttl=60, locked=B)
    book.step(Tick(), 60_000)
    book.play((ask("replace", slug=A), 60_000, [ok()]))
    assert book.state_of(A) == "locked"


def test_a_new_reference_is_locked_at_once() -> None:
    """Also one whose value rested nowhere before; an agent before its first unlock learns nothing."""
    book = Playbook().unlock(B="two")
    book.play((ask("replace", slug=A), 0, [ok()]), (GET_A, 0, [DENIED, error(LOCKED)]))
    book = holding()
    book.step(ask("replace", slug=A))
    assert (book.held, book.state_of(A)) == ({B: b"two"}, "locked")
    book = Playbook()
    book.step(ask("replace", slug=A))
    assert book.state.holdings.directory is None


@pytest.mark.parametrize("fields", [[("slug", "A")], [("slug", "")], [("value", "x")], [("slug", A), ("slug", B)]])
def test_a_replace_out_of_shape_is_refused(fields: "list[tuple[str, str]]") -> None:
    """And forgets nothing."""
    book = Playbook().unlock(A="one", B="two")
    book.play((ask("replace", *fields), 0, [error(USAGE)]))
    assert book.held == {A: b"one", B: b"two"}
