"""Whose agent is asked: --for, then AGENTKEYS_OWNER, then human; and a socket that was named is final."""

import shlex
from pathlib import Path

import pytest

from agentkeys.client.near import no_owner
from tests.agent.seat import Seat
from tests.support.plugin import Plant


@pytest.fixture
def crab(locked: Seat, canary: Plant) -> Seat:
    """A second owner in the same home, unlocked, whose GITHUB_TOKEN is another one."""
    locked.unlock()
    locked.cli("init", "--for", "crab", check=True)
    seat = Seat(locked.home, locked.cli, {"GITHUB_TOKEN": canary("the crab's")}, "crab")
    seat.set("GITHUB_TOKEN", seat.values["GITHUB_TOKEN"])
    return seat.start().unlock()


def read(seat: Seat, *args: str, **env: str) -> bytes:
    """GITHUB_TOKEN of whoever is meant."""
    return seat.cli("get", "GITHUB_TOKEN", *args, env=env, reveals=True, check=True).out


def test_the_owner_is_for_then_the_variable_then_human(locked: Seat, crab: Seat) -> None:
    """--for wins over AGENTKEYS_OWNER, which wins over the default; --owner says the same as --for."""
    human, crabs = locked.values["GITHUB_TOKEN"], crab.values["GITHUB_TOKEN"]
    assert read(locked) == human
    assert read(locked, AGENTKEYS_OWNER="") == human
    assert read(locked, AGENTKEYS_OWNER="crab") == crabs
    assert read(locked, "--for", "human", AGENTKEYS_OWNER="crab") == human
    assert read(locked, "--owner", "crab") == crabs
    assert read(locked, "--for=crab") == crabs


def test_every_verb_follows_the_variable(locked: Seat, crab: Seat) -> None:
    """Fast verbs and slow ones agree on who is meant."""
    env = {"AGENTKEYS_OWNER": "crab"}
    assert locked.cli("status", "--json", env=env, check=True).json()["owner"] == "crab"
    assert b"AGENTKEYS_OWNER=crab;" in locked.cli("agent", env=env, check=True).out
    assert len(locked.cli("list", "--json", env=env, check=True).json()) == 1
    assert locked.cli("init", "--json", env=env, check=True).json()["owner"] == "crab"
    assert locked.cli("exec", "--", "printenv", "AGENTKEYS_OWNER", env=env, check=True).out == b"crab\n"
    locked.cli("relock", env=env, check=True)
    assert locked.cli("get", "GITHUB_TOKEN", env=env).code == 4
    assert read(locked) == locked.values["GITHUB_TOKEN"]


def test_an_owner_may_be_named_by_wallet_in_any_case(locked: Seat, crab: Seat) -> None:
    """EIP-55, lower, upper; and a name in capitals is the same name."""
    wallet = crab.status()["wallet"]
    assert wallet[2:] not in (wallet[2:].lower(), wallet[2:].upper())
    for name in (wallet, wallet.lower(), "0x" + wallet[2:].upper(), "0X" + wallet[2:].upper(), "CRAB", "Crab"):
        assert read(locked, "--for", name) == crab.values["GITHUB_TOKEN"], name
        assert locked.cli("list", "--for", name, "--json", check=True).json()[0]["name"] == "GITHUB_TOKEN"


def test_a_mistyped_wallet_is_refused(locked: Seat, crab: Seat) -> None:
    """One letter's case wrong, one digit wrong, cut short, or nobody's: exit 2, and no other owner is asked."""
    wallet = crab.status()["wallet"]
    at = next(index for index, letter in enumerate(wallet) if index > 1 and letter.isalpha())
    digit = "1" if wallet[-1] != "1" else "2"
    wrong = {
        "case": wallet[:at] + wallet[at].swapcase() + wallet[at + 1 :],
        "digit": wallet[:-1] + digit,
        "short": wallet[:-1],
        "nobody's": "0x" + "12" * 20,
    }
    for kind, text in wrong.items():
        for args in (["get", "GITHUB_TOKEN"], ["list"], ["exec", "--", "true"], ["status"]):
            done = locked.cli(*args, "--for", text) if args[0] != "exec" else locked.cli("exec", "--for", text, "true")
            assert done.code == 2, (kind, args)
            assert done.out == b""
    assert b"checksum" in locked.cli("get", "GITHUB_TOKEN", "--for", wrong["case"]).err


