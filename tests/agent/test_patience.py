"""Clients that owe the agent something are waited for, but not for ever, and others are served meanwhile."""

import contextlib
import os
import resource
import select
import socket
import subprocess
import threading
from collections.abc import Iterator

import psutil
import pytest

from tests.agent.dialogue import Dialogue, frame, hello, message
from tests.agent.seat import Seat, eventually

MIB = 1024 * 1024


BURST = 100
"""Requests in one write: more than the agent answers in one."""


class Lively:
    """Clients that owe something at each look, and pay it each time."""

    def __init__(self, seat: Seat) -> None:
        self.ping = message(b"ping")
        self.clients = [Dialogue(seat.socket).greet() for _ in range(4)]
        self.idle, self.once, self.bursts, self.midway = self.clients
        self.burst(self.once)
        self.midway.send(self.ping[:7])

    def burst(self, client: Dialogue) -> None:
        """Many at once, all answered."""
        client.send(self.ping * BURST)
        assert [client.receive() for _ in range(BURST)] == [[b"ok"]] * BURST

    def go_on(self) -> None:
        """Another burst; and the rest of a request, in the same write as the beginning of the next."""
        self.burst(self.bursts)
        self.midway.send(self.ping[7:] + self.ping[:7])
        assert self.midway.receive() == [b"ok"]

    def end(self) -> None:
        """All of them are served still."""
        self.midway.send(self.ping[7:])
        assert self.midway.receive() == [b"ok"]
        for client in self.clients:
            assert client.ask(b"ping") == [b"ok"]
            client.sock.close()


def test_those_who_stall_are_closed_and_others_are_served(seat: Seat) -> None:
    """Silent, in the middle of something, dripping, or not reading: closed in bounded time. Idle or busy is fine.

    The agent does it by itself, and a bystander's requests are answered all along.
    """
    lively = Lively(seat)
    half = message(b"get", b"key", b"GITHUB_TOKEN")[:-3]
    stalled = {
        "silent": Dialogue(seat.socket),
        "half a hello": Dialogue(seat.socket),
        "one byte": Dialogue(seat.socket),
        "half a frame": Dialogue(seat.socket).greet(),
        "half a message": Dialogue(seat.socket).greet(),
        "dripping": Dialogue(seat.socket).greet(),
        "not reading": Dialogue(seat.socket).greet(),
    }
    stalled["half a hello"].send(hello()[:-1])
    stalled["one byte"].send(b"\0")
    stalled["half a frame"].send(half)
    stalled["half a message"].send(frame(b"x", 0))
    flood = stalled["not reading"]
    flood.sock.setblocking(False)
    try:
        while True:
            flood.sock.send(message(b"ping", b"x", b"x" * 60_000))
    except BlockingIOError:
        pass  # the agent has stopped reading: it waits for us
    drops = message(b"ping", b"x", b"x" * 200_000)
    with Dialogue(seat.socket).greet() as bystander:
        served = 0

        def all_closed() -> bool:
            nonlocal served
            assert bystander.ask(b"ping") == [b"ok"]
            served += 1
            lively.go_on()
            with contextlib.suppress(BrokenPipeError):
                stalled["dripping"].send(drops[served : served + 1])
            return not any(client.is_open() for kind, client in stalled.items() if kind != "not reading")

        eventually(all_closed, 30)
        assert served > 10
    flood.sock.settimeout(30)
    flood.wait_for_end()
    lively.end()
    for client in stalled.values():
        client.sock.close()


def test_a_full_queue_is_waited_for(seat: Seat) -> None:
    """More connections wait than the kernel queues, because the agent is busy: the next caller waits its turn."""
    process = seat.process
    process.suspend()
    waiting = []
    try:
        with contextlib.suppress(BlockingIOError):
            for _ in range(5000):
                client = socket.socket(socket.AF_UNIX)
                waiting.append(client)
                client.setblocking(False)
                client.connect(str(seat.socket))
        child = seat.cli.start("get", "GITHUB_TOKEN", stdout=subprocess.PIPE, reveals=True)
        eventually(lambda: child.poll() is not None or psutil.Process(child.pid).net_connections("unix"))
    finally:
        process.resume()
    assert child.communicate(timeout=20)[0] == seat.values["GITHUB_TOKEN"]
    assert child.returncode == 0
    for client in waiting:
        client.close()


IDLE = 900
"""More than the usual 1,024 descriptors leave room for, with a test's own."""


