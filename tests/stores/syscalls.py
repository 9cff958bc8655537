"""Kills a program, or fails it, at each of its system calls that change something (strace(1), inject)."""

import compileall
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import agentkeys
from tests.support.runner import Result, Runner
from tests.support.uids import require

PACKAGE = Path(agentkeys.__file__).parent

CALLS = (
    "openat", "mkdir", "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "unlink",
    "unlinkat", "ftruncate", "chmod", "fchmod", "symlink", "symlinkat", "link",
)  # fmt: skip
"""What changes a file system. To die before any other call is to die before the next of these."""

QUICK = "--seccomp-bpf"
"""Stop at the traced calls alone; strace 6.1 injects errors there, but no signals."""


@dataclass(frozen=True)
class Point:
    """The `count`th call of that name in a run."""

    name: str
    count: int

    def __str__(self) -> str:
        return f"{self.name} {self.count}"


class Tracer:
    """Runs one command line under strace; the same each time, so that a call's number means the same call.

    The package is compiled before: a Python that has to write bytecode makes calls of its own.
    """

    def __init__(self, program: Runner, log: Path, *command: str, stdin: bytes = b"") -> None:
        require(shutil.which("strace"), "strace")
        compileall.compile_dir(PACKAGE, quiet=1)
        self.program = program
        self.log = log
        self.command = command
        self.stdin = stdin
        self.calls = CALLS
        """The calls that are watched."""

    def run(self, *options: str) -> Result:
        """Run it to its end, whatever that is."""
        calls = f"trace={','.join(self.calls)}"
        strace = ("strace", "-f", "-qq", "-o", str(self.log), "-e", calls, *options, "--")
        return self.program(*strace, *self.command, input=self.stdin)

    def points(self) -> "list[Point]":
        """Every call of one undisturbed run that changes something; opening a file that is there does not."""
        assert self.run(QUICK).code == 0, "an undisturbed run works"
        found = []
        seen: dict[str, int] = {}
        for name, rest in lines(self.log):
            seen[name] = seen.get(name, 0) + 1
            if name != "openat" or "O_CREAT" in rest:
                found.append(Point(name, seen[name]))
        return found

    def kill_at(self, point: Point) -> Result:
        """SIGKILL before that call does anything."""
        done = self.run("-e", f"inject={point.name}:signal=KILL:when={point.count}")
        assert done.code == -9, f"{point} was never reached"
        return done

    def fail_at(self, point: Point, error: str) -> Result:
        """That call fails with `error` and does nothing."""
        done = self.run(QUICK, "-e", f"inject={point.name}:error={error}:when={point.count}")
        assert "INJECTED" in self.log.read_text(), f"{point} was never reached"
        return done


def lines(log: Path) -> "Iterator[tuple[str, str]]":
    """Each call in a trace: its name, and all that follows it."""
    for line in log.read_text(errors="replace").splitlines():
        if call := re.match(r"\d+ +(\w+)\((.*)", line):
            yield call[1], call[2]
