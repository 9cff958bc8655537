"""Hands these tests an owner with an unlocked agent."""

from tests.agent.seat import locked, rack, seat, template

__all__ = ["locked", "rack", "seat", "template"]
