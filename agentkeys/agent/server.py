"""The driver: one thread, one loop, which turns bytes into events and effects into bytes.

Rule 1: no request, however broken, slow or large, costs another connection its answer.
Rule 2: what a connection may make us hold is bounded: one request, one unsent reply, CLIENT_PATIENCE.
Rule 3: nothing wakes an idle agent; the one timer stands at the next deadline.
"""

import errno
import sys
from _socket import AF_UNIX, MSG_DONTWAIT, SOCK_STREAM
from _socket import socket as Socket
from collections.abc import Callable

from agentkeys import wire
from agentkeys.agent import peer
from agentkeys.agent.connection import Connection
from agentkeys.agent.place import Place
from agentkeys.agent.poller import READ, WRITE, now_ms
from agentkeys.agent.settings import Settings
from agentkeys.agent.unlocker import PATIENCE, Unlocker
from agentkeys.core import agent, events, secret
from agentkeys.core.effects import Audit, Close, Effect, ReadConfig, Reply, SealAudit, SetTimer, Unlock, Wipe
from agentkeys.core.secret import wipe_buffer
from agentkeys.core.state import AgentState
from agentkeys.errors import USAGE, AgentkeysError, VaultFault
from agentkeys.stores.audit_log import SYNC_DELAY, AuditLog

if sys.platform == "darwin":
    from agentkeys.agent.poller_macos import Poller
else:
    from agentkeys.agent.poller_linux import Poller

RECEIVE = 64 * 1024
"""Bytes of the loop's one receive buffer; a larger message is gathered in its connection's Inbox."""

CLIENT_PATIENCE = 10_000
"""Milliseconds a peer may owe us the rest of a message, or leave a reply unread. It may be idle for ever."""

MAX_PIECES = 64
"""Buffers in one sendmsg(2); the kernel takes 1,024 (IOV_MAX)."""

SPARE_FDS = 16
"""Descriptors kept free for the log, the timer and /proc, as ssh-agent keeps 8."""


Step = Callable[[AgentState, events.Event, int], "list[Effect]"]