def test_a_socket_of_another_owner_is_not_this_owners(locked: Seat, crab: Seat) -> None:
    """AGENTKEYS_SOCK counts for the owner that AGENTKEYS_OWNER names beside it; for another it is passed over."""
    env = {"AGENTKEYS_SOCK": str(crab.socket), "AGENTKEYS_OWNER": "crab"}
    assert read(locked, **env) == crab.values["GITHUB_TOKEN"]
    assert read(locked, "--for", "human", **env) == locked.values["GITHUB_TOKEN"]
    gone = {"AGENTKEYS_SOCK": "/nonexistent.sock", "AGENTKEYS_OWNER": "crab"}
    assert read(locked, "--for", "human", **gone) == locked.values["GITHUB_TOKEN"]


def test_a_socket_that_was_named_is_final(locked: Seat, crab: Seat) -> None:
    """An unreachable one is exit 3, naming who named it and where another agent of that owner listens."""
    gone = str(locked.home.runtime / "gone.sock")
    by_variable = locked.cli("get", "GITHUB_TOKEN", env={"AGENTKEYS_SOCK": gone})
    by_option = locked.cli("get", "GITHUB_TOKEN", "--sock", gone)
    for done, name in ((by_variable, b"AGENTKEYS_SOCK"), (by_option, b"--sock")):
        assert done.code == 3
        assert done.out == b""
        assert name in done.err
        assert str(locked.socket).encode() in done.err
    assert locked.cli("exec", "true", env={"AGENTKEYS_SOCK": gone}).code == 3
    assert locked.cli("unlock", env={"AGENTKEYS_SOCK": gone}).code == 3
    kill = locked.cli("agent", "-k", env={"AGENTKEYS_SOCK": gone})
    assert (kill.code, kill.out) == (3, b"false;\n")
    assert str(locked.socket).encode() in kill.err


def test_the_hint_for_a_dead_agents_variable_works_as_it_stands(locked: Seat) -> None:
    """Evaluated in the shell that still has the variable, it gives that shell an agent that answers."""
    stale = {"AGENTKEYS_SOCK": str(locked.home.runtime / "gone.sock"), "AGENTKEYS_OWNER": "human"}
    done = locked.cli("get", "GITHUB_TOKEN", env=stale)
    hint = done.err.decode().partition("agentkeys: hint: ")[2]
    assert (done.code, hint) == (3, 'eval "$(agentkeys agent --for human)"\n')
    exported = locked.cli("agent", "--for", "human", env=stale, check=True).out
    assert f"AGENTKEYS_SOCK={locked.socket};".encode() in exported
    by_option = locked.cli("get", "GITHUB_TOKEN", "--sock", stale["AGENTKEYS_SOCK"], env=stale)
    assert by_option.code == 3
    assert by_option.err.decode().endswith("agentkeys: hint: agentkeys status --for human\n")


def test_a_missing_owner_that_only_the_variable_names_is_said_to_be_the_variables(rack: Seat) -> None:
    """Nobody typed it: the message names AGENTKEYS_OWNER, and the hint is to unset it. With --for neither is said."""
    env = {"AGENTKEYS_OWNER": "foo"}
    said = "agentkeys: error: no owner foo here, which AGENTKEYS_OWNER names; there is human\n"
    said += "agentkeys: hint: unset AGENTKEYS_OWNER\n"
    for args in (["agent"], ["status"], ["list"], ["get", "X"], ["unlock"], ["relock"], ["recipient", "get"]):
        done = rack.cli(*args, env=env)
        assert (done.code, done.err.decode()) == (2, said), args
    done = rack.cli("list", "--for", "foo", env=env)
    assert b"no owner foo here; there is human\nagentkeys: hint: agentkeys init --for foo\n" in done.err


def test_a_missing_owner_of_another_home_is_said_with_that_home(rack: Seat) -> None:
    """AGENTKEYS_HOME leads nowhere: "here" would be taken for the usual home."""
    home = str(rack.home.path / "elsewhere")
    for args in (["status"], ["list"], ["agent"]):
        done = rack.cli(*args, env={"AGENTKEYS_HOME": home})
        assert done.code == 2
        assert f"no owner human in {home}\n".encode() in done.err, args
    done = rack.cli("list", "--for", "foo", env={"AGENTKEYS_HOME": str(rack.home.root)})
    assert b"no owner foo here; " in done.err


def test_sock_wins_over_the_variable(locked: Seat, crab: Seat) -> None:
    """What is typed now outranks what was exported before."""
    env = {"AGENTKEYS_SOCK": "/nonexistent.sock"}
    assert read(locked, "--sock", str(locked.socket), **env) == locked.values["GITHUB_TOKEN"]
    assert read(locked, "--sock", str(crab.socket), "--for", "crab", **env) == crab.values["GITHUB_TOKEN"]


