"""Hands these tests an owner with a rack, locked or unlocked, and direnv in its home."""

import shutil

import pytest

from tests.agent.seat import Seat, locked, rack, seat, template
from tests.direnv.project import Project
from tests.support.uids import require

__all__ = ["locked", "rack", "seat", "template"]


@pytest.fixture
def project(rack: Seat) -> Project:
    """A directory with an .envrc to be written, in the home of an owner who may have an agent."""
    require(shutil.which("direnv"), "direnv")
    rack.cli("direnv", "install", check=True)
    return Project(rack, rack.home.path / "project")
