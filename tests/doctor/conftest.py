"""Hands these tests an owner to be examined: with a rack, with an agent, or with neither."""

import pytest

from tests.agent.seat import Seat, locked, rack, seat, template
from tests.doctor.clinic import Clinic
from tests.owners.conftest import bus, wallet
from tests.support.homes import Home
from tests.support.runner import Runner

__all__ = ["bus", "locked", "rack", "seat", "template", "wallet"]


@pytest.fixture
def clinic(rack: Seat) -> Clinic:
    """Owner human with two keys, and no agent."""
    return Clinic(rack)


@pytest.fixture
def empty(home: Home, cli: Runner) -> Clinic:
    """A home with nobody in it."""
    return Clinic(Seat(home, cli, {}))
