"""The sign by which a shell's hook sees, without starting anything, that what it was told may be no longer so.

`epoch` in the owner's run directory names an empty file beside it, `epoch-` and 16 hex digits. Each change makes a new
one and removes the older, so that a shell which remembers the name has one stat(2) to do at each prompt. It is no
record of anything: what can't be written is left, and a shell learns of the change a little later.

All agents of an owner share it, whatever their sockets. None waits for another: each removes what is older than its
own file, so the newest stays, and a reader who finds the named one gone takes that.
"""

import os
import time

from agentkeys import paths


class Epoch:
    """The owner's sign, as one agent gives it; a context manager, left when the agent's socket is gone."""

    def __init__(self, directory: str) -> None:
        self.path = f"{directory}/{paths.EPOCH}"
        self._ours = ""
        self._moment = 0

    def __enter__(self) -> "Epoch":  # noqa: PYI034 - typing would cost each agent 2 ms
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def begin(self) -> None:
        """Give the sign: something changed."""
        self._moment = max(time.time_ns(), self._moment + 1)
        name = f"{paths.EPOCH}-{self._moment:016x}"
        try:
            _write(f"{self.path}{name[len(paths.EPOCH) :]}", b"")
            self._ours = name
            self._announce(name)
        except OSError:
            return  # a full disk, or a home that was removed: no hook is misled, it only learns nothing
        _remove_older(self.path.rpartition("/")[0], name)

    def end(self) -> None:
        """This agent leaves: take its sign back, or give a new one where another's has come, an `allow`'s say."""
        if not self._ours:
            return
        if paths.read_small(self.path) != self._ours.encode("ascii"):
            self.begin()
            return
        try:
            os.unlink(self.path)
            os.unlink(self.path + self._ours[len(paths.EPOCH) :])
        except OSError:
            pass  # another agent was quicker

    def _announce(self, name: str) -> None:
        """Say the name. Raises OSError.

        direnv compares whole seconds of a watched file: each version is a second later than the one before.
        """
        at = self._moment // 1_000_000_000
        try:
            at = max(at, int(os.stat(self.path).st_mtime) + 1)
        except OSError:
            pass  # the first one
        new = f"{self.path}.{os.getpid()}"
        _write(new, name.encode("ascii"))
        os.utime(new, (at, at))
        os.rename(new, self.path)


def _write(path: str, data: bytes) -> None:
    """A file that needs not outlast a crash. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _remove_older(directory: str, than: str) -> None:
    for name in os.listdir(directory):
        if name.startswith(f"{paths.EPOCH}-") and name < than:
            try:
                os.unlink(f"{directory}/{name}")
            except OSError:
                continue  # another agent was quicker