def test_an_agent_of_another_owner_gives_nothing(locked: Seat, crab: Seat) -> None:
    """A socket that leads to somebody else's agent is exit 2, and neither side's value moves."""
    done = locked.cli("get", "GITHUB_TOKEN", "--for", "human", "--sock", crab.socket)
    assert (done.code, done.out) == (2, b"")
    assert b"crab" in done.err
    assert locked.cli("unlock", "--for", "human", "--sock", crab.socket).code == 2
    assert crab.states() == {"GITHUB_TOKEN": "unlocked"}


TOO_LONG = ["x" * 33, "x" * 300]
LOOK_ALIKE = "s\u0435aturtle"
RESERVED = ["agentkeys", "0xseaturtle"]
BAD_OWNERS = ["../x", "a/b", "a\nb", "%h", "-x", "_x", "a b", "é", ".", LOOK_ALIKE, *RESERVED, *TOO_LONG]


def files(seat: Seat) -> set[Path]:
    """All there is of a home."""
    return {*seat.home.root.rglob("*"), *seat.home.runtime.rglob("*")}


@pytest.mark.parametrize("owner", BAD_OWNERS, ids=ascii)
def test_a_name_that_can_not_be_an_owners_creates_nothing(owner: str, rack: Seat) -> None:
    """Paths, look-alike letters and reserved names: exit 2, by option and by variable."""
    before = files(rack)
    assert rack.cli("init", f"--for={owner}").code == 2
    assert rack.cli("list", env={"AGENTKEYS_OWNER": owner}).code == 2
    assert files(rack) == before


def test_no_verb_takes_what_can_not_be_an_owners_name(rack: Seat) -> None:
    """Exit 2 at each, and nothing is made."""
    before = files(rack)
    for args in (["agent"], ["get", "X"], ["list"], ["status"], ["unlock"], ["relock"], ["agent", "-k"]):
        assert rack.cli(*args, "--for=../x").code == 2, args
    for args in (["agent"], ["get", "X"]):
        assert rack.cli(*args, env={"AGENTKEYS_OWNER": "../x"}).code == 2, args
    assert rack.cli("set", "X", "--for=../x", input=b"x").code == 2
    assert rack.cli("exec", "--for=../x", "--", "true").code == 2
    assert files(rack) == before


@pytest.mark.parametrize(
    ("owner", "there", "message", "hint"),
    [
        ("ana", [], "no owner ana here", "agentkeys init --for ana"),
        ("eve", ["ana", "bob"], "no owner eve here; there is ana, bob", "agentkeys init --for eve"),
        ("turle", ["turtle", "ana"], "no owner turle here; near it: turtle", "agentkeys owner list"),
        ("bot2", ["bot11", "bot1", "bot"], "no owner bot2 here; near it: bot, bot1, bot11", "agentkeys owner list"),
        ("b", ["c"], "no owner b here; there is c", "agentkeys init --for b"),
    ],
)
def test_a_mistyped_owner_is_told_who_is_near(
    owner: str, there: list[str], message: str, hint: str, tmp_path: Path
) -> None:
    """Nearest first; nobody near: everybody, and how to make the one that was named."""
    (tmp_path / "owners").mkdir()
    for name in there:
        (tmp_path / "owners" / f"{name}.json").touch()
    fault = no_owner(str(tmp_path), owner)
    assert (fault.message, fault.hint) == (message, hint)


@pytest.mark.parametrize(
    "line",
    [
        "exec --for= -- true",
        "exec --for '' true",
        "exec --key GITHUB_TOKEN --env '' -- true",
        "get --for '' GITHUB_TOKEN",
        "get ''",
        "source --org ''",
        "init --for ''",
        "relock ''",
        "relock --key=",
        "unlock --org ''",
        "status --sock ''",
        "agent --for ''",
        "agent -k --for=",
        "owner show ''",
        "del GITHUB_TOKEN --env ''",
    ],
)
def test_an_empty_word_is_no_default(line: str, shared: Seat) -> None:
    """`--for "$ROBOT"` with ROBOT unset must not give out the human's keys, nor `relock "$KEY"` forget all of them."""
    done = shared.cli(*shlex.split(line))
    assert done.code == 2, done
    assert done.out == (b"false;\n" if line.split(maxsplit=1)[0] in ("agent", "source") else b"")
    assert b" is empty\n" in done.err
    assert shared.states() == {"GITHUB_TOKEN": "unlocked", "OPENAI_API_KEY": "unlocked"}


def test_a_commands_own_empty_words_are_its_own(shared: Seat) -> None:
    """Behind `--`, or behind the first word of an exec's command."""
    for words in (["--", "printf", "%s|", "--for", ""], ["printf", "%s|", "--for", ""]):
        assert shared.cli("exec", "--key", "GITHUB_TOKEN", *words, check=True).out == b"--for||"
