"""A writer that dies, or whose disk fails, at any instant leaves the old file or the new one, never another."""

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from agentkeys.stores import atomic
from tests.stores.conftest import Script
from tests.stores.syscalls import Tracer
from tests.support.runner import Runner
from tests.support.sweeps import killed

OLD, NEW = b"old" * 4000, b"new" * 5000

WRITE = f"""
from agentkeys.errors import VaultFault
try:
    atomic.write_file(sys.argv[1], {NEW[:3]!r} * 5000)
except VaultFault:
    sys.exit(7)
os.write(1, b"acknowledged")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file that is written, alone in its directory."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "file").write_bytes(OLD)
    return place / "file"


@pytest.fixture
def tracer(path: Path, tmp_path: Path, program: Runner, script: Script) -> Tracer:
    """One write_file of NEW over `path`."""
    return Tracer(program, tmp_path / "strace", *script(WRITE), str(path))


def test_a_kill_at_each_system_call_leaves_old_or_new(tracer: Tracer, path: Path) -> None:
    """And no leftover that the next start doesn't remove; whatever was acknowledged is there."""
    points = tracer.points()
    assert {point.name for point in points} >= {"openat", "write", "fsync", "rename"}
    states = []
    for point in points:
        path.write_bytes(OLD)
        done = tracer.kill_at(point)
        states.append(path.read_bytes())
        assert states[-1] in (OLD, NEW), f"torn at {point}"
        assert states[-1] == NEW or not done.out, f"lost at {point}"
        atomic.remove_leftovers(str(path.parent))
        assert os.listdir(path.parent) == ["file"]
    assert states[0] == OLD
    assert states[-1] == NEW


def test_a_write_is_durable_before_it_is_acknowledged(tracer: Tracer) -> None:
    """Bytes are synced before the rename, and the name before the answer; a power cut then takes neither."""
    names = [point.name for point in tracer.points() if point.name in ("write", "fsync", "rename")]
    assert names == ["write", "fsync", "rename", "fsync", "write"]


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EDQUOT", "EINTR"])
def test_an_error_at_each_system_call_is_said_and_leaves_old_or_new(tracer: Tracer, path: Path, error: str) -> None:
    """Acknowledged means new; a fault before the rename means old; nothing is left behind but after a failed unlink."""
    renamed = False
    for point in tracer.points():
        if point.name == "write" and renamed:
            continue  # that is the script's own acknowledgement
        path.write_bytes(OLD)
        done = tracer.fail_at(point, error)
        found = path.read_bytes()
        if done.out:
            assert (done.code, found) == (0, NEW), f"acknowledged despite {error} at {point}"
        else:
            assert done.code == 7, f"no VaultFault for {error} at {point}"
            assert found == OLD or renamed, f"changed by a failed write at {point}"
            assert found in (OLD, NEW), f"torn by {error} at {point}"
        assert os.listdir(path.parent) == ["file"]
        renamed = renamed or point.name == "rename"


COUNT = """
number = 0
while True:
    number += 1
    atomic.write_file(sys.argv[1], b"%d " % number * 5000)
    os.write(1, b"%d\\n" % number)
"""


@killed
def test_a_kill_at_any_instant_leaves_the_last_acknowledged_or_the_next(
    kills: int, path: Path, program: Runner, script: Script
) -> None:
    """Writers, each killed somewhere in a write: no torn file, nothing acknowledged is lost."""
    chance = random.Random(7)
    between = 0
    for _ in range(kills):
        child = program.start(*script(COUNT), str(path), stdout=subprocess.PIPE)
        acknowledged = [child.stdout.readline() for _ in range(chance.randint(1, 30))]
        for _ in range(chance.randint(0, 3000)):
            pass  # somewhere in the next write
        child.send_signal(signal.SIGKILL)
        acknowledged += child.stdout.read().split()
        numbers = set(path.read_bytes().split())
        assert len(numbers) == 1, "torn"
        assert int(numbers.pop()) - int(acknowledged[-1]) in (0, 1)
        assert path.stat().st_size > 5000
        between += len(os.listdir(path.parent)) > 1
        atomic.remove_leftovers(str(path.parent))
        assert os.listdir(path.parent) == ["file"]
    assert between, "no kill hit a write; the test proved nothing"
