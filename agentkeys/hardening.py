"""What keeps other processes of this uid from reading an agent or a worker by accident, through calls to libc.

Not a boundary against a determined process of the same uid; see docs/explanation/threat-model.md. The macOS calls
are written from Apple's headers and were not run on a Mac.
"""

import ctypes
import os
import resource
import sys

from agentkeys.errors import AgentkeysError, Denied

PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
"""prctl(2), linux/prctl.h."""

PT_DENY_ATTACH = 31
"""ptrace(2) on macOS, sys/ptrace.h."""

MADV_DONTDUMP = 16
"""madvise(2), linux/mman.h: not in a core file, should one be written after all."""

PAGE = resource.getpagesize()

LINUX = sys.platform == "linux"


def libc() -> ctypes.CDLL:
    """The C library, with errno kept."""
    return ctypes.CDLL(None, use_errno=True)


def close_memory() -> None:
    """No core dump, no ptrace, no /proc/PID/{mem,environ,fd,…} for other processes of this uid, no new privileges.

    Call it before the last fork: a child made afterwards has never been open (its /proc entries are root's from
    its first instant), while the parent was for its first 10 ms.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if LINUX:
        lib = libc()
        lib.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        lib.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    elif sys.platform == "darwin":
        libc().ptrace(PT_DENY_ATTACH, 0, 0, 0)


class MemoryLock:
    """Keeps buffers out of swap by mlock(2), as far as RLIMIT_MEMLOCK allows, and says whether it could.

    Pages stay locked until the allocator gives them back to the system, which unlocks them: counting who else is on
    a page would cost more than a few locked pages do.
    """

    def __init__(self) -> None:
        self._libc = libc()
        self.failed = False
        """Whether some buffer is not locked."""

    def lock(self, buffer: bytearray) -> None:
        """Lock the pages of `buffer`. A system that refuses is remembered, not an error."""
        size = len(buffer)
        if not size:
            return
        address = ctypes.addressof((ctypes.c_char * size).from_buffer(buffer))
        first, last = address // PAGE, (address + size - 1) // PAGE
        start, length = ctypes.c_void_p(first * PAGE), ctypes.c_size_t((last - first + 1) * PAGE)
        if self._libc.mlock(start, length):
            self.failed = True
        elif LINUX:
            self._libc.madvise(start, length, MADV_DONTDUMP)


def is_dumpable() -> bool:
    """Whether processes of this uid can read our memory (prctl(2) PR_GET_DUMPABLE)."""
    return LINUX and libc().prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0


def require_untraced() -> None:
    """Refuse to hold secrets under a tracer. Raises Denied naming its pid (proc(5), TracerPid).

    Without /proc it can't be known; a tracer that comes later finds the memory closed all the same.
    """
    if not LINUX:
        return
    try:
        with open("/proc/self/status", "rb") as status:
            lines = status.readlines()
    except OSError:
        return
    for line in lines:
        if line.startswith(b"TracerPid:") and line.split()[1] != b"0":
            tracer = line.split()[1].decode("ascii")
            raise Denied(f"pid {tracer} traces this process, which would let it read every key", f"ps -p {tracer}")


def quieten() -> None:
    """Have Python say of an exception that nobody caught where it was and of what kind, never what it was about."""
    sys.excepthook = lambda _kind, error, _trace: _complain(error)
    sys.unraisablehook = lambda raised: _complain(raised.exc_value)


def _complain(error: "BaseException | None") -> None:
    what = "a failure that can't be told" if error is None else describe(error)
    os.write(2, f"agentkeys: error: {what}\n".encode("utf-8", "replace"))


def describe(error: BaseException) -> str:
    """One safe line about a failure: our own message, or kind and place of a foreign one."""
    if isinstance(error, AgentkeysError):
        return error.message
    where = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f" at {code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
    return f"internal fault, {type(error).__name__}{where}"


def bound(limit: int, value: int, grace: int = 0) -> None:
    """Lower a resource limit to `value`, where it isn't lower already (setrlimit(2)).

    What comes with a signal of its own first, as RLIMIT_CPU does, wants `grace` before it is enforced.
    """
    _soft, hard = resource.getrlimit(limit)
    if hard == resource.RLIM_INFINITY or hard > value:
        ceiling = value + grace if hard == resource.RLIM_INFINITY else min(hard, value + grace)
        resource.setrlimit(limit, (value, ceiling))
