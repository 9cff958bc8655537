"""Hands these tests an owner with a rack, locked or unlocked."""

from tests.agent.logins import in_session
from tests.agent.seat import locked, rack, seat, shared, template

__all__ = ["in_session", "locked", "rack", "seat", "shared", "template"]
