"""What is encoded is read back, and both encoders write the same bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkeys import wire
from agentkeys.worker.job import unframe
from tests.wire.stream import ROOM, Message, messages, patterned, read, small


def payload_of(message: Message) -> bytes:
    """Fields with their lengths."""
    return b"".join([len(field).to_bytes(4, "big") + field for field in message])


@settings(deadline=None)
@given(messages)
def test_a_message_is_read_back(message: Message) -> None:
    """By the agent's reader and by the worker's."""
    data = wire.encode(*message)
    assert read([data]) == ([message], False)
    assert [bytes(field) for field in wire.split_fields(unframe(data))] == message


@settings(deadline=None)
@given(messages, st.sampled_from([bytes, bytearray, memoryview]))
def test_both_encoders_write_the_same(message: Message, kind: type) -> None:
    """The one for secrets takes buffers of any kind, and leaves them as they were."""
    fields = [kind(bytearray(field)) if kind is memoryview else kind(field) for field in message]
    assert wire.encode_wipeable(fields) == wire.encode(*message)
    assert [bytes(field) for field in fields] == message


@pytest.mark.parametrize("size", [ROOM - 5, ROOM - 4, ROOM - 3, 2 * ROOM - 4, 2 * ROOM - 3, 3 * ROOM - 4])
def test_frames_are_full_but_the_last(size: int) -> None:
    """No frame is over its limit, none is empty, and only the last is marked as last."""
    payload = payload_of([patterned(size)])
    data = wire.encode(patterned(size))
    flags = []
    joined = b""
    while data:
        end = 4 + wire.frame_length(data)
        flags.append(data[4])
        joined += data[5:end]
        data = data[end:]
    count = -(-len(payload) // ROOM)
    assert flags == [0] * (count - 1) + [wire.LAST]
    assert joined == payload


def test_a_small_message_is_what_the_protocol_page_shows() -> None:
    """u32 length, flags, and u32 length with its bytes for each field."""
    shown = bytes.fromhex("00000014 01 00000003676574 000000036b6579 0000000141")
    assert wire.encode(b"get", b"key", b"A") == shown


def test_a_wipeable_message_is_one_buffer() -> None:
    """Wiping it leaves nothing of the secret behind in what was returned."""
    buffer = wire.encode_wipeable([b"ok", b"value", memoryview(b"secret")])
    assert type(buffer) is bytearray
    buffer[:] = bytes(len(buffer))
    assert not any(buffer)


@settings(deadline=None)
@given(st.lists(small, min_size=1, max_size=5))
def test_messages_follow_each_other(several: "list[Message]") -> None:
    """Many requests on one connection, in order."""
    assert read([b"".join([wire.encode(*message) for message in several])]) == (several, False)


@given(small)
def test_pairs_are_what_follows_the_verb(message: Message) -> None:
    """Names as bytes, values as views; a name without its value is refused."""
    fields = [memoryview(field) for field in message]
    if len(message) % 2:
        found = [(name, bytes(value)) for name, value in wire.pairs(fields)]
        assert found == list(zip(message[1::2], message[2::2], strict=True))
    else:
        with pytest.raises(wire.WireError):
            wire.pairs(fields)


def hello_fields(*fields: bytes) -> "list[memoryview]":
    """Fields as a reader has them."""
    return [memoryview(field) for field in fields]


@pytest.mark.parametrize(
    ("low", "high", "protocol"),
    [(b"1", b"1", 1), (b"0", b"9", 1), (b"1", b"99999", 1), (b"2", b"9", 0), (b"0", b"0", 0), (b"9", b"1", 0)],
)
def test_a_hello_agrees_on_a_protocol_or_on_none(low: bytes, high: bytes, protocol: int) -> None:
    """A range on each side, so that a later build can still speak to this one."""
    fields = hello_fields(b"hello", b"agentkeys", low, high, b"ana", b"0.1.0")
    assert wire.read_hello(fields)[:3] == (protocol, "ana", "0.1.0")


def test_a_hello_is_read_by_its_reader_and_by_later_ones() -> None:
    """Fields that a later version adds are passed over; version 1's own order stays."""
    [fields] = read([wire.hello(b"ana", b"0.1.0")])[0]
    assert fields[:6] == [b"hello", b"agentkeys", b"1", b"1", b"ana", b"0.1.0"]
    more = hello_fields(*fields, b"\xff later", b"\0")
    assert wire.read_hello(more)[:3] == (1, "ana", "0.1.0")


@given(st.lists(st.binary(max_size=10), max_size=8))
def test_any_other_fields_are_no_hello(message: Message) -> None:
    """WireError, never another exception."""
    for fields in (message, [b"hello", b"agentkeys", *message]):
        try:
            protocol, owner, _version, _home = wire.read_hello(hello_fields(*fields))
        except wire.WireError:
            continue
        assert fields[2].isdigit()
        assert fields[3].isdigit()
        assert protocol in (0, 1)
        assert owner.encode() == fields[4]
