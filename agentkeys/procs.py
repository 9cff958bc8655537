"""The only caller of `subprocess`: absolute programs, a new environment, a time-out, no shell."""

import os
import select
import signal
import subprocess
import sys
from typing import NoReturn, Self

from agentkeys.errors import NOT_FOUND, AgentkeysError, TimedOut

PASSED_ON = (b"HOME", b"LANG", b"LC_ALL", b"TZ", b"XDG_RUNTIME_DIR", b"DBUS_SESSION_BUS_ADDRESS", b"TMPDIR")
"""What a worker or agent may see of the caller's environment: where things are, nothing that names code."""

START_DEADLINE = 10.0
"""Seconds for an agent to answer; it takes 20 ms, a loaded machine's disk a second."""


def clean_environment() -> "dict[bytes, bytes]":
    """A new environment of PASSED_ON names and a fixed PATH."""
    kept = {name: os.environb[name] for name in PASSED_ON if name in os.environb}
    return {**kept, b"PATH": b"/usr/local/bin:/usr/bin:/bin"}


def interpreter() -> str:
    """The absolute path of the running Python. Raises AgentkeysError when the interpreter doesn't know it."""
    if not os.path.isabs(sys.executable or ""):
        raise AgentkeysError("Python doesn't say where it is, so no daemon or worker can be started")
    return sys.executable


def read_answer(script: str, arguments: "list[str]", deadline: float = START_DEADLINE) -> bytes:
    """Run `python -IS script arguments`, which leaves a daemon behind; everything it wrote to stdout.

    Returns when the daemon let go of stdout. Raises TimedOut, and AgentkeysError when it died without an answer.
    """
    try:
        done = subprocess.run(  # noqa: S603 - absolute argv, no shell
            [interpreter(), "-IS", script, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=clean_environment(),
            close_fds=True,
            cwd="/",
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimedOut(f"the agent didn't answer within {deadline:g} s") from None
    except OSError as error:
        raise _not_started(error) from None
    if not done.stdout:
        raise AgentkeysError("the agent died while it started: " + safe_line(done.stderr))
    return done.stdout


def _not_started(error: OSError) -> AgentkeysError:
    """What to say when the system has no process, memory or descriptor left for us (fork(2), EAGAIN)."""
    return AgentkeysError(f"no process can be started: {error.strerror}", "ulimit -a")


TOOL_DIRS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/run/current-system/sw/bin")
"""Where a system's own tools are; the last is NixOS's. PATH isn't asked, which is the caller's to choose."""

TOOL_DEADLINE = 100.0
"""Seconds for a tool: systemctl waits for a start, which our units give 90."""


class Done:
    """How a tool ended."""

    def __init__(self, code: int, noise: str) -> None:
        self.code = code
        """Its exit code, or NOT_FOUND when there is no such tool."""
        self.noise = noise
        """The last line it wrote to stderr, printable and bounded."""


def run_tool(argv: "list[str]") -> Done:
    """Run a system's tool by its name, or a program by its path, with a clean environment. Raises TimedOut."""
    program = argv[0]
    if "/" not in program:
        places = [f"{directory}/{program}" for directory in TOOL_DIRS]
        program = next((place for place in places if os.access(place, os.X_OK)), "")
    if not program:
        return Done(NOT_FOUND, f"there is no {argv[0]} here")
    try:
        done = subprocess.run(  # noqa: S603 - absolute argv, no shell
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=clean_environment(),
            close_fds=True,
            cwd="/",
            timeout=TOOL_DEADLINE,
            check=False,
        )
    except OSError as error:
        return Done(NOT_FOUND, f"{program} can't be executed: {error.strerror}")
    except subprocess.TimeoutExpired:
        raise TimedOut(f"{argv[0]} didn't end within {TOOL_DEADLINE:g} s") from None
    return Done(done.returncode, safe_line(done.stderr))


def become(script: str, arguments: "list[str]") -> NoReturn:
    """Become `python -IS script arguments`, with what it may see of our environment. Raises AgentkeysError."""
    try:
        os.execve(interpreter(), [interpreter(), "-IS", script, *arguments], clean_environment())  # noqa: S606 - no shell
    except OSError as error:
        raise AgentkeysError(f"Python can't be executed: {error.strerror}") from None


def safe_line(output: bytes) -> str:
    """The last line a child wrote to stderr, printable and bounded."""
    line = output.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return "".join(c for c in line if c.isprintable())[:200] or "it said nothing"


CHUNK = 64 * 1024
"""Bytes read from a worker at once: a pipe's capacity on Linux (pipe(7))."""


DYING = 2.0
"""Seconds for a worker that closed its end to be gone, so that its end says why."""


class Worker:
    """A child with a pipe each way, in a session of its own so that Ctrl-C reaches the CLI alone.

    Use as a context manager; leaving it kills a child that still runs. Raises AgentkeysError when it can't be started.
    """

    def __init__(self, script: str) -> None:
        try:
            self._child = subprocess.Popen(  # noqa: S603 - absolute argv, no shell
                [interpreter(), "-I", script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=clean_environment(),
                close_fds=True,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise _not_started(error) from None
        if self._child.stdin is None or self._child.stdout is None:
            raise AgentkeysError("the worker has no pipes")  # can't be: they were asked for
        self._stdin, self._stdout = self._child.stdin, self._child.stdout

    def send(self, data: bytes) -> None:
        """Write all of `data`. Raises AgentkeysError when the worker is gone."""
        try:
            self._stdin.write(data)
            self._stdin.flush()
        except OSError:
            raise self._died() from None

    def receive(self, deadline: float) -> bytes:
        """Some bytes of its answer, within `deadline` seconds. Raises TimedOut, and AgentkeysError at its end."""
        ready, _, _ = select.select([self._stdout], [], [], deadline)
        if not ready:
            raise TimedOut(f"the worker didn't answer within {deadline:g} s")
        data = os.read(self._stdout.fileno(), CHUNK)
        if not data:
            raise self._died()
        return data

    def _died(self) -> AgentkeysError:
        """Why it did, as far as its end tells (setrlimit(2), signal(7))."""
        try:
            code = self._child.wait(DYING)
        except subprocess.TimeoutExpired:  # it let go of its pipe and lives
            code = 0
            self._child.kill()
        _out, noise = self._child.communicate()
        if code == -signal.SIGXCPU:
            return AgentkeysError("the worker died: it used up its processor time", "ulimit -t")
        if code == -signal.SIGKILL:
            return AgentkeysError("the worker died: it was killed, as where memory runs out", "free -h; ulimit -v")
        return AgentkeysError("the worker died: " + safe_line(noise))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Close its stdin, which ends one that waits, and reap it; a worker with nothing left to say is not killed."""
        if exc[0] is not None:
            self._child.kill()
        self._child.communicate()
