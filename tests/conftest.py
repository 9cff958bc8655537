"""Hands the tests the fixtures of tests/support/plugin.py, which a run inside a test can load as well."""

import signal

import pytest

# A run in the background of a script starts with SIGINT ignored, and so would every shell and program that it tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest.register_assert_rewrite("tests.support")

pytest_plugins = ["tests.support.plugin"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the tests marked `soak` run."""
    parser.addoption("--soak-seconds", default="1800", help="seconds of the mixed load of `make soak` (1800)")
