"""A secret value in memory that can be wiped.

`bytes` and `str` can't be overwritten in Python, so an agent keeps each value in one `bytearray` from the socket's
buffer to the reply's, and overwrites it on relock, expiry and delete. This is best effort: the kernel's socket
buffers and a page that was swapped out are out of reach.
"""


class Secret:
    """One value. Shows nothing of itself: not in repr, format, comparison, pickle or a traceback."""

    __slots__ = ("_buffer",)

    def __init__(self, value: "bytes | bytearray | memoryview") -> None:
        """Copy `value` once; the caller wipes what it copied from."""
        self._buffer = bytearray(value)

    def view(self) -> memoryview:
        """The value's bytes, without a copy; valid until wipe()."""
        return memoryview(self._buffer)

    def holds_nul(self) -> bool:
        """Whether a NUL byte is among them, which no environment variable can carry."""
        return self._buffer.find(0) >= 0

    def wipe(self) -> None:
        """Overwrite the value with zeros; its length stays, so that no realloc leaves a copy behind."""
        self._buffer[:] = bytes(len(self._buffer))

    def __len__(self) -> int:
        return len(self._buffer)

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


def wipe_buffer(buffer: "bytearray | memoryview") -> None:
    """Overwrite a working buffer that held a secret."""
    buffer[:] = bytes(len(buffer))
