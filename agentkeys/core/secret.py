"""Secret values in memory that can be wiped.

`bytes` and `str` can't be overwritten in Python, so an agent keeps values in `bytearray`s from the socket's buffer to
the reply's, and overwrites them on relock, expiry and delete. What came together stays together: one buffer for a whole
batch of an unlock, which is one copy and one mlock(2) instead of hundreds. This is best effort: the kernel's socket
buffers are out of reach, and a page that was swapped out is where the system allows no locked memory.
"""

from collections.abc import Callable


def _leave(_buffer: bytearray) -> None:
    """Nothing is done to a new buffer."""


on_new_buffer: Callable[[bytearray], None] = _leave
"""Called with each buffer before a value is put into it. The driver's: it keeps them out of swap and core files."""


class Secret:
    """One value. Shows nothing of itself: not in repr, format, comparison, pickle or a traceback."""

    __slots__ = ("_buffer", "_end", "_start")

    def __init__(self, value: "bytes | bytearray | memoryview") -> None:
        """Copy `value` once; the caller wipes what it copied from."""
        self._buffer = _copy(value)
        self._start = 0
        self._end = len(value)

    def view(self) -> memoryview:
        """The value's bytes, without a copy; valid until wipe()."""
        return memoryview(self._buffer)[self._start : self._end]

    def holds_nul(self) -> bool:
        """Whether a NUL byte is among them, which no environment variable can carry."""
        return self._buffer.find(0, self._start, self._end) >= 0

    def wipe(self) -> None:
        """Overwrite the value with zeros; its length stays, so that no realloc leaves a copy behind."""
        self._buffer[self._start : self._end] = bytes(self._end - self._start)

    def __len__(self) -> int:
        return self._end - self._start

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __reduce__(self) -> str:
        raise TypeError("a Secret can't be pickled or copied")


def split(values: memoryview, sizes: "list[int]") -> "list[Secret]":
    """`values`, which stand end to end and are of these sizes, in one buffer of their own; the caller wipes its own."""
    buffer = _copy(values)
    secrets = []
    at = 0
    for size in sizes:
        secret = Secret.__new__(Secret)
        secret._buffer = buffer
        secret._start = at
        at += size
        secret._end = at
        secrets.append(secret)
    return secrets


def _copy(value: "bytes | bytearray | memoryview") -> bytearray:
    buffer = bytearray(len(value))
    on_new_buffer(buffer)
    buffer[:] = value
    return buffer


def wipe_buffer(buffer: "bytearray | memoryview") -> None:
    """Overwrite a working buffer that held a secret."""
    buffer[:] = bytes(len(buffer))
