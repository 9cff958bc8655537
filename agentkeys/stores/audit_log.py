"""The file behind the audit chain: one for each owner on a machine, shared by its agents and workers under flock.

A line is one write(2) on an O_APPEND descriptor before the reply it speaks of, so it survives kill -9; sync() makes
it survive a power cut, within the second that the agent's timer allows. Imports little, because the agent loads it.
"""

import errno
import fcntl
import os
import posix
import stat
import sys
import time
from _blake2 import blake2b

from agentkeys import paths
from agentkeys.core import audit
from agentkeys.core.secret import Secret
from agentkeys.errors import AuditFault

CHAIN = "chain.jsonl"
UNSEALED = "unsealed.jsonl"
"""Lines from before the first unlock, when the state key isn't known."""

SYNC_DELAY = 1000
"""Milliseconds that a read's line may wait for its fdatasync: what a power cut can cost."""

LOCK_TRIES = 200
LOCK_PAUSE = 0.001
"""Seconds between tries: another writer holds the lock for microseconds; 0.2 s means it is stopped."""

TAIL = 2 * audit.MAX_LINE
"""Bytes read back to find the last line: the longest fits, behind a torn one as long."""

MAX_UNSEALED = 1024 * 1024
"""Bytes of lines kept from before the first unlock; a flood of denials can't fill the disk."""

FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class AuditLog:
    """Appends records; remembers where its last one ended and re-reads the tail only when another writer was there."""

    def __init__(self, directory: str, owner: str) -> None:
        self.directory = directory
        self.owner = owner
        self.key: Secret | None = None
        self.fd = -1
        self.seq = 0
        self.mac = audit.FIRST_MAC
        self.size = -1
        self.dirty = False
        self.boot = paths.read_small("/proc/sys/kernel/random/boot_id").decode("ascii", "replace")[:8]
        self._second = -1
        self._stamp = ""

    def append(self, verb: str, uid: int, pid: int, keys: "list[str]", decision: str, why: str = "") -> None:
        """Write one line. Raises AuditFault; nothing may be done then."""
        try:
            self._lock()
            try:
                if self.key is None:
                    self._append_unsealed(verb, uid, pid, keys, decision, why)
                    return
                body = audit.line_body(
                    self.seq + 1, self._now(), self.boot, verb, uid, pid, self.owner, keys, decision, why
                )
                self._write(body, self.key)
            finally:
                fcntl.flock(self.fd, fcntl.LOCK_UN)
        except OSError as error:
            raise AuditFault(f"the audit log can't be written: {error.strerror}") from None

    def seal(self, key: Secret) -> None:
        """Chain from now on under `key`, and tie in the lines written before it was known. Raises AuditFault."""
        if self.key is not None:
            self.key.wipe()
            self.size = -1
        self.key = key
        try:
            self.close()
            self._lock()
            try:
                self._link_unsealed(key)
            finally:
                fcntl.flock(self.fd, fcntl.LOCK_UN)
        except OSError as error:
            raise AuditFault(f"the audit log can't be written: {error.strerror}") from None

    def sync(self) -> None:
        """Make what was written durable. Raises AuditFault."""
        if not self.dirty:
            return
        try:
            _sync(self.fd)
        except OSError as error:
            raise AuditFault(f"the audit log can't be synced: {error.strerror}") from None
        self.dirty = False

    # --- under the lock

    def _lock(self) -> None:
        """Open what isn't open, and take the lock. Raises OSError, holding nothing then."""
        while True:
            if self.fd < 0:
                self.fd = _open_log(self._path())
                self.size = -1
            _flock(self.fd)
            try:
                facts = posix.fstat(self.fd)
                if facts.st_nlink and self.key is not None:
                    if facts.st_size != self.size:
                        self._read_tail(facts.st_size, self.key)
                    return
                if facts.st_nlink and _is_at(self._path(), self.fd):
                    return
            except OSError:
                self.close()
                raise
            self.close()  # somebody removed it, or another agent's unlock linked it in: begin a new one

    def _path(self) -> str:
        return f"{self.directory}/{UNSEALED if self.key is None else CHAIN}"

    def _read_tail(self, size: int, key: Secret) -> None:
        """Find the last line; cut and record a torn one."""
        start = max(0, size - TAIL)
        tail = os.pread(self.fd, TAIL, start)
        whole = tail.rfind(b"\n") + 1
        if start and not whole:
            raise OSError(errno.EIO, "its last line is no line of agentkeys")
        self.size = start + whole
        self.seq, self.mac = 0, audit.FIRST_MAC
        if whole:
            found = audit.read_tail(tail[:whole])
            if found is None:
                raise OSError(errno.EIO, "its last line is no line of agentkeys")
            self.seq, self.mac = found
        if whole < len(tail):
            os.ftruncate(self.fd, self.size)
            self.dirty = True
            self._write(audit.recovery_body(self.seq + 1, self._now(), self.boot, self.owner, len(tail) - whole), key)

    def _write(self, body: str, key: Secret) -> None:
        line, mac = audit.seal_line(body, self.mac, key.view())
        self._write_line(line)
        self.seq += 1
        self.mac = mac

    def _write_line(self, line: bytes) -> None:
        wrote = posix.write(self.fd, line)
        if wrote != len(line):
            os.ftruncate(self.fd, max(0, posix.fstat(self.fd).st_size - wrote))
            raise OSError(errno.ENOSPC, "no room for a whole line")
        self.size += wrote
        self.dirty = True

    def _append_unsealed(self, verb: str, uid: int, pid: int, keys: "list[str]", decision: str, why: str) -> None:
        if _cut_torn(self.fd) < MAX_UNSEALED:
            body = audit.line_body(0, self._now(), self.boot, verb, uid, pid, self.owner, keys, decision, why)
            self._write_line(audit.unsealed_line(body))

    def _link_unsealed(self, key: Secret) -> None:
        """Tie in the lines from before the first unlock: rename their file, under its own lock, then name its hash.

        A file of the name that is next was renamed by someone who died before the line: it is linked first.
        """
        path = f"{self.directory}/{UNSEALED}"
        while True:
            name = f"unsealed-{self.seq + 1:08}.jsonl"
            linked = f"{self.directory}/{name}"
            if not paths.exists(linked):
                try:
                    fd = _open_log(path, create=False)
                except FileNotFoundError:
                    return
                try:
                    _flock(fd)
                    if _is_at(path, fd):
                        os.rename(path, linked)
                        _sync_names(self.directory)
                finally:
                    os.close(fd)
                continue
            fd = _open_log(linked, create=False)
            try:
                _cut_torn(fd)
                lines = os.pread(fd, MAX_UNSEALED * 2, 0)
                _sync(fd)  # what the chain names by its hash must not be lost before the chain
            finally:
                os.close(fd)
            digest = blake2b(lines, digest_size=16).hexdigest()
            count = lines.count(b"\n")
            self._write(audit.link_body(self.seq + 1, self._now(), self.boot, self.owner, name, count, digest), key)

    def _now(self) -> str:
        nanoseconds = time.time_ns()
        second = nanoseconds // 1_000_000_000
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{nanoseconds // 1_000_000 % 1000:03}Z"

    def close(self) -> None:
        """Let go of the file; the next append opens it anew."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _open_log(path: str, create: bool = True) -> int:
    """Open for appending, following no symlink and waiting for no FIFO. Raises OSError."""
    try:
        fd = os.open(path, FLAGS, 0o600)
    except FileNotFoundError:
        if not create:
            raise
        fd = _make_log(path)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return fd


def _make_log(path: str) -> int:
    """A new file, in directories that may be new too, its name durable as its lines will be. Raises OSError."""
    directory = os.path.dirname(path)
    changed = [directory]
    while not os.path.isdir(changed[-1]):
        changed.append(os.path.dirname(changed[-1]))
    if len(changed) > 1:
        os.makedirs(directory, 0o700, exist_ok=True)
    fd = os.open(path, FLAGS | os.O_CREAT, 0o600)
    for place in changed:
        _sync_names(place)
    return fd


def _sync_names(directory: str) -> None:
    """fsync(2) of a directory. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _cut_torn(fd: int) -> int:
    """Remove the beginning of a line that a power cut left at the end of unchained ones; the size. Raises OSError."""
    size = posix.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        size = os.pread(fd, MAX_UNSEALED * 2, 0).rfind(b"\n") + 1
        os.ftruncate(fd, size)
    return size


def _flock(fd: int) -> None:
    """Take the lock, waiting a little. Raises OSError when someone keeps it."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_PAUSE)
        else:
            return
    raise OSError(errno.EAGAIN, "another process holds it")


def _is_at(path: str, fd: int) -> bool:
    """Whether `path` still leads to the open file."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return False
    return facts.st_ino == os.fstat(fd).st_ino


def _sync(fd: int) -> None:
    """fdatasync(2), which spares the time stamps; macOS has only fsync."""
    if sys.platform == "linux":
        os.fdatasync(fd)
    else:
        os.fsync(fd)
