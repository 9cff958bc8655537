"""One owner in one home, driven by the real command line: what the tests of agent, cli and security stand on.

Making a rack takes a quarter of a second, so one is made for each run and copied into the home of each test.
"""

import json
import os
import select
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.homes import Home, short_dir
from tests.support.plugin import Plant, Run
from tests.support.runner import Logs, Result, Runner, agentkeys_command

PATIENCE = 20.0
"""Seconds for something that happens by itself; a loaded machine is slow, and a hang is longer."""

PAUSE = 0.01
"""Seconds between two looks."""


def eventually(what: Callable[[], object], seconds: float = PATIENCE) -> Any:
    """What `what()` answers as soon as that is true; AssertionError when it never is."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(PAUSE)
    return found


@contextmanager
def watched(pid: int) -> Iterator[Callable[[], None]]:
    """`with watched(pid) as gone: …; gone()` waits for the end of that very process, reaped or not."""
    fd = os.pidfd_open(pid)
    try:

        def gone() -> None:
            assert select.select([fd], [], [], PATIENCE)[0], f"pid {pid} still lives"

        yield gone
    finally:
        os.close(fd)


class Seat:
    """An owner with a rack, and the commands that a user of it types most."""

    def __init__(self, home: Home, cli: Runner, values: dict[str, bytes], owner: str = "human") -> None:
        self.home = home
        self.cli = cli
        self.values = values
        """What `set` put into its rack, by name."""
        self.owner = owner

    def start(self) -> "Seat":
        """Start its agent, or re-use it."""
        self.cli("agent", "--for", self.owner, check=True)
        return self

    def unlock(self, *args: str) -> "Seat":
        """Bring its keys into the agent."""
        self.cli("unlock", "--for", self.owner, *args, check=True)
        return self

    def set(self, name: str, value: bytes, *args: str) -> Result:
        """Put a value into its rack, every byte."""
        path = self.home.path / f"input-{name}"
        path.write_bytes(value)
        try:
            return self.cli("set", name, "--for", self.owner, "--from-file", path, *args, check=True)
        finally:
            path.unlink()

    def get(self, name: str, **options: Any) -> Result:
        """Ask for a value; it may be shown."""
        return self.cli("get", name, "--for", self.owner, reveals=True, **options)

    def status(self) -> Any:
        """What its agent says of itself, or None without one."""
        return self.cli("status", "--for", self.owner, "--json", check=True).json()

    def states(self) -> dict[str, str]:
        """Each key's state, by name."""
        return {key["name"]: key["state"] for key in self.status()["keys"]}

    @property
    def pid(self) -> int:
        """Its agent's."""
        return int(self.status()["pid"])

    @property
    def process(self) -> psutil.Process:
        """Its agent, as the kernel sees it."""
        return psutil.Process(self.pid)

    @property
    def socket(self) -> Path:
        """Where its agent listens."""
        return self.home.runtime / "agentkeys" / f"{self.owner}.sock"

    @property
    def audit(self) -> Path:
        """The directory of its audit chain."""
        (machine,) = (self.home.root / "audit").iterdir()
        return machine / self.owner

    def chain(self) -> list[dict[str, Any]]:
        """The lines of its audit chain."""
        return [json.loads(line) for line in (self.audit / "chain.jsonl").read_bytes().splitlines()]

    def unsealed(self) -> list[dict[str, Any]]:
        """The lines from before its first unlock that no unlock has linked in yet."""
        path = self.audit / "unsealed.jsonl"
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


@pytest.fixture(scope="session")
def template(
    run: Run, logs: Logs, canary: Plant, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, bytes]]:
    """A home's files with owner human and two keys in them, and their values."""
    home = Home(tmp_path_factory.mktemp("template"), run.keep_track_of(short_dir()))
    cli = Runner(logs, agentkeys_command(), home.env, home.path)
    cli("init", "--via", "file", check=True)
    values = {name: canary(name) for name in ("GITHUB_TOKEN", "OPENAI_API_KEY")}
    for name, value in values.items():
        cli("set", name, input=value, check=True)
    return home.root, values


@pytest.fixture(scope="module")
def shared(
    run: Run, logs: Logs, template: tuple[Path, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seat]:
    """Owner human, unlocked, for all tests of a module that leave it as they found it."""
    root, values = template
    home = Home(tmp_path_factory.mktemp("shared"), run.keep_track_of(short_dir()))
    shutil.copytree(root, home.root, symlinks=True)
    cli = Runner(logs, agentkeys_command(), home.env, home.path)
    yield Seat(home, cli, dict(values)).start().unlock()
    cli.end()
    assert not home.end_agents(), "an agent outlived SIGKILL"


@pytest.fixture
def rack(home: Home, cli: Runner, template: tuple[Path, dict[str, bytes]]) -> Seat:
    """Owner human with two keys, and no agent."""
    root, values = template
    shutil.copytree(root, home.root, symlinks=True)
    return Seat(home, cli, dict(values))


@pytest.fixture
def locked(rack: Seat) -> Seat:
    """Owner human with two keys, and an agent that holds nothing yet."""
    return rack.start()


@pytest.fixture
def seat(locked: Seat) -> Seat:
    """Owner human with two keys, both unlocked in its agent."""
    return locked.unlock()
