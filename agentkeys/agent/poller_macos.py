"""kqueue(2) with the promises of poller_linux. Written from the man page; not run on a Mac."""

import errno
import os
import select
import sys

from agentkeys.agent.poller import MAX_EVENTS, READ, WRITE, now_ms

assert sys.platform == "darwin"  # noqa: S101 - tells mypy which platform this file is for


PROCESS = -3
"""What wait() calls the process that watch_process() watches; no descriptor stands for it."""


class Poller:
    """kqueue(2): the same promises."""

    def __init__(self) -> None:
        self._kqueue = select.kqueue()
        self.timer = -2
        self.watch = -1

    def add(self, fd: int) -> None:
        """Report when `fd` can be read."""
        if fd == PROCESS:
            return  # watch_process() asked for it
        self._control(fd, select.KQ_FILTER_READ, select.KQ_EV_ADD)

    def change(self, fd: int, interest: int) -> None:
        """Report READ, WRITE, or neither (0), for a registered `fd`."""
        for bit, kind in ((READ, select.KQ_FILTER_READ), (WRITE, select.KQ_FILTER_WRITE)):
            self._control(fd, kind, select.KQ_EV_ADD if interest & bit else select.KQ_EV_DELETE)

    def wait(self) -> "list[tuple[int, int]]":
        """(fd, READ | WRITE) of what is ready; the timer and the watch under their own numbers."""
        ready = []
        for event in self._kqueue.control(None, MAX_EVENTS, None):
            if event.filter == select.KQ_FILTER_TIMER:
                ready.append((self.timer, READ))
            elif event.filter == select.KQ_FILTER_PROC:
                ready.append((PROCESS, READ))
            else:
                ready.append((event.ident, WRITE if event.filter == select.KQ_FILTER_WRITE else READ))
        return ready

    def set_timer(self, deadline: "int | None") -> None:
        """As LinuxPoller's; a sleeping Mac delivers it at wake-up."""
        self._control(1, select.KQ_FILTER_TIMER, select.KQ_EV_DELETE)
        if deadline is not None:
            event = select.kevent(
                1,
                select.KQ_FILTER_TIMER,
                select.KQ_EV_ADD | select.KQ_EV_ONESHOT,
                0,
                max(1, deadline - now_ms()),
            )
            self._kqueue.control([event], 0, 0)

    def clear(self, fd: int) -> None:
        """Nothing to read away: kqueue resets what it reported."""

    def watch_dir(self, path: str) -> None:
        """As LinuxPoller's, by EVFILT_VNODE on the open directory."""
        self.watch = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        notes = select.KQ_NOTE_WRITE | select.KQ_NOTE_DELETE | select.KQ_NOTE_RENAME
        event = select.kevent(self.watch, select.KQ_FILTER_VNODE, select.KQ_EV_ADD | select.KQ_EV_CLEAR, notes)
        self._kqueue.control([event], 0, 0)

    def watch_process(self, pid: int) -> int:
        """As LinuxPoller's, by EVFILT_PROC's NOTE_EXIT."""
        event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT)
        self._kqueue.control([event], 0, 0)
        return PROCESS

    def _control(self, fd: int, kind: int, flags: int) -> None:
        try:
            self._kqueue.control([select.kevent(fd, kind, flags)], 0, 0)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
