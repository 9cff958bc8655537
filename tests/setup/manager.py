"""A real `systemd --user`, for the home of one test: no stand-in knows what systemd makes of a unit.

It refuses to run where systemd is not the machine's own manager, and wants a control group; it is given the sign of the
one in a mount namespace, and a group of its own. Everything it starts is in that group.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.seat import Seat, eventually
from tests.support.runner import Result
from tests.support.uids import require

START = """
for group in "$@"; do echo $$ >"$group/cgroup.procs"; done
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec /lib/systemd/systemd --user --log-target=console
"""
"""Become the manager, in these control groups; sd_booted(3) looks for that directory."""

GROUPS = [
    path
    for path in (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
    if (path / "cgroup.procs").exists()
]
"""The hierarchies that systemd uses: version 1 with its own, both, or version 2."""


class UserManager:
    """The manager, and its systemctl."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.groups = [path / f"agentkeys-test-{os.getpid()}" for path in GROUPS]
        self.log = seat.cli.logs.path("manager")
        for group in self.groups:
            group.mkdir(exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", START, "sh", *self.groups],
                env={**seat.home.env, "SYSTEMD_LOG_LEVEL": "info"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def systemctl(self, *args: str) -> Result:
        """Ask it."""
        return self.seat.cli.with_prefix("systemctl", "--user")(*args)

    def is_up(self) -> bool:
        """Whether it answers."""
        return self.process.poll() is not None or self.systemctl("show-environment").code == 0

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.systemctl("show", "--property", name, "--value", unit).out.decode().strip()

    def end(self) -> None:
        """End it and all that it started."""
        if self.process.poll() is None:
            self.systemctl("exit")
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for group in self.groups:
            for path in sorted(group.rglob("*"), reverse=True):
                if path.is_dir():
                    eventually(lambda path=path: _gone(path))
            eventually(lambda group=group: _gone(group))


def _gone(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture
def manager(rack: Seat) -> Iterator[UserManager]:
    """The manager of the owner's user."""
    require(shutil.which("systemctl"), "systemctl (systemd)")
    if os.geteuid() or not GROUPS or not all(os.access(path, os.W_OK) for path in GROUPS):
        pytest.skip("needs root, and control groups that can be written")
    made = UserManager(rack)
    try:
        eventually(made.is_up)
        if made.process.poll() is not None:
            pytest.skip(f"no service manager runs here: {made.log.read_text().strip()[-200:]}")
        yield made
    finally:
        made.end()
