"""What a shell's hook is told, and when it is given the sign to ask again."""

import pytest

from agentkeys.core.events import ConfigRead, Tick
from agentkeys.errors import ABSENT, DENIED, LOCKED, USAGE
from tests.core.playbook import Playbook, ask, audit, error, ok, replacing, secret


def injecting(book: Playbook) -> Playbook:
    """The operator wants values in shells."""
    book.step(ConfigRead(book.state.allowed_names, book.state.longest, book.state.idle, True, None))
    return book


@pytest.mark.parametrize("names", [(), ("A",), ("A", "B=C")], ids=" ".join)
def test_it_is_told_that_exec_would_work_and_no_value(names: tuple[str, ...]) -> None:
    """By default: no value, no line in the log, and no use that would keep an idle agent's keys."""
    book = Playbook().unlock(A="one", B="two")
    used = book.state.last_use
    book.play((ask("hook", *[("key", name) for name in names]), 5000, [ok()]))
    assert book.state.last_use == used


def test_what_exec_would_refuse_is_refused_with_the_same_code() -> None:
    """Locked, expired, absent, denied, wrong; a line is left of what is denied, as for every verb."""
    book = Playbook()
    book.play((ask("hook"), 0, [error(LOCKED)]))
    book.unlock(A="one", PATH="/x", ttl=60, locked="@all.all.B")
    book.play(
        (ask("hook", key="B"), 0, [error(LOCKED)]),
        (ask("hook", key="NOPE"), 0, [error(ABSENT)]),
        (ask("hook", key="PATH"), 0, [audit("hook", "PATH", "deny"), error(DENIED)]),
        (ask("hook", key="1A"), 0, [error(USAGE)]),
        (ask("hook", colour="red"), 0, [error(USAGE)]),
    )
    book.step(Tick(), 60_000)
    book.play((ask("hook", key="A"), 60_000, [error(LOCKED)]))


def test_with_inject_it_is_given_the_keys_that_it_names() -> None:
    """Each gift is on record; whoever names none is given none."""
    book = injecting(Playbook().unlock(A="one", B="two"))
    book.play(
        (ask("hook"), 0, [ok()]),
        (ask("hook", key="B=C"), 7000, [audit("hook", "@all.all.B", "allow"), secret("C", "two")]),
    )
    assert book.state.last_use == 7000


def test_who_wants_word_alone_is_given_no_value() -> None:
    """Whatever the operator wants in shells: direnv couldn't use it, and it would be on record as given."""
    book = injecting(Playbook().unlock(A="one"))
    used = book.state.last_use
    book.play(
        (ask("hook", key="A", word="1"), 7000, [ok()]),
        (ask("hook", key="B", word="1"), 7000, [error(ABSENT)]),
        (ask("hook", key="A", word="0"), 7000, [error(USAGE)]),
    )
    assert book.state.last_use == used


CHANGES = {
    "unlock": lambda book: book.unlock(B="two"),
    "relock": lambda book: book.step(ask("relock")),
    "expiry": lambda book: book.step(Tick(), 3_600_000),
    "set": lambda book: book.step(replacing("@all.all.A", "new")),
    "set without a value": lambda book: book.step(ask("replace", slug="@all.all.A")),
    "del": lambda book: book.step(ask("forget", slug="@all.all.A")),
    "lock": lambda book: book.step(ask("lock", passphrase="p", salt="s" * 16)),
    "reload": lambda book: book.step(ask("reload")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_begins_an_epoch(name: str) -> None:
    """Before its answer, so that the next prompt of a shell whose command was answered sees it."""
    book = Playbook().unlock(A="one")
    before = book.epochs
    CHANGES[name](book)
    assert book.epochs == before + 1


def test_asking_begins_none() -> None:
    """Nor does what was refused, or a relock of nothing: a hook that asks must not wake itself."""
    book = Playbook()
    for request in (ask("hook"), ask("exec"), ask("get", key="A"), ask("status"), ask("ping"), ask("relock")):
        book.step(request)
    book.step(ask("open", passphrase="wrong"))
    assert book.epochs == 0
