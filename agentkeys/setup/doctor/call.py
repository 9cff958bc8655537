"""Who answers at a socket: one connection that sends at most a hello and a question, and gives up soon.

Not `agentkeys.client`, which waits as long as a command may, and raises where this has to tell apart.
"""

import json
import os
import time
from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as Socket

from agentkeys import __version__, paths, wire
from agentkeys.client.connection import peer_ids
from agentkeys.setup.doctor.holders import is_managed

PATIENCE = 2.0
"""Seconds for one socket: an agent needs a millisecond, and one that is stopped never answers."""

PAUSE = 0.005
"""Seconds between two tries to get into a full queue."""

RECEIVE = 64 * 1024
"""Bytes asked of one recv(2)."""

NOBODY = "nobody"
"""There is a socket, and no process listens."""
FOREIGN = "foreign"
"""A process of another user listens; nothing was sent to it."""
SILENT = "silent"
"""It took the connection, or not even that, and says nothing."""
STRANGER = "stranger"
"""A process of ours listens that is no agent."""
MANAGED = "managed"
"""A service manager listens and would start an agent for whoever calls, so nobody did."""
AGENT = "agent"


class Call:
    """How a call went."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.state = NOBODY
        self.uid = -1
        """Of the process that listens, from the kernel; -1 when it isn't known."""
        self.pid = 0
        self.owner = ""
        self.version = ""
        self.lowest = self.highest = 0
        """The protocols it speaks."""
        self.home_id = ""
        self.status: dict[str, object] = {}
        """What `status` said; empty when it wasn't asked or refused."""

    @property
    def speaks_ours(self) -> bool:
        """Whether there is a protocol that both sides speak."""
        return self.lowest <= wire.PROTOCOL <= self.highest

    def fact(self, name: str) -> object:
        """A member of its status, or None."""
        return self.status.get(name)


def call(path: str, curious: bool = True, expected: bool = False) -> Call:
    """Call whoever listens at `path`; a `curious` one asks for the status, which a limited caller better doesn't.

    Where no agent is `expected`, a service manager may listen; it isn't called, because that starts one.
    """
    made = Call(path)
    if not expected and is_managed(path):
        made.state = MANAGED
        return made
    end = time.monotonic() + PATIENCE
    with_sock = Socket(AF_UNIX, SOCK_STREAM)
    try:
        if not _connect(made, with_sock, end):
            return made
        made.uid, made.pid = peer_ids(with_sock)
        if made.uid != os.geteuid():
            made.state = FOREIGN
            return made
        made.state = SILENT
        _talk(made, _Line(with_sock, end), curious)
    except TimeoutError:
        pass  # the state says how far it came
    except (OSError, wire.WireError, ValueError):
        made.state = made.state if made.state == AGENT else STRANGER
    finally:
        with_sock.close()
    return made


def _connect(made: Call, sock: Socket, end: float) -> bool:
    """connect(2); False when that is all there is to know."""
    sock.settimeout(PATIENCE)
    while True:
        try:
            sock.connect(paths.to_bytes(made.path))
        except BlockingIOError:
            if time.monotonic() >= end:
                made.state = SILENT  # its queue is full, and it takes nobody out of it
                return False
            time.sleep(PAUSE)
        except (OSError, ValueError):
            return False
        else:
            return True


def _talk(made: Call, line: "_Line", curious: bool) -> None:
    """Hello and one question. Raises OSError, TimeoutError, WireError, ValueError."""
    line.send(wire.hello(b"", __version__.encode("ascii")))
    fields = line.message()
    _protocol, made.owner, made.version, made.home_id = wire.read_hello(fields)
    made.lowest, made.highest = int(bytes(fields[2])), int(bytes(fields[3]))
    made.state = AGENT
    if not made.speaks_ours:
        return
    line.send(wire.encode(b"status", b"format", b"json") if curious else wire.encode(b"ping"))
    answer = line.message()
    if bytes(answer[0]) == b"ok" and curious:
        found = json.loads(bytes(answer[2]))
        made.status = found if isinstance(found, dict) else {}


class _Line:
    """A connection on which everything together ends at one time."""

    def __init__(self, sock: Socket, end: float) -> None:
        self._sock = sock
        self._end = end
        self._received = b""

    def send(self, data: bytes) -> None:
        self._hurry()
        self._sock.sendall(data)

    def message(self) -> "list[memoryview]":
        """The next message's fields. Raises OSError, TimeoutError, WireError."""
        parts: list[bytes] = []
        total = 0
        while True:
            header = self._exactly(wire.HEADER)
            payload = self._exactly(wire.frame_length(header) - 1)
            wire.check_frame(header[4], len(payload), not parts)
            parts.append(payload)
            total += len(payload)
            if total > wire.MAX_REPLY:
                raise wire.WireError("reply too long")
            if header[4] & wire.LAST:
                return wire.split_fields(memoryview(b"".join(parts)))

    def _exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            self._hurry()
            piece = self._sock.recv(RECEIVE)
            if not piece:
                raise ConnectionResetError
            self._received += piece
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def _hurry(self) -> None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
