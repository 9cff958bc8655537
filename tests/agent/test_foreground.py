"""`agentkeys agent -D` and `-d`: no fork; it prints the exports, serves, and ends with a signal or a stop."""

import os
import re
import select
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.agent.dialogue import Dialogue
from tests.agent.seat import PATIENCE, Seat, eventually, watched
from tests.agent.test_start import exported
from tests.support.plugin import Plant


def serve(seat: Seat, *args: str) -> "subprocess.Popen[bytes]":
    """Start one in the foreground; it serves when this returns."""
    child = seat.cli.start("agent", *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    eventually(lambda: seat.status() or child.poll() is not None)
    return child


def end(child: "subprocess.Popen[bytes]", number: signal.Signals = signal.SIGTERM) -> tuple[bytes, bytes]:
    """Send it a signal and wait; what it printed."""
    child.send_signal(number)
    return child.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("flag", ["-D", "-d"])
def test_it_serves_until_a_signal(flag: str, number: signal.Signals, rack: Seat) -> None:
    """The process that was started is the agent: its pid is the one exported; exit 0, socket and lock gone."""
    child = serve(rack, flag)
    assert rack.pid == child.pid
    rack.unlock()
    assert rack.get("GITHUB_TOKEN").out == rack.values["GITHUB_TOKEN"]
    out, _ = end(child, number)
    assert exported(out) == (str(rack.socket), child.pid)
    assert child.returncode == 0
    assert not rack.socket.exists()
    assert list(rack.home.root.glob("run/*/*/*.lock")) == []


def test_it_ends_when_it_is_asked_to(rack: Seat) -> None:
    """`agent -k` reaches it as it does a daemon."""
    child = serve(rack, "-D")
    rack.cli("agent", "-k", check=True)
    assert child.wait(PATIENCE) == 0


def test_it_forks_nothing_and_leaves_its_session_alone(rack: Seat) -> None:
    """A service manager sees one process: the one it started, in the session it put it in."""
    child = serve(rack, "-D")
    process = psutil.Process(child.pid)
    assert process.children() == []
    assert process.ppid() == os.getpid()
    assert os.getsid(child.pid) == child.pid  # as the test's runner started it
    assert "-IS" in process.cmdline()
    end(child)


def test_what_it_printed_ends(rack: Seat) -> None:
    """Its stdout is closed behind the exports, so that a reader need not wait for the agent's end; stderr stays."""
    child = serve(rack, "-D")
    assert child.stdout
    assert child.stderr
    assert exported(child.stdout.read())[1] == child.pid
    assert child.poll() is None
    assert os.readlink(f"/proc/{child.pid}/fd/1") == "/dev/null"
    assert os.readlink(f"/proc/{child.pid}/fd/2").startswith("pipe:")
    end(child)


def test_it_has_a_clean_environment_and_closed_memory(rack: Seat) -> None:
    """As the daemon: nothing of the caller's, no descriptor of the caller's, not readable by others of this user."""
    reader, writer = os.pipe()
    child = rack.cli.start(
        "agent", "-D", stdout=subprocess.PIPE, env={"MARK": "x", "PYTHONPATH": "/tmp"}, pass_fds=[writer]
    )
    os.close(writer)
    assert child.stdout
    child.stdout.read()
    with open(reader, "rb") as pipe:
        assert pipe.read() == b""
    assert b"MARK" not in Path(f"/proc/{child.pid}/environ").read_bytes()
    assert rack.status()["memory_protected"] is True
    end(child)


def test_there_is_no_second_agent(rack: Seat) -> None:
    """One discoverable agent per owner: -D behind a running one is refused, and others re-use the running one."""
    child = serve(rack, "-D")
    done = rack.cli("agent", "-D")
    assert (done.code, done.out) == (2, b"false;\n")
    assert b"an agent of human runs already" in done.err
    assert exported(rack.cli("agent", check=True).out)[1] == child.pid
    end(child)
    pid = rack.start().pid
    assert rack.cli("agent", "-d").code == 2
    assert rack.pid == pid


@pytest.mark.parametrize("flag", ["-D", "-d"])
def test_what_is_in_the_way_is_said(flag: str, rack: Seat) -> None:
    """The same errors as a daemon's, from the foreground process itself: `false;`, exit code, no lock left."""
    rack.socket.parent.mkdir(mode=0o700)
    rack.socket.write_text("precious")
    done = rack.cli("agent", flag)
    assert (done.code, done.out) == (2, b"false;\n")
    assert b"is in the way: it is not a socket of ours" in done.err
    assert rack.socket.read_text() == "precious"
    assert list(rack.home.root.glob("run/*/*/*.lock")) == []


def test_a_named_socket_in_the_foreground(rack: Seat, short_path: Path) -> None:
    """-a and -D together: a private agent that a service manager can hold."""
    path = short_path / "mine.sock"
    child = rack.cli.start("agent", "-D", "-a", path, stdout=subprocess.PIPE)
    assert child.stdout
    assert exported(child.stdout.read()) == (str(path), child.pid)
    assert rack.status() is None
    assert rack.cli("status", "--sock", path, "--json", check=True).json()["pid"] == child.pid
    end(child)
    assert not path.exists()


def test_only_the_path_in_the_foreground(rack: Seat) -> None:
    """--print-socket says what is printed, -D how it runs; a refusal prints nothing."""
    child = rack.cli.start("agent", "-D", "--print-socket", stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.read() == f"{rack.socket}\n".encode()
    assert rack.cli("agent", "-D", "--print-socket").out == b""
    end(child)


def test_debug_says_who_asked_what_and_what_came_of_it(rack: Seat, canary: Plant) -> None:
    """Verbs, uids, pids and decisions, a line each; no value, no key's name, nothing that a caller made up."""
    child = serve(rack, "-d")
    rack.unlock()
    rack.get("GITHUB_TOKEN")
    rack.cli("get", "NO_SUCH_KEY")
    typed = "typed where a name belongs"
    rack.cli("get", typed)
    new = canary("set meanwhile")
    rack.cli("set", "GITHUB_TOKEN", input=new, check=True)
    with Dialogue(rack.socket).greet() as client:
        client.ask(b"made-up-verb", b"field", b"text of the caller")
    rack.cli("relock", check=True)
    _, err = end(child)
    lines = err.decode().splitlines()
    who = rf"connection \d+, uid {os.getuid()}, pid \d+: "
    for said in (
        "unlock: config.toml first",
        "unlock-add: ok",
        "get: ok",
        "get: error 5",
        "get: error 2",
        "replace: ok, 1 values wiped",
    ):
        assert any(re.fullmatch(f"agentkeys: debug: {who}{said}.*", line) for line in lines), (said, lines)
    assert any(re.fullmatch(f"agentkeys: debug: {who}unknown verb: error 2", line) for line in lines)
    assert lines[-1] == "agentkeys: debug: told to leave"
    for secret in (*rack.values.values(), new, typed.encode(), b"GITHUB_TOKEN", b"NO_SUCH_KEY", b"made-up", b"text of"):
        assert secret not in err


def test_the_foreground_without_debug_says_nothing(rack: Seat) -> None:
    """-D is quiet but for the one note about login sessions."""
    child = serve(rack, "-D")
    rack.unlock()
    rack.get("GITHUB_TOKEN")
    _, err = end(child)
    assert [line for line in err.splitlines() if b"login session" not in line] == []


def test_a_reader_that_does_not_read_debug_lines_stalls_nobody(rack: Seat) -> None:
    """A full pipe behind stderr: lines are dropped, requests are answered."""
    child = serve(rack, "-d")
    rack.unlock()
    with Dialogue(rack.socket).greet() as client:
        for _ in range(2000):  # some 60 bytes each; a pipe holds 64 KiB
            assert client.ask(b"ping") == [b"ok"]
    assert child.stderr
    assert select.select([child.stderr], [], [], 0)[0]
    assert rack.get("GITHUB_TOKEN").out == rack.values["GITHUB_TOKEN"]
    end(child)


def test_a_killed_one_is_no_agent_row_21(rack: Seat) -> None:
    """A zombie (its parent doesn't reap it) answers nobody: not running for status and -k, replaced by a start."""
    child = serve(rack, "-D")
    with watched(child.pid) as gone:
        child.kill()
        gone()
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert rack.status() is None
    assert rack.cli("agent", "-k").code == 3
    assert exported(rack.cli("agent", check=True).out)[1] != child.pid
    child.wait()


def test_a_start_meets_one_that_begins_in_the_foreground(rack: Seat) -> None:
    """Both at once: one agent, and whoever comes second re-uses it (a daemon's start) or says so (-D)."""
    front = rack.cli.start("agent", "-D", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    back = rack.cli("agent", check=True)
    pid = exported(back.out)[1]
    if pid == front.pid:
        out, _ = end(front)
        assert exported(out)[1] == pid
    else:
        out, err = front.communicate(timeout=PATIENCE)
        assert (front.returncode, out) == (2, b"false;\n")
        assert b"runs already" in err
        assert rack.pid == pid
