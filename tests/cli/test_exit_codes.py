"""Exit codes are an interface: each situation has its own, for fast verbs and slow ones alike."""

import os
import shutil
from pathlib import Path

import pytest

from agentkeys.cli.app import FAMILIES
from tests.agent.seat import Seat
from tests.support.homes import Home
from tests.support.runner import Result, Runner
from tests.support.uids import User

READS = (["get", "GITHUB_TOKEN"], ["exec", "--key", "GITHUB_TOKEN", "--", "true"], ["exec", "--", "true"])


def fails(done: Result, code: int) -> None:
    """It exits `code`, with an error and a hint on stderr and nothing on stdout but agent's `false;`."""
    assert done.code == code, done
    assert done.out in (b"", b"false;\n")
    assert done.err.startswith(b"agentkeys: error: ")
    assert b"\nagentkeys: hint: " in done.err
    assert b"Traceback" not in done.err
    assert b"a bug" not in done.err


@pytest.mark.parametrize("args", READS, ids=" ".join)
def test_locked_is_4_before_and_after_the_first_unlock(args: list[str], locked: Seat) -> None:
    """An agent that never held the key and one that forgot it answer the same."""
    fails(locked.cli(*args), 4)
    locked.unlock()
    assert locked.cli(*args, reveals=True).code == 0
    locked.cli("relock", check=True)
    fails(locked.cli(*args), 4)


@pytest.mark.parametrize("args", [["get", "NOPE"], ["exec", "--key", "NOPE", "--", "true"]], ids=" ".join)
def test_absent_is_5_before_and_after_the_first_unlock(args: list[str], locked: Seat) -> None:
    """Nothing has to be decrypted to tell that a key isn't there."""
    fails(locked.cli(*args), 5)
    locked.unlock()
    fails(locked.cli(*args), 5)
    fails(locked.cli("unlock", "NOPE"), 5)


def test_the_exec_of_two_keys_fails_on_the_one_that_is_missing(seat: Seat) -> None:
    """The error names it."""
    done = seat.cli("exec", "--key", "GITHUB_TOKEN", "--key", "NOPE", "--", "true")
    fails(done, 5)
    assert b"NOPE" in done.err


@pytest.mark.parametrize("args", [*READS, ["unlock"], ["agent", "-k"]], ids=" ".join)
def test_no_agent_is_3_with_the_command_that_starts_one(args: list[str], rack: Seat) -> None:
    """No verb but agent starts an agent."""
    done = rack.cli(*args)
    fails(done, 3)
    assert b'agentkeys: hint: eval "$(agentkeys agent --for human)"\n' in done.err
    assert rack.home.agents() == []


def test_without_an_agent_status_and_relock_succeed(rack: Seat) -> None:
    """Nothing runs, so nothing is unlocked; JSON says null and an empty list."""
    assert rack.cli("status", "--json", check=True).out == b"null\n"
    assert b"no agent for human" in rack.cli("status", check=True).out
    assert rack.cli("relock", "--json", check=True).json() == {"relocked": []}
    assert b"no agent for human" in rack.cli("relock", check=True).err


NO_OWNER = [
    ["agent"],
    ["agent", "-k"],
    ["status"],
    ["relock"],
    ["get", "GITHUB_TOKEN"],
    ["exec", "--", "true"],
    ["list"],
    ["unlock"],
    ["del", "GITHUB_TOKEN"],
    ["set", "GITHUB_TOKEN"],
]


@pytest.mark.parametrize("args", NO_OWNER, ids=" ".join)
def test_no_such_owner_is_2_and_names_those_there_are(args: list[str], rack: Seat) -> None:
    """A mistyped --for is the caller's to mend; nothing is made for it."""
    before = {*rack.home.root.rglob("*")}
    done = rack.cli(args[0], "--for", "nosuch", *args[1:], input=b"x")
    fails(done, 2)
    assert b"nosuch" in done.err
    assert b"human" in done.err
    assert {*rack.home.root.rglob("*")} == before


