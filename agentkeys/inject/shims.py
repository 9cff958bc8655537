"""The writer of shims (agentkeys.client.shims).

Looking whether a project's are as they should be takes a few reads, for direnv waits for it; only a change loads the
writer of files.
"""

from agentkeys import paths
from agentkeys.client.shims import check_name, entries, present, project_home, text
from agentkeys.errors import UsageFault

MAX_SHIMS = 100
"""Shims in one directory: each is read when a project is entered."""

PROJECT = "project"
"""The file beside `bin` that names the directory of the .envrc."""


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
