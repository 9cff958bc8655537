"""A keychain that refuses, lies, vanishes or hangs in the middle: each is told apart, and nothing is half made."""

import pytest

from tests.agent.seat import Seat
from tests.owners.moods import Mood
from tests.owners.test_keychain import files
from tests.support.plugin import Plant

ABSENT = (7, b"no keychain answers on this session's D-Bus")
REFUSED = (7, b"the keychain refused: AccessDenied")
DISMISSED = (7, b"the keychain refused: its dialog was dismissed")
LYING = (7, b"the keychain took the value and didn't keep it")
VANISHED = (7, b"the keychain went away while it was asked")
HANGING = (124, b"the keychain didn't answer within 2 s")

WRITING = {
    "refuses CreateItem": REFUSED,
    "refuses ReadAlias": REFUSED,
    "dismisses": DISMISSED,
    "drops": LYING,
    "alters": LYING,
    "leaves CreateItem": VANISHED,
    "leaves GetSecret": VANISHED,
    "leaves ReadAlias": ABSENT,
    "hangs CreateItem": HANGING,
}
"""What a write meets: the mood, exit code and message."""

READING = {
    "refuses GetSecret": REFUSED,
    "refuses SearchItems": REFUSED,
    "leaves SearchItems": VANISHED,
    "leaves GetSecret": VANISHED,
    "hangs GetSecret": HANGING,
}
"""What a read meets."""


def meets(seat: Seat, expected: "tuple[int, bytes]", *words: str, given: bytes = b"x") -> None:
    """A verb fails with that exit code, that message and one hint; not a traceback, and nothing of D-Bus's own text."""
    done = seat.cli(*words, input=given)
    assert (done.code, done.out) == (expected[0], b""), done.err
    assert done.err.startswith(b"agentkeys: error: " + expected[1]), done.err
    assert done.err.count(b"agentkeys: hint: ") == 1
    assert b"a text of its own" not in done.err


@pytest.mark.parametrize(("state", "expected"), WRITING.items(), ids=WRITING)
def test_an_identity_that_is_not_kept_makes_no_owner(
    state: str, expected: "tuple[int, bytes]", mood: Mood, human: Seat
) -> None:
    """Exit 7 or 124 with what the keychain did; no owner and no rack. Once it behaves, init works."""
    mood(state)
    if expected == ABSENT:
        expected = (7, b"there is no keychain here")
    meets(human, expected, "init", "--via", "keychain")
    assert list(human.home.root.glob("owners/*")) + list(human.home.root.glob("host.*")) == []
    mood("")
    made = human.cli("init", "--via", "keychain", "--json", check=True).json()
    assert (made["via"], made["effect"]) == ("keychain", "created")
    human.cli("list", check=True)


def test_a_keychain_that_refuses_is_no_reason_to_say_nothing(mood: Mood, human: Seat) -> None:
    """A plain init keeps a file where the keychain denies it, and says why: it isn't absent."""
    mood("refuses ReadAlias")
    done = human.cli("init", "--json", check=True)
    assert done.json()["via"] == "file"
    assert REFUSED[1] + b", so the identity is kept in a file" in done.err


@pytest.mark.parametrize(("state", "expected"), READING.items(), ids=READING)
def test_an_identity_that_is_not_given_opens_nothing_and_makes_none(
    state: str, expected: "tuple[int, bytes]", mood: Mood, human: Seat
) -> None:
    """Exit 7 or 124 by every verb that opens the rack, no other identity, no file; nothing in the home changes."""
    human.cli("init", "--via", "keychain", check=True)
    before = files(human.home.root)
    for words in (["list"], ["init"]) if "leaves" not in state else (["list"],):
        mood(state)
        meets(human, expected, *words)
    assert files(human.home.root) == before


@pytest.mark.parametrize("state", ["refuses CreateItem", "alters", "leaves GetSecret", "leaves ReadAlias"])
def test_a_value_that_is_not_kept_is_not_in_the_rack(state: str, mood: Mood, rack: Seat, canary: Plant) -> None:
    """`set` fails with what the keychain did and without the value; the rack is as before, and the next set works."""
    value = canary("TOKEN")
    before = rack.cli("list", "--json", check=True).out
    mood(state)
    expected = (7, b"no keychain answers here") if WRITING[state] == ABSENT else WRITING[state]
    meets(rack, expected, "set", "TOKEN", "--vault", "keychain", given=value)
    assert rack.cli("list", "--json", check=True).out == before
    mood("")
    rack.cli("set", "TOKEN", "--vault", "keychain", input=value, check=True)
    assert rack.start().unlock().get("TOKEN").out == value


def test_a_deletion_that_did_not_happen_is_said(mood: Mood, human: Seat) -> None:
    """`owner remove` fails rather than claim that session or identity is gone; a later one finishes."""
    human.cli("init", "--via", "keychain", check=True)
    mood("keeps")
    done = human.cli("owner", "remove", "human", "--yes")
    assert done.code == 7
    assert b"the keychain said that master is deleted, and still has it" in done.err
    mood("")
    human.cli("owner", "remove", "human", "--yes", check=True)
    assert human.cli("owner", "list", "--json", check=True).json() == []
