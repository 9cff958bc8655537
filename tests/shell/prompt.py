"""Somebody at a terminal, in a plain shell of theirs; the shells of conformance/terminals.py have our hook in them."""

import os
import shlex
import shutil
import sys

import pexpect
import psutil

from tests.agent.seat import Seat
from tests.cli.test_exec_terminal import COUNTER
from tests.support.uids import require

STATUS = {"fish": "$status", "tcsh": "$status"}
"""The exit code of the command before, where it isn't $?."""

INTERACTIVE = {
    "bash": (("bash", "--noprofile", "-i"), ".bashrc", "PS1='ready> '\n"),
    "dash": (("dash", "-i"), ".shrc", "PS1='ready> '\n"),
    "zsh": (("zsh", "-i"), ".zshrc", "unsetopt zle promptsp promptcr\nPS1='ready> '\n"),
    "mksh": (("mksh", "-i"), ".shrc", "set +o emacs +o vi\nPS1='ready> '\n"),
    "fish": (("fish", "-i"), ".config/fish/config.fish", "function fish_prompt; printf 'ready> '; end\n"),
    "tcsh": (("tcsh", "-i"), ".tcshrc", "unset edit\nset prompt='ready> '\n"),
}
"""Each shell's command line, start-up file and what that says: a prompt that is known, and no line editor."""


class Prompt:
    """Somebody at a terminal, in a shell of theirs."""

    def __init__(self, name: str, seat: Seat) -> None:
        words, rc, text = INTERACTIVE[name]
        require(shutil.which(name), name)
        path = seat.home.path / rc
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        env = {"TERM": "dumb", "ENV": str(path), "ZDOTDIR": str(seat.home.path), "PS1": "not yet> "}
        self.name = name
        self.seat = seat
        self.child: pexpect.spawn[bytes] = seat.cli.with_prefix(*words).on_tty(env=env)
        self.child.setwinsize(24, 200)
        self.child.expect_exact(b"ready> ")

    def type(self, text: str) -> None:
        """Type a line."""
        self.child.sendline(text.encode())

    def after(self, text: str) -> bytes:
        """What a line prints; the terminal's echo of it is passed over."""
        self.type(f'{text}; echo en"d"')
        self.child.expect(rb"\n(?:\x1b\[\?2004l)?([^\n]*)\r\nend\r\n")  # fish says that pasting is over
        found = bytes(self.child.match.group(1))
        self.child.expect_exact(b"ready> ")
        return found

    def code(self) -> int:
        """The exit code of the command before, whose end is awaited."""
        self.child.expect_exact(b"ready> ")
        self.type(f'echo co"de"={STATUS.get(self.name, "$?")}')
        self.child.expect(rb"code=(\d+)\r?\n")
        found = int(self.child.match.group(1))
        self.child.expect_exact(b"ready> ")
        return found

    def modes(self) -> bytes:
        """The terminal's, as a command of this shell finds them."""
        return self.after("stty -g")

    def start_counting(self) -> psutil.Process:
        """Run a command that counts its interrupts, through exec; the process."""
        script = self.seat.home.path / "count"
        counter = self.seat.home.path / "counter.py"
        counter.write_text("import os\nos.write(1, b'pid=%d ' % os.getpid())\n" + COUNTER)
        words = shlex.join(os.fsdecode(word) for word in self.seat.cli.prefix)
        script.write_text(f"#!/bin/sh\nexec {words} exec --key GITHUB_TOKEN -- {sys.executable} -IS {counter}\n")
        script.chmod(0o755)
        self.type(str(script))
        self.child.expect(rb"pid=(\d+) started\r\n")
        return psutil.Process(int(self.child.match.group(1)))
