"""Lets a failed scene show what differed."""

import pytest

pytest.register_assert_rewrite("tests.core.playbook")
