"""The one writer of every persistent file, and the lock that goes before it.

flock on a separate, never replaced lock file → read and verify → temp in the same directory → fsync → rename →
fsync of the directory → acknowledge. A kill at any instant leaves the old or the new state. Readers open without
following symlinks and without blocking, then judge the descriptor they hold, so nothing can be swapped in between.
"""

import errno
import fcntl
import os
import stat
import time

from agentkeys.errors import AgentkeysError, TimedOut, VaultFault

MAX_FILE = 64 * 1024 * 1024
"""Bytes of the largest file we read: a bundle of 10,000 keys is 2 MiB; more than this is not ours."""

LOCK_DEADLINE = 10.0
"""Seconds to wait for one holder of a lock: it needs milliseconds, so more means that it is stopped. Those before us in
the line are as many holders; however long the line is, it moves."""

LOCK_POLL = 0.006
"""Seconds between two tries, give or take half, since flock(2) has no time-out of its own. Twenty that wait take a
twentieth of a processor; at random, so that none of them is always the late one."""

TEMP_SUFFIX = ".tmp"
"""Ends the name of an unfinished file; leftovers of a crash are removed under the lock and never read."""

F_FULLFSYNC = getattr(fcntl, "F_FULLFSYNC", None)
"""macOS: fsync(2) doesn't reach the platter there, this fcntl does."""


def make_private_dir(path: str) -> None:
    """Make `path` and its parents 0700, and mend the mode of an existing one of ours.

    Raises VaultFault when it can't be made, or is not a directory of this user.
    """
    try:
        _make_dirs(path)
        facts = os.lstat(path)
    except OSError as error:
        raise VaultFault(f"{path} can't be made: {error.strerror}", f"ls -ld {path}") from None
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise VaultFault(f"{path} is not a directory of this user", f"ls -ld {path}")
    if stat.S_IMODE(facts.st_mode) != 0o700:
        os.chmod(path, 0o700)


def _make_dirs(path: str) -> None:
    """Mkdir -p, durable, with 0700 for every directory it makes; os.makedirs gives the parents the umask's."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_dirs(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            return  # another start made it meanwhile
    os.chmod(path, 0o700)  # whatever the umask
    try:
        sync_names(os.path.dirname(path))
    except PermissionError:
        pass  # a parent that may be written and not read can't be opened to be synced


def read_file(path: str, limit: int = MAX_FILE) -> bytes | None:
    """The bytes of a regular file of this user, or None when there is none.

    Raises VaultFault naming the cause for a symlink, FIFO, device, directory, foreign owner, or a file over `limit`.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        cause = "it is a symlink" if error.errno == errno.ELOOP else error.strerror
        raise VaultFault(f"{path} can't be read: {cause}", f"ls -l {path}") from None
    try:
        _judge(path, os.fstat(fd), limit)
        with open(fd, "rb", closefd=False) as file:
            return file.read(limit + 1)
    except OSError as error:
        raise VaultFault(f"{path} can't be read: {error.strerror}", f"ls -l {path}") from None
    finally:
        os.close(fd)


def _judge(path: str, facts: os.stat_result, limit: int) -> None:
    """Raise VaultFault unless an open file is a regular one of this user's, no larger than `limit`."""
    if not stat.S_ISREG(facts.st_mode):
        raise VaultFault(f"{path} is not a regular file", f"ls -l {path}")
    if facts.st_uid != os.geteuid():
        raise VaultFault(f"{path} belongs to uid {facts.st_uid}", f"ls -l {path}")
    if facts.st_size > limit:
        raise VaultFault(f"{path} is larger than anything agentkeys writes", f"ls -l {path}")


def write_file(path: str, data: bytes, mode: int = 0o600) -> None:
    """Replace `path` by `data`, all or nothing, and durable before it returns.

    A `mode` other than 0600 is for files of the user's own. Raises VaultFault when the disk refuses; the old file is
    untouched then. A failed fsync is not tried again, since the kernel may have dropped the pages (fsync(2)).
    """
    temp = f"{path}.{os.getpid()}{TEMP_SUFFIX}"
    try:
        _write_new(temp, data, mode)
        os.rename(temp, path)
        sync_dir(os.path.dirname(path))
    except OSError as error:
        try:
            os.unlink(temp)
        except OSError as second:
            if second.errno not in (errno.ENOENT, errno.EROFS, errno.EACCES):
                raise VaultFault(f"{temp} can't be removed: {second.strerror}", f"rm {temp}") from None
        raise VaultFault(f"{path} can't be written: {error.strerror}", f"df {os.path.dirname(path)}") from None


