"""Hands these tests an owner with a rack, locked or unlocked."""

from tests.agent.seat import locked, rack, seat, shared, template

__all__ = ["locked", "rack", "seat", "shared", "template"]
