"""Starting an agent: any number of callers get one and the same, and none of them is held up by it afterwards."""

import concurrent.futures
import os
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.agent.seat import Seat, watched
from tests.support.homes import Home


def exported(output: bytes) -> tuple[str, int]:
    """(socket, pid) that a start printed."""
    found = re.fullmatch(
        rb"AGENTKEYS_SOCK=(\S+); export AGENTKEYS_SOCK;\n"
        rb"AGENTKEYS_AGENT_PID=(\d+); export AGENTKEYS_AGENT_PID;\n"
        rb"AGENTKEYS_OWNER=\w+; export AGENTKEYS_OWNER;\n",
        output,
    )
    assert found, output
    return found[1].decode(), int(found[2])


def test_starting_twice_is_starting_once(rack: Seat) -> None:
    """The second start prints the first one's socket and pid; one process runs."""
    first = exported(rack.cli("agent", check=True).out)
    assert first == exported(rack.cli("agent", check=True).out)
    assert [process.pid for process in rack.home.agents()] == [first[1]]


@pytest.mark.serial
def test_fifty_first_starts_at_once_make_one_agent(rack: Seat) -> None:
    """Fifty successes, one socket, one pid, one process."""
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        done = list(pool.map(lambda _: rack.cli("agent"), range(50)))
    assert [result.code for result in done] == [0] * 50
    assert len({exported(result.out) for result in done}) == 1
    assert [process.pid for process in rack.home.agents()] == [exported(done[0].out)[1]]
    rack.unlock()
    assert rack.get("GITHUB_TOKEN").out == rack.values["GITHUB_TOKEN"]


def test_a_start_after_kill_9_needs_no_hand(rack: Seat) -> None:
    """Ten times: the stale socket and lock are replaced, and the new agent serves."""
    seen = set()
    for _ in range(10):
        pid = rack.start().pid
        seen.add(pid)
        with watched(pid) as gone:
            os.kill(pid, signal.SIGKILL)
            gone()
        assert rack.socket.is_socket()
        assert rack.status() is None
    rack.start().unlock()
    assert rack.get("GITHUB_TOKEN").out == rack.values["GITHUB_TOKEN"]
    assert len(seen) == 10
    assert len(rack.home.agents()) == 1


def test_two_agents_of_one_owner_can_not_be(rack: Seat, short_path: Path) -> None:
    """Started where another runtime directory is set, it is the same agent that answers; none is added."""
    first = exported(rack.cli("agent", check=True).out)
    elsewhere = {"XDG_RUNTIME_DIR": str(short_path)}
    assert exported(rack.cli("agent", env=elsewhere, check=True).out) == first
    assert len(rack.home.agents()) == 1
    rack.unlock()
    assert rack.cli("get", "GITHUB_TOKEN", env=elsewhere, reveals=True).out == rack.values["GITHUB_TOKEN"]


def test_two_homes_in_one_runtime_directory_are_two(rack: Seat, home: Home) -> None:
    """The same owner name in another AGENTKEYS_HOME has its own rack, its own agent and its own socket."""
    other = {"AGENTKEYS_HOME": str(home.path / "other")}
    rack.cli("init", env=other, check=True)
    rack.cli("set", "GITHUB_TOKEN", input=b"the other home's", env=other, check=True)
    rack.start().unlock()
    assert rack.cli("get", "GITHUB_TOKEN", env=other).code == 3
    here, there = exported(rack.cli("agent", check=True).out), exported(rack.cli("agent", env=other, check=True).out)
    assert here[0] != there[0]
    assert here[1] != there[1]
    rack.cli("unlock", env=other, check=True)
    assert rack.cli("get", "GITHUB_TOKEN", env=other, check=True).out == b"the other home's"
    assert rack.get("GITHUB_TOKEN").out == rack.values["GITHUB_TOKEN"]
    os.kill(there[1], signal.SIGTERM)


def test_command_substitution_returns(rack: Seat) -> None:
    """`x=$(agentkeys agent)` gets its end of file although the daemon lives on."""
    shell = rack.cli.with_prefix("sh", "-c", 'x=$("$@") || exit 9; echo "got $x" | head -1', "sh", *rack.cli.prefix)
    assert shell("agent", check=True).out.startswith(b"got AGENTKEYS_SOCK=")
    assert rack.status()


def test_a_pipe_behind_stderr_returns_as_well(rack: Seat) -> None:
    """`agentkeys agent 2>&1 | cat` ends."""
    shell = rack.cli.with_prefix("sh", "-c", '"$@" 2>&1 | cat', "sh", *rack.cli.prefix)
    assert b"AGENTKEYS_SOCK=" in shell("agent", check=True).out
    assert rack.status()


def test_the_daemon_keeps_no_descriptor_of_its_caller(rack: Seat) -> None:
    """With 3 and 9 open on pipes (as direnv and CI do), their readers see the end as soon as the start returns."""
    readers, writers = zip(os.pipe(), os.pipe(), strict=True)
    child = rack.cli.with_prefix("bash", "-c", f'exec 3>&{writers[0]} 9>&{writers[1]}; "$@"', "bash")(
        *rack.cli.prefix, "agent", pass_fds=writers, check=True
    )
    assert child.code == 0
    for writer in writers:
        os.close(writer)
    for reader in readers:
        with open(reader, "rb") as pipe:
            assert pipe.read() == b""
    assert [os.readlink(f"/proc/{rack.pid}/fd/{fd}") for fd in (0, 1, 2)] == ["/dev/null"] * 3


def test_the_daemon_is_nobodys_child(rack: Seat) -> None:
    """In a session of its own, with no terminal and no parent that waits; its caller's end is not its end."""
    process = rack.start().process
    assert os.getsid(process.pid) == process.pid
    assert process.terminal() is None
    assert process.ppid() == 1 or "agentkeys" not in " ".join(psutil.Process(process.ppid()).cmdline())


@pytest.mark.parametrize("umask", ["000", "022", "077", "777"])
def test_a_umask_changes_no_mode(umask: str, rack: Seat) -> None:
    """Socket 0600, its directory 0700, lock and audit files 0600, and all of it usable."""
    shell = rack.cli.with_prefix("sh", "-c", f'umask {umask}; exec "$@"', "sh", *rack.cli.prefix)
    shell("agent", check=True)
    shell("unlock", check=True)
    assert shell("get", "GITHUB_TOKEN", reveals=True, check=True).out == rack.values["GITHUB_TOKEN"]
    assert rack.socket.stat().st_mode & 0o7777 == 0o600
    assert rack.socket.parent.stat().st_mode & 0o7777 == 0o700
    made = [path for path in rack.home.root.rglob("*") if not path.is_symlink()]
    assert {path.stat().st_mode & 0o7777 for path in made if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o7777 for path in made if path.is_file()} == {0o600}


def test_a_starts_waiters_get_what_the_first_one_started(rack: Seat) -> None:
    """Ten at once while the machine is busy with them: all succeed, and stderr speaks of the login session once."""
    children = [rack.cli.start("agent", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(10)]
    outputs = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0] * 10
    assert len({exported(out) for out, _ in outputs}) == 1
    assert len([err for _, err in outputs if err]) <= 1
