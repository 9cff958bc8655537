"""Where the sockets are: $XDG_RUNTIME_DIR, what takes its place, and our directory in it."""

import os
import stat
from collections.abc import Iterator

from agentkeys import paths
from agentkeys.client.connection import usual_sockets
from agentkeys.errors import AgentkeysError
from agentkeys.setup.doctor.findings import Finding, error, note, ok, quoted, warning
from agentkeys.setup.doctor.scene import Scene

OWN_DIR = "$HOME/.agentkeys-run"
"""What a fix proposes for a directory of the user's own: it lasts, and nobody else can take its place."""

MAKE_OWN = f'mkdir -p -m 700 "{OWN_DIR}" && export XDG_RUNTIME_DIR="{OWN_DIR}"'


def check_runtime_dir(scene: Scene) -> Iterator[Finding]:
    """$XDG_RUNTIME_DIR: one that can't be used is passed over, and a shell where it differs finds no agent."""
    given = scene.env("XDG_RUNTIME_DIR")
    base = given.rstrip("/")
    if not given:
        if not paths.MACOS:
            yield from _unset()
        return
    if not base.startswith("/") or "\n" in base:
        yield warning("runtime-relative", "XDG_RUNTIME_DIR is no absolute path, so it isn't used", UNSET)
        return
    try:
        facts = os.lstat(base)
    except OSError as problem:
        what = f"XDG_RUNTIME_DIR is {base}, which can't be used: {problem.strerror}"
        yield warning("runtime-missing", what, UNSET)
        return
    mode = stat.S_IMODE(facts.st_mode)
    if not stat.S_ISDIR(facts.st_mode):
        yield warning("runtime-kind", f"XDG_RUNTIME_DIR is {base}, which is no directory, so it isn't used", UNSET)
    elif facts.st_uid != scene.uid:
        what = f"XDG_RUNTIME_DIR is {base}, which belongs to uid {facts.st_uid}, so it isn't used"
        yield warning("runtime-foreign", what, UNSET)
    elif mode & 0o077:
        what = f"XDG_RUNTIME_DIR is {base}, which is open to others ({mode:04o}), so it isn't used"
        yield warning("runtime-mode", what, f"chmod 700 {quoted(base)}")
    else:
        yield ok("runtime", f"XDG_RUNTIME_DIR is {base}, yours alone")


UNSET = "unset XDG_RUNTIME_DIR"


def _unset() -> Iterator[Finding]:
    usual = f"/run/user/{os.geteuid()}"
    if paths.is_private_dir(usual):
        yield ok("runtime", f"XDG_RUNTIME_DIR is unset, and {usual} is used all the same")
    else:
        what = f"XDG_RUNTIME_DIR is unset and there is no {usual}: sockets are in {paths.last_resort_dir()}"
        yield note("runtime-unset", what, MAKE_OWN)


def check_socket_dir(scene: Scene) -> Iterator[Finding]:
    """The directory of the sockets: ours alone, and short enough for their names."""
    try:
        directory = scene.runtime
    except AgentkeysError:
        return  # there is no home, and another check says so
    findings = [found for step in _steps(directory) for found in _judge(scene, step)]
    yield from findings
    if not findings:
        longest = max([len(paths.to_bytes(f"{directory}/{owner}.sock")) for owner in scene.owners], default=0)
        room = f"; the longest path has {longest} of {paths.MAX_SOCKET_PATH} bytes" if longest else ""
        yield ok("socket-dir", f"sockets are in {directory}{room}")
    yield from _lengths(scene, directory)


def _steps(directory: str) -> "list[str]":
    """Those of the directories that agentkeys makes."""
    base, ours, deeper = directory.rpartition("/agentkeys")
    made = [base + ours] if ours else []
    if base == paths.last_resort_dir():
        made.insert(0, base)
    return [*made, directory] if deeper or not ours else made


def _judge(scene: Scene, directory: str) -> Iterator[Finding]:
    try:
        facts = os.lstat(directory)
    except OSError:
        return  # an agent will make it
    mode = stat.S_IMODE(facts.st_mode)
    if facts.st_uid != scene.uid:
        yield error(
            "socket-dir-foreign", f"{directory}, where sockets go, belongs to uid {facts.st_uid}: squatted", MAKE_OWN
        )
    elif not stat.S_ISDIR(facts.st_mode):
        yield error(
            "socket-dir-kind",
            f"{directory}, where sockets go, is no directory",
            f"mv {quoted(directory)} {quoted(directory + '.aside')}",
        )
    elif mode & 0o077:
        what = f"{directory}, where sockets go, is open to others: {mode:04o}"
        yield error("socket-dir-mode", what, f"chmod 700 {quoted(directory)}")
    elif mode & 0o700 != 0o700:
        what = f"{directory}, where sockets go, is closed to yourself: {mode:04o}"
        yield error("socket-dir-mode", what, f"chmod 700 {quoted(directory)}")


def _lengths(scene: Scene, directory: str) -> Iterator[Finding]:
    """Which owners' sockets have their short form."""
    session = paths.login_session()
    for owner in scene.owners:
        name = owner if session == paths.UNSET_SESSION else f"{owner}.{session}"
        size = len(paths.to_bytes(f"{directory}/{name}.sock"))
        if size > paths.MAX_SOCKET_PATH:
            short = usual_sockets(scene.environ, owner)[0]
            what = f"the socket's path would be {size} bytes of {paths.MAX_SOCKET_PATH}; it is {short}"
            yield note("socket-short", what, MAKE_OWN, owner)
