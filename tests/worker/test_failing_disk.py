"""A disk that fails at any call: a typed error or a success that is true, the old state or the new, and a retry works.

Each run tries a few calls of each deed, each with another error; `make soak` tries all calls with all errors.
"""

import shutil
from itertools import cycle
from pathlib import Path

import pytest

from agentkeys.cli.work import SCRIPT
from agentkeys.errors import MALFUNCTION, OK, VAULT, AgentkeysError
from tests.stores.syscalls import Point, Tracer
from tests.support.homes import Home
from tests.support.runner import Runner
from tests.worker.deeds import DEEDS, Deed, furnished, rack
from tests.worker.office import WORKER, Office
from tests.worker.test_crash import fault_in

ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EINTR")
"""A full disk, a broken one, a quota, and a signal in the middle: Python makes the last call again (PEP 475)."""

ONCE = frozenset("chmod link linkat mkdir rename rmdir symlink unlink unlinkat utimensat".split())
"""Calls that no local disk interrupts, so that Python doesn't make them again: there EINTR is an error as any other."""

TRIED = 2
"""Calls of each deed that every run tries."""


class Trial:
    """One deed, to be done again and again on the same home."""

    def __init__(self, deed: Deed, home: Home, program: Runner, place: Path) -> None:
        self.deed = deed
        self.home = home
        self.kept = place / "kept"
        self.office = Office(program, home.root)
        fields = deed.prepare(self.office)
        self.before = None if deed.again else deed.look(self.office)
        shutil.copytree(home.path, self.kept, symlinks=True)
        self.tracer = Tracer(program, place / "strace", *WORKER, stdin=self.office.request(deed.job, *fields))
        self.points = self.tracer.points()
        self.after = deed.look(self.office)

    def fail(self, point: Point, error: str) -> bool:
        """Have that call fail; whether the deed was done all the same. The deed's promises are held."""
        shutil.rmtree(self.home.path)
        shutil.copytree(self.kept, self.home.path, symlinks=True)
        done = self.tracer.fail_at(point, error)
        at = f"{error} at {point}"
        code = MALFUNCTION
        if done.out:
            fault = fault_in(done)
            code = fault.exit_code
            assert "internal" not in fault.message, f"{fault.message}: {at}"
            assert code in (OK, MALFUNCTION, VAULT), f"{fault.message}: {at}"
        else:
            assert point.name == "write", f"no answer after {at}"
        try:
            look = self.deed.look(self.office)
        except AgentkeysError as fault:
            raise AssertionError(f"nothing works any more: {fault.message}, after {at}") from fault
        assert look == self.after or (look == self.before and not self.deed.again and code != OK), at
        return code == OK


def chosen(points: "list[Point]") -> "list[Point]":
    """A few, from the first to the last, and not the same kind of call each time."""
    stride = max(1, len(points) // TRIED)
    return points[stride // 2 :: stride]


@pytest.mark.parametrize("deed", DEEDS, ids=str)
def test_a_failing_call_is_said_and_nothing_is_torn(
    deed: Deed, home: Home, program: Runner, tmp_path: Path, undurable: None
) -> None:
    """Exit 1 or 7 with a reason, or a success; whoever looks then, or tries again, finds it undone or done."""
    trial = Trial(deed, home, program, tmp_path)
    for point, error in zip(chosen(trial.points), cycle(ERRORS)):
        trial.fail(point, error)


@pytest.mark.soak
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("deed", DEEDS, ids=str)
def test_each_call_may_fail(
    deed: Deed, error: str, home: Home, program: Runner, tmp_path: Path, undurable: None
) -> None:
    """As above, every call of every deed with every error."""
    trial = Trial(deed, home, program, tmp_path)
    failed = {point.name for point in trial.points if not trial.fail(point, error)}
    assert failed
    assert error != "EINTR" or failed <= ONCE


STINGY = f"""
import os, posix, runpy
write = os.write
def few(fd, data):
    return write(fd, bytes(data[: max(1, len(data) // 2)]))
{{patched}}.write = few
runpy.run_path({SCRIPT!r}, run_name="__main__")
"""
"""A worker on a system that writes half of what it is given, which write(2) may."""


def test_half_written_bytes_are_written_on(home: Home, program: Runner) -> None:
    """write(2) may take less than it is given, at any time; the rack, its values and the answer are whole."""
    office = Office(program, home.root)
    furnished(office)
    *python, _script = WORKER
    stingy = program.with_prefix(*python, "-c", STINGY.format(patched="os"))
    done = stingy(input=office.request("set", ("slug", "@all.all.NEW"), ("value", b"new" * 7_000)))
    assert fault_in(done).exit_code == OK
    assert office.values()["@all.all.NEW"] == b"new" * 7_000
    assert len(office.chain()) == 2 * 4


def test_half_a_line_of_the_audit_log_is_taken_back(home: Home, program: Runner) -> None:
    """A line is one write or none: exit 1, nothing is done, and the next line follows a whole one."""
    office = Office(program, home.root)
    furnished(office)
    before = rack(office)
    *python, _script = WORKER
    stingy = program.with_prefix(*python, "-c", STINGY.format(patched="posix"))
    fault = fault_in(stingy(input=office.request("set", ("slug", "@all.all.NEW"), ("value", b"new"))))
    assert (fault.exit_code, fault.message) == (MALFUNCTION, "the audit log can't be written: no room for a whole line")
    assert rack(office) == before
    assert len(office.chain()) == 2 * 3
    office.set("@all.all.NEW", b"new")
    assert len(office.chain()) == 2 * 4
