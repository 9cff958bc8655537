"""Who is at the other end of a connection, from the kernel and never from the request.

SO_PEERCRED names whoever called connect(2), with the pid as this process's namespace sees it (0: another namespace).
What /proc says of a pid counts only if a descriptor of that process (SO_PEERPIDFD) says afterwards that it still lives:
the number alone may be somebody else's by then.
"""

import errno
import os
import signal
import sys
from _socket import SOL_SOCKET
from _socket import socket as Socket

from agentkeys import paths
from agentkeys.client.connection import peer_ids
from agentkeys.core.events import Peer


def of_socket(sock: Socket) -> Peer:
    """The peer's uid and pid. Raises OSError."""
    uid, pid = peer_ids(sock)
    return Peer(uid, pid)


def overflow_uid() -> int:
    """The uid that stands for every unmapped one (user_namespaces(7)); nobody real is behind it."""
    text = paths.read_small("/proc/sys/kernel/overflowuid").strip()
    return int(text) if text.isdigit() else 65534


SO_PEERPIDFD = 77
"""asm-generic/socket.h, Linux 6.5; Python has no name for it."""

GONE = -2
"""Instead of a session id: the process that connected has ended, so nothing can be said of it."""


def process_of(sock: Socket, pid: int) -> int:
    """A pidfd (pidfd_open(2)) of the process that connected, to be closed; -1 where the kernel has none; or GONE.

    Before Linux 6.5 it is opened by number, a moment later: if that was reused meanwhile, it is another process's.
    """
    if sys.platform != "linux":
        return -1
    try:
        return sock.getsockopt(SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:  # which an older kernel says of what it doesn't know
            return GONE
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1


def is_alive(process: int) -> bool:
    """Whether the process behind a pidfd still runs (signal 0 asks, and does nothing)."""
    if sys.platform == "linux":
        try:
            signal.pidfd_send_signal(process, 0)
        except OSError as error:
            return not isinstance(error, ProcessLookupError)
    return True


def session_of(sock: Socket, pid: int) -> int:
    """The peer's audit session id, UNSET_SESSION when it has none or can't be read (hidepid, other namespace), GONE."""
    if not pid:
        return paths.UNSET_SESSION
    process = process_of(sock, pid)
    if process == GONE:
        return GONE
    try:
        text = paths.read_small(f"/proc/{pid}/sessionid").strip()
        if process >= 0 and not is_alive(process):
            return GONE
    finally:
        if process >= 0:
            os.close(process)
    return int(text) if text.isdigit() else paths.UNSET_SESSION


class PeerRule:
    """Whom an agent serves."""

    def __init__(self, uid: int, session: int, strict_session: bool = False, allow_root: bool = False) -> None:
        self.uid = uid
        self.session = session
        """The login session it is bound to, or UNSET_SESSION."""
        self.strict_session = strict_session
        self.allow_root = allow_root
        self.overflow = overflow_uid()

    def refusal(self, peer: Peer) -> str:
        """Why `peer` is not spoken to at all, or "" when it is."""
        if peer.uid == self.overflow or not (peer.uid == self.uid or (peer.uid == 0 and self.allow_root)):
            return "another user"
        return ""

    def limit(self, sock: Socket, peer: Peer) -> str:
        """Why `peer`, of our own uid, may only make us forget, or "" when it may ask for everything.

        An unset session id is unknown, never equal: uid alone decides then, unless the operator is strict.
        """
        if self.session == paths.UNSET_SESSION:
            return ""
        session = session_of(sock, peer.pid)
        if session == GONE:
            return "a process that has ended"
        if session == paths.UNSET_SESSION:
            return "a process of no known login session" if self.strict_session else ""
        return "" if session == self.session else "a process of another login session"
