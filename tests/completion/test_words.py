"""`agentkeys completion words` says what could stand at the cursor, by what the agent knows; it never waits for it."""

import os
import signal

import pytest

from agentkeys.client.completion import PATIENCE
from agentkeys.errors import OK, USAGE
from tests.agent.seat import Seat
from tests.completion import words
from tests.owners.tty import converse
from tests.support.runner import Runner

KEYS = ["GITHUB_TOKEN", "OPENAI_API_KEY"]


def candidates(seat: Seat, *typed: str, **options: object) -> list[str]:
    """The words for the last of `typed`, without what is said of them."""
    done = seat.cli("completion", "words", "--", *typed, check=True, **options)  # type: ignore[arg-type]
    assert done.err == b""
    return [line.partition("\t")[0] or line for line in done.out.decode().splitlines()]


def test_the_table_is_the_parsers() -> None:
    """Every verb, option and argument. If this fails: python -m tests.completion.words."""
    assert words.TABLE.read_text() == words.rendered()


TYPED = {
    "a verb": (["exe"], ["exec"]),
    "a verb of two words": (["owner", "l"], ["list"]),
    "an option": (["exec", "--cl"], ["--clean-env"]),
    "an option behind others": (["exec", "--for", "human", "--clean-env", "--so"], ["--sock"]),
    "an option of a verb of two words": (["owner", "show", "--j"], ["--json"]),
    "an owner": (["exec", "--for", ""], ["human"]),
    "an owner, in one word": (["exec", "--for=h"], ["--for=human"]),
    "a key": (["get", ""], KEYS),
    "a key by its beginning": (["get", "G"], ["GITHUB_TOKEN"]),
    "a key for an option": (["exec", "--key", "O"], ["OPENAI_API_KEY"]),
    "a key for an option, in one word": (["source", "--key=O"], ["--key=OPENAI_API_KEY"]),
    "several keys": (["unlock", "A", "B", "G"], ["GITHUB_TOKEN"]),
    "a slug": (["get", "@all.all.G"], ["@all.all.GITHUB_TOKEN"]),
    "a key of another env": (["get", "--env", "prod", ""], KEYS),
    "an env": (["exec", "--env", ""], ["all"]),
    "an org": (["exec", "--org", ""], ["@all"]),
    "a vault": (["set", "A", "--vault", "os.s"], ["os.secure"]),
    "a shell": (["source", "--shell", "f"], ["fish"]),
    "one of two words": (["agent", "--login-session", ""], ["bound", "uid"]),
    "a file": (["set", "A", "--from-file", "x"], ["\tfiles"]),
    "a file as argument": (["import", ""], ["\tfiles"]),
    "a command": (["exec", "--", "gh", "p"], ["\tcommand\t2"]),
    "a command without --": (["exec", "--key", "A", "gh", ""], ["\tcommand\t3"]),
    "an agent's command": (["agent", "--unlock", "--", ""], ["\tcommand\t3"]),
    "a value that is nobody's business": (["unlock", "--duration", ""], []),
    "no such verb": (["nope", ""], []),
    "no such option": (["exec", "--nope=", ""], []),
    "nothing more": (["status", ""], []),
    "control characters": (["get", "\x1b\n"], []),
    "an owner that can't be": (["exec", "--for", "0xNOPE", "--key", ""], []),
}


@pytest.mark.parametrize(("typed", "found"), TYPED.values(), ids=TYPED)
def test_what_could_stand_there(typed: list[str], found: list[str], shared: Seat) -> None:
    """The words that fit, sorted, and nothing on stderr."""
    assert candidates(shared, *typed) == found


def test_every_verb_is_offered_with_what_it_does(shared: Seat) -> None:
    """At the beginning of the line."""
    lines = shared.cli("completion", "words", "--", "", check=True).out.decode().splitlines()
    assert {line.partition("\t")[0] for line in lines} == {verb.split()[0] for verb in words.verbs()}
    assert "get\tprint one value" in lines


