"""Lets a failed promise of the suite show what differed."""

import pytest

pytest.register_assert_rewrite("tests.vaults.suite")
