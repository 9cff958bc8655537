"""Half an hour of everything at once, while a client is killed every 100 ms: what an agent takes stays what it took.

`make soak` runs it for 30 minutes; `make soak TESTFLAGS='--soak-seconds 60'` is a first look.
"""

import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.agent.dialogue import Dialogue
from tests.agent.seat import Seat, eventually
from tests.agent.test_audit import chain, state_key, verify
from tests.support.plugin import Plant

pytestmark = pytest.mark.soak

CLIENT = Path(__file__).with_name("client.py")

CLIENTS = 8
"""At a time; one of them dies every KILL_EVERY."""

KILL_EVERY = 0.1
"""Seconds."""

VERBS_EVERY = 5.0
"""Seconds between two rounds of the command line's verbs, which start three to four processes each."""

MIB = 1024 * 1024

GROWTH = MIB
"""Bytes of memory in ten minutes, or in all of a shorter run: what an allocator's rounding looks like."""


class Load:
    """Clients that die, one that lives, and what the agent takes meanwhile."""

    def __init__(self, seat: Seat, canary: Plant) -> None:
        self.seat = seat
        self.canary = canary
        self.agent = seat.process
        self.clients: list[subprocess.Popen[bytes]] = []
        self.asked = self.killed = self.rounds = 0
        self.memory: list[tuple[float, int]] = []
        """(seconds since the start, bytes resident)."""
        self.most_fds = self.most_threads = 0

    def run(self, seconds: float) -> None:
        """All of it for so long; AssertionError as soon as an answer is wrong."""
        dice = random.Random(seconds)
        start = time.monotonic()
        kill_at = verbs_at = sample_at = start
        with Dialogue(self.seat.socket).greet() as steady:
            while (now := time.monotonic()) < start + seconds:
                self.ask(steady)
                if now >= kill_at:
                    self.kill_one(dice)
                    kill_at = now + KILL_EVERY
                if now >= verbs_at:
                    self.use_verbs()
                    verbs_at = time.monotonic() + VERBS_EVERY
                if now >= sample_at:
                    self.sample(now - start)
                    sample_at = now + seconds / 120
                time.sleep(0.005)
        for client in self.clients:
            client.kill()
            client.wait()

    def ask(self, steady: Dialogue) -> None:
        """The client that lives, and a fresh connection beside it."""
        value = self.seat.values["GITHUB_TOKEN"]
        assert steady.ask(b"get", b"key", b"GITHUB_TOKEN") == [b"ok", b"value", value]
        with Dialogue(self.seat.socket).greet() as fresh:
            assert fresh.ask(b"exec", b"key", b"OPENAI_API_KEY")[0] == b"ok"
        self.asked += 2

    def kill_one(self, dice: random.Random) -> None:
        """Kill whoever is up, wherever it is; another takes its place."""
        if len(self.clients) >= CLIENTS:
            victim = self.clients.pop(dice.randrange(CLIENTS))
            assert victim.poll() is None, "it died by itself"
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            self.killed += 1
        command = [sys.executable, "-IS", str(CLIENT), str(self.seat.socket), str(dice.randrange(1000))]
        self.clients.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))

    def use_verbs(self) -> None:
        """What a person does: change a key, forget all, unlock again, run a command."""
        seat, self.rounds = self.seat, self.rounds + 1
        value = self.canary("changing")
        seat.cli("set", "CHANGING", input=value, check=True)
        seat.cli("relock", "CHANGING", check=True)
        seat.unlock()
        assert seat.get("CHANGING").out == value
        seat.cli("exec", "--", "true", check=True)
        assert seat.status()["pid"] == self.agent.pid

    def sample(self, at: float) -> None:
        """Look at the agent."""
        self.memory.append((at, self.agent.memory_info().rss))
        self.most_fds = max(self.most_fds, self.agent.num_fds())
        self.most_threads = max(self.most_threads, self.agent.num_threads())

    def growth(self) -> float:
        """Bytes from the median of the second tenth of the run to that of the last: the first is warming up."""
        sizes = [size for _, size in self.memory]
        tenth = max(1, len(sizes) // 10)
        return statistics.median(sizes[-tenth:]) - statistics.median(sizes[tenth : 2 * tenth])


def test_memory_descriptors_and_threads_stay_flat(
    seat: Seat, canary: Plant, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every answer is right all along, and afterwards the agent has what it began with; its log verifies."""
    seconds = float(pytestconfig.getoption("--soak-seconds"))
    fds = seat.process.num_fds()
    load = Load(seat, canary)
    load.run(seconds)
    eventually(lambda: load.agent.num_fds() <= fds + 2, 15)
    lines = chain(seat)
    with capsys.disabled():
        first, last = load.memory[0][1] / MIB, load.memory[-1][1] / MIB
        print(  # noqa: T201 - the figures are what the run is for
            f"\n{seconds:g} s, load {os.getloadavg()[0]:.1f}: {load.asked} requests of the living client, "
            f"{load.killed} clients killed, {load.rounds} rounds of verbs, {len(lines)} audit lines; "
            f"RSS {first:.2f} MiB at first, {last:.2f} at last, {load.growth() / 1024:+.0f} KiB once warm; "
            f"descriptors {fds} before, {load.most_fds} at most, {load.agent.num_fds()} after; "
            f"{load.most_threads} thread"
        )
    assert load.most_threads == 1
    assert load.most_fds <= fds + CLIENTS + 10
    assert load.growth() < GROWTH * max(1.0, seconds / 600)
    assert verify(lines, state_key(seat)) == len(lines)
    assert load.agent.is_running()
