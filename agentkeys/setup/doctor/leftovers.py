"""What killed processes left behind. None of it is in anybody's way; the next change or start clears most of it."""

import glob
import os
import re
from collections.abc import Iterator

from agentkeys import paths
from agentkeys.setup.doctor import call as calls
from agentkeys.setup.doctor.findings import Finding, note, ok, quoted, warning
from agentkeys.setup.doctor.holders import lock_holder
from agentkeys.setup.doctor.racks import lost_identities
from agentkeys.setup.doctor.scene import Scene
from agentkeys.stores.atomic import TEMP_SUFFIX

TEMP = re.compile(rf"\.(\d+){re.escape(TEMP_SUFFIX)}\Z")
"""The end of an unfinished file's name, with its writer's pid."""

MAX_NAMES = 2000
"""Files looked at in one directory."""

SHOWN = 5
"""How many of a kind are named one by one."""


def check_leftovers(scene: Scene) -> Iterator[Finding]:
    """Unfinished files, locks that nobody holds, identities that a restore replaced, writers that are stopped."""
    if not scene.is_ours:
        return
    findings = [*_temps(scene), *_locks(scene), *_holders(scene), *_lost(scene)]
    yield from findings
    if not findings:
        yield ok("leftovers", "nothing was left behind")


def _temps(scene: Scene) -> Iterator[Finding]:
    found = []
    root = glob.escape(scene.root)
    for pattern in (f"{root}/*{TEMP_SUFFIX}", f"{root}/*/*{TEMP_SUFFIX}", f"{root}/*/*/*{TEMP_SUFFIX}"):
        for path in sorted(glob.glob(pattern, include_hidden=True))[:MAX_NAMES]:
            pid = TEMP.search(path)
            if pid is not None and not _lives(int(pid[1])):
                found.append(path)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        words = " ".join([quoted(path) for path in found[:MAX_NAMES]])
        yield note("temp-left", f"{found[0]}{more}: left by a writer that was killed", f"rm -f {words}")


def _lives(pid: int) -> bool:
    """Whether there is such a process; another user's counts."""
    try:
        os.kill(pid, 0)  # signal 0 is none: kill(2) only looks
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _locks(scene: Scene) -> Iterator[Finding]:
    """Lock files of agents that are gone; who answers is judged by the sockets' check."""
    alive = {spot.lock for spot in scene.spots if spot.lock and spot.call and spot.call.state != calls.NOBODY}
    for owner in scene.owners:
        for lock in paths.agent_locks(scene.root, owner)[:MAX_NAMES]:
            if lock not in alive and not lock_holder(lock):
                yield note("lock-left", f"{lock}: left by an agent that was killed", f"rm -f {quoted(lock)}", owner)


def _holders(scene: Scene) -> Iterator[Finding]:
    """Writers that hold a rack's lock and are stopped: every change waits for them, and fails."""
    for owner in scene.owners:
        for lock in (paths.rack_lock(scene.root, owner), f"{paths.run_dir(scene.root, owner)}/start"):
            pid = lock_holder(lock)
            if pid > 0 and _is_stopped(pid):
                what = f"pid {pid} holds {lock} and is stopped"
                yield warning("lock-held", what, f"kill -CONT {pid}", owner)


def _is_stopped(pid: int) -> bool:
    text = paths.read_small(f"/proc/{pid}/stat").rpartition(b") ")[2]
    return text[:1] in (b"T", b"t")


def _lost(scene: Scene) -> Iterator[Finding]:
    """Identities put aside. Offered for removal only where the rack opens with the one that took their place."""
    for owner in scene.owners:
        for path in lost_identities(scene, owner)[:SHOWN]:
            what = f"{path}: replaced by a restore; it still opens copies from before"
            yield note("identity-lost", what, f"rm {quoted(path)}" if scene.opened.get(owner) else "", owner)
