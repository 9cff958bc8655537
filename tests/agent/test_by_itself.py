"""`agent -D --auto-unlock`: an agent that a service manager starts, and that needs nobody to be of use.

Whoever asks while it unlocks for the first time waits, and is then served; the manager hears of it by sd_notify(3).
"""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agentkeys.agent.notify import Manager
from tests.agent.seat import PATIENCE, Seat, eventually

ALONE = ("agent", "-D", "--login-session", "uid", "--auto-unlock")


@pytest.fixture
def manager(short_path: Path) -> Iterator[socket.socket]:
    """A service manager's end of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(short_path / "notify"))
        made.settimeout(PATIENCE)
        yield made


def start(seat: Seat, manager: socket.socket, **env: str) -> "subprocess.Popen[bytes]":
    """Start it as a unit of Type=notify does."""
    return seat.cli.start(
        *ALONE, env={"NOTIFY_SOCKET": manager.getsockname(), **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_it_holds_its_keys_when_the_manager_hears_of_it(rack: Seat, manager: socket.socket) -> None:
    """READY=1 comes once the rack is unlocked, with what is held; on the way out it says that it is leaving."""
    child = start(rack, manager)
    assert manager.recv(4096) == b"READY=1\nSTATUS=2 keys held\n"
    assert rack.pid == child.pid
    assert set(rack.states().values()) == {"unlocked"}
    assert rack.status()["auto_unlock_in_seconds"] > 8 * 3600 - 60
    child.terminate()
    assert manager.recv(4096) == b"STOPPING=1\n"
    assert child.wait(PATIENCE) == 0


def test_who_asks_meanwhile_waits_and_is_served(rack: Seat, manager: socket.socket) -> None:
    """Not told that the key is locked: a socket-activated agent is started by its first caller.

    The worker waits for the rack's lock, which another program holds.
    """
    lock = rack.home.root / "lock" / "human.lock"
    holder = rack.cli.with_prefix("flock", "-x", lock, "sleep", "60").start()
    eventually(lambda: psutil.Process(holder.pid).children())
    child = start(rack, manager)
    assert child.stdout
    child.stdout.read()  # the socket listens
    asked = rack.cli.start("get", "GITHUB_TOKEN", stdout=subprocess.PIPE, reveals=True)
    eventually(lambda: callers(rack) == 2)
    os.killpg(holder.pid, signal.SIGKILL)
    out, _ = asked.communicate(timeout=PATIENCE)
    assert (asked.returncode, out) == (0, rack.values["GITHUB_TOKEN"])


def callers(seat: Seat) -> int:
    """How many are connected to its socket, or wait to be; the worker is one (2 and 3 in /proc/net/unix, proc(5))."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines() if str(seat.socket) in line]
    return sum(1 for row in rows if row[5] in ("02", "03"))


def test_a_rack_that_stays_shut_is_said_and_locks_nobody_out(rack: Seat, manager: socket.socket) -> None:
    """The manager hears why; callers are told that the keys are locked; it is tried again later."""
    (rack.home.root / "identity" / "human.key").rename(rack.home.root / "taken-away")
    start(rack, manager)
    said = manager.recv(4096)
    assert said.startswith(b"READY=1\nSTATUS=the automatic unlock failed: ")
    assert rack.get("GITHUB_TOKEN").code == 4
    status = rack.status()
    assert status["auto_unlock_fault"]
    assert 0 < status["auto_unlock_in_seconds"] <= 60


def test_what_it_says_holds_no_secret(rack: Seat, manager: socket.socket) -> None:
    """Neither stdout nor stderr (the journal) nor the manager's line names a key or has a value."""
    child = start(rack, manager)
    said = manager.recv(4096)
    rack.get("GITHUB_TOKEN", check=True)
    rack.cli("get", "NO_SUCH_KEY")
    child.terminate()
    out, err = child.communicate(timeout=PATIENCE)
    for text in (out, err, said):
        assert not any(secret in text for secret in (*rack.values.values(), b"GITHUB_TOKEN", b"NO_SUCH_KEY"))


def test_nothing_secret_survives_a_crash_and_the_next_start_unlocks_again(rack: Seat, manager: socket.socket) -> None:
    """What rests in the rack is back by itself; what only memory had is gone, as after a relock."""
    child = start(rack, manager)
    manager.recv(4096)
    rack.cli("set", "SESSION", "--vault", "os.daemon", input=b"session", check=True)
    assert rack.get("SESSION", check=True).out == b"session"
    child.kill()
    child.communicate(timeout=PATIENCE)
    start(rack, manager)
    assert manager.recv(4096) == b"READY=1\nSTATUS=2 keys held\n"
    assert rack.get("GITHUB_TOKEN", check=True).out == rack.values["GITHUB_TOKEN"]
    assert rack.get("SESSION").code != 0
    assert rack.status()["wallet"] == rack.cli("owner", "show", "human", "--json", check=True).json()["wallet"]


def test_a_person_can_still_forget(rack: Seat, manager: socket.socket) -> None:
    """After a relock nothing comes back by itself."""
    start(rack, manager)
    manager.recv(4096)
    rack.cli("relock", check=True)
    assert rack.status()["auto_unlock_in_seconds"] is None
    assert set(rack.states().values()) == {"locked"}


def test_unlocking_once_is_for_an_agent_in_the_background(rack: Seat) -> None:
    """In the foreground it is the one that comes again."""
    done = rack.cli("agent", "-D", "--unlock")
    assert (done.code, done.out) == (2, b"false;\n")
    assert b"hint: agentkeys agent -D --auto-unlock" in done.err


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/notify", "@agentkeys-test-nobody", "@"])
def test_a_manager_that_is_not_there_costs_nothing(address: str) -> None:
    """It listens at no such place; that is for it to notice."""
    Manager(address).ready("anything")


def test_an_abstract_address_begins_with_a_zero_byte() -> None:
    """As sd_notify(3) has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(f"\0agentkeys-test-{os.getpid()}")
        made.settimeout(PATIENCE)
        Manager(f"@agentkeys-test-{os.getpid()}").ready("one\ntwo")
        assert made.recv(4096) == b"READY=1\nSTATUS=one\\ntwo\n"
