"""The quick benchmark as a test: no budget is broken by more than a quarter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]


@pytest.mark.bench
@pytest.mark.skipif("AGENTKEYS_BENCH_VENV" not in os.environ, reason="`make bench` builds the venv that is measured")
def test_no_budget_is_broken() -> None:
    """Every row of the quick run stays within its budget and a quarter."""
    done = subprocess.run([sys.executable, "-m", "tests.bench", "--quick"], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
