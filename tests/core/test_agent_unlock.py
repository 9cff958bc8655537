"""unlock is one transaction: all of it, at its commit, on record; or none of it."""

import pytest

from agentkeys.core.events import AuditDurable, AuditFailed, Disconnected
from agentkeys.core.holdings import MAX_HELD
from agentkeys.errors import LOCKED, MALFUNCTION, USAGE
from tests.core.playbook import (
    STATE_KEY,
    Playbook,
    ask,
    audit,
    error,
    ok,
    seal,
    secret,
    snapshot,
    timer,
    wipe,
)

ADD_A = ask("unlock-add", ("vault", "os.secure"), ("ttl", "60"), ("@all.all.A", "one"))
COMMIT_A = ask("unlock-commit", ("directory", "@all.all.A"), ("state-key", STATE_KEY))
GET_A = ask("get", key="A", conn=2)


def test_nothing_counts_before_the_commit_is_durable() -> None:
    """Not after unlock, not after unlock-add, not before its line is on the disk; then all of it at once."""
    locked = [audit("get", "A", "deny"), error(LOCKED, "@all.all.A", conn=2)]
    Playbook().play(
        (ask("unlock"), 0, [ok()]),
        (GET_A, 0, locked),
        (ADD_A, 0, [ok()]),
        (GET_A, 0, locked),
        (COMMIT_A, 0, [seal(), audit("unlock", "@all.all.A", "allow", durable=True)]),
        (GET_A, 0, locked),
        (AuditDurable(1), 0, [timer(60_000), ok()]),
        (GET_A, 0, [audit("get", "@all.all.A", "allow"), secret("value", "one", conn=2)]),
    )


def test_a_connection_that_goes_takes_its_unlock_along() -> None:
    """What it staged is wiped, and what was held before is untouched."""
    book = Playbook().unlock(A="old")
    before = snapshot(book.state)
    book.play(
        (ask("unlock"), 0, [ok()]),
        (ADD_A, 0, [ok()]),
        (Disconnected(1), 0, [wipe("one")]),
        (COMMIT_A, 0, [error(USAGE)]),
    )
    assert snapshot(book.state) == before


def test_a_connection_that_staged_nothing_just_goes() -> None:
    """Every hang-up is an event; most concern nobody."""
    book = Playbook().unlock(A="one")
    book.play((Disconnected(1), 0, []), (Disconnected(9), 0, []))


def test_a_new_unlock_on_a_connection_replaces_the_one_under_way() -> None:
    """The former's values are wiped and never come."""
    Playbook().play(
        (ask("unlock"), 0, [ok()]),
        (ADD_A, 0, [ok()]),
        (ask("unlock"), 0, [wipe("one"), ok()]),
        (
            ask("unlock-commit", ("state-key", STATE_KEY)),
            0,
            [seal(), audit("unlock", "", "allow", durable=True)],
        ),
        (AuditDurable(1), 0, [ok()]),
    )


def test_two_unlocks_at_once_are_each_whole() -> None:
    """Each connection stages for itself; the later commit wins key by key."""
    book = Playbook()
    for conn, value in ((1, "one"), (2, "two")):
        book.step(ask("unlock", conn=conn))
        book.step(ask("unlock-add", ("ttl", "60"), ("@all.all.A", value), conn=conn))
    commit = [("directory", "@all.all.A"), ("state-key", STATE_KEY)]
    line = audit("unlock", "@all.all.A", "allow", durable=True)
    book.play(
        (ask("unlock-commit", *commit, conn=2), 0, [seal(), line]),
        (AuditDurable(2), 0, [timer(60_000), ok(conn=2)]),
        (ask("unlock-commit", *commit, conn=1), 0, [seal(), line]),
        (AuditDurable(1), 0, [wipe("two"), ok()]),
        (ask("get", key="A"), 0, [audit("get", "@all.all.A", "allow"), secret("value", "one")]),
    )


@pytest.mark.parametrize(("first", "second"), [(60, 600), (600, 60)])
def test_an_unlock_replaces_values_and_deadlines(first: int, second: int) -> None:
    """Shorter or longer: what was asked last counts, and the old value is wiped."""
    book = Playbook().unlock(A="old", ttl=first)
    book.play(
        (ask("unlock"), 1000, [ok()]),
        (ask("unlock-add", ("ttl", str(second)), ("@all.all.A", "new")), 1000, [ok()]),
        (COMMIT_A, 1000, [seal(), audit("unlock", "@all.all.A", "allow", durable=True)]),
        (AuditDurable(1), 1000, [wipe("old"), timer(1000 + second * 1000), ok()]),
        (ask("get", key="A"), 1000, [audit("get", "@all.all.A", "allow"), secret("value", "new")]),
    )


