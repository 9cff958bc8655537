"""Bytes to messages and back, as the tests of the wire need it."""

from collections.abc import Iterable

from hypothesis import strategies as st

from agentkeys import wire
from agentkeys.agent.inbox import Inbox

ROOM = wire.MAX_FRAME - 1
"""Bytes of payload in a full frame."""

Message = list[bytes]


def read(chunks: Iterable[bytes]) -> "tuple[list[Message], bool]":
    """(the messages' fields, whether another is under way) of a stream that arrives in these pieces."""
    inbox = Inbox()
    messages = []
    for chunk in chunks:
        for payload in inbox.feed(memoryview(bytearray(chunk))):
            messages.append([bytes(field) for field in wire.split_fields(payload)])
    return messages, inbox.mid_message


def cut(data: bytes, sizes: "list[int]") -> "list[bytes]":
    """`data` in pieces of these sizes, which repeat."""
    pieces = []
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)] if sizes else len(data)
        pieces.append(data[at : at + size])
        at += size
        turn += 1
    return pieces


def patterned(size: int) -> bytes:
    """`size` bytes of which no two neighbours are swapped unnoticed."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


small = st.lists(st.binary(max_size=40), min_size=1, max_size=5)
near_borders = st.lists(
    st.builds(lambda frames, off: patterned(max(0, frames * ROOM + off)), st.integers(0, 2), st.integers(-12, 12)),
    min_size=1,
    max_size=2,
)  # fields that end, with their lengths, just before, at and just behind a frame's end
messages = small | near_borders
