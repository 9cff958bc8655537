"""epoll(7), timerfd_create(2) and inotify(7), the two last through libc: Python has timerfd only from 3.13 on."""

import ctypes
import os
import select
import sys

from agentkeys.agent.poller import CLOCK_BOOTTIME, MAX_EVENTS, READ
from agentkeys.hardening import libc

assert sys.platform == "linux"  # noqa: S101 - tells mypy which platform this file is for

TFD_TIMER_ABSTIME = 1
TFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
"""TFD_NONBLOCK and TFD_CLOEXEC, and inotify's twins, have their open(2) values."""

IN_GONE = 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
"""inotify(7): MOVED_FROM, MOVED_TO, CREATE, DELETE, DELETE_SELF, MOVE_SELF."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Poller:
    """epoll(7) with one timerfd; no periodic wake-up."""

    def __init__(self) -> None:
        self._libc = libc()
        self._epoll = select.epoll()
        self.timer = self._libc.timerfd_create(CLOCK_BOOTTIME, TFD_FLAGS)
        if self.timer < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self.watch = -1
        self.add(self.timer)

    def add(self, fd: int) -> None:
        """Report when `fd` can be read."""
        self._epoll.register(fd, READ)

    def change(self, fd: int, interest: int) -> None:
        """Report READ, WRITE, or neither (0), for a registered `fd`."""
        self._epoll.modify(fd, interest)

    def wait(self) -> "list[tuple[int, int]]":
        """(fd, READ | WRITE | others) of what is ready; blocks for as long as it takes."""
        return self._epoll.poll(-1, MAX_EVENTS)

    def set_timer(self, deadline: "int | None") -> None:
        """Make `timer` readable at `deadline`, ms of now_ms(), also if the machine slept over it; None: never."""
        at = max(1, deadline) if deadline is not None else 0
        spec = _Itimerspec(_Timespec(0, 0), _Timespec(at // 1000, at % 1000 * 1_000_000))
        self._libc.timerfd_settime(self.timer, TFD_TIMER_ABSTIME, ctypes.byref(spec), None)

    def clear(self, fd: int) -> None:
        """Read away what made the timer or the watch readable."""
        try:
            os.read(fd, 65536)
        except BlockingIOError:
            return

    def watch_dir(self, path: str) -> None:
        """Make `watch` readable when a name in `path`, or `path` itself, comes or goes. Raises OSError."""
        self.watch = self._libc.inotify_init1(TFD_FLAGS)
        if self.watch < 0 or self._libc.inotify_add_watch(self.watch, os.fsencode(path), IN_GONE) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self.add(self.watch)

    @staticmethod
    def watch_process(pid: int) -> int:
        """A descriptor for add() that can be read once process `pid` is dead, reaped or not (pidfd_open(2)).

        Raises ProcessLookupError when it is gone by now, OSError where the kernel is older than 5.3.
        """
        return os.pidfd_open(pid)
