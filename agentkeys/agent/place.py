"""An agent's place: the lock that makes it the only one there, and the socket it listens on.

Rule 1: what is in the way and isn't our own dead socket is named and left as it is.
Rule 2: whatever ends the agent in an orderly way takes socket and lock along; what kill -9 leaves is swept by the next
        agent of that owner (agent/leftovers.py), or replaced by the next one of that place.
"""

import errno
import fcntl
import os
import stat
import time
from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as Socket

from agentkeys import paths
from agentkeys.client.connection import peer_ids
from agentkeys.errors import AgentkeysError, UsageFault

BACKLOG = 128
"""Connections the kernel queues for us, as in ssh-agent; Linux's own cap is 4096."""

PROBE_SECONDS = 2.0
"""How long a socket in our way may take to accept before it counts as dead."""

LOCK_TRIES, LOCK_PAUSE = 5, 0.01
"""How often a held lock is tried, and seconds between: a sweep of another agent holds one for microseconds."""

RUNTIME_HINT = "export XDG_RUNTIME_DIR=/a/directory/of/yours/0700"


class Taken(AgentkeysError):
    """Another agent holds the lock."""


class Place:
    """A context manager: locked and listening inside, nothing left of it afterwards.

    `anywhere` says that the socket's path was named by the user: its directory is checked and never made. Raises
    Taken, or UsageFault when something is in the way.
    """

    def __init__(self, path: str, lock: str, anywhere: bool = False, inherited: int = -1) -> None:
        """`inherited` is a descriptor that listens on `path` already; then the path is its maker's, and stays."""
        self.path = path
        self.lock = lock
        self.anywhere = anywhere
        self.inherited = inherited
        self.inode = 0
        self._fd = -1
        self._listener: Socket | None = None

    def __enter__(self) -> "Place":  # noqa: PYI034 - typing would cost each agent 2 ms
        self._fd = take_lock(self.lock)
        try:
            if self.inherited >= 0:
                self._listener = adopt(self.inherited, self.path)
            elif self.anywhere:
                _check_dir(self.path.rpartition("/")[0] or "/")
            else:
                _make_dir(self.path.rpartition("/")[0])
            if self._listener is None:
                self._listener = bind(self.path)
            self.inode = os.lstat(self.path).st_ino
        except BaseException:
            self.leave()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.leave()

    @property
    def listener(self) -> Socket:
        """The listening socket."""
        if self._listener is None:
            raise AgentkeysError("the place isn't taken")
        return self._listener

    def announce(self) -> None:
        """Write the socket's path into the lock file, where `relock` and the others find it. Raises UsageFault."""
        if not self.is_ours():
            raise UsageFault(f"{self.path} was taken while we bound it", "agentkeys agent")
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, paths.to_bytes(self.path) + b"\n", 0)

    def is_ours(self) -> bool:
        """Whether the path still leads to the socket we bound."""
        try:
            facts = os.lstat(self.path)
        except OSError:
            return False
        return facts.st_ino == self.inode and facts.st_uid == os.geteuid()

    def leave(self) -> None:
        """Remove socket and lock, so that nobody finds us any more; what isn't ours by now stays."""
        if self._fd < 0:
            return
        if self.inherited < 0 and self.inode and self.is_ours():
            _remove(self.path)
        _remove(self.lock)
        os.close(self._fd)
        self._fd = -1


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # its directory is gone, or read-only by now; the next start replaces what is left


