"""A card that can't be read: exit 7 from whoever needs it, and a command that makes it again, names and all."""

import shlex
from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.owners.plugins import key_file
from tests.owners.tty import converse

DAMAGED = {
    "empty": b"",
    "cut": b'{"owner": "human", "wal',
    "no JSON": b"\xff\0",
    "a list": b"[]",
    "another's shape": b'{"owner": "human"}',
    "nested": b"[" * 60_000,
    "huge": b" " * 70_000,
}

VERBS = (
    ["owner", "list"],
    ["owner", "list", "--json"],
    ["owner", "show", "human"],
    ["owner", "remove", "human", "--yes"],
    ["owner", "alias", "human", "turtle"],
    ["init"],
    ["list"],
    ["set", "NEW", "--from-env", "HOME"],
    ["recipient", "get"],
)


def card_of(seat: Seat) -> Path:
    """Where its card lies."""
    return seat.home.root / "owners" / "human.json"


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_card_is_exit_7_from_every_verb(text: bytes, rack: Seat) -> None:
    """With its path and one hint, and the card itself is left for whoever wants to look at it."""
    card_of(rack).write_bytes(text)
    for words in VERBS if text in (b"", b"[]") else VERBS[:1]:
        done = rack.cli(*words)
        assert (done.code, done.out) == (7, b""), words
        assert str(card_of(rack)).encode() in done.err, words
        assert done.err.count(b"agentkeys: hint: ") == 1, words
    assert card_of(rack).read_bytes() == text


def paste_hint(seat: Seat, *words: str) -> None:
    """Run what the error says to run, as a shell does."""
    hint = seat.cli(*words).err.decode().partition("agentkeys: hint: ")[2].strip()
    program = shlex.join([str(word) for word in seat.cli.prefix])
    shell = seat.cli.with_prefix("sh", "-c", f'agentkeys() {{ {program} "$@"; }}; {hint}')
    shell(check=True)


def test_the_hint_for_a_damaged_card_makes_it_again(rack: Seat) -> None:
    """The same wallet, aliases and recipient, every value, and the damaged one beside it."""
    rack.cli("owner", "alias", "human", "turtle", check=True)
    before = rack.cli("owner", "show", "human", "--json", check=True).json()
    card_of(rack).write_bytes(b"{")
    paste_hint(rack, "owner", "list")
    after = rack.cli("owner", "show", "turtle", "--json", check=True).json()
    assert {**after, "created_at": ""} == {**before, "created_at": ""}
    assert card_of(rack).with_name("human.json.damaged").read_bytes() == b"{"
    rack.start().unlock()
    assert {name: rack.get(name, check=True).out for name in rack.values} == rack.values
    rack.cli("owner", "alias", "human", "turtle", "--remove", check=True)


def test_an_identity_under_a_passphrase_is_found_again_without_via(human: Seat) -> None:
    """A plain init sees by the file how it is kept, asks for the passphrase, and makes no second identity."""
    twice, once = (
        [(b"new passphrase", b"correct horse"), (b"the same", b"correct horse")],
        [(b"passphrase", b"correct horse")],
    )
    assert converse(human.cli, "init", "--via", "passphrase", replies=twice)[0] == 0
    before = human.cli("owner", "show", "human", "--json", check=True).json()
    card_of(human).unlink()
    code, shown = converse(human.cli, "init", replies=once)
    assert code == 0, shown
    after = human.cli("owner", "show", "human", "--json", check=True).json()
    assert {**after, "created_at": ""} == {**before, "created_at": ""}


def test_a_plugins_identity_is_found_again_without_via(human: Seat, plugin: Path) -> None:
    """By the plugin's name in its line."""
    kept = ("--via", "plugin:akteststub", "--identity", str(key_file(human)))
    before = human.cli("init", *kept, "--json", check=True).json()
    card_of(human).unlink()
    after = human.cli("init", "--json", check=True).json()
    assert (after["via"], after["wallet"]) == (before["via"], before["wallet"])
    assert after["effect"] == "found"
