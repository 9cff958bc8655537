"""What the server keeps of one client."""

from _socket import socket as Socket

from agentkeys.agent.inbox import Inbox
from agentkeys.core.events import Peer
from agentkeys.core.secret import wipe_buffer


class Connection:
    """One client."""

    __slots__ = (
        "backlog",
        "closing",
        "fd",
        "greeted",
        "held_until",
        "inbox",
        "last_active",
        "out",
        "peer",
        "sock",
        "stalled",
        "unsent",
        "writing",
    )

    def __init__(self, sock: Socket, who: Peer, now: int) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = who
        self.inbox = Inbox()
        self.out: list[tuple[memoryview, bytearray | None]] = []
        """Unsent parts of replies, each with the buffer to wipe once it is sent."""
        self.backlog = bytearray()
        """Bytes received while a reply was unsent; handled after it."""
        self.greeted = False
        self.closing = False
        self.held_until = 0
        """Milliseconds of now_ms() before which nothing is sent or read (a wrong passphrase); 0 for no such time."""
        self.last_active = now
        self.stalled = 0
        """Since when we wait for its next byte or its reading; 0 when it owes nothing."""
        self.writing = False
        """Whether the poller waits for WRITE instead of READ."""
        self.unsent = 0
        """Bytes in `out`."""

    def queue(self, message: "bytes | bytearray", wipe: "bytearray | None") -> None:
        """Have `message` sent after what is queued; `wipe` is overwritten then."""
        self.out.append((memoryview(message), wipe))
        self.unsent += len(message)

    def sent(self, count: int) -> None:
        """`count` bytes of `out` are on their way: drop them, and overwrite what had to be."""
        self.unsent -= count
        out = self.out
        while out and count >= len(out[0][0]):
            view, buffer = out.pop(0)
            count -= len(view)
            if buffer is not None:
                wipe_buffer(buffer)
        if out:
            out[0] = (out[0][0][count:], out[0][1])
