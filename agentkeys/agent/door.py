"""Who comes in: connections are taken from the listener, and judged by what the kernel says of them.

Somebody who isn't served gets no byte, and a full house closes the door on nobody new: who was quiet for longest goes.

An agent that unlocks by itself as it starts lets nobody in before it did, but the worker that brings the keys: the
first caller of a socket-activated agent would be told that they are locked, and they are there a moment later.
"""

import errno
from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as Socket
from collections.abc import Callable

from agentkeys.agent import peer
from agentkeys.agent.clients import Clients
from agentkeys.agent.deadlines import Deadlines
from agentkeys.agent.peer import PeerRule
from agentkeys.agent.poller import READ
from agentkeys.agent.poller_here import Poller
from agentkeys.core import events

SPARE_FDS = 16
"""Descriptors kept free for the log, the timer and /proc, as ssh-agent keeps 8."""

SHUT = 10_000
"""Milliseconds without accepting when there is no descriptor and nobody to send away for one."""

HALL_PATIENCE = 5_000
"""Milliseconds that callers wait for the first unlock: it takes 50, and half of a client's own patience is enough."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
"""accept(2): no descriptor or memory, here or in the whole system."""


def connection_limit(nofile: int) -> int:
    """How many clients fit into the descriptor limit."""
    return max(1, nofile - SPARE_FDS)


class Door:
    """The listener of one agent."""

    def __init__(
        self,
        listener: Socket,
        rule: PeerRule,
        clients: Clients,
        limit: int,
        poller: Poller,
        deadlines: Deadlines,
        handle: Callable[[events.Event], None],
    ) -> None:
        self.fd = listener.fileno()
        self._listener = listener
        self._rule = rule
        self._clients = clients
        self._limit = limit
        self._poller = poller
        self._deadlines = deadlines
        self._handle = handle
        """Takes the event of somebody who was refused."""
        self._hall: list[Socket] | None = None
        """Who waits for the first unlock; None when nobody has to."""
        self._expected = 0
        """The pid that is let in all the same."""

    def accept(self) -> None:
        """Take one connection; the poller reports the next one at once, and a second accept would mostly fail."""
        if len(self._clients.connected) >= self._limit:
            self._clients.evict()
        try:
            fd, _address = self._listener._accept()  # type: ignore[attr-defined]  # what socket.accept() wraps
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._make_room()
            elif error.errno != errno.ECONNABORTED:
                raise
            return
        # Family and type given, or Python would ask the kernel for them.
        self._welcome(Socket(AF_UNIX, SOCK_STREAM, 0, fd))

    def _welcome(self, sock: Socket) -> None:
        try:
            who = peer.of_socket(sock)
        except OSError:
            sock.close()
            return
        why = self._rule.refusal(who)
        if why:
            self._handle(events.PeerRefused(sock.fileno(), who, why))
            sock.close()
            return
        if self._hall is not None and who.pid != self._expected:
            self._hall.append(sock)
            if len(self._hall) > self._limit:
                self._hall.pop(0).close()
            return
        who.limited = self._rule.limit(sock, who)
        self._clients.add(sock, who)

    # --- the hall

    def hold_all_but(self, pid: int) -> None:
        """Let nobody in but this process, until let_in() or HALL_PATIENCE."""
        self._hall, self._expected = [], pid
        self._deadlines.hall = self._deadlines.now + HALL_PATIENCE

    def let_in(self) -> None:
        """Let in who waits, in the order they came, and everybody from now on."""
        self._deadlines.hall = None
        waiting, self._hall = self._hall or [], None
        for sock in waiting:
            self._welcome(sock)

    # --- no room

    def _make_room(self) -> None:
        """Whoever leaves frees a descriptor. Without anybody, rest: the loop would spin on what it can't accept."""
        if self._clients.connected:
            self._clients.evict()
        else:
            self._poller.change(self.fd, 0)
            self._deadlines.door = self._deadlines.now + SHUT

    def reopen(self) -> None:
        """Accept again."""
        self._deadlines.door = None
        self._poller.change(self.fd, READ)
