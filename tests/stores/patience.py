"""An end to whatever hangs; a conftest that names `in_time` has it for each of its tests."""

import signal
from collections.abc import Iterator

import pytest

LONG = 300
"""Seconds that no test here takes, even on a busy machine, unless something hangs: a FIFO, a lock nobody frees."""


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """A test that hangs fails where it hangs."""

    def fail(_number: int, _frame: object) -> None:
        raise AssertionError("it hangs here")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(LONG)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
