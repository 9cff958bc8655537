"""A listening socket that systemd, or whoever speaks sd_listen_fds(3), hands over at our start.

LISTEN_PID=4242  LISTEN_FDS=1      descriptor 3 listens, and is meant for process 4242
"""

import os
import posix
import socket
import stat

from agentkeys import paths
from agentkeys.errors import UsageFault

FIRST = 3
"""SD_LISTEN_FDS_START, sd-daemon.h."""

HINT = "man agentkeys-agent"


def handed_over() -> str:
    """The path that descriptor FIRST listens on, or "" when nothing was handed over. Raises UsageFault.

    A hand-over that isn't plainly ours is refused rather than ignored: an agent beside the unit's socket would serve
    nobody.
    """
    count = paths.env_text(posix.environ, b"LISTEN_FDS")
    pid = paths.env_text(posix.environ, b"LISTEN_PID")
    if not count and not pid:
        return ""
    if pid != str(os.getpid()):
        raise UsageFault(f"LISTEN_PID is {pid or 'unset'}, and this is process {os.getpid()}", HINT)
    if count != "1":
        raise UsageFault(f"LISTEN_FDS is {count or 'unset'}, and an agent has one socket", HINT)
    try:
        if not stat.S_ISSOCK(os.fstat(FIRST).st_mode):
            raise UsageFault(f"descriptor {FIRST} is no socket", HINT)
        with socket.socket(fileno=os.dup(FIRST)) as listener:
            listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            name = listener.getsockname() if listener.family == socket.AF_UNIX else ""
    except OSError as error:
        raise UsageFault(f"descriptor {FIRST} can't be used: {error.strerror}", HINT) from None
    if not listening or listener.type != socket.SOCK_STREAM or not isinstance(name, str) or not name.startswith("/"):
        raise UsageFault(f"descriptor {FIRST} is no listening Unix stream socket with a path", HINT)
    return name
