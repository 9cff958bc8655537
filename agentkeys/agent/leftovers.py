"""What agents that were killed left behind: lock files that nobody holds, and sockets that only they knew of.

What somebody holds is somebody's, and an empty lock file may be that of a start under way.
"""

import fcntl
import os
import time

from agentkeys import paths
from agentkeys.agent.place import clear_way
from agentkeys.errors import UsageFault

STARTING_SECONDS = 60.0
"""How old an empty lock file must be to count as a leftover: a start writes into its own after milliseconds."""


def sweep(own: str) -> None:
    """Remove the lock files of dead agents beside `own`, our lock, and the sockets that only they knew of.

    `agent.lock` is left to the next agent of that place, and so is a socket whose path a user named.
    """
    directory = own.rpartition("/")[0]
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        path = f"{directory}/{name}"
        if name.endswith(".lock") and name.startswith((paths.PRIVATE, "session-")) and path != own:
            try:
                _sweep_one(path, not name.startswith(paths.PRIVATE_AT))
            except OSError:
                continue  # another agent sweeps it, or starts there


def _sweep_one(path: str, socket_too: bool) -> None:
    """Remove a lock file that nobody holds. Raises OSError when somebody does."""
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        facts = os.fstat(fd)
        if os.stat(path).st_ino != facts.st_ino:
            return
        if not facts.st_size and time.time() - facts.st_mtime < STARTING_SECONDS:
            return
        sock = paths.lock_socket(path)
        if sock and socket_too:
            try:
                clear_way(sock)
            except UsageFault:
                pass  # the path is somebody else's by now
        os.unlink(path)
    finally:
        os.close(fd)
