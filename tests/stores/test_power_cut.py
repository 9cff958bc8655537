"""What a power cut can leave of a file that is replaced, and of the audit log: old or new, and every synced line."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentkeys.stores import atomic
from tests.stores.chains import STATE_KEY, open_log, said, say
from tests.stores.conftest import Script
from tests.stores.disk import OPTIONS, Disk, lay_out
from tests.support.runner import Runner
from tests.support.uids import require

OLD, NEW = b"old" * 400, b"new" * 500

CONTROL = """
with open(sys.argv[1] + "/file.new", "wb") as file:
    file.write(b"new" * 500)
os.rename(sys.argv[1] + "/file.new", sys.argv[1] + "/file")
os.write(1, b"acknowledged")
"""
"""The usual way to replace a file, which syncs nothing."""

WRITE = """
atomic.write_file(sys.argv[1] + "/file", b"new" * 500)
os.write(1, b"acknowledged")
"""

LOG = f"""
from agentkeys.core.secret import Secret
from agentkeys.stores.audit_log import AuditLog
log = AuditLog(sys.argv[1] + "/audit/machine/ana", "ana")
for key in ("A", "B"):
    log.append("get", 1000, 42, ["@all.all." + key], "deny")
log.seal(Secret({STATE_KEY!r}))
for key in ("C", "D"):
    log.append("get", 1000, 42, ["@all.all." + key], "allow")
log.sync()
os.write(1, b"acknowledged")
log.append("get", 1000, 42, ["@all.all.E"], "allow")
"""


class Bench:
    """Runs a script under strace and cuts the power after each of its calls."""

    def __init__(self, program: Runner, script: Script, place: Path) -> None:
        require(shutil.which("strace"), "strace")
        self.program = program
        self.script = script
        self.root = place / "place"
        self.root.mkdir(mode=0o700)
        self.log = place / "strace"
        self.after = place / "after"
        self.disk = Disk(self.root)

    def begin(self) -> None:
        """Whatever lies at `root` by now is kept."""
        self.disk = Disk(self.root)

    def cuts(self, text: str) -> "Iterator[bool]":
        """For each thing that may be found, laid out at `after`: whether the script had acknowledged."""
        command = (*self.script(text), str(self.root))
        self.program("strace", "-o", str(self.log), *OPTIONS, "--", *command, check=True)
        for call in self.disk.replay(self.log):
            for tree in self.disk.cuts(random.Random(call), all_of_them=True):
                lay_out(tree, self.after)
                yield self.disk.answered
        assert self.disk.answered


@pytest.fixture
def bench(program: Runner, script: Script, tmp_path: Path) -> Bench:
    """An empty directory."""
    return Bench(program, script, tmp_path)


def test_a_file_that_is_replaced_is_the_old_or_the_new_one(bench: Bench) -> None:
    """And the new one, once that was acknowledged; what else lies there is removed by the next start."""
    (bench.root / "file").write_bytes(OLD)
    bench.begin()
    found = set()
    for answered in bench.cuts(WRITE):
        data = (bench.after / "file").read_bytes()
        assert data in (OLD, NEW)
        assert data == NEW or not answered
        found.add(data)
        atomic.remove_leftovers(str(bench.after))
        assert os.listdir(bench.after) == ["file"]
    assert found == {OLD, NEW}


def test_a_writer_that_syncs_nothing_is_caught(bench: Bench) -> None:
    """The control: the model tears and loses what isn't synced, so that the tests above can fail."""
    (bench.root / "file").write_bytes(OLD)
    bench.begin()
    looks = [(answered, (bench.after / "file").read_bytes()) for answered in bench.cuts(CONTROL)]
    assert (True, OLD) in looks, "lost"
    assert (False, b"") in looks, "torn"


def test_a_synced_line_of_the_audit_log_is_kept(bench: Bench) -> None:
    """In new directories, behind the lines from before the unlock; and whatever is torn, the chain goes on."""
    bench.begin()
    longest: list[str] = []
    for answered in bench.cuts(LOG):
        place = bench.after / "audit" / "machine" / "ana"
        say(open_log(place), "LAST")
        names = said(place)
        assert names.pop() == "LAST"
        assert names == ["A", "B", "C", "D", "E"][: len(names)]
        assert len(names) >= 4 or not answered
        longest = max(longest, names, key=len)
    assert longest == ["A", "B", "C", "D", "E"]
