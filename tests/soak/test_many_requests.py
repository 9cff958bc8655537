"""Very many requests and connections: what an agent takes stays what it took, and forgetting doesn't wait for them."""

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.agent.dialogue import Dialogue, message
from tests.agent.seat import Seat, eventually
from tests.soak.test_mixed_load import CLIENT, CLIENTS

pytestmark = [pytest.mark.soak, pytest.mark.serial]

REQUESTS, BURST = 1_000_000, 100
CONNECTIONS = 100_000
LOCKS = 50

MIB = 1024 * 1024

GROWTH = MIB
"""Bytes, over all of them."""

SOON = 1.0
"""Seconds from asking an agent to forget until nobody is given anything, while it is busy."""


def test_a_million_requests_leave_memory_as_it_was(seat: Seat, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is answered with the value and has its line in the audit log."""
    process = seat.process
    wanted = message(b"ok", b"value", seat.values["GITHUB_TOKEN"])
    asked = message(b"get", b"key", b"GITHUB_TOKEN") * BURST
    with Dialogue(seat.socket).greet() as client:

        def ask(number: int) -> None:
            for _ in range(number // BURST):
                client.send(asked)
                assert client.exactly(len(wanted) * BURST) == wanted * BURST

        ask(REQUESTS // 100)
        warm, begun = process.memory_info().rss, time.monotonic()
        ask(REQUESTS)
    grown, took = process.memory_info().rss - warm, time.monotonic() - begun
    with capsys.disabled():
        print(f"\n{REQUESTS} requests in {took:.0f} s: {grown / 1024:+.0f} KiB")  # noqa: T201
    assert grown < GROWTH


def test_a_hundred_thousand_connections_leave_nothing(seat: Seat, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither memory nor a descriptor."""
    process = seat.process

    def connect(number: int) -> None:
        for _ in range(number):
            with Dialogue(seat.socket).greet() as client:
                assert client.ask(b"ping") == [b"ok"]

    connect(CONNECTIONS // 100)
    warm, fds, begun = process.memory_info().rss, process.num_fds(), time.monotonic()
    connect(CONNECTIONS)
    grown, took = process.memory_info().rss - warm, time.monotonic() - begun
    with capsys.disabled():
        print(f"\n{CONNECTIONS} connections in {took:.0f} s: {grown / 1024:+.0f} KiB")  # noqa: T201
    assert grown < GROWTH
    eventually(lambda: process.num_fds() <= fds)


@pytest.fixture
def busy(seat: Seat) -> Iterator[Seat]:
    """An agent that CLIENTS ask without a pause."""
    command = [sys.executable, "-IS", str(CLIENT), str(seat.socket)]
    clients = [subprocess.Popen([*command, str(number)], stdin=subprocess.DEVNULL) for number in range(CLIENTS)]
    yield seat
    for client in clients:
        client.kill()
        client.wait()


def test_a_lock_takes_effect_at_once_under_load(busy: Seat, capsys: pytest.CaptureFixture[str]) -> None:
    """From sending `relock`, as `agentkeys lock` does to each agent, until nobody is given a value: within a second."""
    took = []
    for _ in itertools.repeat(None, LOCKS):
        busy.unlock()
        with Dialogue(busy.socket).greet() as client:
            assert client.ask(b"get", b"key", b"GITHUB_TOKEN")[0] == b"ok"
            begun = time.monotonic()
            assert client.ask(b"relock")[0] == b"ok"
            took.append(time.monotonic() - begun)
            assert client.ask(b"get", b"key", b"GITHUB_TOKEN")[0] == b"error"
    with capsys.disabled():
        print(f"\n{LOCKS} locks: {max(took) * 1000:.1f} ms at most")  # noqa: T201
    assert max(took) < SOON
