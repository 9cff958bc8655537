"""Hands these tests an owner with a rack, locked or unlocked."""

import pytest

from tests.agent.seat import locked, rack, seat, shared, template

pytest.register_assert_rewrite("tests.shell.shells")

__all__ = ["locked", "rack", "seat", "shared", "template"]
