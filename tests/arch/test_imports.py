"""The import contracts of pyproject.toml hold, and each module can be imported first."""

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
MODULES = sorted(
    ".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__")
    for path in REPO.glob("agentkeys/**/*.py")
)


def test_layers_and_bans_hold() -> None:
    """import-linter keeps every contract; it sees imports inside functions as well."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache", "--no-logo"], capture_output=True, text=True, cwd=REPO)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_importable_first(module: str) -> None:
    """In a fresh interpreter, warnings as errors: no module leans on another, prints or starts."""
    if module.endswith("_macos") and sys.platform != "darwin":
        pytest.skip("needs macOS")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}"], capture_output=True, text=True, cwd="/"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
