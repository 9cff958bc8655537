"""Hands the tests the fixtures of tests/support/plugin.py, which a run inside a test can load as well."""

import pytest

pytest.register_assert_rewrite("tests.support")

pytest_plugins = ["tests.support.plugin"]