def take_lock(path: str) -> int:
    """The kernel lock that makes us the one agent of this place. Raises Taken, and UsageFault when there can't be one.

    A lock file may be removed between our open and our lock, by an agent that leaves or sweeps: then we take a new one.
    """
    for attempt in range(LOCK_TRIES):
        if attempt:
            time.sleep(LOCK_PAUSE)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            directory = path.rpartition("/")[0]
            raise UsageFault(f"{path} can't be written: {error.strerror}", f"ls -ld {directory}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                return fd
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(fd)
    raise Taken(f"another agent holds {path}")


def bind(path: str) -> Socket:
    """Listen on `path`, 0600 from its first instant. Raises UsageFault for what is in the way."""
    directory = path.rpartition("/")[0] or "/"
    try:
        if not clear_way(path):
            raise UsageFault(f"{path} is in the way: another program listens on it", f"fuser {path}")
        listener = Socket(AF_UNIX, SOCK_STREAM)
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(paths.to_bytes(path))
        os.chmod(path, 0o600)
    except OSError as error:
        raise UsageFault(f"{path} can't be bound: {error.strerror}", f"ls -ld {directory}") from None
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def adopt(fd: int, path: str) -> Socket:
    """Listen on an inherited socket. listen(2) once more, by us: a client checks who did, and takes no one else's.

    So do we, by calling ourselves: a path that leads elsewhere by now would be announced in vain. Raises UsageFault.
    """
    listener = Socket(AF_UNIX, SOCK_STREAM, 0, fd)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    os.set_inheritable(fd, False)
    probe = Socket(AF_UNIX, SOCK_STREAM)
    probe.settimeout(PROBE_SECONDS)
    try:
        probe.connect(paths.to_bytes(path))
        who = peer_ids(probe)
    except BlockingIOError:
        return listener  # a full queue: clients found it
    except OSError as error:
        raise UsageFault(f"{path} doesn't lead to the socket handed over: {error.strerror}", f"ls -l {path}") from None
    finally:
        probe.close()
    if who != (os.geteuid(), os.getpid()):
        raise UsageFault(f"{path} doesn't lead to the socket handed over, but to pid {who[1]}", f"ls -l {path}")
    return listener


def clear_way(path: str) -> bool:
    """Remove a dead socket of ours at `path`; False when it lives. Raises UsageFault for anything else, OSError."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return True
    if not stat.S_ISSOCK(facts.st_mode) or facts.st_uid != os.geteuid():
        raise UsageFault(f"{path} is in the way: it is not a socket of ours", f"ls -l {path}")
    if is_answered(path):
        return False
    os.unlink(path)
    return True


def is_answered(path: str) -> bool:
    """Whether somebody listens on a socket, however busy."""
    probe = Socket(AF_UNIX, SOCK_STREAM)
    probe.settimeout(PROBE_SECONDS)
    try:
        probe.connect(paths.to_bytes(path))
    except OSError as error:
        return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    finally:
        probe.close()
    return True


def _make_dir(path: str) -> None:
    """The sockets' directory, ours and 0700; its parent too where that is our own last resort. Raises UsageFault."""
    base, ours, deeper = path.rpartition("/agentkeys")
    wanted = [base + ours] if ours else []
    if base == paths.last_resort_dir():
        wanted.insert(0, base)
    if deeper or not ours:
        wanted.append(path)
    for directory in wanted:
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise UsageFault(f"{directory} can't be made: {error.strerror}", RUNTIME_HINT) from None
        if not paths.is_private_dir(directory):
            raise UsageFault(f"{directory} is not a directory of ours alone", f"chmod 700 {directory}")


def _check_dir(path: str) -> None:
    """Refuse a directory in which somebody else could replace our socket. Raises UsageFault."""
    try:
        facts = os.stat(path)
    except OSError as error:
        raise UsageFault(f"{path} can't hold a socket: {error.strerror}", f"mkdir -m 700 {path}") from None
    if not stat.S_ISDIR(facts.st_mode):
        raise UsageFault(f"{path} can't hold a socket: it is not a directory", f"ls -ld {path}")
    shared = facts.st_mode & 0o022 and not facts.st_mode & stat.S_ISVTX
    if shared or facts.st_uid not in (os.geteuid(), 0):
        raise UsageFault(f"{path} can be written by others, who could replace the socket", f"chmod go-w {path}")
