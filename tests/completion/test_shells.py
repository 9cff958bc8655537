"""The Tab key, in real shells on a terminal."""

import shutil
from collections.abc import Iterator

import pexpect
import pytest

from tests.agent.seat import Seat
from tests.support.uids import require

SHELLS = {
    "bash": (("bash", "--norc", "--noprofile", "-i"), 'eval "$(agentkeys completion bash)"; PS1="rea""dy> "'),
    "zsh": (
        ("zsh", "-f", "-i"),
        'autoload -Uz compinit && compinit -u; eval "$(agentkeys completion zsh)"; PS1="rea""dy> "',
    ),
    "zsh, from a file": (
        ("zsh", "-f", "-i"),
        'fpath=(~ $fpath); agentkeys completion zsh >~/_agentkeys; autoload -U compinit; compinit -u; PS1="rea""dy> "',
    ),
    "fish": (
        ("fish", "--no-config", "-i"),
        "function fish_prompt; printf 'rea''dy> '; end; agentkeys completion fish | source",
    ),
}

PROMPT = b"ready> "

TYPED = {
    b"agentkeys ge": b"get",
    b"agentkeys get G": b"GITHUB_TOKEN",
    b"agentkeys get @all.all.G": b"GITHUB_TOKEN",
    b"agentkeys exec --for hu": b"human",
    b"agentkeys exec --for=hu": b"human",
    b"agentkeys exec --key=G": b"GITHUB_TOKEN",
    b"agentkeys set A --from-file ./some-d": b"some-document",
    b"agentkeys exec --key=GITHUB_TOKEN -- some-progr": b"some-program",
    b"agentkeys exec -- some-program ./some-d": b"some-document",
}
"""What is typed before the Tab, and what then stands at the end of the line."""


@pytest.fixture(params=SHELLS)
def terminal(request: pytest.FixtureRequest, seat: Seat) -> Iterator["pexpect.spawn[bytes]"]:
    """Each shell, with completion loaded as its file says, in a directory with a file and a program in PATH."""
    words, set_up = SHELLS[request.param]
    require(shutil.which(words[0]), words[0])
    (seat.home.path / "some-document").touch()
    program = seat.home.path / "bin" / "some-program"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    env = {"TERM": "vt100", "PATH": f"{seat.cli.env['PATH']}:{program.parent}"}
    seat.cli.cwd = seat.home.path
    child = seat.cli.with_prefix(*words).on_tty(env=env)
    child.sendline(set_up.encode())
    child.expect_exact(PROMPT)
    yield child
    child.close(force=True)


def test_tab_completes(terminal: "pexpect.spawn[bytes]") -> None:
    """Verbs, keys, slugs, owners, files and other programs' words, whole and behind a `=`."""
    for typed, found in TYPED.items():
        terminal.send(typed + b"\t")
        terminal.expect_exact(found[-4:])  # the beginning was typed, and a shell may draw it anew
        terminal.sendcontrol("u")  # not ^C: that would meet the shell in the middle of what it draws
