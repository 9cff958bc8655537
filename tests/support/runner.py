"""Runs programs as a user would, in bytes, and keeps all they print for the search at the end of the run.

Each child gets exactly the environment it is given, no controlling terminal (so that a forgotten prompt fails
instead of asking the developer), and a time limit. What a child may reveal on stdout, it reveals only when
the test says so.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pexpect

from tests.support.canary import PLAIN

TIMEOUT = 30.0
"""Seconds; what takes longer hangs."""

REVEALED = ".revealed"
"""Suffix of the logs that the search passes over."""

Argument = str | bytes | os.PathLike[str]


@dataclass(frozen=True)
class Result:
    """How a child ended and all it printed."""

    args: tuple[Argument, ...]
    code: int
    """Exit code; negative for a signal."""
    out: bytes
    err: bytes

    def json(self) -> Any:
        """Its stdout, parsed."""
        return json.loads(self.out)

    def check(self) -> "Result":
        """Itself, or AssertionError when it failed."""
        assert self.code == 0, f"{self.args} exited {self.code}: {self.err.decode(errors='replace')}"
        return self


class Logs:
    """The files that hold what children printed, numbered."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._numbers = itertools.count()

    def path(self, kind: str, reveals: bool = False) -> Path:
        """A new log's path; `kind` is out, err or tty."""
        number = f"{os.getpid()}-{next(self._numbers)}"
        return self.directory / f"{number}.{kind}{REVEALED if reveals else ''}"


class Runner:
    """Runs one program with leading arguments `prefix` in one environment; a call runs it to its end."""

    def __init__(self, logs: Logs, prefix: Sequence[Argument], env: Mapping[str, str], cwd: Path) -> None:
        self.logs = logs
        self.prefix = tuple(prefix)
        self.env = dict(env)
        self.cwd = cwd
        self.children: list[subprocess.Popen[bytes] | pexpect.spawn[bytes]] = []
        """Those started and not waited for; end() ends them."""

    def __call__(
        self,
        *args: Argument,
        input: bytes | None = None,  # noqa: A002 - subprocess.run's own name for it
        env: Mapping[str, str | None] | None = None,
        check: bool = False,
        reveals: bool = False,
        timeout: float = TIMEOUT,
        cwd: Path | None = None,
        **popen: Any,
    ) -> Result:
        """Run it with `args` and wait.

        `env` is laid over the runner's own, None removes a name; without `input` stdin is empty; `check`
        demands exit code 0; `reveals` says that values belong on stdout; `popen` goes to subprocess.Popen.
        """
        child = self.start(
            *args,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **popen,
        )
        with child:
            try:
                out, err = child.communicate(input, timeout)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                raise AssertionError(f"{args} did not end and close its output in {timeout} s") from None
        assert reveals or not PLAIN.search(out), f"{args} printed a value; where one belongs, say reveals=True"
        self.logs.path("out", reveals).write_bytes(out)
        self.logs.path("err").write_bytes(err)
        result = Result(args, child.returncode, out, err)
        return result.check() if check else result

    def start(
        self,
        *args: Argument,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        reveals: bool = False,
        **popen: Any,
    ) -> "subprocess.Popen[bytes]":
        """Start it and don't wait; what isn't sent elsewhere goes to the logs."""
        with (
            self.logs.path("out", reveals).open("wb") as out,
            self.logs.path("err").open("wb") as err,
        ):
            child = subprocess.Popen(
                [*self.prefix, *args],
                env=self.environment(env),
                cwd=cwd or self.cwd,
                stdin=stdin,
                stdout=out if stdout is None else stdout,
                stderr=err if stderr is None else stderr,
                start_new_session=True,
                **popen,
            )
        self.children.append(child)
        return child

    def on_tty(
        self,
        *args: Argument,
        env: Mapping[str, str | None] | None = None,
        reveals: bool = False,
        timeout: float = TIMEOUT,
    ) -> "pexpect.spawn[bytes]":
        """Start it on a terminal of its own, for prompts; what the terminal shows is logged."""
        words = [os.fsdecode(word) for word in (*self.prefix, *args)]
        child = pexpect.spawn(
            words[0],
            words[1:],
            env=self.environment(env),  # type: ignore[arg-type]  # typed for os.environ alone
            cwd=str(self.cwd),
            timeout=timeout,
            encoding=None,
        )
        child.logfile_read = _Appender(self.logs.path("tty", reveals))
        self.children.append(child)
        return child

    def environment(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """The runner's environment with `changes` laid over it."""
        merged: dict[str, str | None] = {**self.env, **(changes or {})}
        return {name: value for name, value in merged.items() if value is not None}

    def with_prefix(self, *prefix: Argument) -> "Runner":
        """A runner of another program in the same place; the two end together."""
        other = Runner(self.logs, prefix, self.env, self.cwd)
        other.children = self.children
        return other

    def end(self) -> None:
        """Kill the children that still run."""
        for child in self.children:
            if isinstance(child, pexpect.spawn):
                child.close(force=True)
                continue
            if child.poll() is None:
                child.kill()
            with child:  # closes its pipes and waits
                pass


class _Appender:
    """A log that is open only while it is written: nobody closes what a terminal logs to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def flush(self) -> None:
        """Nothing waits to be written."""


def agentkeys_command() -> tuple[str, ...]:
    """The program under test, as this interpreter's own module."""
    return (sys.executable, "-m", "agentkeys")
