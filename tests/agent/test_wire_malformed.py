"""What is no message costs its connection, and nothing else: no memory, no time, no other client's answer."""

import os
import random
import struct
from collections.abc import Iterator

import psutil
import pytest

from tests.agent.dialogue import MAX_FRAME, Dialogue, fields, frame, hello, message
from tests.agent.seat import Seat, eventually

MIB = 1024 * 1024

BROKEN = {
    "length 0": struct.pack(">IB", 0, 1),
    "length 2^31": struct.pack(">IB", 2**31, 1),
    "length 2^32-1": struct.pack(">IB", 2**32 - 1, 1),
    "one byte over a frame": frame(b"x" * MAX_FRAME),
    "unknown flag": frame(fields(b"ping"), 3),
    "all flags": frame(fields(b"ping"), 255),
    "no field": frame(b""),
    "field past the end": frame(struct.pack(">I", 100) + b"ping"),
    "field length 2^32-1": frame(struct.pack(">I", 2**32 - 1) + b"ping"),
    "cut field length": frame(fields(b"ping") + b"\0\0"),
    "name without a value": message(b"get", b"key"),
    "too many fields": frame(fields(*[b""] * 40_001)),
    "empty frame in a message": frame(fields(b"ping"), 0) + frame(b"", 0) + frame(b"", 1),
    "message over 2 MiB": frame(b"x" * (MAX_FRAME - 1), 0) * 9,
    "JSON": b'{"verb": "get", "key": "GITHUB_TOKEN"}\n',
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"x" * 200,
    "ssh-agent": struct.pack(">IB", 1, 11),
}

NO_HELLO = {
    "request first": message(b"ping"),
    "wrong magic": hello(magic=b"agentkeyz"),
    "empty magic": hello(magic=b""),
    "short hello": message(b"hello", b"agentkeys"),
    "protocol is no number": hello(low=b"one"),
    "protocol is huge": hello(high=b"9" * 100),
    "protocol is negative": hello(low=b"-1"),
    "owner is not ASCII": hello(owner=b"\xff"),
    "hello in capitals": message(b"HELLO", b"agentkeys", b"1", b"1", b"human", b"0"),
}


@pytest.fixture
def bystander(shared: Seat) -> Iterator[Dialogue]:
    """Another client, whose connection must not notice; checked at the end."""
    with Dialogue(shared.socket).greet() as client:
        yield client
        assert client.ask(b"get", b"key", b"GITHUB_TOKEN") == [b"ok", b"value", shared.values["GITHUB_TOKEN"]]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_frame_closes_its_connection_only(kind: str, shared: Seat, bystander: Dialogue) -> None:
    """Before and after the hello; nothing is answered to it, and the agent grows by less than a mebibyte."""
    process = shared.process
    grown = process.memory_info().rss
    for greeted in (True, False):
        with Dialogue(shared.socket) as client:
            if greeted:
                client.greet()
            try:
                client.send(BROKEN[kind])
            except (BrokenPipeError, ConnectionResetError):
                pass  # closed before it had read all
            assert client.wait_for_end() == b""
    assert bystander.ask(b"ping") == [b"ok"]
    assert process.memory_info().rss - grown < 4 * MIB


@pytest.mark.parametrize("kind", NO_HELLO)
def test_whoever_does_not_greet_is_not_served(kind: str, shared: Seat, bystander: Dialogue) -> None:
    """No answer to the request behind it, and no value."""
    with Dialogue(shared.socket) as client:
        try:
            client.send(NO_HELLO[kind] + message(b"get", b"key", b"GITHUB_TOKEN"))
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed before it had read all
        assert shared.values["GITHUB_TOKEN"] not in client.wait_for_end()


def test_what_came_before_a_broken_frame_was_served(shared: Seat, bystander: Dialogue) -> None:
    """Broken in a later write: the answers before it arrived."""
    with Dialogue(shared.socket).greet() as client:
        assert client.ask(b"ping") == [b"ok"]
        client.send(BROKEN["length 0"])
        assert client.wait_for_end() == b""


def test_random_bytes_never_hurt(shared: Seat, bystander: Dialogue) -> None:
    """A thousand messages of noise, and of true messages with a few bytes changed; the seed is in the report."""
    seed = int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)
    pid = shared.pid
    real = hello() + message(b"exec", b"key", b"GITHUB_TOKEN", b"env", b"all") + message(b"status", b"format", b"json")
    for _ in range(1000):
        data = bytearray(real if dice.random() < 0.8 else dice.randbytes(dice.randrange(1, 400)))
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        with Dialogue(shared.socket) as client:
            try:
                client.send(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # closed before it had read all
    assert bystander.ask(b"ping") == [b"ok"], f"seed {seed}"
    assert shared.pid == pid


def test_a_client_may_vanish_at_every_byte(shared: Seat, bystander: Dialogue) -> None:
    """Of its request and of its reply: the agent's descriptors are as many as before."""
    process = shared.process
    request = hello() + message(b"exec", b"key", b"GITHUB_TOKEN")
    before = process.num_fds()
    for offset in range(len(request)):
        with Dialogue(shared.socket) as client:
            client.send(request[:offset])
    with Dialogue(shared.socket) as client:
        client.send(request)
        reply = b""
        while shared.values["GITHUB_TOKEN"] not in reply:
            reply += client.sock.recv(65536)
    for offset in range(len(reply)):
        with Dialogue(shared.socket) as client:
            client.send(request)
            if offset:
                client.sock.recv(offset)
    eventually(lambda: process.num_fds() <= before)
    assert psutil.Process(process.pid).num_threads() == 1


def test_a_half_closed_client_still_gets_its_answer(shared: Seat) -> None:
    """`printf … | nc -U` closes its sending side at once."""
    with Dialogue(shared.socket) as client:
        client.send(hello() + message(b"ping", b"a", b"b"))
        client.sock.shutdown(1)
        client.receive()
        assert client.receive() == [b"ok", b"a", b"b"]
        assert client.wait_for_end() == b""