def test_an_unlock_drops_what_left_the_rack_and_keeps_the_rest() -> None:
    """The directory it brings is the rack's: vanished slugs are wiped, others keep value and time."""
    book = Playbook().unlock(now=0, ttl=500, GONE="gone", KEPT="kept")
    book.play(
        (ask("unlock"), 100_000, [ok()]),
        (ADD_A, 100_000, [ok()]),
        (
            ask("unlock-commit", ("directory", "@all.all.KEPT\n@all.all.A"), ("state-key", STATE_KEY)),
            100_000,
            [seal(), audit("unlock", "@all.all.A", "allow", durable=True)],
        ),
        (AuditDurable(1), 100_000, [wipe("gone"), timer(160_000), ok()]),
        (ask("get", key="KEPT"), 100_000, [audit("get", "@all.all.KEPT", "allow"), secret("value", "kept")]),
    )
    assert book.state.holdings.held["@all.all.KEPT"].deadline == 500_000


def test_a_directory_may_come_in_several_fields() -> None:
    """Each a list of slugs by lines; together they are the rack."""
    book = Playbook()
    book.step(ask("unlock"))
    fields = [("directory", "@all.all.A\n@all.all.B"), ("state-key", STATE_KEY), ("directory", "acme.prod.C")]
    book.step(ask("unlock-commit", *fields))
    book.step(AuditDurable(1))
    assert list(book.state.holdings.directory) == ["@all.all.A", "@all.all.B", "acme.prod.C"]


@pytest.mark.parametrize("values", [{}, {"A": "old"}])
def test_an_audit_that_fails_leaves_the_state_as_it_was(values: dict[str, str]) -> None:
    """An unlock that can't be put on record didn't happen: its values are wiped, and the old ones are served."""
    book = Playbook()
    if values:
        book.unlock(**values)
    before = snapshot(book.state)
    book.step(ask("unlock"))
    book.step(ADD_A)
    book.step(COMMIT_A)
    assert book.step(AuditFailed(1)) == [wipe("one"), error(MALFUNCTION)]
    assert snapshot(book.state) == before
    book.play((COMMIT_A, 0, [error(USAGE)]))


def test_a_value_whose_key_is_not_in_the_rack_is_not_kept() -> None:
    """Refused at the commit, or wiped with it; held it would be a key that no directory names."""
    book = Playbook()
    book.step(ask("unlock"))
    book.step(ADD_A)
    if book.step(ask("unlock-commit", ("directory", "@all.all.B"), ("state-key", STATE_KEY)))[-1] != error(USAGE):
        assert wipe("one") in book.step(AuditDurable(1))
    assert book.state.holdings.held == {}


REFUSED_ADDS = {
    "no ttl before its value": [("@all.all.B", "two")],
    "a ttl in words": [("ttl", "soon"), ("@all.all.B", "two")],
    "a ttl of 0": [("ttl", "0"), ("@all.all.B", "two")],
    "a ttl below 0": [("ttl", "-5"), ("@all.all.B", "two")],
    "a ttl of 9 digits": [("ttl", "999999999"), ("@all.all.B", "two")],
    "a vault that isn't ASCII": [("vault", "é"), ("ttl", "60"), ("@all.all.B", "two")],
    "a field that is no slug": [("ttl", "60"), ("@all.all.B", "two"), ("nonsense", "x")],
    "a slug of four parts": [("ttl", "60"), ("@all.all.B.C", "two")],
    "two slugs in one field": [("ttl", "60"), ("@all.all.B\n@all.all.C", "two")],
    "a slug longer than any": [("ttl", "60"), ("@all.all." + "B" * 250_000, "two")],
    "a slug with a control character": [("ttl", "60"), ("@all.all.B\x1b", "two")],
}


@pytest.mark.parametrize("fields", REFUSED_ADDS.values(), ids=REFUSED_ADDS)
def test_a_refused_unlock_add_stages_nothing(fields: list[tuple[str, str]]) -> None:
    """What came before in the same request doesn't count either; what was staged before it does."""
    book = Playbook()
    book.step(ask("unlock"))
    book.step(ADD_A)
    assert book.step(ask("unlock-add", *fields))[-1] == error(USAGE)
    book.step(COMMIT_A)
    book.step(AuditDurable(1))
    assert list(book.state.holdings.held) == ["@all.all.A"]


