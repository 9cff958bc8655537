"""The load on two servers in turn, run by a bare `python -IS` on a CPU of its choice: the same loop for all.

ssh-agent and agentkeys both frame a message by a u32 length; gpg-agent's Assuan ends one by a line that begins with OK
(`lines`). The clock runs over neither: a reply is so many bytes. What the loop itself takes is measured against a
socket that answers at once, and taken off one connection's figures: it would draw every ratio towards 1. A job is
JSON on stdin, the answer JSON on stdout: for each server and round the latencies' p50 and p99 in µs, and the rate, in
requests per second.

    {"mode": "warm" | "fresh" | "many", "cpu": 0 or null, "rounds": 30, "requests": 2000, "connections": 1,
     "servers": [{"path": …, "hello": hex, "request": hex, "lines": false,
                  "skip": messages before the first reply}, …]}
"""

import json
import os
import select
import sys
from _socket import AF_UNIX, SOCK_STREAM, socketpair
from _socket import socket as Socket
from time import perf_counter_ns as clock
from typing import Any

RECEIVE = 65536
"""Bytes of the receive buffer; every reply here is under 1 KiB."""

CALIBRATION = 2000
"""Turns of the loop that are measured for what it takes itself."""

WARM_UP = 200
"""Requests on each connection kind before the first round."""


class Server:
    """One side of the comparison."""

    def __init__(self, facts: "dict[str, Any]") -> None:
        self.path = facts["path"].encode()
        self.hello = bytes.fromhex(facts["hello"])
        self.request = bytes.fromhex(facts["request"])
        self.skip = facts["skip"]
        self.lines = facts["lines"]
        self.size = 0
        """Bytes of one reply."""

    def connect(self) -> Socket:
        """A connection that has had its first answer."""
        sock = Socket(AF_UNIX, SOCK_STREAM)
        sock.connect(self.path)
        sock.sendall(self.hello + self.request)
        for _ in range(self.skip):
            read_message(self, sock)
        self.size = len(read_message(self, sock))
        return sock


def read_message(server: Server, sock: Socket) -> bytes:
    """One whole message; exact, for the set-up."""
    if server.lines:
        text = b""
        while text[-1:] != b"\n" or not text[:-1].rpartition(b"\n")[2].startswith(b"OK"):
            text += read_exactly(sock, 1)
        return text
    head = read_exactly(sock, 4)
    return head + read_exactly(sock, int.from_bytes(head, "big"))


def read_exactly(sock: Socket, count: int) -> bytes:
    """`count` bytes. Raises ConnectionError when they don't come."""
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise ConnectionError("the server hung up")
        data += part
    return data


def read_rest(sock: Socket, buffer: bytearray, got: int, size: int) -> None:
    """The rest of a reply that came in pieces."""
    while got < size:
        part = sock.recv_into(buffer)
        if not part:
            raise ConnectionError("the server hung up")
        got += part


def warm(server: Server, sock: Socket, count: int) -> "list[int]":
    """Ask again and again on one connection."""
    times: list[int] = []
    note, send, receive = times.append, sock.send, sock.recv_into
    request, size, buffer = server.request, server.size, bytearray(RECEIVE)
    for _ in range(count):
        start = clock()
        send(request)
        got = receive(buffer)
        if got != size:
            read_rest(sock, buffer, got, size)
        note(clock() - start)
    return times


def fresh(server: Server, count: int) -> "list[int]":
    """A connection for each request, as every client process makes one."""
    times: list[int] = []
    request, path, buffer = server.hello + server.request, server.path, bytearray(RECEIVE)
    size = server.size + (len_of_hello(server) if server.skip else 0)
    for _ in range(count):
        start = clock()
        sock = Socket(AF_UNIX, SOCK_STREAM)
        sock.connect(path)
        sock.send(request)
        got = sock.recv_into(buffer)
        if got != size:
            read_rest(sock, buffer, got, size)
        sock.close()
        times.append(clock() - start)
    return times


def len_of_hello(server: Server) -> int:
    """Bytes a server says before its first reply."""
    sock = Socket(AF_UNIX, SOCK_STREAM)
    sock.connect(server.path)
    sock.sendall(server.hello + server.request)
    size = len(read_message(server, sock))
    sock.close()
    return size


def loop_time(server: Server, mode: str) -> int:
    """Nanoseconds that one turn of the loop takes by itself: its system calls with nobody at the other end."""
    times: list[int] = []
    one, other = socketpair(AF_UNIX, SOCK_STREAM)
    reply, buffer = bytes(server.size), bytearray(RECEIVE)
    for _ in range(CALIBRATION):
        other.send(reply)
        start = clock()
        if mode == "fresh":
            Socket(AF_UNIX, SOCK_STREAM).close()
        one.send(server.request)
        one.recv_into(buffer)
        times.append(clock() - start)
        other.recv_into(buffer)
    times.sort()
    return times[len(times) // 2]


def many(server: Server, socks: "dict[int, Socket]", count: int) -> "list[int]":
    """Every connection has one request under way at any time; `count` requests in all."""
    times: list[int] = []
    poller, buffer = select.epoll(), bytearray(RECEIVE)
    started: dict[int, int] = {}
    request, size = server.request, server.size
    for fd, sock in socks.items():
        poller.register(fd, select.EPOLLIN)
        started[fd] = clock()
        sock.send(request)
    left = count - len(socks)
    waiting = len(socks)
    while waiting:
        for fd, _what in poller.poll():
            sock = socks[fd]
            got = sock.recv_into(buffer)
            now = clock()
            if got != size:
                read_rest(sock, buffer, got, size)
            times.append(now - started[fd])
            if left > 0:
                left -= 1
                started[fd] = clock()
                sock.send(request)
            else:
                waiting -= 1
    poller.close()
    return times


def summary(times: "list[int]", took: int, own: int) -> "dict[str, float]":
    """p50 and p99 in µs and the rate, without the `own` nanoseconds of each turn."""
    times.sort()
    return {
        "p50": (times[len(times) // 2] - own) / 1e3,
        "p99": (times[len(times) * 99 // 100] - own) / 1e3,
        "rate": len(times) / (took - own * len(times)) * 1e9,
    }


def main() -> None:
    """Do the job on stdin."""
    facts = json.loads(sys.stdin.read())
    if facts["cpu"] is not None:
        os.sched_setaffinity(0, {facts["cpu"]})
    mode, requests = facts["mode"], facts["requests"]
    servers = [Server(row) for row in facts["servers"]]
    socks = [{sock.fileno(): sock for sock in [s.connect() for _ in range(facts["connections"])]} for s in servers]
    own = [loop_time(server, mode) if mode != "many" else 0 for server in servers]
    found: list[list[dict[str, float]]] = [[] for _ in servers]
    for number in range(-1, facts["rounds"]):
        count = requests if number >= 0 else max(WARM_UP, facts["connections"])
        for step in range(len(servers)):
            at = (number + step) % len(servers)
            start = clock()
            if mode == "warm":
                times = warm(servers[at], next(iter(socks[at].values())), count)
            elif mode == "fresh":
                times = fresh(servers[at], count)
            else:
                times = many(servers[at], socks[at], count)
            if number >= 0:
                found[at].append(summary(times, clock() - start, own[at]))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
