"""A disk without room, children that write, and an end to whatever hangs."""

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stores.patience import in_time
from tests.support.runner import Runner
from tests.support.uids import require

__all__ = ["in_time"]

REPO = Path(__file__).parents[2]
Script = Callable[[str], "tuple[str, ...]"]

PREAMBLE = f"import os, sys; sys.path.insert(0, {str(REPO)!r}); from agentkeys.stores import atomic\n"


@pytest.fixture
def program(cli: Runner) -> Runner:
    """Runs other programs in the test's own home, their output searched at the end."""
    return cli.with_prefix()


@pytest.fixture
def script() -> Script:
    """The command line of a Python that has `os`, `sys` and `atomic` and runs this text."""
    return lambda text: (sys.executable, "-IS", "-c", PREAMBLE + text)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, empty."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", place], capture_output=True)
    require(mounted.returncode == 0, "the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def full_disk(tiny_disk: Path) -> Callable[[], None]:
    """Fill tiny_disk to its last byte; to be called when what matters is on it."""

    def fill() -> None:
        with (tiny_disk / "ballast").open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - the end of the loop

    return fill
