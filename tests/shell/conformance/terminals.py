"""Real shells at a terminal, with the hook in their own start-up file, driven as a person drives them.

What a shell has done is read from files that it writes, never from the screen, which each line editor paints in its own
way.
"""

import itertools
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from tests.agent.seat import Seat, eventually
from tests.support.uids import require

NUMBERS = itertools.count()
"""Of the files that shells write."""


@dataclass(frozen=True)
class Kind:
    """A shell as a person has it."""

    words: tuple[str, ...]
    rc: str
    """Its start-up file, below the home."""
    hook: str
    """The line that loads the hook."""
    export: str = "export {}={}"
    status: str = "$?"

    @property
    def name(self) -> str:
        """Its program."""
        return self.words[0]


EVAL = 'eval "$(agentkeys hook {})"'

KINDS = {
    "bash": Kind(("bash", "--noprofile", "--rcfile", "{rc}", "-i"), ".bashrc", EVAL.format("bash")),
    "zsh": Kind(("zsh", "-d", "-i"), ".zshrc", EVAL.format("zsh")),
    "fish": Kind(
        ("fish", "-i"), ".config/fish/config.fish", "agentkeys hook fish | source", "set -gx {} {}", "$status"
    ),
    "mksh": Kind(("mksh", "-i"), ".mkshrc", EVAL.format("mksh")),
    "dash": Kind(("dash", "-i"), ".shinit", EVAL.format("dash")),
    "tcsh": Kind(("tcsh", "-i"), ".tcshrc", 'eval "`agentkeys hook tcsh`"', "setenv {} {}", "$status"),
}

AT_PROMPT = ("bash", "zsh", "fish", "mksh", "tcsh")
"""The shells that call the hook at each prompt."""

WITH_KEYS = ("bash", "zsh", "fish", "mksh")
"""Those of them that can be given keys."""

HOOK = os.environ.get("CONFORMANCE_HOOK", "agentkeys")
"""Whose hook the start-up files load; tests.shell.conformance.direnv sets it to `direnv`, and nothing else does."""

WITHOUT_DIRENV = ("mksh", "dash")
"""The shells that direnv has no hook for."""


class Terminal:
    """One shell at its prompt."""

    def __init__(
        self,
        seat: Seat,
        name: str,
        before: str = "",
        after: str = "",
        env: Mapping[str, str | None] | None = None,
        hook: bool = True,
        cwd: Path | None = None,
    ) -> None:
        """Start it; `before` and `after` stand before and after the hook's line in its start-up file."""
        self.kind = KINDS[name]
        require(shutil.which(self.kind.name), self.kind.name)
        if HOOK == "direnv":
            if name in WITHOUT_DIRENV:
                pytest.skip(f"direnv has no hook for {name}")
            say_envrc(seat, seat.home.path, "use agentkeys")
        self.seat = seat
        self.notes = seat.home.path / "notes"
        self.notes.mkdir(exist_ok=True)
        rc = seat.home.path / self.kind.rc
        rc.parent.mkdir(parents=True, exist_ok=True)
        rc.write_text("\n".join([before, self.kind.hook.replace("agentkeys", HOOK) if hook else "", after, ""]))
        words = [word.format(rc=rc) for word in self.kind.words]
        runner = seat.cli.with_prefix(*words)
        runner.cwd = cwd or seat.home.path
        quiet = {"TERM": "dumb", "ENV": str(rc), "PS1": "$ ", "HISTFILE": "", "SHELL": "/bin/sh"}
        self.child: pexpect.spawn[bytes] = runner.on_tty(env={**quiet, **(env or {})}, reveals=True)
        self.run()

    def run(self, *lines: str) -> None:
        """Type lines, and wait until the prompt after the last took another."""
        for line in lines:
            self.child.sendline(line.encode())
        mark = self._note()
        self.child.sendline(f"echo > {mark}".encode())
        eventually(mark.exists)

    def output(self, command: str, *before: str) -> str:
        """What a command prints, after the lines `before` it; kept nowhere, as it may hold keys."""
        file = self._note()
        self.run(*before, f"{command} > {file}")
        printed = file.read_text(errors="surrogateescape")
        file.unlink()
        return printed

    def environ(self) -> dict[str, str]:
        """What a child of it gets."""
        entries = self.output("/usr/bin/env -0").split("\0")
        return dict(entry.partition("=")[::2] for entry in entries if entry)

    def references(self) -> dict[str, str]:
        """Those of agentkeys among them, by the rest of their name."""
        return {
            name.removeprefix("AGENTKEYS_"): value
            for name, value in self.environ().items()
            if name.startswith("AGENTKEYS_") and name != "AGENTKEYS_HOME"
        }

    def state(self) -> str | None:
        """AGENTKEYS_STATE."""
        return self.environ().get("AGENTKEYS_STATE")

    def export(self, name: str, value: str) -> None:
        """Set a variable, as the user."""
        self.run(self.kind.export.format(name, value))

    def press(self, key: str) -> None:
        """Ctrl and a letter."""
        self.child.sendcontrol(key)

    def screen(self) -> str:
        """What it showed since the last time."""
        shown = b""
        while True:
            try:
                shown += self.child.read_nonblocking(65536, 0)
            except (pexpect.TIMEOUT, pexpect.EOF):
                return shown.decode(errors="replace")

    def is_alive(self) -> bool:
        """Whether the shell is there."""
        return bool(self.child.isalive())

    def close(self) -> None:
        """Hang up."""
        self.child.close(force=True)

    def _note(self) -> Path:
        return self.notes / str(next(NUMBERS))


def say_envrc(seat: Seat, directory: Path, *lines: str) -> None:
    """Write an .envrc, and allow it, for a hook of direnv's."""
    seat.cli("direnv", "install", check=True)
    (directory / ".envrc").write_text("".join([f"{line}\n" for line in lines]))
    seat.cli.with_prefix("direnv")("allow", directory, check=True)


def counting(seat: Seat) -> tuple[str, Path]:
    """(a PATH on which `agentkeys` counts its calls of `env`, the file it counts in)."""
    directory = seat.home.path / "counting"
    directory.mkdir(exist_ok=True)
    calls = seat.home.path / "calls"
    calls.touch()
    program = shutil.which("agentkeys", path=seat.home.env["PATH"])
    script = directory / "agentkeys"
    script.write_text(f'#!/bin/sh\n[ "$1" != env ] || echo "$@" >> {calls}\nexec {program} "$@"\n')
    script.chmod(0o755)
    return f"{directory}:{seat.home.env['PATH']}", calls


def count(calls: Path) -> int:
    """How many were counted."""
    return len(calls.read_text().splitlines())
