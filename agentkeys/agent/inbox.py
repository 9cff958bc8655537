"""One connection's incoming bytes, cut into messages.

A message that arrives in one piece, the usual case, is handled in place over the loop's shared buffer and never
copied. What arrives in pieces is gathered in buffers allocated at their final size, and wiped after use.
"""

from collections.abc import Iterator

from agentkeys import wire
from agentkeys.core.secret import wipe_buffer


class Inbox:
    """Bytes in, message payloads out. Holds at most one frame and one message of its peer."""

    __slots__ = ("_filled", "_frame", "_parts", "_total")

    def __init__(self) -> None:
        self._frame = bytearray()
        """The frame under way, allocated at its final size once its length is known; before that, its length."""
        self._filled = 0
        self._parts: list[bytearray] = []
        self._total = 0

    @property
    def mid_message(self) -> bool:
        """Whether the peer owes us the rest of something."""
        return self._filled > 0 or bool(self._parts)

    def frame_end(self, data: memoryview, at: int) -> int:
        """How much of `data` belongs to the frame under way, or to the one that begins at `at`. Raises WireError."""
        if len(self._frame) > 4:
            missing = len(self._frame) - self._filled
        elif not self._filled and len(data) - at >= 4:
            missing = 4 + wire.frame_length(data[at : at + 4])
        else:
            missing = 4 - self._filled  # the rest of a length comes first
        return min(len(data), at + missing)

    def feed(self, data: memoryview) -> Iterator[memoryview]:
        """Each message's payload that `data` completes, as a view that is valid, and unwiped, until the next one.

        Raises WireError; the connection can't go on then.
        """
        at = 0
        while at < len(data):
            if not self._filled and len(data) - at >= 4:
                size = 4 + wire.frame_length(data[at : at + 4])
                if len(data) - at >= size:
                    yield from self._take(data[at : at + size])
                    at += size
                    continue
            at += self._gather(data[at:])
            if len(self._frame) > 4 and self._filled == len(self._frame):
                frame, self._frame, self._filled = self._frame, bytearray(), 0
                try:
                    yield from self._take(memoryview(frame))
                finally:
                    wipe_buffer(frame)

    def _gather(self, data: memoryview) -> int:
        """Copy what belongs to the frame under way; how many bytes that was."""
        if self._filled < 4:
            taken = min(4 - self._filled, len(data))
            self._frame += data[:taken]
            self._filled += taken
            if self._filled == 4:
                size = 4 + wire.frame_length(self._frame)
                self._frame = self._frame + bytearray(size - 4)
            return taken
        taken = min(len(self._frame) - self._filled, len(data))
        self._frame[self._filled : self._filled + taken] = data[:taken]
        self._filled += taken
        return taken

    def _take(self, frame: memoryview) -> Iterator[memoryview]:
        flags = frame[4]
        payload = frame[wire.HEADER :]
        wire.check_frame(flags, len(payload), not self._parts)
        if flags and not self._parts:
            yield payload
            return
        self._total += len(payload)
        if self._total > wire.MAX_REQUEST:
            raise wire.WireError("message too long")
        self._parts.append(bytearray(payload))
        if flags:
            yield from self._join()

    def _join(self) -> Iterator[memoryview]:
        message = bytearray(self._total)
        at = 0
        for part in self._parts:
            message[at : at + len(part)] = part
            at += len(part)
        self.wipe()
        try:
            yield memoryview(message)
        finally:
            wipe_buffer(message)

    def wipe(self) -> None:
        """Forget what was gathered."""
        for part in self._parts:
            wipe_buffer(part)
        self._parts = []
        self._total = 0
        wipe_buffer(self._frame)
