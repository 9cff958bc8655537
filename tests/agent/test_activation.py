"""A socket handed over by a service manager, as sd_listen_fds(3) has it: served, and left where it is."""

import os
import shlex
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent.dialogue import Dialogue
from tests.agent.seat import Seat

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def handed(rack: Seat, short_path: Path) -> Iterator[socket.socket]:
    """A listening socket of a manager's own."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(short_path / "unit.sock"))
    made.listen()
    yield made
    made.close()


@pytest.fixture
def start(rack: Seat, handed: socket.socket) -> Iterator[Start]:
    """Start `agent -D` as a manager does: descriptor 3 is the socket, LISTEN_PID the process itself."""
    started = []

    def run(*arguments: str, fds: str = "1", pid: str = "$$", fd: int | None = None) -> "subprocess.Popen[bytes]":
        program = shlex.join(os.fsdecode(word) for word in rack.cli.prefix)
        number = handed.fileno() if fd is None else fd
        script = f'exec 3<&{number} && LISTEN_PID={pid} LISTEN_FDS={fds} exec {program} agent -D "$@"'
        child = rack.cli.with_prefix("bash", "-c", script, "bash").start(
            *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(number,)
        )
        started.append(child)
        return child

    yield run
    for child in started:
        child.kill()
        child.communicate()


def test_the_socket_is_served_and_announced(rack: Seat, handed: socket.socket, start: Start) -> None:
    """What it prints names the unit's path; keys get there, and relock finds it."""
    child = start()
    assert child.stdout
    path = handed.getsockname()
    assert child.stdout.readline() == f"AGENTKEYS_SOCK={path}; export AGENTKEYS_SOCK;\n".encode()
    rack.cli("unlock", "--sock", path, check=True)
    assert rack.cli("get", "GITHUB_TOKEN", "--sock", path, reveals=True, check=True).out == rack.values["GITHUB_TOKEN"]
    assert b"relocked" in rack.cli("relock", check=True).out
    assert rack.cli("get", "GITHUB_TOKEN", "--sock", path).code == 4


def test_the_server_a_client_sees_is_the_agent(rack: Seat, handed: socket.socket, start: Start) -> None:
    """The manager listened first, and may be another user's: the agent listens again, so that its own pid is seen."""
    child = start()
    assert child.stdout
    child.stdout.read()
    with Dialogue(Path(handed.getsockname())) as client:
        raw = client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        assert int.from_bytes(raw[:4], "little") == child.pid


def test_sigterm_ends_it_with_0_and_leaves_the_path(rack: Seat, handed: socket.socket, start: Start) -> None:
    """The manager owns the socket and keeps listening; a second agent takes over."""
    path = Path(handed.getsockname())
    for _ in range(2):
        child = start()
        assert child.stdout
        assert path.name.encode() in child.stdout.read()
        child.terminate()
        assert child.wait(30) == 0
        assert path.is_socket()


REFUSED = {
    "two sockets": {"fds": "2"},
    "no socket": {"fds": "0"},
    "not a number": {"fds": "one"},
    "another process's": {"pid": "1"},
    "nobody's": {"pid": ""},
}


@pytest.mark.parametrize("how", REFUSED.values(), ids=REFUSED)
def test_what_is_not_plainly_ours_is_refused(how: "dict[str, str]", rack: Seat, start: Start) -> None:
    """With its reason, before anything is served or locked."""
    child = start(**how)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (2, b"false;\n")
    assert b"LISTEN_" in err
    assert rack.home.agents() == []


def test_a_descriptor_that_is_no_listening_socket_is_refused(rack: Seat, start: Start, tmp_path: Path) -> None:
    """A file, and a socket nobody listens on."""
    unbound = socket.socket(socket.AF_UNIX)
    with (tmp_path / "file").open("w") as file, unbound:
        for fd in (file.fileno(), unbound.fileno()):
            child = start(fd=fd)
            out, err = child.communicate(timeout=60)
            assert (child.returncode, out) == (2, b"false;\n")
            assert b"descriptor 3 is no" in err


def of_another_kind(directory: Path) -> "Iterator[socket.socket]":
    """Sockets that are no listening Unix stream socket with a path."""
    for number, kind in enumerate((socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)):
        yield bound(socket.AF_UNIX, kind, str(directory / f"{number}"))
    yield bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    yield bound(socket.AF_UNIX, socket.SOCK_STREAM, f"\0ak-{directory.name}")
    yield from socket.socketpair()


def bound(family: int, kind: int, name: "str | tuple[str, int]") -> socket.socket:
    """A socket of that family and kind, listening if its kind can."""
    made = socket.socket(family, kind)
    made.bind(name)
    if kind != socket.SOCK_DGRAM:
        made.listen()
    return made


def test_a_socket_of_another_kind_is_refused(rack: Seat, start: Start, short_path: Path) -> None:
    """Datagrams, packets, TCP, a name in the abstract name space, a connection: 2, and nothing serves there."""
    for other in of_another_kind(short_path):
        with other:
            child = start(fd=other.fileno())
            out, err = child.communicate(timeout=60)
        assert (child.returncode, out) == (2, b"false;\n"), other
        assert b"no listening Unix stream socket with a path" in err
    assert rack.home.agents() == []


def test_a_path_that_leads_elsewhere_is_not_announced(rack: Seat, handed: socket.socket, start: Start) -> None:
    """Removed, dead or another program's by now: 2 with what is there, and the next start is served."""
    path = Path(handed.getsockname())
    away = path.rename(path.with_name("away"))
    other = socket.socket(socket.AF_UNIX)
    for why in (b"No such file", b"Connection refused", b"but to pid %d" % os.getpid()):
        child = start()
        out, err = child.communicate(timeout=60)
        assert (child.returncode, out) == (2, b"false;\n")
        assert b"doesn't lead to the socket handed over" in err
        assert why in err
        if why.startswith(b"No"):
            other.bind(str(path))
        else:
            other.listen()
    other.close()
    away.rename(path)
    child = start()
    assert child.stdout
    assert path.name.encode() in child.stdout.readline()


def test_a_path_of_its_own_contradicts_it(rack: Seat, start: Start, short_path: Path) -> None:
    """-a and a hand-over are two sockets."""
    child = start("-a", str(short_path / "mine.sock"))
    assert child.communicate(timeout=60)[0] == b"false;\n"
    assert child.returncode == 2


def test_without_the_foreground_the_variables_mean_nothing(rack: Seat) -> None:
    """A shell inside a unit starts its agent as ever."""
    done = rack.cli("agent", env={"LISTEN_PID": "1", "LISTEN_FDS": "1"}, check=True)
    assert str(rack.socket).encode() in done.out