def test_completion_knows_locked_keys_and_uses_none(seat: Seat) -> None:
    """A relocked key is still a word; nothing of it is a use: no line on record, and no longer life."""
    before = seat.chain()
    seat.cli("relock", "--key", "GITHUB_TOKEN", check=True)
    assert candidates(seat, "unlock", "") == KEYS
    assert seat.chain() == before


def test_completion_never_unlocks(locked: Seat) -> None:
    """Before the first unlock there are owners, and no names."""
    assert candidates(locked, "get", "") == []
    assert candidates(locked, "get", "--for", "") == ["human"]
    assert set(locked.states()) == set()


def test_completion_starts_nothing(rack: Seat) -> None:
    """Without an agent there are owners, verbs and options; no agent is there after."""
    assert candidates(rack, "exec", "--key", "") == []
    assert candidates(rack, "exec", "--for", "") == ["human"]
    assert rack.status() is None


def test_completion_knows_an_allowed_repository(rack: Seat) -> None:
    """Its envs and its org, without an agent too; with one, the names of its default env. Before: nothing."""
    place = rack.home.path / "api"
    place.mkdir()
    manifest = place / ".agentkeys.yml"
    manifest.write_text("org: acme\ndefault_env: test\nenv.test: [STRIPE_KEY]\nenv.prod: [STRIPE_KEY]\n")
    typed = (["exec", "--env", ""], ["exec", "--org", ""], ["exec", "--key", ""])
    assert [candidates(rack, *words, cwd=place) for words in typed] == [[], [], []]
    rack.cli("allow", str(place), check=True)
    assert [candidates(rack, *words, cwd=place) for words in typed] == [["prod", "test"], ["acme"], []]
    assert candidates(rack, "exec", "--no-repo", "--env", "", cwd=place) == []
    assert candidates(rack, "relock", "--env", "", cwd=place) == []
    rack.cli("set", "ONLY_TEST", "--org", "acme", "--env", "test", "--no-repo", input=b"x", check=True)
    rack.cli("agent", check=True)
    rack.cli("unlock", cwd=place, check=True)
    assert candidates(rack, *typed[2], cwd=place) == ["GITHUB_TOKEN", "ONLY_TEST", "OPENAI_API_KEY"]
    assert candidates(rack, *typed[2]) == KEYS
    manifest.write_text(f"{manifest.read_text()}env.more: []\n")
    assert candidates(rack, *typed[0], cwd=place) == ["all", "test"]


def test_completion_knows_nothing_of_a_locked_agent(seat: Seat) -> None:
    """What `lock --passphrase` hides stays hidden."""
    replies = [(b"passphrase", b"sesame"), (b"again", b"sesame")]
    code, shown = converse(seat.cli.with_prefix(*seat.cli.prefix, "lock", "--passphrase"), replies=replies)
    assert code == OK, shown
    assert candidates(seat, "get", "") == []


def test_completion_does_not_wait_for_a_stopped_agent(seat: Seat) -> None:
    """Its own patience ends long before a caller's: nobody's shell hangs."""
    pid = seat.pid
    seat.process.send_signal(signal.SIGSTOP)
    try:
        assert candidates(seat, "get", "", timeout=PATIENCE * 20) == []
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shells_file_is_printed_as_it_is(shell: str, cli: Runner, request: pytest.FixtureRequest) -> None:
    """Byte for byte, without a home."""
    done = cli("completion", shell, env={"HOME": "/nonexistent"}, check=True)
    assert done.out == (request.config.rootpath / "shell" / f"completion.{shell}").read_bytes()


def test_no_completion_for_other_shells(shared: Seat) -> None:
    """Usage, with those there are."""
    refused = shared.cli("completion", "csh")
    assert refused.code == USAGE
    assert b"there are bash, fish and zsh" in refused.err
