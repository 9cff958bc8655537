"""While a command runs, its keys are in its environment and nowhere else that other processes can look."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.agent.seat import Seat
from tests.support.argvwatch import ArgvWatch
from tests.support.canary import Canary, found_in

WAIT = ("sh", "-c", "echo ready; read x")


def holds(seat: Seat, data: bytes) -> set[str]:
    """The keys of `seat` whose values `data` holds in any form."""
    return {it.name for it in found_in(data, [Canary(name, value) for name, value in seat.values.items()])}


def test_a_running_command_shows_only_what_it_was_given(seat: Seat) -> None:
    """Its /proc environ has the one key that was named; its command line and its parent's have none."""
    child = seat.cli.start("exec", "--key", "GITHUB_TOKEN", "--", *WAIT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline() == b"ready\n"
    environ = Path(f"/proc/{child.pid}/environ").read_bytes()
    assert holds(seat, environ) == {"GITHUB_TOKEN"}
    names = {entry.partition(b"=")[0] for entry in environ.split(b"\0") if entry}
    assert names == {os.fsencode(name) for name in seat.cli.env} | {b"GITHUB_TOKEN", b"AGENTKEYS_OWNER"}
    assert holds(seat, Path(f"/proc/{child.pid}/cmdline").read_bytes()) == set()
    child.communicate(b"\n", timeout=10)


def test_no_command_line_shows_a_value(seat: Seat, argv_watch: Callable[[], ArgvWatch]) -> None:
    """All of /proc is read over and over while commands start, run, fail and end."""
    with argv_watch() as watch:
        for _ in range(5):
            seat.cli("exec", "--", "sleep", "0.05", check=True)
            seat.cli("exec", "--key", "GITHUB_TOKEN=OTHER", "--", "sh", "-c", "sleep 0.05; exit 3")
            seat.cli("exec", "--key", "GITHUB_TOKEN=LD_PRELOAD", "--", "true")
            seat.get("GITHUB_TOKEN", check=True)
    assert watch.sweeps > 2
    assert watch.hits == []


def test_a_command_that_forgot_its_keys_leaves_none_behind(seat: Seat) -> None:
    """After the command's end no process of this home has a value in environment or command line."""
    seat.cli("exec", "--", "true", check=True)
    looked = 0
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        for name in ("environ", "cmdline"):
            try:
                data = Path(f"/proc/{process.pid}/{name}").read_bytes()
            except OSError:
                continue
            looked += 1
            assert holds(seat, data) == set(), process
    assert looked > 10


def test_exec_writes_no_file(seat: Seat) -> None:
    """Only the audit log grows: no temporary file, no cache, no history."""

    def files() -> dict[Path, int]:
        roots = (seat.home.path, seat.home.runtime)
        return {path: path.stat().st_mtime_ns for root in roots for path in root.rglob("*") if path.is_file()}

    before = files()
    seat.cli("exec", "--", "true", check=True)
    after = files()
    assert {path for path in after if after[path] != before.get(path)} == {seat.audit / "chain.jsonl"}
    assert set(after) == set(before)
