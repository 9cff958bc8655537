"""Who is at the other end: what is read of a process counts only while that process is known to live."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agentkeys import paths
from agentkeys.agent import peer
from agentkeys.agent.peer import GONE, PeerRule
from agentkeys.core.events import Peer

if sys.platform != "linux":
    pytest.skip("pidfds are Linux's", allow_module_level=True)

PASS_ON = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
if os.fork():
    os._exit(0)              # whoever connected is gone; its child has the connection
s.recv(1)
"""


@pytest.fixture
def listener(short_path: Path) -> socket.socket:
    """A socket to connect to."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(short_path / "s"))
    made.listen()
    made.settimeout(30)
    yield made
    made.close()


@pytest.fixture
def own(listener: socket.socket) -> socket.socket:
    """The server's end of a connection from this very process."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(listener.getsockname())
    end, _ = listener.accept()
    yield end
    end.close()
    client.close()


@pytest.fixture
def orphan(listener: socket.socket) -> "tuple[socket.socket, int]":
    """The server's end of a connection whose connecting process has ended and was waited for, and its pid."""
    child = subprocess.Popen([sys.executable, "-c", PASS_ON, listener.getsockname()])
    end, _ = listener.accept()
    child.wait(30)
    yield end, child.pid
    end.close()


def test_a_living_peer_s_session_is_read(own: socket.socket) -> None:
    """It is what /proc says of us."""
    assert peer.session_of(own, os.getpid()) == paths.login_session()


def test_a_peer_that_has_ended_has_no_session(orphan: "tuple[socket.socket, int]") -> None:
    """Its pid may be another process's by now, so that nothing read of it would count."""
    end, pid = orphan
    assert peer.session_of(end, pid) == GONE


def test_a_pid_that_is_somebody_else_s_now_is_not_believed(
    orphan: "tuple[socket.socket, int]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when /proc has an answer for the number."""
    end, pid = orphan
    monkeypatch.setattr(paths, "read_small", lambda path: b"7")
    assert peer.session_of(end, pid) == GONE


def test_without_so_peerpidfd_the_number_is_opened(own: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux before 6.5: weaker, and documented so."""
    monkeypatch.setattr(peer, "SO_PEERPIDFD", 0x7FFF)  # an option that no kernel has
    process = peer.process_of(own, os.getpid())
    assert os.readlink(f"/proc/self/fd/{process}") in ("anon_inode:[pidfd]", f"pidfd:[{os.fstat(process).st_ino}]")
    os.close(process)
    assert peer.session_of(own, os.getpid()) == paths.login_session()


def test_an_unknown_pid_is_unknown(own: socket.socket) -> None:
    """0: another pid namespace. Unset, never equal to anything."""
    assert peer.session_of(own, 0) == paths.UNSET_SESSION


def test_no_descriptor_is_left(own: socket.socket, orphan: "tuple[socket.socket, int]") -> None:
    """An agent asks this for each connection."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        peer.session_of(own, os.getpid())
        peer.session_of(*orphan)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("session", "strict", "limited"),
    [
        (7, False, ""),
        (8, False, "a process of another login session"),
        (paths.UNSET_SESSION, False, ""),
        (paths.UNSET_SESSION, True, "a process of no known login session"),
        (GONE, False, "a process that has ended"),
        (GONE, True, "a process that has ended"),
    ],
)
def test_whom_a_bound_agent_serves(
    session: int, strict: bool, limited: str, own: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bound to session 7: its own in full, others only to make it forget, unknown ones by uid unless strict."""
    monkeypatch.setattr(peer, "session_of", lambda sock, pid: session)
    assert PeerRule(os.getuid(), 7, strict, False).limit(own, Peer(os.getuid(), 1)) == limited


def test_an_unbound_agent_asks_nothing_of_a_process(own: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """uid alone decides; not a single system call for a session nobody compares."""

    def never(_sock: object, _pid: int) -> int:
        raise AssertionError("asked")

    monkeypatch.setattr(peer, "session_of", never)
    assert PeerRule(os.getuid(), paths.UNSET_SESSION, True, False).limit(own, Peer(os.getuid(), 1)) == ""


@pytest.mark.parametrize("uid", [0, 1, 64001, 65534])
@pytest.mark.parametrize("allow_root", [False, True])
def test_other_users_are_not_spoken_to(uid: int, allow_root: bool) -> None:
    """Nobody else; root only if the operator says so; and never the uid that stands for unmapped ones."""
    rule = PeerRule(64001, paths.UNSET_SESSION, False, allow_root)
    served = uid == 64001 or (uid == 0 and allow_root)
    assert (rule.refusal(Peer(uid, 1)) == "") == served
