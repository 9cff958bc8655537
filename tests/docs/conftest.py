"""What the documents' tests may ask for: the program on PATH, as a reader has it."""

import sys
from pathlib import Path

import pytest

from tests.support.runner import Runner


@pytest.fixture
def reader(cli: Runner, tmp_path: Path) -> Runner:
    """Runs any program as a reader of the documents: in an empty home, with `agentkeys` first in PATH."""
    program = tmp_path / "bin" / "agentkeys"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m agentkeys "$@"\n')
    program.chmod(0o755)
    runner = cli.with_prefix()
    runner.env["PATH"] = f"{program.parent}:{runner.env['PATH']}"
    return runner
