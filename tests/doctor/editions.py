"""Other editions of the program: a copy of the package with a line changed, run as `python -m agentkeys`."""

import shutil
from pathlib import Path

import agentkeys

PACKAGE = Path(agentkeys.__file__).parent


def edition(place: Path, file: str, old: str, new: str) -> Path:
    """A copy of the package in which `new` stands for `old` in one file; what goes into PYTHONPATH."""
    shutil.copytree(PACKAGE, place / "agentkeys", ignore=shutil.ignore_patterns("__pycache__"))
    path = place / "agentkeys" / file
    text = path.read_text()
    assert old in text, f"{old!r} is not in {file} any more"
    path.write_text(text.replace(old, new))
    return place