class Server:
    """Serves one owner's agent until stopped."""

    def __init__(
        self,
        state: AgentState,
        place: Place,
        settings: Settings,
        log: AuditLog,
        max_connections: int,
        unlocker: Unlocker,
    ) -> None:
        self.state = state
        self.step: Step = agent.step
        """The transition function; `agent -d` puts one around it that says what happens."""
        self.place = place
        self.listener = place.listener
        self.settings = settings
        self.rule = settings.rule
        self.log = log
        self.max_connections = max_connections
        self.unlocker = unlocker
        self.poller = Poller()
        self.connections: dict[int, Connection] = {}
        self.stopping = False
        self.accepting = True
        self._hello = wire.hello(
            state.owner.encode("ascii"), state.facts.version.encode("ascii"), state.facts.home_id.encode("ascii")
        )
        self._usual_hello = b""
        self._buffer = bytearray(RECEIVE)
        secret.on_new_buffer(self._buffer)
        self._view = memoryview(self._buffer)
        self._zeros = bytes(RECEIVE)
        self._now = now_ms()
        self._key_deadline: int | None = None
        self._sync_at: int | None = None
        self._sweep_at: int | None = None
        self._unlock_by: int | None = None
        self._held_until: int | None = None
        self._armed: int | None = None

    def serve(self, *leave: int) -> None:
        """Answer until a stop request, until one of the `leave` descriptors can be read, or the socket is lost."""
        poller = self.poller
        poller.add(self.listener.fileno())
        for fd in leave:
            poller.add(fd)
        listener = self.listener.fileno()
        connections = self.connections
        while not self.stopping:
            ready = poller.wait()
            self._now = now_ms()
            for fd, what in ready:
                connection = connections.get(fd)
                if connection is not None:
                    self._ready(connection, what)
                elif fd == listener:
                    self._accept()
                elif fd == poller.timer:
                    self._tick()
                elif fd == self.unlocker.fd:
                    self._unlock_ended(self.unlocker.read())
                elif fd in leave or (fd == poller.watch and not self._watched()):
                    self._apply(self.step(self.state, events.Terminated(), self._now))
            self._arm()
        if self.unlocker.fd >= 0:
            self.unlocker.give_up()
        self._sync()

    def close(self) -> None:
        """Hang up on everybody."""
        for connection in list(self.connections.values()):
            self._close(connection)

    # --- connections

    def _accept(self) -> None:
        """Take one connection; the poller reports the next one at once, and a second accept would mostly fail."""
        if len(self.connections) >= self.max_connections:
            self._evict()
        try:
            fd, _address = self.listener._accept()  # type: ignore[attr-defined]  # what socket.accept() wraps
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                self._pause_accepting()
            elif error.errno != errno.ECONNABORTED:
                raise
            return
        # Family and type given, or Python would ask the kernel for them; MSG_DONTWAIT spares O_NONBLOCK.
        self._welcome(Socket(AF_UNIX, SOCK_STREAM, 0, fd))

    def _welcome(self, sock: Socket) -> None:
        try:
            who = peer.of_socket(sock)
        except OSError:
            sock.close()
            return
        why = self.rule.refusal(who)
        if why:
            self._apply(self.step(self.state, events.PeerRefused(sock.fileno(), who, why), self._now))
            sock.close()
            return
        who.limited = self.rule.limit(sock, who)
        connection = Connection(sock, who, self._now)
        self.connections[connection.fd] = connection
        self.poller.add(connection.fd)
        self._ready(connection, READ)  # hello and request mostly came with the connection

    def _evict(self) -> None:
        """Make room: close whoever was quiet for longest."""
        self._close(min(self.connections.values(), key=lambda connection: connection.last_active))

    def _pause_accepting(self) -> None:
        """Out of descriptors: without this the loop would spin on a listener it can't serve."""
        self.poller.change(self.listener.fileno(), 0)
        self.accepting = False
        if self.connections:
            self._evict()
        else:
            self._sweep_at = self._now + CLIENT_PATIENCE

    def _resume_accepting(self) -> None:
        if not self.accepting:
            self.accepting = True
            self.poller.change(self.listener.fileno(), READ)

    def _close(self, connection: Connection) -> None:
        if self.connections.pop(connection.fd, None) is None:
            return
        connection.sock.close()  # which the poller notices by itself
        connection.inbox.wipe()
        wipe_buffer(connection.backlog)
        for _view, buffer in connection.out:
            if buffer is not None:
                wipe_buffer(buffer)
        connection.out = []
        connection.closing = True
        if connection.fd in self.state.staged:
            self._apply(self.step(self.state, events.Disconnected(connection.fd), self._now))
        if not self.connections:
            self._sweep_at = None  # nobody owes us anything: an idle agent isn't woken
        self._resume_accepting()

    def _ready(self, connection: Connection, what: int) -> None:
        if connection.out:
            if what & WRITE:
                self._flush(connection)
            elif what & ~READ:
                self._close(connection)
                return
            if connection.out or connection.closing:
                return
            self._drain_backlog(connection)
            return
        try:
            count = connection.sock.recv_into(self._buffer, RECEIVE, MSG_DONTWAIT)
        except BlockingIOError:
            if not connection.greeted:
                self._expect(connection)
            return
        except OSError:
            count = 0
        if not count:
            self._close(connection)
            return
        connection.last_active = self._now
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
            self._close(connection)
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

    def _expect(self, connection: Connection) -> None:
        """The peer owes us a byte or its reading: come back for it in CLIENT_PATIENCE."""
        connection.stalled = connection.stalled or self._now
        if self._sweep_at is None:
            self._sweep_at = self._now + CLIENT_PATIENCE

    def _drain_backlog(self, connection: Connection) -> None:
        backlog, connection.backlog = connection.backlog, bytearray()
        if backlog:
            self._receive(connection, memoryview(backlog))
            wipe_buffer(backlog)

    def _message(self, connection: Connection, payload: memoryview) -> None:
        if connection.greeted:
            fields = wire.split_fields(payload)
            request = events.Request(connection.fd, connection.peer, bytes(fields[0]), wire.pairs(fields))
            self._apply(self.step(self.state, request, self._now))
            return
        connection.greeted = True
        connection.queue(self._hello, None)
        if payload == self._usual_hello:
            return  # the one this agent's clients all send
        protocol, owner, _version, _home = wire.read_hello(wire.split_fields(payload))
        if not protocol:
            self._refuse(connection, "client and agent share no protocol version", "agentkeys --version")
        elif owner and owner != self.state.owner:
            self._refuse(connection, f"this is {self.state.owner}'s agent", "unset AGENTKEYS_SOCK")
        else:
            self._usual_hello = bytes(payload)

    def _refuse(self, connection: Connection, message: str, hint: str) -> None:
        answer = wire.encode(b"error", b"code", b"%d" % USAGE, b"message", message.encode(), b"hint", hint.encode())
        connection.queue(answer, None)
        self._flush(connection)
        self._close(connection)

    def _flush(self, connection: Connection) -> None:
        """Send what the kernel takes; wait for WRITE with the rest, or for the end of a penalty."""
        if connection.held_until > self._now:
            self.poller.change(connection.fd, 0)
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
            self._close(connection)
            return
        connection.unsent -= sent
        while out and sent >= len(out[0][0]):
            view, buffer = out.pop(0)
            sent -= len(view)
            if buffer is not None:
                wipe_buffer(buffer)
        if out:
            out[0] = (out[0][0][sent:], out[0][1])
            self._expect(connection)
        if bool(out) != connection.writing or connection.held_until:
            connection.writing = bool(out)
            connection.held_until = 0
            self.poller.change(connection.fd, WRITE if out else READ)

    # --- effects

    def _apply(self, effects: "list[Effect]") -> None:
        for effect in effects:
            if isinstance(effect, Reply):
                self._reply(effect)
            elif isinstance(effect, (Audit, SealAudit)):
                try:
                    durable = self._record(effect)
                except AgentkeysError:
                    self._apply(self.step(self.state, events.AuditFailed(effect.conn), self._now))
                    return
                if durable:
                    self._apply(self.step(self.state, events.AuditDurable(effect.conn), self._now))
            elif isinstance(effect, Wipe):
                for gone in effect.secrets:
                    gone.wipe()
            elif isinstance(effect, SetTimer):
                self._key_deadline = effect.deadline
            elif isinstance(effect, Unlock):
                self._unlock(effect)
            elif isinstance(effect, ReadConfig):
                self._read_config(effect.request)
            elif isinstance(effect, Close):
                if effect.conn in self.connections:
                    self._close(self.connections[effect.conn])
            else:
                self.stopping = True

    def _record(self, effect: "Audit | SealAudit") -> bool:
        """Write a record; whether someone waits for it to be durable, which it then is. Raises VaultFault."""
        if isinstance(effect, SealAudit):
            self.log.seal(effect.key)
            return False
        self.log.append(effect.verb, effect.uid, effect.pid, effect.keys, effect.decision, effect.why)
        if effect.durable:
            self.log.sync()
        elif self._sync_at is None:
            self._sync_at = self._now + SYNC_DELAY
        return effect.durable

    def _read_config(self, request: events.Request) -> None:
        """Go by what config.toml says now, and on with the request that waited for it."""
        event: events.Event
        try:
            found = self.settings.read()
        except AgentkeysError as fault:
            event = events.ConfigRefused(fault, request)
        else:
            for connection in self.settings.turned_away(self.connections):
                self._close(connection)
            asker = request if request.conn in self.connections else None
            event = events.ConfigRead(found.allow_names, found.longest, found.idle, asker)
        self._apply(self.step(self.state, event, self._now))

    def _reply(self, effect: Reply) -> None:
        connection = self.connections.get(effect.conn)
        if connection is None:
            return
        message = wire.encode_wipeable(effect.fields)
        connection.queue(message, message if effect.secret else None)
        if effect.wait:
            connection.held_until = self._now + effect.wait
            self._held_until = min(connection.held_until, self._held_until or connection.held_until)

    def _unlock(self, effect: Unlock) -> None:
        fault = self.unlocker.start(effect.request, effect.withheld)
        if fault:
            self._apply(self.step(self.state, events.UnlockEnded(fault), self._now))
            return
        self._unlock_by = self._now + PATIENCE
        self.poller.add(self.unlocker.fd)

    def _unlock_ended(self, fault: "str | None") -> None:
        if fault is None:
            return
        self._unlock_by = None
        self._apply(self.step(self.state, events.UnlockEnded(fault), self._now))

    # --- time

    def _tick(self) -> None:
        self.poller.clear(self.poller.timer)
        self._armed = None
        if self._key_deadline is not None and self._key_deadline <= self._now:
            self._key_deadline = None
            self._apply(self.step(self.state, events.Tick(), self._now))
        if self._sync_at is not None and self._sync_at <= self._now:
            self._sync_at = None
            self._sync()
        if self._sweep_at is not None and self._sweep_at <= self._now:
            self._sweep()
        if self._unlock_by is not None and self._unlock_by <= self._now:
            self._unlock_ended(self.unlocker.give_up())
        if self._held_until is not None and self._held_until <= self._now:
            self._release()

    def _release(self) -> None:
        """Send the replies whose penalty is over, and go on with what their connections asked meanwhile."""
        held = [connection for connection in self.connections.values() if connection.held_until]
        self._held_until = min([it.held_until for it in held if it.held_until > self._now], default=None)
        for connection in held:
            if connection.held_until <= self._now:
                self._flush(connection)
                if not connection.out and not connection.closing:
                    self._drain_backlog(connection)

    def _sync(self) -> None:
        """Make the log durable. What can't be synced now is said by the next append, which will fail and refuse."""
        try:
            self.log.sync()
        except VaultFault:
            self.log.close()

    def _sweep(self) -> None:
        """Close who owed us something for too long; come back for who still does."""
        late = self._now - CLIENT_PATIENCE
        stalled = [connection for connection in self.connections.values() if connection.stalled]
        for connection in stalled:
            if connection.stalled <= late:
                self._close(connection)
        left = [connection.stalled for connection in stalled if not connection.closing]
        self._sweep_at = min(left) + CLIENT_PATIENCE if left else None
        self._resume_accepting()

    def _arm(self) -> None:
        """Set the one timer to the earliest deadline, if that changed."""
        deadline = self._key_deadline
        for other in (self._sync_at, self._sweep_at, self._unlock_by, self._held_until):
            if other is not None and (deadline is None or other < deadline):
                deadline = other
        if deadline != self._armed:
            self._armed = deadline
            self.poller.set_timer(deadline)

    def _watched(self) -> bool:
        """Whether the socket's path still leads here, after its directory changed."""
        self.poller.clear(self.poller.watch)
        return self.place.is_ours()


def connection_limit(nofile: int) -> int:
    """How many clients fit into the descriptor limit."""
    return max(1, nofile - SPARE_FDS)
