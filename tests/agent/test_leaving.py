"""An agent leaves when it is told to, and when its socket no longer leads to it; it takes its socket and lock along."""

import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys.agent import start
from tests.agent.dialogue import Dialogue, message
from tests.agent.seat import Seat, watched


def lock(seat: Seat) -> Path:
    """The agent's lock file."""
    (path,) = (seat.home.root / "run").glob("*/human/*.lock")
    return path


@pytest.mark.parametrize("number", start.LEAVE_ON)
def test_a_signal_ends_it_cleanly(number: signal.Signals, seat: Seat) -> None:
    """Socket and lock are gone with the process; the next start is a fresh one."""
    held, pid = lock(seat), seat.pid
    with watched(pid) as gone:
        os.kill(pid, number)
        gone()
    assert not seat.socket.exists()
    assert not held.exists()
    assert seat.status() is None
    assert seat.start().pid != pid
    assert seat.get("GITHUB_TOKEN").code == 4


def test_a_signal_closes_open_connections(seat: Seat) -> None:
    """Clients see the end at once instead of waiting for an answer."""
    with Dialogue(seat.socket).greet() as client:
        os.kill(seat.pid, signal.SIGTERM)
        assert client.wait_for_end() == b""


def test_a_storm_of_signals_is_one_end(seat: Seat) -> None:
    """By the dozen, in the middle of requests: whole answers or none, and still a clean exit."""
    with Dialogue(seat.socket).greet() as client, watched(pid := seat.pid) as gone:
        client.send(message(b"get", b"key", b"GITHUB_TOKEN") * 500)
        for number in start.LEAVE_ON * 20:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                break
        gone()
        answers = client.wait_for_end()
    assert not seat.socket.exists()
    assert list(lock_dir(seat).glob("*.lock")) == []
    whole = message(b"ok", b"value", seat.values["GITHUB_TOKEN"])
    assert answers == whole * (len(answers) // len(whole))


def lock_dir(seat: Seat) -> Path:
    """Where the agents of the owner keep their lock files."""
    (path,) = (seat.home.root / "run").glob("*/human")
    return path


def removed(path: Path) -> None:
    """The socket is unlinked."""
    path.unlink()


def renamed(path: Path) -> None:
    """The socket has another name."""
    path.rename(path.with_name("moved"))


def replaced(path: Path) -> None:
    """Another socket lies in its place."""
    other = path.with_name("other")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(other))
    other.rename(path)


def covered(path: Path) -> None:
    """A file lies in its place."""
    path.unlink()
    path.write_text("somebody else's")


def directory_removed(path: Path) -> None:
    """Its directory is gone, as after a logout."""
    shutil.rmtree(path.parent)


def directory_renamed(path: Path) -> None:
    """Its directory has another name."""
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize("change", [removed, renamed, replaced, covered, directory_removed, directory_renamed])
def test_an_agent_that_nobody_can_reach_leaves(change: Callable[[Path], None], seat: Seat) -> None:
    """Its socket removed, renamed or replaced, or the directory gone (logout): it exits, and removes only its own."""
    held = lock(seat)
    with watched(seat.pid) as gone:
        change(seat.socket)
        gone()
    assert not held.exists()
    assert seat.status() is None
    if change in (replaced, covered):
        assert seat.socket.exists()
    if change is covered:
        assert seat.socket.read_text() == "somebody else's"


def test_a_neighbours_coming_and_going_does_not_matter(seat: Seat) -> None:
    """Other files and sockets in the same directory, and other owners' agents, are none of its business."""
    pid = seat.pid
    for number in range(50):
        path = seat.socket.with_name(f"neighbour{number}")
        path.write_text("")
        path.rename(path.with_name("renamed"))
        path.with_name("renamed").unlink()
    seat.cli("init", "--for", "crab", check=True)
    seat.cli("agent", "--for", "crab", check=True)
    seat.cli("agent", "-k", "--for", "crab", check=True)
    assert seat.pid == pid
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]


def test_a_changed_mode_or_time_does_not_end_it(seat: Seat) -> None:
    """chmod and touch of the socket leave it where it is."""
    pid = seat.pid
    seat.socket.chmod(0o666)
    os.utime(seat.socket)
    assert seat.pid == pid


def test_stopping_tells_nobody_but_the_agent(seat: Seat) -> None:
    """`agent -k` ends it without a signal: it answers, and is gone."""
    with watched(seat.pid) as gone:
        done = seat.cli("agent", "-k", check=True)
        gone()
    assert done.out.startswith(b"unset AGENTKEYS_SOCK;\n")
    assert not seat.socket.exists()
    assert seat.cli("agent", "-k").code == 3


def test_what_an_agent_held_goes_with_it(seat: Seat) -> None:
    """A new agent of the same owner starts empty."""
    seat.cli("agent", "-k", check=True)
    seat.start()
    assert seat.status()["unlocked"] is False
    assert seat.get("GITHUB_TOKEN").code == 4
