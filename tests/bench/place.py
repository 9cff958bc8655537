"""Where a benchmark runs: a temporary home and runtime directory, the installed program, and the daemons it started.

Nothing of the developer's own environment gets in, and every daemon is gone when the place is left.
"""

import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

INSIDE = Path(__file__).with_name("inside.py")

KEYS = 5
"""Keys in the racks of rows that don't say otherwise, and identities in each ssh-agent."""

TIMEOUT = 120.0
"""Seconds for anything that isn't measured; a rack of 10,000 keys takes four."""

OPEN_FILES = 4096
"""Descriptor limit of this process and of what it starts: a thousand connections go through it."""


class Missing(Exception):
    """A program this benchmark needs isn't here; the message says which."""


@dataclass(frozen=True)
class Daemon:
    """A server: its process and its socket."""

    pid: int
    socket: str


class Place:
    """A context manager; `owner` has KEYS unlocked keys in a live agent."""

    owner = "bench"
    idle_owner = "idle"
    """Has an agent too, in which nothing is unlocked."""

    def __init__(self, venv: Path) -> None:
        self.venv = venv
        self.python = str(venv / "bin" / "python")
        self.script = str(venv / "bin" / "agentkeys")
        """The console script, as pip wrote it."""
        self.directory = Path(tempfile.mkdtemp(prefix="ak-bench-", dir="/tmp"))  # short: sockets live in it
        self.home = self.directory / "home"
        self.runtime = self.directory / "run"
        self.launcher = str(self.directory / "agentkeys")
        """What `agentkeys setup launcher` wrote."""
        self.at_end = ExitStack()
        """What peers want done before the place goes."""
        self._children: list[subprocess.Popen[bytes]] = []
        self._agents: dict[str, Daemon] = {}
        self._ssh_keys: list[str] = []
        self._gpg_agent: Daemon | None = None

    @property
    def env(self) -> dict[str, str]:
        """All that a measured program is told."""
        return {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": str(self.runtime),
        }

    def __enter__(self) -> Self:
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
        try:
            for directory in (self.home, self.runtime):
                directory.mkdir(mode=0o700)
            self.inside("init", self.owner, self.idle_owner)
            self.inside("fill", self.owner, str(KEYS))
            self.agentkeys("setup", "launcher", "--to", self.launcher)
            self.start_agent(self.idle_owner)
            self.start_agent(self.owner)
            self.agentkeys("unlock", "--for", self.owner)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._leave()

    def _leave(self) -> None:
        for owner in list(self._agents):
            self.end_agent(owner)
        for child in list(self._children):
            self.end_child(child)
        self.at_end.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- running things

    def run(self, *argv: str, stdin: bytes = b"", env: dict[str, str] | None = None, cwd: Path | None = None) -> bytes:
        """Run a program to its end, unmeasured; its stdout. Raises CalledProcessError with what it said."""
        done = subprocess.run(
            argv, input=stdin, capture_output=True, env=env or self.env, cwd=cwd or self.home, timeout=TIMEOUT
        )
        if done.returncode:
            sys.stderr.write(f"{shlex.join(argv)}: {done.stderr.decode(errors='replace')}")
            done.check_returncode()
        return done.stdout

    def succeeds(self, *argv: str, stdin: bytes, env: dict[str, str]) -> bool:
        """Whether a program ends with 0; what it says doesn't matter."""
        done = subprocess.run(argv, input=stdin, capture_output=True, env=env, cwd=self.home, timeout=TIMEOUT)
        return done.returncode == 0

    def agentkeys(self, *args: str, stdin: bytes = b"") -> bytes:
        """Run the console script."""
        return self.run(self.script, *args, stdin=stdin)

    def inside(self, *args: str) -> bytes:
        """Run a command of inside.py, which uses the installed package in-process."""
        return self.run(*self.inside_argv(*args))

    def inside_argv(self, *args: str) -> tuple[str, ...]:
        """The command line of the same."""
        return (self.python, "-I", str(INSIDE), *args)

    def package(self) -> Path:
        """Where the installed package lies."""
        return Path(self.run(self.python, "-Ic", "import agentkeys; print(agentkeys.__path__[0])").decode().strip())

    def start(
        self, argv: Sequence[str], env: dict[str, str] | None = None, given: bytes = b""
    ) -> "subprocess.Popen[bytes]":
        """Start a program in the background, with `given` as its whole input; it ends with the place."""
        null = subprocess.DEVNULL
        child = subprocess.Popen(
            argv, env=env or self.env, cwd=self.home, stdin=subprocess.PIPE, stdout=null, stderr=null
        )
        self._children.append(child)
        assert child.stdin
        with child.stdin:
            child.stdin.write(given)
        return child

    def end_child(self, child: "subprocess.Popen[bytes]") -> None:
        """Kill what start() started."""
        child.kill()
        child.wait()
        self._children.remove(child)

    # --- daemons

    def start_agent(self, owner: str) -> Daemon:
        """The owner's agent as the command line starts it."""
        exports = self.agentkeys("agent", "--for", owner).decode()
        words = dict(line.partition(";")[0].split("=", 1) for line in exports.splitlines())
        daemon = Daemon(int(words["AGENTKEYS_AGENT_PID"]), shlex.split(words["AGENTKEYS_SOCK"])[0])
        self._agents[owner] = daemon
        return daemon

    def agent(self, owner: str = owner) -> Daemon:
        """The agent of `owner`, which runs."""
        return self._agents[owner]

    def end_agent(self, owner: str) -> None:
        """End an agent, and be sure of it."""
        pid = self._agents.pop(owner).pid
        for number, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if not _is_alive(pid):
                    return
                time.sleep(0.01)

    def start_ssh_agent(self, name: str = "ssh") -> Daemon:
        """An ssh-agent with KEYS ed25519 identities, in the foreground so that it is ours to end."""
        program = need("ssh-agent")
        path = str(self.runtime / f"{name}.sock")
        child = self.start([program, "-D", "-a", path])
        wait_for(Path(path))
        env = {**self.env, "SSH_AUTH_SOCK": path}
        self.run(need("ssh-add"), "-q", *self.ssh_keys(), env=env)
        return Daemon(child.pid, path)

    @property
    def gpg_env(self) -> dict[str, str]:
        """All that a measured program is told that uses GnuPG."""
        return {**self.env, "GNUPGHOME": str(self.directory / "gpg")}

    def start_gpg_agent(self) -> Daemon:
        """A gpg-agent, started once, that has the key `bench`, which no passphrase protects."""
        if self._gpg_agent is None:
            gpg, conf, env = need("gpg"), need("gpgconf"), self.gpg_env
            (self.directory / "gpg").mkdir(mode=0o700)
            self.at_end.callback(self.run, conf, "--kill", "gpg-agent", env=env)
            batch = [gpg, "--batch", "--quiet", "--passphrase", "", "--quick-gen-key"]
            self.run(*batch, "bench", "future-default", "default", "never", env=env)
            path = self.run(conf, "--list-dirs", "agent-socket", env=env).decode().strip()
            pid = self.run(need("gpg-connect-agent"), "GETINFO pid", "/bye", env=env).split()[1]
            self._gpg_agent = Daemon(int(pid), path)
        return self._gpg_agent

    def ssh_keys(self) -> list[str]:
        """KEYS private keys without passphrase, made once."""
        if not self._ssh_keys:
            for number in range(KEYS):
                path = str(self.home / f"id_{number}")
                self.run(need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", f"bench key {number}", "-f", path)
                self._ssh_keys.append(path)
        return self._ssh_keys


def need(program: str) -> str:
    """The absolute path of a system program. Raises Missing."""
    found = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/opt/homebrew/bin")
    if found is None:
        raise Missing(f"no {program} here")
    return found


def wait_for(path: Path, seconds: float = 5.0) -> None:
    """Wait until somebody listens at `path`; a socket is there a moment earlier. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        with socket.socket(socket.AF_UNIX) as caller, suppress(OSError):
            return caller.connect(str(path))
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody listens at {path}")
        time.sleep(0.005)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return sys.platform == "darwin"