def write_once(path: str, data: bytes) -> None:
    """Make a new file that nothing will ever replace; its directory is synced by the caller's rename.

    Raises VaultFault when it exists or can't be written.
    """
    try:
        _write_new(path, data)
    except OSError as error:
        if error.errno != errno.EEXIST:
            remove_file(path)
        raise VaultFault(f"{path} can't be written: {error.strerror}", f"df {os.path.dirname(path)}") from None


def touch(path: str) -> None:
    """Make an empty file; its name is durable after the caller's sync_dir(). Raises VaultFault."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise VaultFault(f"{path} can't be made: {error.strerror}", f"df {os.path.dirname(path)}") from None


def _write_new(path: str, data: bytes, mode: int = 0o600) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, mode)  # whatever the umask
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        sync_fd(fd)
    finally:
        os.close(fd)


def sync_fd(fd: int) -> None:
    """Make a file's bytes durable. Raises OSError."""
    if F_FULLFSYNC is not None:
        fcntl.fcntl(fd, F_FULLFSYNC)
    else:
        os.fsync(fd)


def sync_dir(path: str) -> None:
    """Make a directory's names durable. Raises VaultFault."""
    try:
        sync_names(path)
    except OSError as error:
        raise VaultFault(f"{path} can't be made durable: {error.strerror}", f"df {path}") from None


def sync_names(path: str) -> None:
    """As sync_dir(). Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_file(path: str) -> None:
    """Remove a file if it is there. Raises VaultFault."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise VaultFault(f"{path} can't be removed: {error.strerror}", f"rm {path}") from None


def move_file(source: str, target: str) -> None:
    """Rename within a directory, and be durable before it returns. Raises VaultFault."""
    try:
        os.rename(source, target)
    except OSError as error:
        raise VaultFault(f"{source} can't be renamed: {error.strerror}", f"ls -l {source}") from None
    sync_dir(os.path.dirname(target))


def remove_leftovers(directory: str, *prefixes: str) -> None:
    """Remove unfinished files that a crashed writer left; call it under that writer's lock."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        if name.endswith(TEMP_SUFFIX) and (not prefixes or name.startswith(prefixes)):
            remove_file(f"{directory}/{name}")


class FileLock:
    """An exclusive flock(2) on a file of its own, freed by the kernel when the holder dies.

    Use as a context manager. Raises TimedOut, naming the holder's pid, when one has held it for `deadline` seconds.
    """

    def __init__(self, path: str, deadline: float = LOCK_DEADLINE) -> None:
        self.path = path
        self.deadline = deadline
        self.fd = -1

    def __enter__(self) -> "FileLock":  # noqa: PYI034 - typing would cost each worker 2 ms
        make_private_dir(os.path.dirname(self.path))
        try:
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
            facts = os.fstat(self.fd)
            if not stat.S_ISREG(facts.st_mode):
                self.__exit__()
                raise OSError(errno.EINVAL, "it is not a regular file")
            if stat.S_IMODE(facts.st_mode) != 0o600:
                os.fchmod(self.fd, 0o600)  # whatever the umask
        except OSError as error:
            raise VaultFault(f"{self.path} can't be opened: {error.strerror}", f"ls -l {self.path}") from None
        seen, end = -1, 0.0
        while not self.try_lock():
            signed, now = os.fstat(self.fd).st_mtime_ns, time.monotonic()
            if signed != seen:
                seen, end = signed, now + self.deadline  # somebody else has it by now
            elif now >= end:
                raise self._late()
            time.sleep(LOCK_POLL * (0.5 + os.urandom(1)[0] / 255))
        self._sign()
        return self

    def _sign(self) -> None:
        """Leave our pid for whoever waits too long, and a new time of change for the rest of the line.

        A full disk is no reason to do without the lock.
        """
        try:
            os.ftruncate(self.fd, 0)
            os.pwrite(self.fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
                raise

    def try_lock(self) -> bool:
        """Take the lock if it is free."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _late(self) -> AgentkeysError:
        holder = os.pread(self.fd, 32, 0).decode("ascii", "replace").strip()
        os.close(self.fd)
        who = f"pid {holder}" if holder.isdigit() else "another process"
        hint = f"ps -p {holder}" if holder.isdigit() else ""
        return TimedOut(f"{who} has held {self.path} for {self.deadline:g} s", hint)

    def __exit__(self, *exc: object) -> None:
        os.close(self.fd)
        self.fd = -1
