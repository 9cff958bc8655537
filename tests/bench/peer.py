"""One program that ours is compared with, and what setting one up takes."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.clock import Command
from tests.bench.place import KEYS, Missing, Place


@dataclass(frozen=True)
class Peer:
    """A program, and the budget of our `exec` against it; None: shown beside, as a multiple of the floor."""

    name: str
    version: str
    command: Command
    budget: float | None = None


def project(place: Place, name: str, file: str, line: str) -> Path:
    """A directory whose `file` names KEYS values."""
    directory = place.directory / name
    directory.mkdir()
    rows = [line.format(f"API_KEY_{number:05}", os.urandom(24).hex()) for number in range(KEYS)]
    (directory / file).write_text("\n".join(rows) + "\n")
    return directory


def downloads(place: Place) -> Path:
    """Where peers are kept between runs."""
    directory = place.venv.parent / "bench-peers"
    directory.mkdir(exist_ok=True)
    return directory


def pip_program(place: Place, program: str, *packages: str) -> str:
    """The path of a program from PyPI, in a venv of its own and of the measured Python. Raises Missing."""
    python = place.run(place.python, "-IS", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").decode().strip()
    venv = downloads(place) / f"{program}-{python}"
    path = venv / "bin" / program
    if not path.exists():
        place.run(place.python, "-m", "venv", "--clear", str(venv), env=dict(os.environ))
        for names in (("pip",), packages):
            argv = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--upgrade", *names]
            done = subprocess.run(argv, capture_output=True, timeout=600)
            if done.returncode:
                shutil.rmtree(venv, ignore_errors=True)
                raise Missing("PyPI doesn't give it: " + done.stderr.decode(errors="replace").strip()[-80:])
    return str(path)


def version(place: Place, *argv: str, env: dict[str, str] | None = None) -> str:
    """The last word of what a program says of its version."""
    return place.run(*argv, env=env).decode(errors="replace").split()[-1]
