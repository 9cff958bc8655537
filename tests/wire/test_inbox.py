"""The agent's reader: however bytes arrive, the same messages come out, and gathered copies are wiped."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkeys import wire
from agentkeys.agent.inbox import Inbox
from tests.wire.stream import ROOM, Message, cut, messages, patterned, read

chunkings = st.lists(st.integers(1, 12) | st.integers(1, ROOM + 20) | st.just(64 * 1024), min_size=1, max_size=6)


@settings(deadline=None, max_examples=60)
@given(st.lists(messages, min_size=1, max_size=4), chunkings)
def test_any_chunking_gives_the_same_messages(several: "list[Message]", sizes: "list[int]") -> None:
    """A stream has no edges; the reader adds none."""
    sizes[0] = max(sizes[0], 4096)  # else a megabyte would come byte by byte
    data = b"".join([wire.encode(*message) for message in several])
    assert read(cut(data, sizes)) == (several, False)


@given(st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=3), min_size=1, max_size=4), st.integers(1, 9))
def test_bytes_may_come_one_by_one(several: "list[Message]", size: int) -> None:
    """Or by a few: each border falls everywhere once."""
    data = b"".join([wire.encode(*message) for message in several])
    assert read(cut(data, [size])) == (several, False)


@settings(deadline=None)
@given(messages, st.data())
def test_a_message_under_way_is_known(message: Message, data: st.DataObject) -> None:
    """From its first byte to before its last the peer owes something; else it may be idle for ever."""
    encoded = wire.encode(*message)
    end = data.draw(st.integers(1, len(encoded) - 1))
    assert read([]) == ([], False)
    assert read([encoded[:end]]) == ([], True)
    assert read([encoded[:end], encoded[end:]]) == ([message], False)


@settings(deadline=None, max_examples=40)
@given(st.lists(messages, min_size=1, max_size=3), chunkings)
def test_frame_end_parts_messages(several: "list[Message]", sizes: "list[int]") -> None:
    """Fed frame by frame it never yields two at once, so that one can wait for the other's answer."""
    sizes[0] = max(sizes[0], 4096)
    inbox = Inbox()
    found = []
    for chunk in cut(b"".join([wire.encode(*message) for message in several]), sizes):
        view, at = memoryview(bytearray(chunk)), 0
        while at < len(view):
            end = inbox.frame_end(view, at)
            assert at < end <= len(view)
            payloads = [bytes(payload) for payload in inbox.feed(view[at:end])]
            assert len(payloads) <= 1
            found += payloads
            at = end
    assert [[bytes(field) for field in wire.split_fields(memoryview(it))] for it in found] == several


@pytest.mark.parametrize(("size", "pieces"), [(100, 2), (ROOM + 100, 1), (3 * ROOM, 5)])
def test_a_gathered_message_is_wiped_when_the_next_is_asked_for(size: int, pieces: int) -> None:
    """In pieces or in frames: what the reader copied is overwritten, and its caller's view shows it."""
    data = wire.encode(patterned(size))
    inbox = Inbox()
    views = []
    for chunk in cut(data, [-(-len(data) // pieces)]):
        for payload in inbox.feed(memoryview(bytearray(chunk))):
            assert bytes(payload[4:]) == patterned(size)
            views.append(payload)
    assert len(views) == 1
    assert not any(views[0])


def test_a_message_in_one_piece_is_not_copied() -> None:
    """It is a view of what was fed; wiping that is the caller's."""
    buffer = bytearray(wire.encode(b"ok", b"secret"))
    [payload] = Inbox().feed(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert not any(payload)


def test_wipe_forgets_what_was_gathered() -> None:
    """A connection that closes in the middle of a value leaves nothing."""
    inbox = Inbox()
    data = wire.encode(b"\xaa" * (ROOM + 1000))
    assert list(inbox.feed(memoryview(data)[: ROOM + 500])) == []
    buffers = [*inbox._parts, inbox._frame]
    assert all(0xAA in buffer for buffer in buffers)
    inbox.wipe()
    assert not any(0xAA in buffer for buffer in buffers)


def frames_of(size: int) -> bytes:
    """A message with a payload of `size` bytes: one field."""
    return wire.encode(bytes(size - 4))


def test_the_largest_request_passes_and_a_larger_one_does_not() -> None:
    """MAX_REQUEST bytes of payload; what one connection can make an agent hold."""
    [[field]] = read([frames_of(wire.MAX_REQUEST)])[0]
    assert len(field) == wire.MAX_REQUEST - 4
    with pytest.raises(wire.WireError):
        read([frames_of(wire.MAX_REQUEST + 1)])


def test_an_endless_message_is_refused() -> None:
    """Frame after frame without a last one ends at the limit, not at the end of memory."""
    frame = (1001).to_bytes(4, "big") + b"\0" + bytes(1000)
    with pytest.raises(wire.WireError):
        read([frame] * (wire.MAX_REQUEST // 1000 + 1))
    assert read([frame] * (wire.MAX_REQUEST // 1000)) == ([], True)
