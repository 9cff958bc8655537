"""Power cuts on a real ext4: what lies in the image of a mounted file system when its writer is frozen, and no more.

The kernel's own journal decides what is there. A writer is stopped at a random instant, the image behind the loop
device is copied, and the copy is mounted as after a power cut; then the writer goes on. Wants root and loop devices.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.stores.chains import STATE_KEY, open_log, said
from tests.support.homes import Home
from tests.support.runner import Runner
from tests.support.uids import REPO, require
from tests.worker.office import Office

pytestmark = [pytest.mark.soak, pytest.mark.serial]

CUTS = 200
"""Power cuts of each store: a fault that shows in one of 25 is missed once in 3,500 (0.96^200)."""

HARMED_AT_LEAST = 10
"""Of CUTS, that tear the control's file or take what it had acknowledged: it syncs nothing."""

SIZE = 32 * 1024 * 1024
"""Bytes of the image: ext4 wants 8 MiB for the smallest journal."""

PREAMBLE = f"""
import os, sys, itertools
sys.path.insert(0, {str(REPO)!r})
root = sys.argv[1]
def acknowledge(number):
    os.write(1, b"%d\\n" % number)
"""

CONTROL = """
for number in itertools.count(1):
    with open(root + "/file.new", "wb") as file:
        file.write(b"%d" % number)
    os.rename(root + "/file.new", root + "/file")
    acknowledge(number)
"""

FILE = """
from agentkeys.stores import atomic
for number in itertools.count(1):
    atomic.write_file(root + "/file", b"%d" % number)
    acknowledge(number)
"""

RACK = """
from agentkeys.worker import rack_jobs
from agentkeys.worker.job import Job, encode
for number in itertools.count(1):
    value = b"%d" % number
    fields = [("home", root + "/.agentkeys"), ("owner", "ana"), ("slug", "@all.all.A"), ("value", value)]
    rack_jobs.set_key(Job(encode("set", fields), None))
    acknowledge(number)
"""

AUDIT = f"""
from agentkeys.core.secret import Secret
from agentkeys.stores.audit_log import AuditLog
log = AuditLog(root + "/log", "ana")
log.seal(Secret({STATE_KEY!r}))
for number in itertools.count(1):
    log.append("get", 1000, 42, ["@all.all.N%d" % number], "allow")
    log.sync()
    acknowledge(number)
"""


class LoopDisk:
    """An ext4 in a file, mounted; and copies of it as a power cut leaves them."""

    def __init__(self, place: Path) -> None:
        require(os.geteuid() == 0, "root, to mount a file system")
        require(shutil.which("mke2fs"), "mke2fs (e2fsprogs)")
        self.image, self.copy = place / "image", place / "copy"
        self.there, self.after = place / "there", place / "after"
        with self.image.open("wb") as file:
            file.truncate(SIZE)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", self.image], check=True)
        for path in (self.there, self.after):
            path.mkdir()
        mounted = subprocess.run(["mount", "-o", "loop", self.image, self.there], capture_output=True)
        require(mounted.returncode == 0, "loop devices, to mount a file system from a file")
        self.there.chmod(0o700)
        source = subprocess.run(["findmnt", "-no", "SOURCE", self.there], capture_output=True, check=True, text=True)
        self.counters = Path("/sys/block") / Path(source.stdout.strip()).name / "stat"

    def cut(self) -> None:
        """Mount at `after` what the device holds now. Its writer must stand still."""
        self.uncut()
        while True:
            before = self.counters.read_text()
            self.copy.unlink(missing_ok=True)  # a loop device that was slow to let go of it would show the last cut's
            shutil.copyfile(self.image, self.copy)
            if self.counters.read_text() == before:
                break  # else the journal was written meanwhile, and the copy is of no one instant
        subprocess.run(["mount", "-o", "loop", self.copy, self.after], check=True)

    def uncut(self) -> None:
        """Let go of the copy."""
        if os.path.ismount(self.after):
            subprocess.run(["umount", self.after], check=True)

    def close(self) -> None:
        """Unmount both."""
        self.uncut()
        subprocess.run(["umount", "-l", self.there], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    """A mounted one, empty."""
    made = LoopDisk(tmp_path)
    yield made
    made.close()


def cuts(disk: LoopDisk, program: Runner, text: str) -> "Iterator[int]":
    """Run a writer, and cut the power CUTS times; each time, the last number that it had acknowledged."""
    dice = random.Random()
    child = program.start(sys.executable, "-I", "-c", PREAMBLE + text, str(disk.there), stdout=subprocess.PIPE)
    process = psutil.Process(child.pid)
    os.set_blocking(child.stdout.fileno(), False)
    acknowledged = 0
    for _ in range(CUTS):
        seen = acknowledged
        while acknowledged == seen:  # it has done something since the last cut
            time.sleep(dice.uniform(0.001, 0.02))
            for line in (child.stdout.read() or b"").splitlines():
                acknowledged = int(line)
            assert child.poll() is None, "the writer died"
        time.sleep(dice.uniform(0, 0.01))
        child.send_signal(signal.SIGSTOP)
        while process.status() != psutil.STATUS_STOPPED:
            pass
        for line in (child.stdout.read() or b"").splitlines():
            acknowledged = int(line)
        disk.cut()
        yield acknowledged
        child.send_signal(signal.SIGCONT)
    child.kill()


def number_in(path: Path) -> int:
    """The number that a file holds; 0 where there is none."""
    data = path.read_bytes() if path.exists() else b""
    return int(data or b"0")


def test_the_control_tears_or_loses_what_it_acknowledged(disk: LoopDisk, program: Runner) -> None:
    """A writer that syncs nothing is caught, or the tests below would prove nothing."""
    harmed = 0
    for acknowledged in cuts(disk, program, CONTROL):
        path = disk.after / "file"
        data = path.read_bytes() if path.exists() else b""
        harmed += not data.isdigit() or int(data) < acknowledged
    assert harmed >= HARMED_AT_LEAST


def test_a_replaced_file_survives_power_cuts(disk: LoopDisk, program: Runner) -> None:
    """The last acknowledged one or the next, 200 times."""
    for acknowledged in cuts(disk, program, FILE):
        assert number_in(disk.after / "file") - acknowledged in (0, 1)


def test_a_rack_survives_power_cuts(disk: LoopDisk, program: Runner) -> None:
    """Manifest, values and state together: it opens, with the last acknowledged value or the next, 200 times."""
    Office(program, Home(disk.there, disk.there / "run").root).do("init", ("via", "file"))
    subprocess.run(["sync", "-f", disk.there], check=True)
    for acknowledged in cuts(disk, program, RACK):
        found = Office(program, disk.after / ".agentkeys").values()
        assert int(found.get("@all.all.A", b"0")) - acknowledged in (0, 1)


def test_an_audit_log_survives_power_cuts(disk: LoopDisk, program: Runner) -> None:
    """Every synced line is there and the chain holds, 200 times; a torn last line is cut by the next writer."""
    for acknowledged in cuts(disk, program, AUDIT):
        open_log(disk.after / "log").close()
        names = said(disk.after / "log")
        assert names == [f"N{number}" for number in range(1, len(names) + 1)]
        assert len(names) - acknowledged in (0, 1)
