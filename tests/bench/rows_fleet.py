"""Row 12: twenty robots and their person: started at once, looked at, and kept in memory; and one at boot.

There is no goal for them. They stand beside one robot's start and unlock, which is what each of the twenty takes.
"""

import json
import os
import signal
import socket
import statistics
import time
from contextlib import suppress
from pathlib import Path

from tests.bench.figures import Figure, Findings, Skip, compare
from tests.bench.place import KEYS, TIMEOUT, Place
from tests.bench.rows_idle import SETTLE, SLEEPER, smaps

ROBOTS = 20

MASTER = "master"


def fleet(place: Place, quick: bool) -> Findings:
    """All of it, with racks of KEYS keys."""
    names = [MASTER, *[f"robot{number:02}" for number in range(ROBOTS)]]
    home = place.directory / "fleet"
    home.mkdir(mode=0o700)
    env = {**place.env, "AGENTKEYS_HOME": str(home)}
    place.run(*place.inside_argv("init", *names), env=env)
    for name in names:
        place.run(*place.inside_argv("fill", name, str(KEYS)), env=env)
    try:
        return [*_starts(place, env, 3 if quick else 9), *_memory(place, env), *_boot(place, env, 5 if quick else 15)]
    finally:
        _end(place, env)


def _starts(place: Place, env: dict[str, str], rounds: int) -> Findings:
    """`agent --all --auto-unlock` against one robot's start and unlock; and `status --all` of what runs then."""
    everyone: list[float] = []
    one: list[float] = []
    looks: list[float] = []
    for _ in range(rounds):
        _end(place, env)
        one.append(_timed(place, env, "agent", "--for", MASTER, "--auto-unlock"))
        _end(place, env)
        everyone.append(_timed(place, env, "agent", "--all", "--auto-unlock"))
        looks.append(_timed(place, env, "status", "--all"))
    count = ROBOTS + 1
    return [
        compare("12", f"agent --all --auto-unlock: {count} robots", everyone, one, "one robot's start and unlock"),
        compare("12", f"status --all: {count} agents", looks, one, "one robot's start and unlock"),
    ]


def _memory(place: Place, env: dict[str, str]) -> Findings:
    """PSS of all agents together, beside as many sleeping interpreters."""
    if not Path("/proc/self/smaps_rollup").exists():
        return [Skip("12", "memory", "no /proc/PID/smaps_rollup on this system")]
    sleepers = [place.start([place.python, "-IS", "-c", SLEEPER]) for _ in range(ROBOTS + 1)]
    time.sleep(SETTLE)
    try:
        ours = sum(smaps(pid)["Pss"] for pid in _pids(place, env))
    except PermissionError:
        return [Skip("12", "memory", "an agent shows its memory map to root alone")]
    floor = sum(smaps(sleeper.pid)["Pss"] for sleeper in sleepers)
    for sleeper in sleepers:
        place.end_child(sleeper)
    what = f"1 + {ROBOTS} agents, {KEYS} keys each: PSS together"
    return [compare("12", what, [ours], [floor], f"{ROBOTS + 1} sleeping python -IS", "MiB")]


def _boot(place: Place, env: dict[str, str], rounds: int) -> Findings:
    """From a manager's exec of the unit's command to READY=1, and to the first value; a file identity."""
    ready: list[float] = []
    answered: list[float] = []
    address = str(place.runtime / "notify")
    command = [place.python, "-I", "-m", "agentkeys", "agent", "-D", "--for", MASTER]
    command += ["--login-session", "uid", "--auto-unlock"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(TIMEOUT)
        for _ in range(rounds):
            _end(place, env)
            begin = time.perf_counter()
            child = place.start(command, {**env, "NOTIFY_SOCKET": address})
            while not manager.recv(4096).startswith(b"READY=1"):
                pass  # the one before is leaving
            ready.append((time.perf_counter() - begin) * 1e3)
            place.run(place.launcher, "get", "API_KEY_00000", "--for", MASTER, env=env)
            answered.append((time.perf_counter() - begin) * 1e3)
            child.terminate()
            child.wait()
    return [
        _absolute("boot: exec of the unit's command to READY=1", ready),
        _absolute("boot: the same, to the end of a first `get`", answered),
    ]


def _absolute(what: str, times: list[float]) -> Figure:
    low, _, high = statistics.quantiles(times, n=4)
    return Figure("12", what, statistics.median(times), low, high, "ms")


def _timed(place: Place, env: dict[str, str], *args: str) -> float:
    """Milliseconds of a command by the launcher."""
    begin = time.perf_counter()
    place.run(place.launcher, *args, env=env)
    return (time.perf_counter() - begin) * 1e3


def _pids(place: Place, env: dict[str, str]) -> list[int]:
    rows = json.loads(place.run(place.launcher, "status", "--all", "--json", env=env))
    return [row["pid"] for row in rows if row["pid"] is not None]


def _end(place: Place, env: dict[str, str]) -> None:
    """End every agent of the fleet, and be sure of it."""
    for pid in _pids(place, env):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    while _pids(place, env):
        time.sleep(0.01)
