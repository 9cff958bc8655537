"""Sweeps over every system call of a job: a sample of them in each run, all of them in `make soak`."""

from collections.abc import Sequence
from typing import TypeVar

import pytest

T = TypeVar("T")

SAMPLE = 6
"""Of so many calls one is tried in each run; the next commit's run is as likely to find what this one passes over."""

swept = pytest.mark.parametrize("every", [SAMPLE, pytest.param(1, marks=pytest.mark.soak)], ids=["sample", "all"])
"""Gives a test `every`: it tries one of so many places."""


def sample(places: Sequence[T], every: int) -> list[T]:
    """One of `every` places, and the first and the last in any case."""
    return [*places[:-1:every], places[-1]]
