"""Everybody who is connected: bytes become events here, and replies become bytes.

Rule 1: no request, however broken, slow or large, costs another connection its answer.
Rule 2: what a connection may make us hold is bounded: one request, one unsent reply, CLIENT_PATIENCE.
Rule 3: requests of one connection are answered in their order, and a held answer holds up those behind it alone.
"""

from _socket import MSG_DONTWAIT
from _socket import socket as Socket
from collections.abc import Callable

from agentkeys import wire
from agentkeys.agent.connection import Connection
from agentkeys.agent.deadlines import Deadlines
from agentkeys.agent.poller import READ, WRITE
from agentkeys.agent.poller_here import Poller
from agentkeys.core import secret
from agentkeys.core.effects import Reply
from agentkeys.core.events import Event, Peer, Request
from agentkeys.core.secret import wipe_buffer
from agentkeys.errors import USAGE

RECEIVE = 64 * 1024
"""Bytes of the one receive buffer; a larger message is gathered in its connection's Inbox."""

CLIENT_PATIENCE = 10_000
"""Milliseconds a peer may owe us the rest of a message, or leave a reply unread. It may be idle for ever."""

MAX_PIECES = 64
"""Buffers in one sendmsg(2); the kernel takes 1,024 (IOV_MAX)."""


class Clients:
    """The connections of one agent, by descriptor."""

    def __init__(
        self,
        owner: str,
        hello: bytes,
        poller: Poller,
        deadlines: Deadlines,
        handle: Callable[[Event], None],
        gone: Callable[[int], None],
    ) -> None:
        self.connected: dict[int, Connection] = {}
        self._owner = owner
        self._hello = hello
        self._usual_hello = b""
        self._poller = poller
        self._deadlines = deadlines
        self._handle = handle
        """Takes each request."""
        self._gone = gone
        """Is told of each connection that ended."""
        self._buffer = bytearray(RECEIVE)
        secret.on_new_buffer(self._buffer)
        self._view = memoryview(self._buffer)
        self._zeros = bytes(RECEIVE)

    def add(self, sock: Socket, who: Peer) -> None:
        """Serve a connection that was let in."""
        connection = Connection(sock, who, self._deadlines.now)
        self.connected[connection.fd] = connection
        self._poller.add(connection.fd)
        self.ready(connection, READ)  # hello and request mostly came with the connection

    def evict(self) -> None:
        """Make room: close whoever was quiet for longest."""
        self.close(min(self.connected.values(), key=lambda connection: connection.last_active))

    def close(self, connection: Connection) -> None:
        """Hang up on one, and wipe what is left of it."""
        if self.connected.pop(connection.fd, None) is None:
            return
        connection.sock.close()  # which the poller notices by itself
        connection.inbox.wipe()
        wipe_buffer(connection.backlog)
        for _view, buffer in connection.out:
            if buffer is not None:
                wipe_buffer(buffer)
        connection.out = []
        connection.closing = True
        self._gone(connection.fd)
        if not self.connected:
            self._deadlines.sweep = None  # nobody owes us anything: an idle agent isn't woken

    def close_all(self) -> None:
        """Hang up on everybody."""
        for connection in list(self.connected.values()):
            self.close(connection)

    # --- from them

    def ready(self, connection: Connection, what: int) -> None:
        """Go on with a connection that can be read or written."""
        if connection.out:
            if what & WRITE:
                self._flush(connection)
            elif what & ~READ:
                self.close(connection)
                return
            if connection.out or connection.closing:
                return
            connection.stalled = 0  # it has read everything
            if connection.inbox.mid_message:
                self._expect(connection)
            self._drain_backlog(connection)
            return
        try:
            count = connection.sock.recv_into(self._buffer, RECEIVE, MSG_DONTWAIT)  # which spares O_NONBLOCK
        except BlockingIOError:
            if not connection.greeted:
                self._expect(connection)
            return
        except OSError:
            count = 0
        if not count:
            self.close(connection)
            return
        connection.last_active = self._deadlines.now
        self._receive(connection, self._view[:count])
        self._buffer[:count] = self._zeros[:count]

    def _receive(self, connection: Connection, data: memoryview) -> None:
        """Handle the messages in `data`; what follows one whose reply can't be sent yet waits in the backlog."""
        at, end = 0, len(data)
        try:
            while at < end and not connection.closing:
                after = self._message_end(connection, data, at)
                if after:
                    self._message(connection, data[at + wire.HEADER : after])
                else:
                    # A piece, or a frame of several: up to the frame's end, so that nothing overtakes an unsent reply.
                    after = connection.inbox.frame_end(data, at)
                    for payload in connection.inbox.feed(data[at:after]):
                        self._message(connection, payload)
                at = after
                if at < end and (connection.unsent > RECEIVE or connection.held_until):
                    self._flush(connection)
                    if connection.out:
                        connection.backlog += data[at:]
                        break
        except wire.WireError:
            self.close(connection)
            return
        if connection.out:
            self._flush(connection)
        if connection.held_until:
            return  # it owes us nothing: we let it wait
        if connection.out or connection.inbox.mid_message or not connection.greeted:
            self._expect(connection)
        else:
            connection.stalled = 0

    @staticmethod
    def _message_end(connection: Connection, data: memoryview, at: int) -> int:
        """Where the message ends that begins at `at`, or 0 when it isn't there in one piece. Raises WireError."""
        if len(data) - at <= wire.HEADER or connection.inbox.mid_message:
            return 0
        end = at + 4 + wire.frame_length(data[at : at + 4])
        return end if end <= len(data) and data[at + 4] == wire.LAST else 0

    def _drain_backlog(self, connection: Connection) -> None:
        backlog, connection.backlog = connection.backlog, bytearray()
        if backlog:
            self._receive(connection, memoryview(backlog))
            wipe_buffer(backlog)

    def _message(self, connection: Connection, payload: memoryview) -> None:
        connection.stalled = 0  # if it owes the rest of another message, it does so from now on
        if connection.greeted:
            fields = wire.split_fields(payload)
            self._handle(Request(connection.fd, connection.peer, bytes(fields[0]), wire.pairs(fields)))
            return
        connection.greeted = True
        connection.queue(self._hello, None)
        if payload == self._usual_hello:
            return  # the one this agent's clients all send
        protocol, owner, _version, _home = wire.read_hello(wire.split_fields(payload))
        if not protocol:
            self._refuse(connection, "client and agent share no protocol version", "agentkeys --version")
        elif owner and owner != self._owner:
            self._refuse(connection, f"this is {self._owner}'s agent", "unset AGENTKEYS_SOCK")
        else:
            self._usual_hello = bytes(payload)

    # --- to them

    def reply(self, effect: Reply) -> None:
        """Queue a reply for a connection that is still there; it is sent once its requests at hand are handled."""
        connection = self.connected.get(effect.conn)
        if connection is None:
            return
        message = wire.encode_wipeable(effect.fields)
        connection.queue(message, message if effect.secret else None)
        if effect.wait:
            deadlines = self._deadlines
            connection.held_until = deadlines.now + effect.wait
            deadlines.penalty = min(connection.held_until, deadlines.penalty or connection.held_until)

    def _refuse(self, connection: Connection, message: str, hint: str) -> None:
        answer = wire.encode(b"error", b"code", b"%d" % USAGE, b"message", message.encode(), b"hint", hint.encode())
        connection.queue(answer, None)
        self._flush(connection)
        self.close(connection)

    def _flush(self, connection: Connection) -> None:
        """Send what the kernel takes; wait for WRITE with the rest, or for the end of a penalty."""
        if connection.held_until > self._deadlines.now:
            self._poller.change(connection.fd, 0)
            return
        out = connection.out
        try:
            if len(out) == 1:
                sent = connection.sock.send(out[0][0], MSG_DONTWAIT)
            else:
                sent = connection.sock.sendmsg([view for view, _ in out[:MAX_PIECES]], (), MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close(connection)
            return
        connection.sent(sent)
        if out:
            self._expect(connection)
        if bool(out) != connection.writing or connection.held_until:
            connection.writing = bool(out)
            connection.held_until = 0
            self._poller.change(connection.fd, WRITE if out else READ)

    # --- time

    def _expect(self, connection: Connection) -> None:
        """The peer owes us a byte or its reading: come back for it in CLIENT_PATIENCE."""
        connection.stalled = connection.stalled or self._deadlines.now
        if self._deadlines.sweep is None:
            self._deadlines.sweep = self._deadlines.now + CLIENT_PATIENCE

    def sweep(self) -> None:
        """Close who owed us something for too long; come back for who still does."""
        late = self._deadlines.now - CLIENT_PATIENCE
        stalled = [connection for connection in self.connected.values() if connection.stalled]
        for connection in stalled:
            if connection.stalled <= late:
                self.close(connection)
        left = [connection.stalled for connection in stalled if not connection.closing]
        self._deadlines.sweep = min(left) + CLIENT_PATIENCE if left else None

    def release(self) -> None:
        """Send the replies whose penalty is over, and go on with what their connections asked meanwhile."""
        now = self._deadlines.now
        held = [connection for connection in self.connected.values() if connection.held_until]
        self._deadlines.penalty = min([it.held_until for it in held if it.held_until > now], default=None)
        for connection in held:
            if connection.held_until <= now:
                self._flush(connection)
                if not connection.out and not connection.closing:
                    self._drain_backlog(connection)
