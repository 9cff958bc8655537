"""The fixtures keep what they promise; the security tests stand on them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.canary import found_in
from tests.support.homes import Home
from tests.support.plugin import Plant, Run
from tests.support.runner import Runner
from tests.support.tables import check_table
from tests.support.uids import User

LINGER = """
import socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
time.sleep(60)
"""


def test_a_home_is_isolated(home: Home, cli: Runner) -> None:
    """No variable of the developer's or of agentkeys reaches a test's child, and a socket's path fits."""
    env = cli.with_prefix("/usr/bin/env")(env={"LANG": None, "EXTRA": "1"}, check=True).out.decode().splitlines()
    names = {line.partition("=")[0] for line in env}
    assert names == {"EXTRA", "HOME", "LOGNAME", "PATH", "USER", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"}
    assert home.runtime.stat().st_mode & 0o777 == 0o700
    assert len(f"{home.runtime}/agentkeys/{'x' * 32}.4294967294.sock") < 104


def test_an_agent_left_behind_is_found_and_ended(home: Home, cli: Runner) -> None:
    """By its command line, or by its lock file when it tells nothing of itself."""
    python = cli.with_prefix(sys.executable, "-c")
    by_line = python.start(LINGER, str(home.runtime / "a.sock"), "agentkeys")
    lock = home.root / "run" / "machine" / "human" / "1.lock"
    lock.parent.mkdir(parents=True)
    socket = home.path.parent / "b.sock"
    lock.write_text(f"{socket}\n")
    by_lock = python.start(LINGER, "b.sock", "agentkeys", env={"HOME": "/", "XDG_RUNTIME_DIR": None}, cwd=socket.parent)
    stranger = subprocess.Popen(["sleep", "60"])
    while not (socket.exists() and (home.runtime / "a.sock").exists()):
        pass
    assert {process.pid for process in home.agents()} == {by_line.pid, by_lock.pid}
    assert home.end_agents() == []
    assert by_line.wait(5) == by_lock.wait(5) == -15
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_what_a_child_prints_is_searched(run: Run, cli: Runner, canary: Plant) -> None:
    """Each stream is logged; only a stdout that reveals by declaration is passed over."""
    value = canary("PRINTED")
    shell = cli.with_prefix("/bin/sh", "-c")
    before = set(run.logs.iterdir())
    assert shell("cat", input=value, reveals=True, check=True).out == value
    new = set(run.logs.iterdir()) - before
    assert [path.suffix for path in new if found_in(path.read_bytes(), run.registry.planted)] == [".revealed"]
    with pytest.raises(AssertionError, match="printed a value"):
        shell("cat", input=value)


def test_a_child_that_hangs_fails_the_test(cli: Runner) -> None:
    """A time limit, and the group is killed with its child."""
    with pytest.raises(AssertionError, match="did not end"):
        cli.with_prefix("/bin/sh", "-c")("sleep 60 & sleep 60", timeout=0.2)


def test_a_terminal_is_a_terminal(cli: Runner) -> None:
    """A prompt on /dev/tty reaches the test, and only there."""
    child = cli.with_prefix("/bin/sh", "-c").on_tty("printf 'name: ' >/dev/tty; read name </dev/tty; echo hello $name")
    child.expect_exact(b"name: ")
    child.sendline(b"ana")
    child.expect_exact(b"hello ana")
    child.expect_exact(b"\r\n")
    child.close()
    without = cli.with_prefix("/bin/sh", "-c")("echo lost >/dev/tty")
    assert without.code != 0


@pytest.mark.serial
def test_another_user_is_another_user(other_user: User, public_venv: Path, home: Home) -> None:
    """A uid of its own, no group and no capability of root's, and the installed program in reach."""
    ids = other_user.run("/usr/bin/id", "-u", check=True).out.split()
    assert ids == [str(other_user.uid).encode()]
    status = other_user.run("/bin/cat", "/proc/self/status", check=True).out.decode()
    assert "CapEff:\t0000000000000000" in status
    assert other_user.run("/bin/ls", home.runtime).code != 0
    assert other_user.run("/bin/sh", "-c", "touch $HOME/mine $XDG_RUNTIME_DIR/mine", check=True).err == b""
    assert other_user.cli("--version", check=True).out.startswith(b"agentkeys ")
    assert other_user.run("/usr/bin/touch", public_venv / "mine").code != 0


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("    1 a promise\n        ::test_no_such\n", "1: ::test_no_such"),
        ("    1 a promise\n        arch/nowhere.py::test_a_home_is_isolated\n", "arch/nowhere.py"),
        ("    1 a promise\n", "row 1 says nothing"),
        ("    2 a promise\n        ::test_a_home_is_isolated\n", "assert "),
        ("    1 a promise\n        ::test_a_home_is_isolated\n" * 2, "row 1 twice"),
        ("", "assert "),
    ],
)
def test_a_table_of_promises_does_not_rot(table: str, why: str) -> None:
    """A test that was renamed, a row without one, a row too few or too many: each is noticed."""
    check_table(__file__, "    1 a promise\n        arch/test_fixtures.py::test_a_home_is_isolated\n", [1])
    with pytest.raises(AssertionError, match=re.escape(why)):
        check_table(__file__, table, [1])
