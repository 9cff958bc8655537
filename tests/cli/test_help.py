"""Help is there for whoever has nothing yet, and a slip of the finger is met with the word that was meant."""

import pytest

from agentkeys.cli.app import FAMILIES
from agentkeys.cli.mistyped import ELSEWHERE
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


@pytest.mark.parametrize(
    ("typed", "does_it"),
    [
        ("unset", "agentkeys del "),
        ("remove", "agentkeys del "),
        ("rm", "agentkeys del "),
        ("delete", "agentkeys del "),
        ("export", 'eval "$(agentkeys source)"'),
        ("stop", 'eval "$(agentkeys agent -k)"'),
        ("start", 'eval "$(agentkeys agent)"'),
        ("run", "agentkeys exec "),
        ("show", "agentkeys get "),
        ("add", "agentkeys set "),
        ("ls", "agentkeys list"),
    ],
)
def test_what_other_programs_call_a_verb_leads_to_ours(typed: str, does_it: str, home: Home, cli: Runner) -> None:
    """Exit 2; what stands behind the word isn't repeated, because it may be a value."""
    done = cli(typed, "GITHUB_TOKEN", "what-may-be-a-value")
    assert done.code == 2
    assert f"agentkeys: hint: {does_it}".encode() in done.err
    assert b"what-may-be-a-value" not in done.err


def test_no_word_of_other_programs_is_a_verb_of_ours() -> None:
    """Such a row would never be read; and each leads to a verb that there is."""
    assert not set(ELSEWHERE) & set(FAMILIES)
    for hint in ELSEWHERE.values():
        assert hint.partition("agentkeys ")[2].split()[0].strip(')"') in FAMILIES, hint


@pytest.mark.parametrize(
    ("words", "again"),
    [
        ("--for human status", "agentkeys status --for human"),
        ("--for=human status", "agentkeys status --for human"),
        ("--json status", "agentkeys status"),
        ("--for human set KEY what-may-be-a-value", "agentkeys set --for human …"),
        ("--for human", "agentkeys --help"),
        ("--for", "agentkeys --help"),
        ("-x", "agentkeys --help"),
    ],
)
def test_an_option_before_the_verb_is_put_behind_it(words: str, again: str, home: Home, cli: Runner) -> None:
    """Exit 2, not taken for a verb; the hint is the same call, without what may be a value."""
    done = cli(*words.split())
    assert done.code == 2
    assert b"options stand behind the verb" in done.err
    assert done.err.decode().endswith(f"agentkeys: hint: {again}\n")


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
