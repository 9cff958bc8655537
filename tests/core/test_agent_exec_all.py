"""exec without --key: everything that unlocks brought for this org and env, or nothing."""

import pytest

from agentkeys.core.events import Tick
from agentkeys.errors import DENIED, LOCKED, USAGE
from tests.core.playbook import Playbook, ask, audit, error, ok, secret, timer, wipe


def given(slugs: str, *pairs: str) -> list[object]:
    """The effects of an exec that was allowed."""
    return [audit("exec", slugs, "allow"), secret(*pairs)]


def refused(code: int) -> list[object]:
    """The effects of one that was not."""
    return [audit("exec", "", "deny"), error(code)]


def test_all_that_fits_is_given_sorted_by_name() -> None:
    """Org ∪ @all in env ∪ all, and nothing of another org or env."""
    slugs = ["@all.all.Z", "@all.prod.Y", "acme.all.X", "acme.prod.W", "acme.test.V", "other.prod.U", "@all.test.T"]
    book = Playbook().unlock_slugs({slug: slug[-1].encode() for slug in slugs})
    book.play(
        (
            ask("exec", org="acme", env="prod"),
            0,
            given("acme.prod.W acme.all.X @all.prod.Y @all.all.Z", "W", "W", "X", "X", "Y", "Y", "Z", "Z"),
        ),
        (ask("exec"), 0, given("@all.all.Z", "Z", "Z")),
    )


def test_the_most_specific_of_a_name_is_given_once() -> None:
    """Resolution is that of `get`."""
    slugs = {"@all.all.A": b"4", "@all.prod.A": b"3", "acme.all.A": b"2", "acme.prod.A": b"1"}
    book = Playbook().unlock_slugs(slugs)
    book.play((ask("exec", org="acme", env="prod"), 0, given("acme.prod.A", "A", "1")))


def test_a_sudo_key_is_never_given_unasked() -> None:
    """It has to be named, even when it was unlocked; all of sudo can't be asked for."""
    book = Playbook().unlock_slugs({"@all.sudo.ROOT": b"root", "@all.all.A": b"one"})
    book.play(
        (ask("exec"), 0, given("@all.all.A", "A", "one")),
        (ask("exec", env="prod"), 0, given("@all.all.A", "A", "one")),
        (ask("exec", env="sudo"), 0, refused(USAGE)),
        (ask("exec", key="@all.sudo.ROOT"), 0, given("@all.sudo.ROOT", "ROOT", "root")),
        (ask("exec", key="ROOT", env="sudo"), 0, given("@all.sudo.ROOT", "ROOT", "root")),
    )


def test_only_sudo_keys_are_nothing() -> None:
    """Locked, not an empty environment."""
    Playbook().unlock_slugs({"@all.sudo.ROOT": b"root"}).play((ask("exec"), 0, refused(LOCKED)))


def test_nothing_unlocked_is_refused() -> None:
    """Before the first unlock, after one of another env, and after a relock of all; the hint unlocks this env."""
    book = Playbook()
    book.play((ask("exec"), 0, refused(LOCKED)))
    book.unlock_slugs({"@all.test.A": b"one"}).play((ask("exec", env="prod"), 0, refused(LOCKED)))
    assert book.hint == "agentkeys unlock --for ana --env prod"
    book.step(ask("relock"))
    book.play((ask("exec", env="test"), 0, refused(LOCKED)))


def test_one_expired_key_keeps_back_all() -> None:
    """A command must not run without a key it had yesterday; the answer names it."""
    book = Playbook().unlock(A="one", ttl=60).unlock(B="two", ttl=600, locked="@all.all.A")
    book.play(
        (Tick(), 60_000, [wipe("one"), timer(600_000)]),
        (ask("exec"), 60_000, refused(LOCKED)),
    )
    assert book.said == "@all.all.A is expired"
    assert book.hint == "agentkeys unlock --for ana --key A"


def test_an_expired_key_that_a_more_specific_one_hides_hinders_nobody() -> None:
    """Only the key that would be given counts."""
    book = Playbook().unlock_slugs({"@all.all.A": b"old"}, ttl=60)
    book.unlock_slugs({"acme.all.A": b"mine"}, ttl=600, locked="@all.all.A")
    book.step(Tick(), 60_000)
    book.play(
        (ask("exec", org="acme"), 60_000, given("acme.all.A", "A", "mine")),
        (ask("exec"), 60_000, refused(LOCKED)),
    )


def test_a_relocked_key_is_left_out() -> None:
    """Whoever relocks one key means to go on without it; so it is with an expired one that was relocked."""
    book = Playbook().unlock(A="one", B="two")
    book.play(
        (ask("relock", key="A"), 0, [wipe("one"), ok("slug", "@all.all.A")]),
        (ask("exec"), 0, given("@all.all.B", "B", "two")),
    )
    book.unlock(A="one", ttl=60, locked="@all.all.B")
    book.step(Tick(), 60_000)
    book.play(
        (ask("relock", key="A"), 60_000, [ok("slug", "@all.all.A")]),
        (ask("exec"), 60_000, given("@all.all.B", "B", "two")),
    )


def test_a_key_that_was_never_brought_is_left_out() -> None:
    """It is in the rack, but no unlock named it."""
    book = Playbook().unlock_slugs({"@all.all.A": b"one"}, locked="@all.all.C")
    book.play((ask("exec", org="acme"), 0, given("@all.all.A", "A", "one")))


def test_a_locked_key_that_hides_an_unlocked_one_keeps_back_all() -> None:
    """Neither the other credential in its place, nor a command without it."""
    book = Playbook().unlock_slugs({"@all.all.A": b"one", "@all.all.B": b"two"}, locked="acme.all.A")
    book.play(
        (ask("exec", org="acme"), 0, refused(LOCKED)),
        (ask("exec"), 0, given("@all.all.A @all.all.B", "A", "one", "B", "two")),
    )


def test_a_deleted_key_hinders_nobody() -> None:
    """Once it is forgotten with its slug it is neither held nor expired."""
    book = Playbook().unlock(A="one", ttl=60).unlock(B="two", ttl=600, locked="@all.all.A")
    book.step(Tick(), 60_000)
    book.play(
        (ask("forget", slug="@all.all.A"), 60_000, [ok()]),
        (ask("exec"), 60_000, given("@all.all.B", "B", "two")),
    )


@pytest.mark.parametrize(("name", "value", "code"), [("PATH", b"/x", DENIED), ("A", b"a\0b", USAGE)])
def test_one_key_that_cannot_be_injected_keeps_back_all(name: str, value: bytes, code: int) -> None:
    """Fail closed: the command never runs on fewer keys than it was meant to have."""
    book = Playbook().unlock_slugs({f"@all.all.{name}": value, "@all.all.OTHER": b"x"})
    book.play((ask("exec"), 0, refused(code)))
    assert name in book.said
