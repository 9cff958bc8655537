"""unlock is one transaction: all of it, at its commit, on record; or none of it."""

import pytest

from agentkeys.core.events import AuditDurable, AuditFailed, Disconnected
from agentkeys.core.holdings import MAX_HELD
from agentkeys.errors import LOCKED, MALFUNCTION, USAGE
from tests.core.playbook import (
    STATE_KEY,
    Playbook,
    add,
    ask,
    audit,
    began,
    error,
    ok,
    seal,
    secret,
    snapshot,
    timer,
    wipe,
)

ADD_A = add({"@all.all.A": "one"})
COMMIT_A = ask("unlock-commit", ("directory", "@all.all.A"), ("state-key", STATE_KEY))
GET_A = ask("get", key="A", conn=2)


def test_nothing_counts_before_the_commit_is_durable() -> None:
    """Not after unlock, not after unlock-add, not before its line is on the disk; then all of it at once."""
    locked = [audit("get", "A", "deny"), error(LOCKED, "@all.all.A", conn=2)]
    Playbook().play(
        (ask("unlock"), 0, [began()]),
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
        (ask("unlock"), 0, [began()]),
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
        (ask("unlock"), 0, [began()]),
        (ADD_A, 0, [ok()]),
        (ask("unlock"), 0, [wipe("one"), began()]),
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
        book.step(add({"@all.all.A": value}, conn=conn))
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
        (ask("unlock"), 1000, [began()]),
        (add({"@all.all.A": "new"}, second), 1000, [ok()]),
        (COMMIT_A, 1000, [seal(), audit("unlock", "@all.all.A", "allow", durable=True)]),
        (AuditDurable(1), 1000, [wipe("old"), timer(1000 + second * 1000), ok()]),
        (ask("get", key="A"), 1000, [audit("get", "@all.all.A", "allow"), secret("value", "new")]),
    )


def test_an_unlock_drops_what_left_the_rack_and_keeps_the_rest() -> None:
    """The directory it brings is the rack's: vanished slugs are wiped, others keep value and time."""
    book = Playbook().unlock(now=0, ttl=500, GONE="gone", KEPT="kept")
    book.play(
        (ask("unlock"), 100_000, [began()]),
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


WHOLE_ADD = {
    "vault": "os.secure", "grade": "encrypted/permanent", "ttl": "60", "slugs": "@all.all.B", "sizes": "3",
    "values": "two",
}  # fmt: skip

REFUSED_ADDS: dict[str, dict[str, str]] = {
    "a ttl in words": {"ttl": "soon"},
    "a ttl of 0": {"ttl": "0"},
    "a ttl below zero": {"ttl": "-1"},
    "a ttl of 9 digits": {"ttl": "999999999"},
    "a vault that isn't ASCII": {"vault": "é"},
    "a grade there isn't": {"grade": "encrypted"},
    "a slug of four parts": {"slugs": "@all.all.B.C"},
    "a slug longer than any": {"slugs": "@all.all." + "B" * 250_000},
    "a slug with a control character": {"slugs": "@all.all.B\x1b"},
    "no slug": {"slugs": ""},
    "more slugs than sizes": {"slugs": "@all.all.B\n@all.all.C"},
    "a slug twice": {"slugs": "@all.all.B\n@all.all.B", "sizes": "1 2"},
    "sizes over the values": {"sizes": "4"},
    "sizes under the values": {"sizes": "2"},
    "a negative size": {"slugs": "@all.all.B\n@all.all.C", "sizes": "4 -1"},
    "a size of many digits": {"sizes": "3" * 5000},
    "a size in other digits": {"sizes": "\u0663"},
    "two spaces between sizes": {"slugs": "@all.all.B\n@all.all.C", "sizes": "1  2"},
    "a field too many": {"colour": "red"},
}


@pytest.mark.parametrize("fields", REFUSED_ADDS.values(), ids=REFUSED_ADDS)
def test_a_refused_unlock_add_stages_nothing(fields: dict[str, str]) -> None:
    """And what was staged before it still counts."""
    book = Playbook()
    book.step(ask("unlock"))
    book.step(ADD_A)
    assert book.step(ask("unlock-add", *{**WHOLE_ADD, **fields}.items()))[-1] == error(USAGE)
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
    "a list twice": [("directory", "@all.all.A"), ("state-key", STATE_KEY), *[("absent", "@all.all.B")] * 2],
    "a list with a bad slug": [("directory", "@all.all.A"), ("state-key", STATE_KEY), ("memory", "bad")],
    "a request to repeat that is endless": [
        ("directory", "@all.all.A"),
        ("state-key", STATE_KEY),
        ("renew", "x" * 70_000),
    ],
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
    book.step(add({"@all.all.A": "two"}))
    book.step(COMMIT_A)
    book.step(AuditDurable(1))
    book.play((ask("get", key="A"), 0, [audit("get", "@all.all.A", "allow"), secret("value", "two")]))


def test_vault_grade_and_ttl_hold_for_all_values_of_a_request() -> None:
    """A ttl counts from when it arrived, within the absolute cap of a week."""
    book = Playbook()
    book.step(ask("unlock"))
    book.step(add({"@all.all.A": "1", "@all.all.B": "", "@all.all.D": "four"}), 5000)
    book.step(add({"@all.all.C": "3"}, 99_999_999, "os.direct", "plaintext/ephemeral"), 5000)
    directory = "\n".join([f"@all.all.{name}" for name in "ABCD"])
    book.step(ask("unlock-commit", ("directory", directory), ("state-key", STATE_KEY)), 6000)
    book.step(AuditDurable(1), 6000)
    held = {slug[-1]: it for slug, it in book.state.holdings.held.items()}
    assert {name: bytes(it.secret.view()) for name, it in held.items()} == {
        "A": b"1",
        "B": b"",
        "D": b"four",
        "C": b"3",
    }
    usual = ("os.secure", "encrypted/permanent", 65_000)
    assert {name: (it.vault, it.grade, it.deadline) for name, it in held.items()} == {
        "A": usual,
        "B": usual,
        "C": ("os.direct", "plaintext/ephemeral", 5000 + 7 * 86400 * 1000),
        "D": usual,
    }


def test_an_agent_never_holds_over_its_limit() -> None:
    """Whatever the number of requests: the one that would pass MAX_HELD is refused, and what was held still is."""
    book = Playbook().unlock(OLD="old")
    book.step(ask("unlock"))
    part = bytes(MAX_HELD // 32)
    codes = [book.step(add({f"@all.all.A{number}": part}))[-1] for number in range(40)]
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
