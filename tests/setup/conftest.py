"""Hands these tests an owner with a rack, and a service manager of the user's own."""

from tests.agent.seat import locked, rack, seat, shared, template
from tests.setup.manager import manager

__all__ = ["locked", "manager", "rack", "seat", "shared", "template"]