@pytest.fixture
def room() -> "Iterator[None]":
    """Descriptors for IDLE clients in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"needs {wanted} descriptors, and may have {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.serial
def test_nine_hundred_idle_clients_are_no_burden_to_a_live_one(seat: Seat, room: None) -> None:
    """It is served all along, none of the idle ones is closed, each costs a few KiB, and nothing is left of them."""
    process = seat.process
    memory, fds = process.memory_info().rss, process.num_fds()
    get = (b"get", b"key", b"GITHUB_TOKEN")
    idle = []
    with Dialogue(seat.socket).greet() as live:
        for _ in range(IDLE):
            idle.append(Dialogue(seat.socket).greet())
            assert live.ask(*get)[2] == seat.values["GITHUB_TOKEN"]
        assert seat.get("GITHUB_TOKEN", check=True).out == seat.values["GITHUB_TOKEN"]
        assert all(client.ask(b"ping") == [b"ok"] for client in idle)
    assert process.memory_info().rss - memory < 8 * MIB
    for client in idle:
        client.sock.close()
    eventually(lambda: process.num_fds() <= fds)


@pytest.mark.serial
@pytest.mark.parametrize("size", [0, 50_000], ids=["small requests", "large requests"])
def test_pipelining_without_reading_is_bounded(size: int, seat: Seat) -> None:
    """50 MB of requests and nobody reads the answers: under 8 MiB are held, and others are served meanwhile."""
    process = seat.process
    before = process.memory_info().rss
    request = message(b"ping", b"x", b"x" * size) if size else message(b"ping")
    burst = request * max(1, 65_536 // len(request))
    with Dialogue(seat.socket).greet() as greedy, Dialogue(seat.socket).greet() as bystander:
        greedy.sock.settimeout(1)
        sent = served = 0
        try:
            while sent < 50_000_000:
                sent += greedy.sock.send(burst)
                assert bystander.ask(b"ping") == [b"ok"]
                served += 1
        except TimeoutError:
            pass  # back-pressure
        assert process.memory_info().rss - before < 8 * MIB
        assert bystander.ask(b"ping") == [b"ok"]
        assert served
        greedy.sock.settimeout(30)
        greedy.sock.shutdown(socket.SHUT_WR)
        answers = len(greedy.wait_for_end())
    assert answers >= 11
    assert seat.get("GITHUB_TOKEN", check=True).out == seat.values["GITHUB_TOKEN"]


@pytest.mark.serial
def test_small_requests_in_a_burst_are_answered_in_linear_time(seat: Seat) -> None:
    """Four times as many cost about four times the processor's time, not sixteen."""

    def cost(count: int) -> float:
        process = seat.process
        with Dialogue(seat.socket).greet() as client:
            before = sum(process.cpu_times()[:2])
            sender = threading.Thread(target=client.send, args=(message(b"ping") * count,))
            sender.start()
            for _ in range(count):
                assert client.receive() == [b"ok"]
            sender.join()
            return sum(process.cpu_times()[:2]) - before

    cost(1000)
    small, large = cost(10_000), cost(40_000)
    assert large < 9 * max(small, 0.02)


@pytest.mark.serial
def test_out_of_descriptors_it_neither_dies_nor_spins(rack: Seat) -> None:
    """`ulimit -n 64` and 500 connects: it lives, rests while it is full, and serves again when they are gone."""
    shell = rack.cli.with_prefix("sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *rack.cli.prefix)
    shell("agent", check=True)
    rack.unlock()
    process = rack.process
    connections = []
    for _ in range(500):
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        try:
            client.connect(str(rack.socket))
        except BlockingIOError:
            pass  # the kernel's queue is full
        connections.append(client)
    assert process.num_fds() <= 64
    eventually(lambda: process.status() == "sleeping")
    spent = sum(process.cpu_times()[:2])
    threading.Event().wait(2)
    assert sum(process.cpu_times()[:2]) - spent < 0.4
    assert rack.get("GITHUB_TOKEN", check=True).out == rack.values["GITHUB_TOKEN"]
    for client in connections:
        client.close()
    eventually(lambda: process.num_fds() < 20)
    assert rack.pid == process.pid
    assert rack.get("GITHUB_TOKEN", check=True).out == rack.values["GITHUB_TOKEN"]


def test_without_a_descriptor_for_anybody_it_rests_and_comes_back(seat: Seat) -> None:
    """No room for a single client, and nobody to send away for one: it doesn't spin, and the caller is served later."""
    seat.get("GITHUB_TOKEN", check=True)
    process = seat.process
    eventually(lambda: not process.net_connections("unix")[1:])
    limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{process.pid}/fd")}
    spent = sum(process.cpu_times()[:2])
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (min(set(range(limits[0])) - used), limits[1]))
    with Dialogue(seat.socket) as client:
        client.send(hello() + message(b"ping"))
        eventually(lambda: process.status() == "sleeping" and not select.select([client.sock], [], [], 0.5)[0])
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
        assert client.receive()[0] == b"hello"
        assert client.receive() == [b"ok"]
    assert sum(process.cpu_times()[:2]) - spent < 1
