"""Looks for canaries in every command line of the machine while a test runs.

/proc/PID/cmdline is world-readable, so a value in argv is a value published. The watcher is a process of its
own, because a thread would sleep whenever the test itself is busy; it gets the values on stdin, never in its
own argv.

    with argv_watch() as watch:
        cli("set", …)
    assert watch.sweeps and not watch.hits
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from tests.support.canary import BEGINNINGS, Canary, forms

PAUSE = 0.002
"""Seconds between two sweeps over /proc; an exec'd program lives for several."""

SWEEPER = f"""
import json, os, select, sys, time
beginnings, forms = json.loads(sys.stdin.readline())
beginnings = [beginning.encode("latin-1") for beginning in beginnings]
forms = {{form.encode("latin-1"): name for form, name in forms}}
sys.stdout.write("watching\\n")
sys.stdout.flush()
hits, sweeps = set(), 0
while not select.select([sys.stdin], [], [], {PAUSE})[0]:
    sweeps += 1
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/" + pid + "/cmdline", "rb") as file:
                line = file.read()
            if not any(beginning in line for beginning in beginnings):
                continue  # nearly all; hundreds of canaries have thousands of forms
            for form, name in forms.items():
                if form in line:
                    hits.add((name, line.split(b"\\0")[0].decode("utf-8", "replace")))
        except OSError:
            pass
json.dump([sweeps, sorted(hits)], sys.stdout)
"""


class ArgvWatch:
    """A context manager; `hits` is known once it is left."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self.forms = [(form.decode("latin-1"), it.name) for it in canaries for form in forms(it.value)]
        self.hits: list[tuple[str, str]] = []
        """(canary, program) for each command line that held one."""
        self.sweeps = 0
        """How often all of /proc was read; 0 means that nothing was watched."""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", SWEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin
        assert self.process.stdout
        beginnings = [beginning.decode("latin-1") for beginning in BEGINNINGS]
        self.process.stdin.write(json.dumps([beginnings, self.forms]).encode() + b"\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"watching\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        out, _ = self.process.communicate(timeout=30)
        self.sweeps, hits = json.loads(out)
        self.hits = [(name, program) for name, program in hits]
