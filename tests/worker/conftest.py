"""An office in the test's home, opened for one owner or still empty, and a stand-in for her agent."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stores.patience import in_time
from tests.support.homes import Home
from tests.support.runner import Runner
from tests.worker.agents import StubAgent
from tests.worker.office import Office

__all__ = ["in_time"]


@pytest.fixture
def program(cli: Runner) -> Runner:
    """Runs other programs in the test's own home, their output searched at the end."""
    return cli.with_prefix()


@pytest.fixture
def empty(program: Runner, home: Home) -> Office:
    """A home in which nobody was made an owner yet."""
    return Office(program, home.root)


@pytest.fixture
def office(empty: Office) -> Office:
    """A home with ana in it, and nothing in her rack."""
    empty.do("init", ("via", "file"))
    return empty


@pytest.fixture
def undurable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that a test does in its own process sync nothing: it looks at a hundred disks, and cuts no power itself."""
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda _fd: None)


@pytest.fixture
def make_agent(office: Office, short_path: Path) -> Iterator[Callable[[str], StubAgent]]:
    """Stand-ins for agents of ana, by name."""
    agents = []

    def make(name: str = "agent") -> StubAgent:
        agents.append(StubAgent(office.root, office.owner, short_path / f"{name}.sock"))
        return agents[-1]

    yield make
    for agent in agents:
        agent.end()


@pytest.fixture
def agent(make_agent: Callable[[], StubAgent]) -> StubAgent:
    """The one agent of ana."""
    return make_agent()
