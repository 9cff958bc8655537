"""Hands these tests an owner with a rack, locked or unlocked, and an ordinary user's agent."""

import pytest

from tests.agent.seat import Seat, locked, rack, seat, shared, template
from tests.support.plugin import Plant
from tests.support.uids import User

__all__ = ["locked", "rack", "seat", "shared", "template"]


@pytest.fixture
def users_agent(other_user: User, canary: Plant) -> Seat:
    """An agent of an ordinary user, unlocked; it ends with that user's fixture."""
    found = Seat(other_user.home, other_user.cli, {"GITHUB_TOKEN": canary("the user's")})
    other_user.cli("init", "--via", "file", check=True)
    other_user.cli("set", "GITHUB_TOKEN", input=found.values["GITHUB_TOKEN"], check=True)
    return found.start().unlock()
