"""What a service manager that started us is told: sd_notify(3), without its library.

    READY=1            MAINPID is ours already; NOTIFY_SOCKET=/run/user/1000/systemd/notify names a datagram socket
    STATUS=2 keys held

A manager that can't be told is no reason to fail: it would have to find out by itself, as launchd does.
"""

from _socket import AF_UNIX, SOCK_DGRAM
from _socket import socket as Socket

from agentkeys import paths
from agentkeys.client import printable


class Manager:
    """Whoever listens at NOTIFY_SOCKET; nobody for an empty address."""

    def __init__(self, address: str) -> None:
        raw = paths.to_bytes(address)
        self._address = b"\0" + raw[1:] if raw[:1] == b"@" else raw  # "@" is an abstract socket (unix(7))

    def ready(self, status: str) -> None:
        """Say that we serve, and in a line how that is."""
        self._say(f"READY=1\nSTATUS={printable(status)}\n")

    def leaving(self) -> None:
        """Say that we are about to end, on purpose."""
        self._say("STOPPING=1\n")

    def _say(self, text: str) -> None:
        if self._address[:1] not in (b"/", b"\0"):
            return
        sock = Socket(AF_UNIX, SOCK_DGRAM)
        try:
            sock.sendto(text.encode("utf-8"), self._address)
        except OSError:
            pass  # it is gone, or is none
        finally:
            sock.close()
