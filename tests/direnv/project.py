"""A directory with an .envrc, as the real direnv sees it."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

from tests.agent.seat import Seat
from tests.support.runner import Result, Runner

PRINT_VALUE = '#!/bin/sh\nprintf %s "$GITHUB_TOKEN"\n'


class Project:
    """One project of a seat's user."""

    def __init__(self, seat: Seat, path: Path) -> None:
        self.seat = seat
        self.path = path
        self.bin = path.parent / "bin"
        """In PATH, behind whatever direnv puts before it."""
        self.direnv: Runner = seat.cli.with_prefix("direnv")
        self.direnv.cwd = path
        self.direnv.env["PATH"] = f"{self.bin}:{self.direnv.env['PATH']}"
        path.mkdir()
        self.bin.mkdir(exist_ok=True)

    def named(self, name: str) -> "Project":
        """Another project beside it."""
        return Project(self.seat, self.path.parent / name)

    def program(self, name: str, text: str = PRINT_VALUE) -> None:
        """Put a program into PATH."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def says(self, *lines: str) -> "Project":
        """Write its .envrc, and allow it."""
        (self.path / ".envrc").write_text("".join([f"{line}\n" for line in lines]))
        self.direnv("allow", check=True)
        return self

    def export(self, **environment: str) -> dict[str, Any]:
        """What direnv has a shell set; {} when it changes nothing."""
        done = self.direnv("export", "json", env=environment, check=True)
        return dict(json.loads(done.out)) if done.out.strip() else {}

    def prompt(self, environment: dict[str, Any]) -> dict[str, Any]:
        """What a shell's environment is after one more prompt."""
        after = {**environment, **self.export(**environment)}
        return {name: text for name, text in after.items() if text is not None}

    def run(self, *command: str, **options: Any) -> Result:
        """A command in the project's environment."""
        return self.direnv("exec", self.path, *command, **options)


def halves(diff: str) -> dict[str, dict[str, str]]:
    """What DIRENV_DIFF keeps: `p`, what was before, and `n`, what is now."""
    return dict(json.loads(zlib.decompress(base64.urlsafe_b64decode(diff))))
