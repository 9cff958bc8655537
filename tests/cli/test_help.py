"""Help is there for whoever has nothing yet, and a slip of the finger is met with the word that was meant."""

import pytest

from agentkeys.cli.app import FAMILIES
from tests.support.homes import Home
from tests.support.runner import Runner

VERBS = [[verb] for verb in sorted(FAMILIES)] + [["setup", "launcher"]]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_each_verb_explains_itself(verb: list[str], option: str, home: Home, cli: Runner) -> None:
    """Without owner, agent or terminal; on stdout, exit 0, and nothing is made or asked."""
    done = cli(*verb, option, check=True)
    assert done.out.lower().startswith(b"usage: agentkeys " + verb[0].encode())
    without = ("allow", "completion", "deny", "direnv", "hook", "owner", "recipient", "session", "setup")
    assert b"--for" in done.out or verb[0] in without
    assert done.err == b""
    assert not home.root.exists()
    assert list(home.runtime.iterdir()) == []


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]], ids=" ".join)
def test_the_top_help_names_every_verb(words: list[str], home: Home, cli: Runner) -> None:
    """One page, exit 0, made of text that no module had to be loaded for."""
    text = cli(*words, check=True).out.decode()
    for verb in FAMILIES:
        assert f" {verb} " in text, verb
    assert not home.root.exists()


def test_help_for_a_verb_is_that_verbs_help(home: Home, cli: Runner) -> None:
    """`agentkeys help set` and `agentkeys set --help` are one text."""
    assert cli("help", "set", check=True).out == cli("set", "--help", check=True).out


def test_help_does_not_depend_on_the_terminals_width(home: Home, cli: Runner) -> None:
    """A narrow or absurd COLUMNS is no reason to fail."""
    for columns in ("20", "0", "-1", "x", "10000"):
        assert cli("set", "--help", env={"COLUMNS": columns}).code == 0


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("unlok", "unlock"), ("lst", "list"), ("stauts", "status"), ("relok", "relock"), ("exce", "exec"), ("gte", "get")],
)
def test_a_mistyped_verb_suggests_the_one_that_was_meant(typed: str, meant: str, home: Home, cli: Runner) -> None:
    """Exit 2, and the hint is that verb."""
    done = cli(typed, "GITHUB_TOKEN")
    assert done.code == 2
    assert f"agentkeys: hint: agentkeys {meant}".encode() in done.err


def test_a_verb_that_is_like_no_other_leads_to_help(home: Home, cli: Runner) -> None:
    """No wild guess."""
    done = cli("zzzzzz")
    assert done.code == 2
    assert b"agentkeys: hint: agentkeys --help\n" in done.err


def test_the_version_is_one_line(home: Home, cli: Runner) -> None:
    """`--version` answers without a home."""
    done = cli("--version", check=True)
    assert done.out.startswith(b"agentkeys ")
    assert done.out.count(b"\n") == 1
    assert not home.root.exists()
