"""The launcher: a two-line script that runs this installation under `python -IS`.

pip, pipx and uv write a console script that imports site-packages' .pth files first and obeys PYTHONPATH; a process
that will hold credentials for a moment should do neither, and it starts in three quarters of the time.
"""

import os
import stat
import sys

from agentkeys import paths
from agentkeys.errors import AgentkeysError, UsageFault, VaultFault
from agentkeys.stores import atomic

DEFAULT = "~/.local/bin/agentkeys"

MAX_SHEBANG = 127
"""Bytes of a #! line: Linux reads 256 since 5.1, 128 before, and cuts what is longer (execve(2))."""

MODE = 0o755
"""A program, for all to run."""

MARK = "# written by `agentkeys setup launcher`; run it again when the installation moves"


def script(python: str, package_parent: str) -> str:
    """The launcher's text: a #! line where one can hold the path, else an sh script that execs Python."""
    body = f"import sys\nsys.path.append({package_parent!r})\nfrom agentkeys.__main__ import main\nsys.exit(main())\n"
    line = f"#!{python} -IS"
    if len(os.fsencode(line)) <= MAX_SHEBANG and not any(c.isspace() for c in python):
        return f"{line}\n{MARK}\n{body}"
    quoted = "'" + python.replace("'", "'\\''") + "'"
    # A polyglot: sh runs the second line and never comes back; to Python it is a string.
    return f"#!/bin/sh\n''':'\nexec {quoted} -IS \"$0\" \"$@\"\n'''\n{MARK}\n{body}"


def write(to: str, force: bool = False) -> "tuple[str, str]":
    """Write the launcher; (its path, what to mind). Raises UsageFault when something else is there."""
    path = os.path.abspath(os.path.expanduser(to))
    if not os.path.isabs(sys.executable or ""):
        raise AgentkeysError("Python doesn't say where it is, so no launcher can name it")
    text = script(sys.executable, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    if not force and not _is_ours(path):
        raise UsageFault(f"{path} is there and is no launcher of ours", f"agentkeys setup launcher --to {path} --force")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        atomic.write_file(path, paths.to_bytes(text), MODE)
    except OSError as error:
        raise UsageFault(f"{path} can't be written: {error.strerror}", "agentkeys setup launcher --to PATH") from None
    except VaultFault as fault:
        raise UsageFault(fault.message, "agentkeys setup launcher --to PATH") from None
    directory = os.path.dirname(path)
    missing = directory not in os.environ.get("PATH", "").split(":")
    return path, f'put it first: PATH="{directory}:$PATH"' if missing else ""


def _is_ours(path: str) -> bool:
    """Whether writing `path` loses nothing: it isn't there, or we wrote it."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return MARK.encode() in file.read(4096)
    except (FileNotFoundError, NotADirectoryError):
        return True
