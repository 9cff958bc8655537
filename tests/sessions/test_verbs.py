"""init, session and owner remove at the command line, without a keychain: what a person sees and what is there then."""

import shutil
from typing import Any

import pytest

from tests.agent.seat import Seat
from tests.sessions.population import Populate, rows, tokens
from tests.stores.racks import ssh_key
from tests.support.homes import Home
from tests.support.runner import Runner


@pytest.fixture
def pair(populate: Populate) -> "dict[str, Any]":
    """Owners human and seaturtle, and their sessions."""
    return populate("human", "seaturtle")


def test_init_issues_a_session_once(cli: Runner, home: Home, pair: "dict[str, Any]") -> None:
    """The human's is the master's, the robot's goes by its wallet; again, and nothing of them is written anew."""
    wallet = pair["seaturtle"]["wallet"]
    assert pair["human"]["id"] == "master"
    assert pair["seaturtle"]["id"] == f"daemon-{wallet.lower()}"
    assert {row["state"] for row in pair.values()} == {"ready"}
    assert {row["grant"] for row in pair.values()} == {None}
    before = tokens(home.root)
    assert len(set(before)) == 2
    for owner in pair:
        assert cli("init", "--for", owner, "--json", check=True).json()["session"] == "file"
    assert (tokens(home.root), rows(cli)) == (before, pair)


def test_no_verb_shows_a_token(cli: Runner, home: Home, pair: "dict[str, Any]") -> None:
    """list, show, move, doctor, init, status, clear, plain and as JSON: not one of them, in hex or as bytes."""
    secrets = tokens(home.root)
    said = b""
    cli("agent", "--for", "seaturtle", check=True)
    looks = ("session list", "session show seaturtle", "session doctor", "init --for seaturtle", "doctor", "status")
    for verb in looks:
        for form in ([], ["--json"]):
            done = cli(*verb.split(), *form)
            said += done.out + done.err
    for verb in ("session move seaturtle --to keychain", "session clear seaturtle", "session clear master"):
        done = cli(*verb.split())
        said += done.out + done.err
    for token in secrets:
        assert token.encode() not in said
        assert token.upper().encode() not in said
        assert bytes.fromhex(token) not in said


def test_a_session_is_named_in_many_ways(cli: Runner, pair: "dict[str, Any]") -> None:
    """By id, owner, alias, and wallet in any letter case; not by a wallet whose checksum is wrong."""
    cli("owner", "alias", "seaturtle", "turtle", check=True)
    wallet = pair["seaturtle"]["wallet"]
    for name in (pair["seaturtle"]["id"], "seaturtle", "turtle", wallet, wallet.lower(), "0X" + wallet[2:].upper()):
        assert cli("session", "show", name, "--json", check=True).json() == pair["seaturtle"]
    assert cli("session", "show", "--for", "turtle", "--json", check=True).json() == pair["seaturtle"]
    assert cli("session", "show", "--json", check=True).json() == pair["human"]
    wrong = wallet[:-1] + ("0" if wallet[-1] != "0" else "1")
    assert cli("session", "show", wrong).code == 2
    for name in ("daemon-../x", "daemon-" + wallet, "nobody", "../master"):
        assert cli("session", "show", name).code == 2, name


def test_clear_by_wallet_in_any_case_clears_that_one(cli: Runner, home: Home, pair: "dict[str, Any]") -> None:
    """It says how to make another one; the next look says absent, exit 5; the master's stays."""
    done = cli("session", "clear", "0X" + pair["seaturtle"]["wallet"][2:].upper(), check=True)
    assert b"agentkeys init --for seaturtle" in done.out
    gone = cli("session", "show", "seaturtle")
    assert (gone.code, b"agentkeys init --for seaturtle" in gone.err) == (5, True)
    assert rows(cli) == {"human": pair["human"]}
    assert cli("session", "clear", "seaturtle", check=True).out.startswith(b"there was no session")
    cli("init", "--for", "seaturtle", check=True)
    assert rows(cli)["seaturtle"]["state"] == "ready"