USAGE = [
    ["get"],
    ["get", "A", "B"],
    ["get", "A", "--key", "B"],
    ["get", "--nonsense", "A"],
    ["get", "1A"],
    ["get", "a-b"],
    ["get", "A", "--env", "Prod"],
    ["get", "A", "--org", "a/b"],
    ["get", "a.b.c.d"],
    ["exec"],
    ["exec", "--"],
    ["exec", "--env", "sudo", "--", "true"],
    ["exec", "--key", "GITHUB_TOKEN=1", "--", "true"],
    ["exec", "--key", "GITHUB_TOKEN", "--key", "OPENAI_API_KEY=GITHUB_TOKEN", "--", "true"],
    ["exec", "--nonsense", "--", "true"],
    ["unlock", "--duration", "10q"],
    ["unlock", "--duration", "0s"],
    ["unlock", "--duration", "-1h"],
    ["unlock", "--duration", ""],
    ["unlock", "--env", "sudo"],
    ["unlock", "--env", "a.b"],
    ["set"],
    ["set", "X", "--max-duration", "soon"],
    ["set", "X", "--vault", "os.nowhere"],
    ["set", "acme.prod.X", "--env", "dev"],
    ["set", "X", "--env", "Prod"],
    ["del"],
    ["del", "1A"],
    ["list", "--env", "Prod"],
    ["list", "extra"],
    ["status", "extra"],
    ["status", "--for"],
    ["relock", "A", "--key", "B"],
    ["relock", "--env", "Prod"],
    ["relock", "a-b"],
    ["agent", "extra"],
    ["agent", "--nonsense"],
    ["init", "extra"],
    ["setup", "nonsense"],
    ["nonsense"],
]


@pytest.mark.parametrize("args", USAGE, ids=" ".join)
def test_wrong_usage_is_2(args: list[str], shared: Seat) -> None:
    """Whatever is missing, doubled, misspelt or out of range; nothing is relocked."""
    fails(shared.cli(*args, input=b"value"), 2)
    assert shared.states() == {"GITHUB_TOKEN": "unlocked", "OPENAI_API_KEY": "unlocked"}


def test_no_verb_is_2_and_tells_where_to_begin(home: Home, cli: Runner) -> None:
    """On stderr: nothing was asked for, so nothing succeeded."""
    done = cli()
    assert (done.code, done.out) == (2, b"")
    assert b"agentkeys init" in done.err or b"init  " in done.err


ARGUMENTS = {
    "get": ["X"],
    "set": ["X"],
    "del": ["X"],
    "exec": ["--", "true"],
    "owner": ["list"],
    "recipient": ["get"],
    "direnv": ["export"],
    "shim": ["--list"],
    "session": ["list"],
}
"""What a verb must be given to be understood at all."""


def test_a_home_of_another_user_is_6(rack: Seat, other_user: User) -> None:
    """The `sudo agentkeys` trap: by each verb root in a user's home is told of sudo -u, and nothing is written.

    doctor makes a finding of it, with the same command (tests/doctor/test_other_users.py); completion and hook print
    files of ours, whosever home this is.
    """
    home = other_user.home
    other_user.cli("init", check=True)
    before = {(path, path.lstat().st_mtime_ns) for path in home.root.rglob("*")}
    for verb in sorted(set(FAMILIES) - {"completion", "doctor", "hook", "setup"}):
        done = rack.cli(verb, *ARGUMENTS.get(verb, []), env={"HOME": str(home.path)}, input=b"x")
        fails(done, 6)
        assert f"hint: sudo -u '#{other_user.uid}' ".encode() in done.err, verb
        assert {(path, path.lstat().st_mtime_ns) for path in home.root.rglob("*")} == before, verb


def test_no_home_is_made_in_another_users_directory(cli: Runner, other_user: User) -> None:
    """Before their first init as well: root's files there would lock them out."""
    done = cli("init", env={"HOME": str(other_user.home.path)})
    fails(done, 6)
    assert not other_user.home.root.exists()
    own = other_user.home.path / "root's"
    done = cli("init", env={"AGENTKEYS_HOME": str(own)})
    fails(done, 6)
    assert not own.exists()


def test_agentkeys_home_must_be_absolute(rack: Seat) -> None:
    """A relative one would be another rack in each directory."""
    for verb in ("list", "status", "agent", "init"):
        fails(rack.cli(verb, env={"AGENTKEYS_HOME": "keys"}), 2)
    assert not (rack.home.path / "keys").exists()
    moved = rack.home.path / "elsewhere"
    shutil.move(rack.home.root, moved)
    assert len(rack.cli("list", "--json", env={"AGENTKEYS_HOME": str(moved)}, check=True).json()) == 2


def test_without_home_the_accounts_own_is_used(tmp_path: Path, cli: Runner) -> None:
    """HOME unset or relative (cron, a broken unit) means the directory in the account database, or a refusal."""
    account = Path(os.path.expanduser(f"~{os.environ.get('USER', 'root')}"))
    for value in (None, "relative", ""):
        done = cli("get", "X", env={"HOME": value, "AGENTKEYS_OWNER": "no-such-owner-0123"})
        assert done.code == 2
        assert b"no owner no-such-owner-0123" in done.err
    assert not (account / ".agentkeys" / "owners" / "no-such-owner-0123.json").exists()
    assert not (cli.cwd / "relative").exists()
