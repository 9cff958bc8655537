"""What an agent opens to the machine is one socket, closed to others from its first instant."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.agent.seat import Seat, eventually

LISTENING = 0x10000
"""The flag of a listening socket in /proc/net/unix (__SO_ACCEPTCON, linux/net.h)."""

WATCH = """
import os, select, sys
seen = set()
print("watching", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for path in sys.argv[1:]:
        try:
            seen.add((path, os.lstat(path).st_mode & 0o7777))
        except FileNotFoundError:
            pass
for path, mode in sorted(seen):
    print(path, oct(mode))
"""


def test_the_only_listener_is_the_path_socket(seat: Seat) -> None:
    """No TCP or UDP, no abstract name, one listening unix socket and it is the one that was printed."""
    process = seat.process
    assert process.net_connections("inet") == []
    inodes = set()
    for fd in os.listdir(f"/proc/{process.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # the connection that unlocked may be closing just now
            inodes.add(os.readlink(f"/proc/{process.pid}/fd/{fd}"))
    rows = [line.split() for line in Path(f"/proc/{process.pid}/net/unix").read_text().splitlines()[1:]]
    own = [row for row in rows if f"socket:[{row[6]}]" in inodes]
    assert {tuple(row[7:]) for row in own} == {(str(seat.socket),)}
    assert sum(bool(int(row[3], 16) & LISTENING) for row in own) == 1


def test_a_connection_leaves_no_other_listener(seat: Seat) -> None:
    """After reads, sets and relocks the agent has the descriptors it began with."""
    process = seat.process
    before = process.num_fds()
    seat.get("GITHUB_TOKEN", check=True)
    seat.cli("set", "NEW", input=b"x", check=True)
    seat.unlock()
    seat.cli("relock", check=True)
    eventually(lambda: process.num_fds() <= before + 1)  # the audit log may be open now
    assert process.children() == []


@pytest.mark.serial
def test_a_socket_is_never_wider_than_it_ends_up(rack: Seat) -> None:
    """Looked at without a pause while agents start under umask 000: 0600 and 0700 are the only modes ever seen."""
    directory = rack.socket.parent
    (run,) = [rack.home.root / "run"]
    watcher = rack.cli.with_prefix(sys.executable, "-IS", "-c", WATCH, rack.socket, directory, run).start(
        stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert watcher.stdout
    assert watcher.stdout.readline() == b"watching\n"
    shell = rack.cli.with_prefix("sh", "-c", 'umask 000; exec "$@"', "sh", *rack.cli.prefix)
    for _ in range(10):
        shell("agent", check=True)
        shell("agent", "-k", check=True)
        directory.rmdir()
    out, _ = watcher.communicate(b"\n", timeout=20)
    seen = {tuple(line.rsplit(" ", 1)) for line in out.decode().splitlines()}
    assert seen == {(str(rack.socket), "0o600"), (str(directory), "0o700"), (str(run), "0o700")}


def test_the_agents_command_line_is_fit_to_be_seen(seat: Seat) -> None:
    """ps shows paths, the owner and the public wallet; environment and open files hold no value."""
    line = " ".join(psutil.Process(seat.pid).cmdline())
    assert "--for human" in line
    for value in seat.values.values():
        assert value.decode() not in line
        assert value not in Path(f"/proc/{seat.pid}/environ").read_bytes()