def test_clear_names_what_it_clears(cli: Runner, pair: "dict[str, Any]") -> None:
    """Alone it clears nothing, not even the default owner's."""
    assert cli("session", "clear").code == 2
    assert rows(cli) == pair


def test_owner_remove_clears_the_session(cli: Runner, home: Home, pair: "dict[str, Any]") -> None:
    """Nothing of it is left, and the other one is as it was."""
    cli("owner", "remove", "seaturtle", "--yes", check=True)
    assert rows(cli) == {"human": pair["human"]}
    assert not (home.root / pair["seaturtle"]["id"]).exists()


def test_before_the_wallet_is_known_there_is_no_session(cli: Runner, home: Home, program: Runner) -> None:
    """A rack that waits for its private key has none: no directory, and `session show` says so."""
    private = ssh_key(program, home.path / "id", "-t", "ed25519")
    private.rename(home.path / "elsewhere")
    public = home.path / "id.pub"
    made = cli("init", "--for", "later", "--via", "ssh", "--pubkey", public, "--json", check=True).json()
    assert (made["effect"], made["wallet"], made["session"]) == ("unclaimed", "", "")
    assert [path.name for path in home.root.iterdir() if path.name.startswith(("daemon-", "master"))] == []
    assert cli("session", "show", "later").code == 5


def test_a_damaged_index_is_said_and_can_be_made_again(cli: Runner, home: Home, pair: "dict[str, Any]") -> None:
    """Exit 7 with the command that removes it; pasted, the session is found again."""
    index = home.root / pair["seaturtle"]["id"] / "slot.json"
    index.write_text("{")
    done = cli("session", "list")
    assert (done.code, f"rm {index}".encode() in done.err) == (7, True)
    index.unlink()
    assert rows(cli)["seaturtle"]["state"] == "ready"


def test_doctor_says_why_and_what_mends_it(cli: Runner, home: Home, pair: "dict[str, Any]") -> None:
    """Kept, gone, damaged, strange, orphaned, legacy; it changes nothing; the exit code is the worst finding's."""
    done = cli("session", "doctor")
    assert (done.code, b"there was no keychain" in done.out) == (0, True)
    (home.root / "master" / "session.json").unlink()
    strange = home.root / "robot7"
    strange.mkdir(mode=0o700)
    (strange / "session.json").write_text("{}")
    (home.root / "session").write_text("{}")
    (home.root / "names" / pair["seaturtle"]["wallet"].lower()).unlink()
    before = {path: path.lstat().st_mtime_ns for path in home.root.rglob("*")}
    done = cli("session", "doctor", "--json")
    names = {finding["name"] for finding in done.json()["findings"]}
    assert names == {
        "session-gone", "session-kept", "session-orphan", "session-none", "session-strange", "session-legacy"
    }  # fmt: skip
    assert done.code == 1
    assert {path: path.lstat().st_mtime_ns for path in home.root.rglob("*")} == before


def test_list_without_a_home_makes_none(cli: Runner, home: Home) -> None:
    """Nothing to list, nothing written; a robot's session can't be moved or cleared either."""
    assert b"agentkeys init" in cli("session", "list", check=True).out
    assert cli("session", "list", "--json", check=True).json() == []
    assert cli("session", "clear", "master", check=True).out.startswith(b"there was no session")
    assert not home.root.exists()


def test_an_owner_of_before_gets_one_by_init(cli: Runner, home: Home, populate: Populate) -> None:
    """Made before there were sessions: everything works without, and the next `init` issues one."""
    populate("human")
    shutil.rmtree(home.root / "master")
    Seat(home, cli, {}).start()
    assert cli("session", "list", "--json", check=True).json() == []
    cli("init", check=True)
    assert list(rows(cli)) == ["human"]