REFUSED_COMMITS = {
    "no state key": [("directory", "@all.all.A")],
    "a short state key": [("directory", "@all.all.A"), ("state-key", STATE_KEY[:31])],
    "a long state key": [("directory", "@all.all.A"), ("state-key", STATE_KEY + b"x")],
    "two state keys": [("directory", "@all.all.A"), ("state-key", STATE_KEY), ("state-key", STATE_KEY)],
    "an empty directory field": [("directory", ""), ("state-key", STATE_KEY)],
    "a directory with a slug longer than any": [
        ("directory", "@all.all.A\n@all.all." + "B" * 250_000),
        ("state-key", STATE_KEY),
    ],
    "a directory with a bad slug": [("directory", "@all.all.A\nbad"), ("state-key", STATE_KEY)],
    "an unknown field": [("directory", "@all.all.A"), ("state-key", STATE_KEY), ("colour", "red")],
}


@pytest.mark.parametrize("fields", REFUSED_COMMITS.values(), ids=REFUSED_COMMITS)
def test_a_refused_commit_can_be_made_again(fields: list[tuple[str, bytes | str]]) -> None:
    """It brings nothing and leaves what was staged, so a right one may follow."""
    book = Playbook()
    book.step(ask("unlock"))
    book.step(ADD_A)
    assert book.step(ask("unlock-commit", *fields)) == [error(USAGE)]
    assert book.state.holdings.directory is None
    book.play((COMMIT_A, 0, [seal(), audit("unlock", "@all.all.A", "allow", durable=True)]))


def test_a_slug_brought_twice_counts_once() -> None:
    """The later value is the one; the earlier is wiped, whether they came in one request or two."""
    book = Playbook()
    book.step(ask("unlock"))
    book.step(ADD_A)
    book.step(ask("unlock-add", ("ttl", "60"), ("@all.all.A", "two")))
    book.step(COMMIT_A)
    book.step(AuditDurable(1))
    book.play((ask("get", key="A"), 0, [audit("get", "@all.all.A", "allow"), secret("value", "two")]))


def test_vault_and_ttl_hold_for_the_values_behind_them() -> None:
    """Both may change within a request; a ttl counts from when it arrived, within the absolute cap of a week."""
    book = Playbook()
    book.step(ask("unlock"))
    fields = [("vault", "os.secure"), ("ttl", "60"), ("@all.all.A", "1"), ("@all.all.B", "2")]
    book.step(ask("unlock-add", *fields, ("vault", "os.direct"), ("ttl", "99999999"), ("@all.all.C", "3")), 5000)
    book.step(ask("unlock-commit", ("directory", "@all.all.A\n@all.all.B\n@all.all.C"), ("state-key", STATE_KEY)), 6000)
    book.step(AuditDurable(1), 6000)
    held = {slug[-1]: (it.vault, it.deadline) for slug, it in book.state.holdings.held.items()}
    assert held == {
        "A": ("os.secure", 65_000),
        "B": ("os.secure", 65_000),
        "C": ("os.direct", 5000 + 7 * 86400 * 1000),
    }


def test_an_agent_never_holds_over_its_limit() -> None:
    """Whatever the number of requests: the one that would pass MAX_HELD is refused, and what was held still is."""
    book = Playbook().unlock(OLD="old")
    book.step(ask("unlock"))
    part = bytes(MAX_HELD // 32)
    adds = [ask("unlock-add", ("ttl", "60"), (f"@all.all.A{number}", part)) for number in range(40)]
    codes = [book.step(add)[-1] for add in adds]
    slugs = "\n".join(["@all.all.OLD", *[f"@all.all.A{number}" for number in range(40)]])
    codes.append(book.step(ask("unlock-commit", ("directory", slugs), ("state-key", STATE_KEY)))[-1])
    assert codes[0] == ok()
    assert error(USAGE) in codes
    assert sum(len(held.secret) for held in book.state.staged[1].brought.values()) <= MAX_HELD + 2 * len(part)
    book.play((ask("get", key="OLD"), 0, [audit("get", "@all.all.OLD", "allow"), secret("value", "old")]))


def test_a_replaced_value_makes_room_for_itself() -> None:
    """An agent that is nearly full can still unlock what it holds anew."""
    values = {f"@all.all.A{number}": bytes(MAX_HELD // 2) for number in range(2)}
    book = Playbook().unlock_slugs(values).unlock_slugs(values)
    assert len(book.state.holdings.held) == 2
