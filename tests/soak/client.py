"""One client of the mixed load, run by a bare `python -IS`: `client.py SOCKET MANNER`; somebody kills it soon.

It shares no code with the package and prints nothing. Its manners are the ways in which a client can be when it dies.
"""

import sys
import time
from _socket import AF_UNIX
from _socket import socket as Socket

PAUSE = 0.01
"""Seconds between a polite client's requests: a thousand hasty ones measure the disk under the audit log."""


def fields(*parts: bytes) -> bytes:
    """Fields, each with its length."""
    return b"".join([part for field in parts for part in (len(field).to_bytes(4, "big"), field)])


def message(*parts: bytes) -> bytes:
    """A message of one frame."""
    payload = fields(*parts)
    return (len(payload) + 1).to_bytes(4, "big") + b"\1" + payload


HELLO = message(b"hello", b"agentkeys", b"1", b"1", b"human", b"0")

VALUE = b"x" * 60_000

FACTS = (b"vault", b"os.secure", b"grade", b"encrypted/permanent", b"ttl", b"60")

STAGED = (*FACTS, b"slugs", b"@all.all.STAGED", b"sizes", b"%d" % len(VALUE), b"values", VALUE)


def asks(sock: Socket) -> None:
    """Asks and reads, again and again."""
    for number in range(1_000_000):
        sock.send(message(b"get", b"key", b"GITHUB_TOKEN") if number % 10 == 0 else message(b"status"))
        sock.recv(65536)
        time.sleep(PAUSE)


def stops_midway(sock: Socket) -> None:
    """Sends most of a request."""
    sock.sendall(message(b"ping", b"x", VALUE)[:-1])


def never_reads(sock: Socket) -> None:
    """Asks for more than it takes until the agent stops reading."""
    while True:
        sock.sendall(message(b"ping", b"x", VALUE))


def never_commits(sock: Socket) -> None:
    """Begins an unlock."""
    sock.sendall(message(b"unlock") + message(b"unlock-add", *STAGED))


def is_wrong(sock: Socket) -> None:
    """Breaks the protocol, and comes again."""
    sock.sendall(b"\0\0\0\0\0")
    sock.recv(65536)


def is_silent(_sock: Socket) -> None:
    """Says hello and no more."""


MANNERS = (asks, asks, stops_midway, never_reads, never_commits, is_wrong, is_silent)


def main() -> None:
    """Connect, behave, and wait to be killed."""
    sock = Socket(AF_UNIX)
    sock.connect(sys.argv[1])
    sock.sendall(HELLO)
    sock.recv(65536)
    try:
        MANNERS[int(sys.argv[2]) % len(MANNERS)](sock)
    except OSError:
        pass  # the agent has closed it
    time.sleep(60)


if __name__ == "__main__":
    main()
