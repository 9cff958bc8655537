"""Bytes that are no message raise WireError, and nothing else, ever."""

import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkeys import wire
from agentkeys.agent.inbox import Inbox
from agentkeys.worker.job import unframe
from tests.support.plugin import Plant
from tests.wire.stream import cut, messages, read

VECTORS = Path(__file__).parents[1] / "vectors" / "wire.txt"
CASES = [line.split("|") for line in VECTORS.read_text().splitlines() if line and not line.startswith("#")]


def bytes_of(text: str) -> bytes:
    """Hex, with `00*5` for repeated bytes."""
    parts = [(byte, int(count or 1)) for byte, count in re.findall(r"([0-9a-f]{2})(?:\*(\d+))?", text)]
    return b"".join([bytes.fromhex(byte) * count for byte, count in parts])


def outcome(data: bytes, sizes: "list[int]") -> str:
    """What a reader makes of `data`, in the words of the vectors; a message's later readings after a slash."""
    inbox = Inbox()
    found = []
    try:
        for chunk in cut(data, sizes):
            for payload in inbox.feed(memoryview(bytearray(chunk))):
                found.append(bytes(payload))
    except wire.WireError:
        return "refused frame"
    if inbox.mid_message or not found:
        return "more"
    [message] = found
    try:
        fields = wire.split_fields(memoryview(message))
    except wire.WireError:
        return "refused fields"
    return "fields " + ",".join([field.hex() for field in fields])


def in_hex(expected: str) -> str:
    """`fields ping,0x00ff,-` with each field as hex."""
    word, _, fields = expected.partition(" ")
    if word != "fields":
        return expected
    plain = [it[2:] if it.startswith("0x") else it.strip("-").encode().hex() for it in fields.split(",")]
    return "fields " + ",".join(plain)


@pytest.mark.parametrize("sizes", [[], [1], [3]], ids=["whole", "byte by byte", "in threes"])
@pytest.mark.parametrize(("expected", "data", "what"), CASES, ids=[case[2].strip() for case in CASES])
def test_a_vector_is_read_as_it_says(expected: str, data: str, what: str, sizes: "list[int]") -> None:
    """tests/vectors/wire.txt, which another language can read too."""
    seen = outcome(bytes_of(data), sizes)
    kind = expected.strip()
    if kind not in ("refused pairs", "refused hello"):
        assert seen == in_hex(kind)
        return
    fields = [memoryview(bytes.fromhex(field)) for field in seen.removeprefix("fields ").split(",")]
    with pytest.raises(wire.WireError):
        wire.pairs(fields) if kind == "refused pairs" else wire.read_hello(fields)


@pytest.mark.parametrize(("expected", "data", "what"), CASES, ids=[case[2].strip() for case in CASES])
def test_a_worker_reads_a_vector_alike(expected: str, data: str, what: str) -> None:
    """Its message is all there or none: what is only begun is refused as well."""
    if expected.strip() in ("more", "refused frame"):
        with pytest.raises(wire.WireError):
            unframe(bytes_of(data))
    else:
        assert bytes(unframe(bytes_of(data))) in [bytes(it) for it in Inbox().feed(memoryview(bytes_of(data)))]


@pytest.mark.parametrize("length", [0, wire.MAX_FRAME + 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_frame_length_out_of_range_is_refused_at_once(length: int) -> None:
    """From the length alone: nothing is allocated or waited for."""
    for kind in (bytes, bytearray, memoryview):
        with pytest.raises(wire.WireError):
            wire.frame_length(kind(length.to_bytes(4, "big")))
    assert [wire.frame_length(it.to_bytes(4, "big")) for it in (1, wire.MAX_FRAME)] == [1, wire.MAX_FRAME]


def test_too_many_fields_are_refused_before_they_are_built() -> None:
    """2 MiB of empty fields would be 100 MB of views; the limit itself passes."""
    assert len(wire.split_fields(memoryview(bytes(4 * wire.MAX_FIELDS)))) == wire.MAX_FIELDS
    data = memoryview(bytes(wire.MAX_REQUEST))
    tracemalloc.start()
    try:
        with pytest.raises(wire.WireError):
            wire.split_fields(data)
        assert tracemalloc.get_traced_memory()[1] < 1000 * wire.MAX_FIELDS
    finally:
        tracemalloc.stop()


def read_or_refuse(chunks: "list[bytes]") -> None:
    """Any reader's way with `chunks`: messages or WireError."""
    try:
        found, _more = read(chunks)
    except wire.WireError:
        return
    assert all(found)


@settings(max_examples=500)
@given(st.binary(max_size=200), st.lists(st.integers(1, 20), max_size=3))
def test_random_bytes_do_nothing_else(data: bytes, sizes: "list[int]") -> None:
    """To the agent's reader, the worker's, and the cutter of fields."""
    read_or_refuse(cut(data, sizes))
    for reader in (unframe, lambda it: wire.split_fields(memoryview(it))):
        try:
            reader(data)
        except wire.WireError:
            continue


@settings(deadline=None, max_examples=300)
@given(messages, st.data())
def test_a_damaged_message_does_nothing_else(message: "list[bytes]", data: st.DataObject) -> None:
    """One byte changed, dropped or added anywhere, and the end cut off."""
    encoded = bytearray(wire.encode(*message))
    at = data.draw(st.integers(0, min(len(encoded), 40) - 1) | st.integers(0, len(encoded) - 1))
    kind = data.draw(st.sampled_from(["change", "drop", "add", "cut"]))
    if kind == "change":
        encoded[at] = data.draw(st.integers(0, 255))
    elif kind == "drop":
        del encoded[at]
    elif kind == "add":
        encoded.insert(at, data.draw(st.integers(0, 255)))
    else:
        del encoded[at:]
    read_or_refuse([bytes(encoded)])
    try:
        assert wire.split_fields(unframe(bytes(encoded)))
    except wire.WireError:
        pass


@settings(max_examples=300)
@given(st.binary(max_size=100))
def test_what_is_cut_into_fields_is_all_of_it(payload: bytes) -> None:
    """No byte is passed over: the fields with their lengths are the payload again."""
    try:
        fields = wire.split_fields(memoryview(payload))
    except wire.WireError:
        return
    assert b"".join([len(field).to_bytes(4, "big") + bytes(field) for field in fields]) == payload


def test_an_error_never_holds_the_bytes(canary: Plant) -> None:
    """A stray value in a broken message is not repeated in a log."""
    value = canary("MALFORMED")
    length = (5 + len(value)).to_bytes(4, "big")
    for data in (value, length + b"\x01\0\0\0\xff" + value, length + b"\x07\0\0\0\0" + value):
        with pytest.raises(wire.WireError) as refusal:
            [wire.split_fields(payload) for payload in Inbox().feed(memoryview(data))]
        assert value not in repr(refusal.value.args).encode()
