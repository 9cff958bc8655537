"""Who holds a lock, and whether a service manager holds a socket: learnt from the kernel, disturbing nobody."""

import fcntl
import os

from agentkeys import paths

ACCEPTS = 0x10000
"""__SO_ACCEPTCON in the flags of /proc/net/unix (proc_net(5), linux/net.h): the socket listens."""

MANAGER = b"systemd"
"""The name of the one service manager that listens on behalf of what it starts and runs for a user."""


def lock_holder(path: str) -> int:
    """The pid of whoever holds a lock; 0 when nobody does, -1 when it can't be told who.

    Linux says so (proc_locks(5)). Where it doesn't, the lock is taken for an instant, which those who wait for it
    don't mind.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        inode = f":{os.fstat(fd).st_ino} "
        for line in lines("/proc/locks"):
            words = line.split()
            if inode in line and len(words) > 4 and words[1] == "FLOCK" and words[4].lstrip("-").isdigit():
                return int(words[4])
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return -1
    finally:
        os.close(fd)
    return 0


def is_managed(path: str) -> bool:
    """Whether this user's service manager listens at `path`: calling there would start an agent."""
    inode = _listening(path)
    return bool(inode) and any(_has_open(pid, inode) for pid in _managers())


def _listening(path: str) -> str:
    """The inode of the socket that listens at `path`, or an empty text."""
    for line in lines("/proc/net/unix"):
        words = line.split(maxsplit=7)
        if len(words) == 8 and words[7] == path and int(words[3], 16) & ACCEPTS:
            return words[6]
    return ""


def _managers() -> "list[str]":
    try:
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    return [pid for pid in pids if paths.read_small(f"/proc/{pid}/comm").strip() == MANAGER]


def _has_open(pid: str, inode: str) -> bool:
    """Whether a process has a socket open; another user's processes can't be seen."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(f"/proc/{pid}/fd/{name}") == f"socket:[{inode}]":
                return True
        except OSError:
            continue  # closed meanwhile
    return False


def lines(path: str) -> "list[str]":
    """The lines of one of the kernel's files; none where it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().split("\n")
    except OSError:
        return []
