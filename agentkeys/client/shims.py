"""Shims: small programs, first in PATH, that start the real one under `agentkeys exec`; nothing is exported for it.

Those for everywhere lie in `shims/bin` below the persistent root, those of one project's .envrc in `shims/<hash>/bin`,
never in the project, whose files others write. No shim finds another: `exec --behind` looks past all of them. Here is
what one says and which there are; agentkeys.inject.shims writes them.
"""

import posix

from agentkeys import paths
from agentkeys.errors import UsageFault

MARK = "# A shim of agentkeys; `agentkeys shim --list` shows it."

NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-")
"""Characters of the programs that can have one: what needs no quotes in any shell."""

PLAIN = NAME | {"@"}
"""Characters of words that need none either, though no program is called so: `@all`."""

MAX_NAME = 64
"""Characters of such a name, fewer than a file's may have."""


def check_name(name: str) -> str:
    """`name` if a program of that name can have a shim. Raises UsageFault."""
    plain = 0 < len(name) <= MAX_NAME and NAME.issuperset(name) and name[0] not in ".-"
    if not plain or name == "agentkeys":
        raise UsageFault(f"no shim can be called {name!a}", "agentkeys shim gh")
    return name


def home(root: str) -> str:
    """Where the shims for everywhere are, the directory to have in PATH."""
    return f"{paths.shims_dir(root)}/bin"


def project_home(root: str, project: str) -> str:
    """Where those of the .envrc in directory `project` are."""
    return f"{paths.shims_dir(root)}/{paths.digest(paths.to_bytes(project), 8)}/bin"


def text(root: str, name: str, options: "list[str]") -> bytes:
    """A shim; `options` are those of `exec`, each a plain word (an owner, an env, a key)."""
    words = " ".join(["--behind", _quoted(paths.shims_dir(root)), *options, "--", name])
    return paths.to_bytes(f'#!/bin/sh\n{MARK}\nexec agentkeys exec {words} "$@"\n')


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def entries(directory: str) -> "dict[str, bytes]":
    """All that is in a directory, by name; {} when there is none."""
    try:
        names = posix.listdir(directory)
    except OSError:
        return {}
    return {name: paths.read_small(f"{directory}/{name}") for name in names}


def present(directory: str) -> "dict[str, bytes]":
    """The shims in a directory, by name. What isn't one of ours is left out."""
    return {name: data for name, data in entries(directory).items() if paths.to_bytes(MARK) in data}
