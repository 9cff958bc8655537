"""What `setup systemd` and `setup launchd` wrote: whether it still starts something."""

import os
import plistlib
from collections.abc import Iterator

from agentkeys import paths
from agentkeys.setup import launchd, systemd
from agentkeys.setup.doctor.findings import Finding, ok, warning
from agentkeys.setup.doctor.scene import Scene


def check_services(scene: Scene) -> Iterator[Finding]:
    """Each owner's unit or launch agent, where there is one."""
    if not scene.is_ours:
        return
    user_home = paths.user_home(scene.environ)
    for owner in scene.owners:
        unit = f"{systemd.units_dir(user_home)}/agentkeys-{owner}.service"
        plist = launchd.plist_path(owner, user_home)
        for path, program, again in (
            (unit, systemd.program_of(_read(unit)), "systemd"),
            (plist, _program_of_plist(_read(plist)), "launchd"),
        ):
            if program:
                yield _judged(owner, path, program, f"agentkeys setup {again} --for {owner}")


def _judged(owner: str, path: str, program: str, again: str) -> Finding:
    if os.access(program, os.X_OK):
        return ok("service", path, owner)
    return warning("service-stale", f"{path} starts {program}, which is gone", again, owner)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16)
    except OSError:
        return b""


def _program_of_plist(data: bytes) -> str:
    """What it starts; empty for none, and for one that can't be read."""
    try:
        return str(plistlib.loads(data)["ProgramArguments"][0]) if data else ""
    except (ValueError, KeyError, IndexError, TypeError, plistlib.InvalidFileException):
        return ""
