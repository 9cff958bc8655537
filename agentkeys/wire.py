"""Frames and messages between client, agent and worker; agentkeys-protocol(7) is the same in prose.

    frame   = length:u32  flags:u8  payload          length counts flags and payload, big-endian
    payload = field*                                 of all frames of a message, joined
    field   = length:u32  bytes

A message is its first field, the verb or status, and then name, value pairs (a hello is positional).
Fields are bytes cut by their lengths, as in the ssh-agent protocol, so that a client needs no parser, no
import and no escaping, and a value may hold any byte. This module does no I/O.
"""

MAGIC = b"agentkeys"
PROTOCOL = 1
"""The protocol this build speaks; a hello names a range so that later builds may speak several."""

LAST = 1
"""Flag bit 0: this frame ends its message."""

HEADER = 5
"""Bytes before a frame's payload: u32 length, u8 flags."""

MAX_FRAME = 256 * 1024
"""Bytes of flags and payload in one frame, ssh-agent's own limit: bounds what a peer can make us hold at once."""

MAX_VALUE = 1024 * 1024
"""Bytes of one secret value: every credential format in use is far below; a larger file belongs elsewhere."""

MAX_REQUEST = 2 * 1024 * 1024
"""Bytes of one request: the largest value and its names, with room; what one connection can make an agent hold."""

MAX_REPLY = 8 * 1024 * 1024
"""Bytes of one reply: a listing of 10,000 keys is 2 MiB, an environment can't be over 2 MiB (execve(2))."""

MAX_FIELDS = 40_000
"""Fields in one message: a name and a value for each of 10,000 keys, with room."""


class WireError(Exception):
    """The bytes are not a message; the connection can't be used any more. Never holds the bytes."""


def encode(*fields: bytes) -> bytes:
    """One message of `fields`, framed. For requests and replies that hold no secret of an agent."""
    payload = b"".join([part for field in fields for part in (len(field).to_bytes(4, "big"), field)])
    size = len(payload) + 1
    if size <= MAX_FRAME:
        return size.to_bytes(4, "big") + b"\1" + payload
    room = MAX_FRAME - 1
    frames = []
    for start in range(0, len(payload), room):
        part = payload[start : start + room]
        last = LAST if start + room >= len(payload) else 0
        frames.append((len(part) + 1).to_bytes(4, "big") + bytes((last,)) + part)
    return b"".join(frames)


def encode_wipeable(fields: "list[bytes | bytearray | memoryview]") -> bytearray:
    """One message of `fields` in a buffer allocated once at its final size, so that no stray copy is left.

    The caller overwrites the buffer after it was sent.
    """
    size = 0
    parts: list[bytes | bytearray | memoryview] = [b""]
    for field in fields:
        length = len(field)
        size += length + 4
        parts.append(length.to_bytes(4, "big"))
        parts.append(field)
    if size >= MAX_FRAME:
        return _encode_wipeable_frames(fields, size, -(-size // (MAX_FRAME - 1)))
    parts[0] = (size + 1).to_bytes(4, "big") + b"\1"
    return _JOINER.join(parts)


_JOINER = bytearray()
"""join() of a bytearray measures its parts first and allocates once."""


def _encode_wipeable_frames(fields: "list[bytes | bytearray | memoryview]", size: int, frames: int) -> bytearray:
    room = MAX_FRAME - 1
    out = bytearray(HEADER * frames + size)
    at = room_left = 0
    left = size
    for field in fields:
        for part in (len(field).to_bytes(4, "big"), field):
            start = 0
            while start < len(part):
                if room_left == 0:
                    room_left = min(room, left)
                    out[at : at + 4] = (room_left + 1).to_bytes(4, "big")
                    out[at + 4] = LAST if room_left == left else 0
                    at += HEADER
                take = min(room_left, len(part) - start)
                out[at : at + take] = part[start : start + take]
                at += take
                start += take
                room_left -= take
                left -= take
    return out


def frame_length(header: "bytes | bytearray | memoryview") -> int:
    """Bytes that follow the first four of a frame.

    Raises WireError for a length of 0 or over MAX_FRAME.
    """
    length = int.from_bytes(header[:4], "big")
    if not 0 < length <= MAX_FRAME:
        raise WireError("frame length out of range")
    return length


def check_frame(flags: int, size: int, first: bool) -> None:
    """Raise WireError for a frame with unknown flags, or with an empty payload of `size` 0 in a longer message."""
    if flags & ~LAST or (size == 0 and not (first and flags)):
        raise WireError("unknown frame flag, or an empty frame")


def split_fields(payload: memoryview) -> "list[memoryview]":
    """The fields of a message's payload, as views.

    Raises WireError when a length runs past the end, or there are none or over MAX_FIELDS.
    """
    fields = []
    at = 0
    end = len(payload)
    while at < end:
        start = at + 4
        at = start + int.from_bytes(payload[at:start], "big")
        if at > end or start > end:
            raise WireError("field runs past its message")
        fields.append(payload[start:at])
        if len(fields) > MAX_FIELDS:
            raise WireError("message has too many fields")
    if not fields:
        raise WireError("message has no field")
    return fields


def pairs(fields: "list[memoryview]") -> "list[tuple[bytes, memoryview]]":
    """The name, value pairs after a message's first field; WireError if one has no value."""
    if len(fields) % 2 == 0:
        raise WireError("field name without a value")
    return [(bytes(fields[i]), fields[i + 1]) for i in range(1, len(fields), 2)]


def hello(owner: bytes, version: bytes, home: bytes = b"") -> bytes:
    """The first message of each side: magic, protocol range, owner, program version, and of an agent its home's id.

    Readers ignore later fields.
    """
    number = b"%d" % PROTOCOL
    return encode(b"hello", MAGIC, number, number, owner, version, home)


def read_hello(fields: "list[memoryview]") -> "tuple[int, str, str, str]":
    """(protocol to speak or 0 if none fits, owner, version, home's id or "") from a hello's fields.

    Raises WireError when it is no hello of ours.
    """
    if len(fields) < 6 or bytes(fields[0]) != b"hello" or bytes(fields[1]) != MAGIC:
        raise WireError("not an agentkeys hello")
    low, high = bytes(fields[2]), bytes(fields[3])
    if not (low.isdigit() and high.isdigit() and len(low) < 6 and len(high) < 6):
        raise WireError("hello without a protocol range")
    try:
        owner, version = str(fields[4], "ascii"), str(fields[5], "ascii")
        home = str(fields[6], "ascii") if len(fields) > 6 else ""
    except UnicodeDecodeError:
        raise WireError("hello is not ASCII") from None
    return (PROTOCOL if int(low) <= PROTOCOL <= int(high) else 0), owner, version, home
