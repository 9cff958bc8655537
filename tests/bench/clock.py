"""Whole processes against the clock: every command once in each round, each round beginning with another."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WARM_UP = 2
"""Rounds that only fill the page cache."""


@dataclass(frozen=True)
class Command:
    """A program to start and wait for; its output goes nowhere."""

    argv: Sequence[str]
    env: Mapping[str, str]
    stdin: str = os.devnull
    """A file."""
    cwd: Path | None = None


class Times:
    """Milliseconds of one command, a pair of them for each round."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        """From before the spawn to after the wait."""
        self.processor: list[float] = []
        """Of the process and of the children it waited for, whatever else the machine did meanwhile."""


class Failed(Exception):
    """A measured command ended with another code than 0: its time would mean nothing."""


def race(commands: Mapping[str, Command], rounds: int) -> dict[str, Times]:
    """What each command took in each round. Raises Failed."""
    names = list(commands)
    times = {name: Times() for name in names}
    for number in range(-WARM_UP, rounds):
        for step in range(len(names)):
            name = names[(number + step) % len(names)]
            wall, processor = run_once(commands[name])
            if number >= 0:
                times[name].wall.append(wall)
                times[name].processor.append(processor)
    return times


def run_once(command: Command) -> tuple[float, float]:
    """Milliseconds by the wall's clock and by the processor's. Raises Failed."""
    here = os.getcwd()
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, command.stdin, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    argv, env = list(command.argv), dict(command.env)
    os.chdir(command.cwd or "/")
    try:
        start = time.perf_counter_ns()
        pid = os.posix_spawn(argv[0], argv, env, file_actions=streams)
        _, status, usage = os.wait4(pid, 0)
        taken = time.perf_counter_ns() - start
    finally:
        os.chdir(here)
    if status:
        raise Failed(f"{' '.join(argv)} ended with {os.waitstatus_to_exitcode(status)}")
    return taken / 1e6, (usage.ru_utime + usage.ru_stime) * 1e3
