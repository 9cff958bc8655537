"""Shims: small programs, first in PATH, that start the real one under `agentkeys exec`; nothing is exported for it.

Those for everywhere lie in `shims/bin` below the persistent root, those of one project's .envrc in `shims/<hash>/bin`,
never in the project, whose files others write. No shim finds another: `exec --behind` looks past all of them.

Looking whether they are as they should be takes a few reads, for direnv waits for it; only a change loads the writer.
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

MAX_SHIMS = 100
"""Shims in one directory: each is read when a project is entered."""

PROJECT = "project"
"""The file beside `bin` that names the directory of the .envrc."""


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


def fit(root: str, project: str, names: "list[str]", options: "list[str]") -> str:
    """Make a project's shims those of `names`, no more and no less; their directory, "" when none are wanted.

    Raises UsageFault for a name that can't be, VaultFault when they can't be written.
    """
    directory = project_home(root, project)
    wanted = {check_name(name): text(root, name, options) for name in names[: MAX_SHIMS + 1]}
    if len(wanted) > MAX_SHIMS:
        raise UsageFault(f"more than {MAX_SHIMS} shims for one directory", "agentkeys exec -- COMMAND")
    there = entries(directory)
    if wanted == there:
        return directory if wanted else ""
    _forget_projects(root, "" if wanted else project)
    for name in there if wanted else ():
        if there[name] != wanted.get(name):
            remove(directory, name)
    if wanted:
        write(directory, wanted)
        _write_project(directory.removesuffix("bin") + PROJECT, project)
    return directory if wanted else ""


def write(directory: str, wanted: "dict[str, bytes]") -> None:
    """Write shims, each whole or not at all. Raises VaultFault; UsageFault for a file that is none of ours."""
    from agentkeys.stores import atomic

    atomic.make_private_dir(directory)
    there = present(directory)
    for name, data in wanted.items():
        path = f"{directory}/{name}"
        if name not in there and paths.exists(path):
            raise UsageFault(f"{path} is there and is no shim of ours", f"ls -l {path}")
        if there.get(name) != data:
            atomic.write_file(path, data, 0o700)


def remove(directory: str, name: str) -> None:
    """Remove one. Raises VaultFault."""
    from agentkeys.stores import atomic

    atomic.remove_file(f"{directory}/{name}")


def _write_project(path: str, project: str) -> None:
    from agentkeys.stores import atomic

    atomic.write_file(path, paths.to_bytes(project) + b"\n")


def _forget_projects(root: str, unwanted: str) -> None:
    """Remove the shims of `unwanted`, and of every project whose .envrc is gone."""
    import os
    import shutil

    directory = paths.shims_dir(root)
    for name in os.listdir(directory) if paths.exists(directory) else ():
        place = f"{directory}/{name}"
        project = paths.read_small(f"{place}/{PROJECT}").decode(paths.FS_ENCODING, "surrogateescape").rstrip("\n")
        if project and (project == unwanted or not paths.exists(f"{project}/.envrc")):
            shutil.rmtree(place, ignore_errors=True)
