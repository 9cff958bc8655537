"""kill -9 in the middle of a change leaves the old state or the new one, and the next change works.

The worker is the process that writes. It is killed at random instants, and then once before each single system call
of its commit, by strace's fault injection.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import agentkeys
from tests.agent.dialogue import Dialogue, fields, frame
from tests.agent.seat import Seat
from tests.support.sweeps import killed, sample, swept
from tests.support.uids import require

WORKER = Path(agentkeys.__file__ or "").parent / "worker" / "__main__.py"

CHANGING = (
    "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,ftruncate,flock,"
    "symlink,symlinkat,fchmod,chmod,sendto"
)
"""The calls of a commit that a crash can fall before or after."""

OLD, NEW = b"the old value", b"the new value"


def job(name: str, seat: Seat, **more: bytes) -> bytes:
    """A worker's job as the command line would send it."""
    parts = [name.encode(), b"home", os.fsencode(seat.home.root), b"owner", b"human"]
    for field, value in more.items():
        parts += [field.encode(), value]
    return frame(fields(*parts))


def start(seat: Seat, *tracer: str) -> "subprocess.Popen[bytes]":
    """A worker, perhaps traced, that waits for its job."""
    runner = seat.cli.with_prefix(*tracer, sys.executable, "-I", WORKER)
    return runner.start(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def state(seat: Seat, name: str = "VICTIM") -> bytes | None:
    """The value of a key, through a fresh unlock; None when the rack has no such key. The rest must be whole."""
    seat.unlock()
    with Dialogue(seat.socket).greet() as client:
        answer = client.ask(b"exec")
    assert answer[0] == b"ok"
    found = {key.decode(): value for key, value in zip(answer[1::2], answer[2::2], strict=True)}
    assert {key: value for key, value in found.items() if key != name} == seat.values
    return found.get(name)


class Rewind:
    """The rack as it is now, to be put back before each kill; the agent and the audit chain go on."""

    PARTS = ("vault", "inventory", "state", "host.human.yml.age")

    def __init__(self, seat: Seat, place: Path) -> None:
        self.root = seat.home.root
        self.kept = place / "kept"
        shutil.copytree(self.root, self.kept, symlinks=True)

    def __call__(self) -> None:
        """Put it back."""
        for part in self.PARTS:
            path = self.root / part
            if path.is_dir():
                shutil.rmtree(path)
                shutil.copytree(self.kept / part, path)
            else:
                shutil.copy2(self.kept / part, path)


@killed
def test_a_change_killed_at_a_random_instant_happened_or_did_not(kills: int, locked: Seat) -> None:
    """Small values and large: before or after, never other, and acknowledged means kept.

    They lie within what an undisturbed change takes on this machine, so that most of them come before its end.
    """
    dice = random.Random()
    locked.set("VICTIM", OLD)
    in_time = 0
    whole = seconds_of_a_change(locked)
    before = state(locked) or b""
    for number in range(kills):
        value = b"value %d" % number + b"." * dice.choice((10, 20_000))
        child = start(locked)
        assert child.stdin
        assert child.stdout
        child.stdin.write(job("set", locked, slug=b"@all.all.VICTIM", value=value))
        child.stdin.close()
        time.sleep(dice.uniform(0.0, whole))
        child.kill()
        answer = child.stdout.read()
        in_time += child.wait() == -signal.SIGKILL
        found = state(locked)
        assert found in (before, value)
        assert found == value or not answer, "acknowledged, and lost"
        before = found
    assert in_time > kills // 8
    assert_no_leftovers(locked)


def seconds_of_a_change(seat: Seat) -> float:
    """How long the quickest of three changes takes here, from the worker's start to its answer."""
    took = []
    for _ in range(3):
        child = start(seat)
        begun = time.monotonic()
        out, err = child.communicate(job("set", seat, slug=b"@all.all.VICTIM", value=NEW), timeout=60)
        took.append(time.monotonic() - begun)
        assert b"ok" in out[:20], err
    return min(took)


def assert_no_leftovers(seat: Seat) -> None:
    """After one more change, nothing unfinished lies about."""
    seat.set("VICTIM", b"the last value")
    assert list(seat.home.root.rglob("*.tmp")) == []
    assert len(list((seat.home.root / "vault" / "human").iterdir())) == 1
    assert state(seat) == b"the last value"


def calls(seat: Seat, data: bytes, trace: Path) -> list[tuple[str, int]]:
    """(system call, its how-many-th) for each changing call of one job, from the taking of the rack's lock on."""
    child = start(seat, "strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={CHANGING}")
    out, err = child.communicate(data, timeout=60)
    assert child.returncode == 0, err
    assert b"ok" in out[:20]
    counts: dict[str, int] = {}
    found = []
    begun = False
    for line in trace.read_text().splitlines():
        name = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if not name:
            continue
        counts[name[1]] = counts.get(name[1], 0) + 1
        begun = begun or "/lock/human.lock" in line
        if begun and (name[1] != "openat" or "O_CREAT" in line):
            found.append((name[1], counts[name[1]]))
    return found


@swept
@pytest.mark.parametrize("kind", ["add", "replace", "del"])
def test_a_change_killed_before_any_of_its_system_calls_happened_or_did_not(
    every: int, kind: str, locked: Seat, tmp_path: Path
) -> None:
    """Each call from the lock to the answer, one run for each: old or new, and both do occur."""
    require(shutil.which("strace"), "strace")
    old = None if kind == "add" else OLD
    new = None if kind == "del" else NEW
    if old is not None:
        locked.set("VICTIM", old)
    data = job("del", locked, slug=b"@all.all.VICTIM")
    if new is not None:
        data = job("set", locked, slug=b"@all.all.VICTIM", value=new)
    rewind = Rewind(locked, tmp_path)
    points = calls(locked, data, tmp_path / "trace")
    assert len(points) > 15
    assert "rename" in {name for name, _ in points}
    seen = {}
    for name, number in sample(points, every):
        rewind()
        inject = f"inject={name}:signal=KILL:when={number}"
        child = start(locked, "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={name}", "-e", inject)
        child.communicate(data, timeout=60)
        assert child.returncode == -signal.SIGKILL, (name, number)
        found = state(locked)
        assert found in (old, new), (name, number)
        seen[name, number] = found
    assert set(seen.values()) == {old, new}
    states = list(seen.values())
    assert states == sorted(states, key=lambda it: it == new), "once new, it stays new"
    assert_no_leftovers(locked)


def test_a_killed_set_frees_its_lock_at_once(locked: Seat) -> None:
    """The next set doesn't wait for a dead one."""
    child = start(locked, "flock", "-x", str(locked.home.root / "lock" / "human.lock"))
    waiting = locked.cli.start("set", "VICTIM", "--from-env", "HOME")
    os.killpg(child.pid, signal.SIGKILL)
    assert waiting.wait(20) == 0


def test_a_stopped_set_is_waited_for_and_named(locked: Seat) -> None:
    """The holder of the rack's lock is frozen: exit 124 within the deadline, with its pid; afterwards all is well."""
    before = locked.cli("list", "--json", check=True).out
    lock = locked.home.root / "lock" / "human.lock"
    holder = locked.cli.with_prefix("flock", "-x", lock, "sleep", "60").start()
    while not psutil.Process(holder.pid).children():
        assert holder.poll() is None
    lock.write_text(f"{holder.pid}\n")
    done = locked.cli("set", "VICTIM", input=b"x", timeout=60)
    assert done.code == 124
    assert f"pid {holder.pid} ".encode() in done.err
    os.killpg(holder.pid, signal.SIGKILL)
    assert locked.cli("list", "--json", check=True).out == before
    locked.set("VICTIM", b"x")


def test_an_init_killed_anywhere_is_finished_by_the_next(locked: Seat) -> None:
    """Ten instants: the next init makes what is missing, and the owner works."""
    dice = random.Random()
    for number in range(10):
        owner = f"crab{number}"
        parts = [b"init", b"home", os.fsencode(locked.home.root), b"owner", owner.encode(), b"via", b"", b"pubkey", b""]
        child = start(locked)
        assert child.stdin
        child.stdin.write(frame(fields(*parts)))
        child.stdin.close()
        time.sleep(dice.uniform(0.02, 0.2))
        child.kill()
        child.wait()
        made = locked.cli("init", "--for", owner, "--json", check=True).json()
        locked.cli("set", "TOKEN", "--for", owner, input=b"x", check=True)
        assert (locked.home.root / "names" / made["wallet"].lower()).readlink() == Path(owner)
    assert list(locked.home.root.rglob("*.tmp")) == []


@pytest.mark.parametrize("limit", [0, 100, 300, 1000])
def test_a_disk_without_room_keeps_the_old_state(limit: int, locked: Seat) -> None:
    """A file may grow to `limit` bytes only: set fails with a code and a reason, and afterwards works."""
    locked.set("VICTIM", OLD)
    shell = locked.cli.with_prefix("bash", "-c", f'ulimit -f {limit // 1000}; exec "$@"', "bash", *locked.cli.prefix)
    done = shell("set", "VICTIM", input=os.urandom(16_000))
    assert done.code in (1, 7)
    assert b"agentkeys: error: " in done.err
    assert b"Traceback" not in done.err
    assert state(locked) == OLD
    assert_no_leftovers(locked)
