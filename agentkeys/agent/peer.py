"""Who is at the other end of a connection, from the kernel and never from the request.

SO_PEERCRED names whoever called connect(2), with the pid as this process's namespace sees it (0: another namespace).
"""

from _socket import socket as Socket

from agentkeys import client, paths
from agentkeys.core.events import Peer


def of_socket(sock: Socket) -> Peer:
    """The peer's uid and pid. Raises OSError."""
    uid, pid = client.peer_ids(sock)
    return Peer(uid, pid)


def overflow_uid() -> int:
    """The uid that stands for every unmapped one (user_namespaces(7)); nobody real is behind it."""
    text = paths.read_small("/proc/sys/kernel/overflowuid").strip()
    return int(text) if text.isdigit() else 65534


def session_of(pid: int) -> int:
    """A process's audit session id, or UNSET_SESSION when it has none or can't be read (hidepid, other namespace)."""
    text = paths.read_small(f"/proc/{pid}/sessionid").strip() if pid else b""
    return int(text) if text.isdigit() else paths.UNSET_SESSION


class PeerRule:
    """Whom an agent serves."""

    def __init__(self, uid: int, session: int, strict_session: bool, allow_root: bool) -> None:
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

    def limit(self, peer: Peer) -> str:
        """Why `peer`, of our own uid, may only make us forget, or "" when it may ask for everything.

        An unset session id is unknown, never equal: uid alone decides then, unless the operator is strict.
        """
        if self.session == paths.UNSET_SESSION:
            return ""
        session = session_of(peer.pid)
        if session == paths.UNSET_SESSION:
            return "a process of no known login session" if self.strict_session else ""
        return "" if session == self.session else "a process of another login session"
