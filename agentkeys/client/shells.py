"""Which shell reads our output, and the dialect it speaks."""

import posix

from agentkeys import paths
from agentkeys.client import Unclear, write_out
from agentkeys.errors import UsageFault

SHELLS = {
    **dict.fromkeys("sh ash bash dash ksh lksh mksh oksh pdksh yash zsh".split(), "sh"),
    **dict.fromkeys(("csh", "tcsh", "bsd-csh"), "csh"),
    "fish": "fish",
}
"""The dialect of each shell, by its program's name without a version."""

MAX_HOOK = 64 * 1024
"""Bytes of a hook file: several times the longest."""

MULTICALL = ("busybox", "toybox")
"""Programs that are a shell by the name they were called by."""


def dialect_of(program: str) -> str:
    """The dialect of a shell by its program's path or name, such as /usr/bin/zsh-5.9; "" for what is none we know."""
    name = program.rpartition("/")[2].partition(" ")[0]  # /proc's " (deleted)", after an upgrade
    return SHELLS.get(name.lstrip("-").rstrip("0123456789.-"), "")


def dialect_named(text: str) -> str:
    """The dialect that --shell means: one of ours, or the shell that speaks it; "" for none."""
    return "json" if text == "json" else dialect_of(text)


HOOKS = {
    **dict.fromkeys(("bash", "fish", "tcsh", "zsh")),
    **dict.fromkeys(("ash", "dash", "ksh", "mksh", "sh"), "sh"),
    "csh": "tcsh",
}
"""The shells that there is a hook for, and of which shell it is where it isn't their own."""


def hook_of(shell: str) -> str:
    """Whose hook a shell takes. Raises UsageFault for one that there is none for."""
    if shell not in HOOKS:
        raise UsageFault(f"no hook for {shell!a}; there are {', '.join(sorted(HOOKS))}", "agentkeys hook bash")
    return HOOKS[shell] or shell


def print_hook(shell: str) -> int:
    """Print a shell's hook, shell/hook.*, as it is. Raises UsageFault for a shell without one."""
    path = paths.shipped(f"shell/hook.{hook_of(shell)}")
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    return write_out(posix.read(fd, MAX_HOOK))


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
