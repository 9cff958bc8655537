"""An isolated home for a test, and the end of every agent that it started.

HOME lies in the test's own tree, where the search at the end reads it. The runtime directory lies in /tmp
under a short name, because a socket's path must stay under 104 bytes; it is searched and removed at the end
as well.
"""

import os
import pwd
import secrets
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

GRACE = 3.0
"""Seconds that an agent has to end by itself when asked to."""

PAUSE = 0.02
"""Seconds between two looks at whether it did."""


def short_dir(mode: int = 0o700) -> Path:
    """A new directory /tmp/ak-…, whose paths leave room for a socket's name."""
    path = Path("/tmp") / f"ak-{secrets.token_hex(4)}"  # not mkdtemp: that has no mode, and sticks to TMPDIR
    path.mkdir(mode=0o700)
    path.chmod(mode)
    return path


class Home:
    """Where one user of a test lives."""

    def __init__(self, path: Path, runtime: Path, user: str | None = None) -> None:
        self.path = path
        """$HOME"""
        self.runtime = runtime
        """$XDG_RUNTIME_DIR"""
        self.user = user or pwd.getpwuid(os.getuid()).pw_name
        for directory in (path, path / ".config"):
            directory.mkdir(mode=0o700, exist_ok=True)

    @property
    def root(self) -> Path:
        """Where agentkeys keeps its files."""
        return self.path / ".agentkeys"

    @property
    def env(self) -> dict[str, str]:
        """All that a program of this home is told; no AGENTKEYS_ variable, nothing of the developer's."""
        return {
            "HOME": str(self.path),
            "LANG": "C.UTF-8",
            "LOGNAME": self.user,
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "USER": self.user,
            "XDG_CONFIG_HOME": str(self.path / ".config"),
            "XDG_RUNTIME_DIR": str(self.runtime),
        }

    def agents(self) -> list[psutil.Process]:
        """The live processes of agentkeys that belong to this home, whoever started them."""
        by_lock = set(self._pids_by_lock())
        spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        others = [process for process in psutil.process_iter() if process.pid not in spared]
        return [process for process in others if self._owns(process, process.pid in by_lock)]

    def end_agents(self) -> list[psutil.Process]:
        """End every agent of this home; those that even SIGKILL left are returned."""
        agents = self.agents()
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for process in agents:
                with suppress(psutil.NoSuchProcess):
                    end(process)
            deadline = time.monotonic() + GRACE
            while (agents := self.agents()) and time.monotonic() < deadline:
                time.sleep(PAUSE)  # not psutil's wait, which takes a child's exit code from the test that started it
            if not agents:
                break
        return agents

    def _pids_by_lock(self) -> list[int]:
        """Who listens on the socket that each agent's lock file names: the kernel's word (unix(7))."""
        pids = []
        for lock in self.root.glob("run/*/*/*.lock"):
            try:
                name = lock.read_bytes().partition(b"\n")[0]
            except FileNotFoundError:
                continue  # its agent is leaving
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                try:
                    client.connect(name)
                    pids.append(_peer_pid(client))
                except (OSError, ValueError):
                    continue  # a stale lock, or one half written
        return pids

    def _owns(self, process: psutil.Process, named_by_lock: bool) -> bool:
        """Whether `process` is agentkeys' and of this home, by command line, environment or open files."""
        places = (str(self.path), str(self.runtime))
        try:
            line = process.cmdline()
            if not any("agentkeys" in word for word in line) or process.status() == psutil.STATUS_ZOMBIE:
                return False
            if named_by_lock or any(place in word for word in line for place in places):
                return True
            environ = process.environ()
            if environ.get("HOME") == places[0] or environ.get("XDG_RUNTIME_DIR") == places[1]:
                return True
            return any(file.path.startswith(places) for file in process.open_files())
        except psutil.Error:
            return named_by_lock and process.is_running()


def _peer_pid(client: socket.socket) -> int:
    if sys.platform == "darwin":
        return int(client.getsockopt(0, 2))  # SOL_LOCAL, LOCAL_PEERPID: <sys/un.h>
    return int(struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
