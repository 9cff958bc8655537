"""What stands in the way of a start is named and left alone; a start that hangs is waited for, but not for ever."""

import fcntl
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.agent.seat import Seat, eventually, watched
from tests.support.runner import Result


def refused(rack: Seat, code: int = 2) -> Result:
    """The start fails with an error of ours, and no agent is left."""
    done = rack.cli("agent")
    assert (done.code, done.out) == (code, b"false;\n")
    assert done.err.startswith(b"agentkeys: error: ")
    assert b"\nagentkeys: hint: " in done.err
    assert rack.home.agents() == []
    return done


@pytest.fixture
def way(rack: Seat) -> Path:
    """The path that the socket will have; its directory is there."""
    rack.socket.parent.mkdir(mode=0o700)
    return rack.socket


def test_a_file_in_the_way_is_left_alone(rack: Seat, way: Path) -> None:
    """Named, not removed."""
    way.write_text("precious")
    assert str(way).encode() in refused(rack).err
    assert way.read_text() == "precious"


def test_a_directory_in_the_way_is_left_alone(rack: Seat, way: Path) -> None:
    """Named, not removed."""
    way.mkdir()
    refused(rack)
    assert way.is_dir()


@pytest.mark.parametrize("target", ["file", "socket", "nothing"])
def test_a_symlink_in_the_way_is_not_followed(target: str, rack: Seat, way: Path, tmp_path: Path) -> None:
    """Neither it nor what it leads to is removed, written or bound."""
    victim = tmp_path / "victim"
    if target == "file":
        victim.write_text("precious")
    elif target == "socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(victim))
    way.symlink_to(victim)
    before = victim.lstat().st_ino if target != "nothing" else None
    refused(rack)
    assert way.is_symlink()
    assert (victim.lstat().st_ino if victim.exists() else None) == before
    assert target != "file" or victim.read_text() == "precious"


def test_a_live_strangers_socket_is_left_alone(rack: Seat, way: Path) -> None:
    """Another program of this user listens there: refused, and that program still gets its callers."""
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(way))
        stranger.listen()
        stranger.settimeout(10)
        child = rack.cli.start("agent", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        hung_up = 0
        while child.poll() is None:
            stranger.settimeout(0.2)
            try:
                stranger.accept()[0].close()
                hung_up += 1
            except TimeoutError:
                continue
        out, err = child.communicate()
        assert (child.returncode, out) == (2, b"false;\n")
        assert str(way).encode() in err
        assert hung_up
        inode = way.lstat().st_ino
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(way))
            stranger.accept()[0].close()
        assert way.lstat().st_ino == inode


def test_a_silent_strangers_socket_gets_no_value(rack: Seat, way: Path) -> None:
    """What listens there and is no agent is asked for a hello before any value; without one it gets none."""
    rack.start().unlock()
    with socket.socket(socket.AF_UNIX) as stranger:
        fake = way.with_name("fake.sock")
        stranger.bind(str(fake))
        stranger.listen()
        child = rack.cli.start("unlock", "--sock", fake, stderr=subprocess.PIPE)
        stranger.settimeout(10)
        received = b""
        while not received:  # the first connection only looks whether somebody is there
            connection = stranger.accept()[0]
            with connection:
                if received := connection.recv(65536):
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.shutdown(socket.SHUT_WR)
                    while data := connection.recv(65536):
                        received += data
        assert child.wait(20) != 0
        assert child.stderr
        assert b"Traceback" not in child.stderr.read()
    for value in rack.values.values():
        assert value not in received
    assert b"hello" in received


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o710, 0o701])
def test_a_socket_directory_that_others_can_enter_is_refused(mode: int, rack: Seat, way: Path) -> None:
    """With the chmod that mends it; nothing is mended or made in it unasked."""
    way.parent.chmod(mode)
    assert f"hint: chmod 700 {way.parent}".encode() in refused(rack).err
    assert way.parent.stat().st_mode & 0o777 == mode
    assert list(way.parent.iterdir()) == []
    way.parent.chmod(0o700)
    assert rack.start().status()


def test_a_socket_directory_that_is_a_symlink_is_refused(rack: Seat, tmp_path: Path) -> None:
    """Even to a directory of ours, 0700: who could put the link there could move it."""
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    rack.socket.parent.symlink_to(real)
    refused(rack)
    assert list(real.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to another user")
def test_another_users_socket_or_directory_is_refused(rack: Seat, way: Path) -> None:
    """A squatter's socket in our directory, and a directory that a squatter made: neither is used nor removed."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(way))
    os.chown(way, 12345, 12345)
    refused(rack)
    assert way.lstat().st_uid == 12345
    way.unlink()
    os.chown(way.parent, 12345, 12345)
    refused(rack)
    assert list(way.parent.iterdir()) == []


def test_a_start_behind_one_that_hangs_ends_and_names_it(rack: Seat) -> None:
    """The holder of the start lock is stopped: a bounded wait, exit 124, and its pid to look at."""
    rack.start().cli("agent", "-k", check=True)
    (run,) = (rack.home.root / "run").glob("*/human")
    holder = rack.cli.with_prefix("flock", "-x", run / "start", "sleep", "60").start()
    eventually(lambda: _is_locked(run / "start"))
    holder.send_signal(signal.SIGSTOP)
    (run / "start").write_text(f"{holder.pid}\n")
    done = rack.cli("agent", timeout=60)
    assert (done.code, done.out) == (124, b"false;\n")
    assert f"pid {holder.pid} ".encode() in done.err
    assert f"hint: ps -p {holder.pid}".encode() in done.err
    os.killpg(holder.pid, signal.SIGKILL)
    rack.start()
    assert rack.status()


def _is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_start_lock_dies_with_its_holder(rack: Seat) -> None:
    """A start that was killed in the middle blocks nobody: the kernel frees its lock."""
    rack.start().cli("agent", "-k", check=True)
    (run,) = (rack.home.root / "run").glob("*/human")
    holder = rack.cli.with_prefix("flock", "-x", run / "start", "sleep", "60").start()
    eventually(lambda: _is_locked(run / "start"))
    waiting = rack.cli.start("agent", stdout=subprocess.PIPE)
    with watched(holder.pid) as gone:
        os.killpg(holder.pid, signal.SIGKILL)
        gone()
    assert waiting.wait(20) == 0
    assert rack.status()


def test_a_pid_that_lives_is_not_an_agent(rack: Seat) -> None:
    """AGENTKEYS_AGENT_PID and a lock file's old text are advice: an unrelated pid is neither asked nor signalled."""
    rack.start().cli("agent", "-k", check=True)
    (run,) = (rack.home.root / "run").glob("*/human")
    bystander = rack.cli.with_prefix("sleep", "60").start()
    (run / "agent.lock").write_text(f"{rack.socket}\n{bystander.pid}\n")
    env = {"AGENTKEYS_AGENT_PID": str(bystander.pid)}
    assert rack.cli("agent", "-k", env=env).code == 3
    rack.cli("agent", env=env, check=True)
    rack.cli("agent", "-k", env=env, check=True)
    assert bystander.poll() is None
