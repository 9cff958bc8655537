"""Hands these tests owners with sessions, in files and in real and pretended keychains."""

from pathlib import Path

import pytest

from tests.owners.conftest import bus, wallet
from tests.sessions.population import populate, towns
from tests.sessions.standin import StandIn
from tests.stores.conftest import program

__all__ = ["bus", "populate", "program", "towns", "wallet"]


@pytest.fixture
def standin() -> StandIn:
    """A keychain in memory that works, until a test breaks it."""
    return StandIn()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A persistent root with nothing in it."""
    path = tmp_path / "root"
    path.mkdir(mode=0o700)
    return path
