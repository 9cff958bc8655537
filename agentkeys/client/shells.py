"""Which shell reads our output, and the dialect it speaks."""

import posix

from agentkeys import paths
from agentkeys.client import Unclear

SHELLS = {
    **dict.fromkeys("sh ash bash dash ksh lksh mksh oksh pdksh yash zsh".split(), "sh"),
    **dict.fromkeys(("csh", "tcsh", "bsd-csh"), "csh"),
    "fish": "fish",
}
"""The dialect of each shell, by its program's name without a version."""

MULTICALL = ("busybox", "toybox")
"""Programs that are a shell by the name they were called by."""


def dialect_of(program: str) -> str:
    """The dialect of a shell by its program's path or name, such as /usr/bin/zsh-5.9; "" for what is none we know."""
    name = program.rpartition("/")[2].partition(" ")[0]  # /proc's " (deleted)", after an upgrade
    return SHELLS.get(name.lstrip("-").rstrip("0123456789.-"), "")


def dialect_named(text: str) -> str:
    """The dialect that --shell means: one of ours, or the shell that speaks it; "" for none."""
    return "json" if text == "json" else dialect_of(text)


def calling_shell(environ: "dict[bytes, bytes]") -> str:
    """The dialect of whoever reads our output: the parent process, if that is a shell, else $SHELL's, else sh.

    $SHELL is the login shell, and says nothing of a fish that was started by hand. Raises Unclear on macOS, where
    looking at a process takes more than reading a file.
    """
    if paths.MACOS:
        raise Unclear
    parent = f"/proc/{posix.getppid()}"
    try:
        program = posix.readlink(f"{parent}/exe")
    except OSError:
        program = ""  # another user's, or in another pid namespace
    if not program or program.rpartition("/")[2] in MULTICALL:
        program = paths.read_small(f"{parent}/comm").decode("ascii", "replace").rstrip("\n")
    return dialect_of(program) or login_shell(environ)


def login_shell(environ: "dict[bytes, bytes]") -> str:
    """The dialect of $SHELL, else sh."""
    return dialect_of(paths.env_text(environ, b"SHELL")) or "sh"
