"""An agent's protocol spoken from outside, written from its description and sharing no code with the package."""

import select
import socket
import struct
from pathlib import Path
from typing import Self

from tests.agent.seat import PATIENCE

MAX_FRAME = 256 * 1024


def frame(payload: bytes, flags: int = 1) -> bytes:
    """One frame."""
    return struct.pack(">IB", len(payload) + 1, flags) + payload


def fields(*parts: bytes) -> bytes:
    """Fields, each with its length."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def message(*parts: bytes) -> bytes:
    """A message of one frame."""
    return frame(fields(*parts))


def hello(owner: bytes = b"human", low: bytes = b"1", high: bytes = b"1", magic: bytes = b"agentkeys") -> bytes:
    """The first message of a client."""
    return message(b"hello", magic, low, high, owner, b"0.0.0-test")


class Dialogue:
    """One connection to an agent."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))  # before a time-out is set: with one, a full queue is an error
        self.sock.settimeout(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def receive(self) -> list[bytes]:
        """The next message's fields. Raises EOFError when the agent hung up."""
        payload = b""
        flags = 0
        while not flags & 1:
            length, flags = struct.unpack(">IB", self.exactly(5))
            payload += self.exactly(length - 1)
        found = []
        while payload:
            (length,) = struct.unpack(">I", payload[:4])
            found.append(payload[4 : 4 + length])
            payload = payload[4 + length :]
        return found

    def exactly(self, count: int) -> bytes:
        """So many bytes. Raises EOFError when the agent hung up."""
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def greet(self) -> Self:
        """Exchange hellos."""
        self.send(hello())
        assert self.receive()[:2] == [b"hello", b"agentkeys"]
        return self

    def ask(self, *parts: bytes) -> list[bytes]:
        """One request and its answer."""
        self.send(message(*parts))
        return self.receive()

    def wait_for_end(self) -> bytes:
        """What the agent still says before it hangs up; waits for that."""
        data = b""
        while True:
            try:
                part = self.sock.recv(65536)
            except ConnectionResetError:
                return data
            if not part:
                return data
            data += part

    def is_open(self) -> bool:
        """Whether the agent has not hung up by now."""
        ready, _, _ = select.select([self.sock], [], [], 0)
        return not ready or bool(self.sock.recv(1, socket.MSG_PEEK))


def code(answer: list[bytes]) -> int:
    """The exit code in an error."""
    assert answer[0] == b"error"
    return int(dict(zip(answer[1::2], answer[2::2], strict=True))[b"code"])
