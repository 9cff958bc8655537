"""How much of what takes long is tried: a sample in each run, all of it in `make soak`."""

from collections.abc import Sequence
from typing import TypeVar

import pytest

T = TypeVar("T")

SAMPLE = 6
"""Of so many calls one is tried in each run; the next commit's run is as likely to find what this one passes over."""

swept = pytest.mark.parametrize("every", [SAMPLE, pytest.param(1, marks=pytest.mark.soak)], ids=["sample", "all"])
"""Gives a test `every`: it tries one of so many places."""

KILLS = 40
"""With -9, at random instants, in each run; a fault that shows once in 25 is missed one time in five (0.96^40)."""

killed = pytest.mark.parametrize("kills", [KILLS, pytest.param(1000, marks=pytest.mark.soak)])
"""Gives a test `kills`: it kills that often."""


def sample(places: Sequence[T], every: int) -> list[T]:
    """One of `every` places, and the first and the last in any case."""
    return [*places[:-1:every], places[-1]]
