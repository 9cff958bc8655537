"""Rows 5 and 6: a live agent against ssh-agent, asked by the same loop in turn; gpg-agent, asked a trifle, beside.

The servers sit on CPU 0. One connection at a time loads them from the same CPU, so that the figures are code and not
the wake-up of another CPU; a thousand connections load them from CPU 1. Peer check and audit are as in daily use.
"""

import json
import os
import sys
from pathlib import Path

from agentkeys import __version__, wire
from tests.bench.figures import Figure, Findings, Skip, compare
from tests.bench.place import KEYS, Daemon, Missing, Place

LOAD = Path(__file__).with_name("load.py")

CONNECTIONS = 1000

SSH_LIST = b"\0\0\0\1\x0b"
"""SSH_AGENTC_REQUEST_IDENTITIES, draft-miller-ssh-agent, 3.4."""

GPG_PID = b"GETINFO pid\n"
"""Assuan's least request, gpg-agent(1): it opens no key, so that it is the round trip and nothing else."""

GPG = "gpg-agent, GETINFO pid"

Rounds = list[dict[str, float]]
"""p50, p99 and rate of each round."""


def warm_connection(place: Place, quick: bool) -> Findings:
    """Row 5: one connection, request after request."""
    ours, ssh = place.agent(), place.start_ssh_agent()
    servers = [ssh_server(ssh), exec_server(place.owner, ours), get_server(place.owner, ours)]
    gpg, missing = _gpg("5", place)
    daemons, servers = [ours, ssh, *gpg], [*servers, *map(gpg_server, gpg)]
    floor, *verbs = load(place, "warm", servers, daemons, 10 if quick else 40, 500 if quick else 2000)
    findings: Findings = []
    for verb, rounds in zip((f"exec, {KEYS} keys", "get"), verbs[:2], strict=True):
        findings.append(_p50("5", f"warm: {verb}", rounds, floor, 1.5))
        findings.append(_rate("5", f"warm: {verb}", rounds, floor, 0.7))
    return findings + [_p50("5", f"beside, warm: {GPG}", rounds, floor) for rounds in verbs[2:]] + missing


def new_connections(place: Place, quick: bool) -> Findings:
    """Row 6: a connection for each request; and a thousand that all want something at once."""
    ours, ssh = place.agent(), place.start_ssh_agent()
    servers = [ssh_server(ssh), exec_server(place.owner, ours)]
    gpg, missing = _gpg("6", place)
    everyone, daemons = [*servers, *map(gpg_server, gpg)], [ours, ssh, *gpg]
    floor, rounds, *others = load(place, "fresh", everyone, daemons, 10 if quick else 40, 300 if quick else 1000)
    findings: Findings = [
        _p50("6", f"new connection: exec, {KEYS} keys", rounds, floor, 1.6),
        _rate("6", f"new connection: exec, {KEYS} keys", rounds, floor, None),
        *[_p50("6", f"beside, new connection: {GPG}", rounds, floor) for rounds in others],
        *missing,
    ]
    requests = CONNECTIONS * (5 if quick else 20)
    floor, rounds = load(place, "many", servers, [ours, ssh], 6 if quick else 20, requests, CONNECTIONS)
    p99, reference = ([one["p99"] / 1e3 for one in side] for side in (rounds, floor))
    findings.append(compare("6", f"{CONNECTIONS:,} connections: p99", p99, reference, "ssh-agent", budget=2.0))
    findings.append(_rate("6", f"{CONNECTIONS:,} connections:", rounds, floor, None))
    return findings


def load(
    place: Place,
    mode: str,
    servers: list[dict[str, object]],
    pinned: list[Daemon],
    rounds: int,
    requests: int,
    connections: int = 1,
) -> list[Rounds]:
    """Run load.py against `servers` in turn; what each one's rounds were."""
    cpu = None
    if sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1:
        for daemon in pinned:
            os.sched_setaffinity(daemon.pid, {0})
        cpu = 1 if mode == "many" else 0
    job = {
        "mode": mode,
        "cpu": cpu,
        "rounds": rounds,
        "requests": requests,
        "connections": connections,
        "servers": servers,
    }
    found: list[Rounds] = json.loads(place.run(sys.executable, "-IS", str(LOAD), stdin=json.dumps(job).encode()))
    return found


def _p50(row: str, what: str, rounds: Rounds, floor: Rounds, budget: float | None = None) -> Figure:
    subject, reference = ([one["p50"] for one in side] for side in (rounds, floor))
    return compare(row, f"{what} p50", subject, reference, f"ssh-agent, list of {KEYS},", "µs", budget)


def _rate(row: str, what: str, rounds: Rounds, floor: Rounds, budget: float | None) -> Figure:
    subject, reference = ([one["rate"] for one in side] for side in (rounds, floor))
    return compare(row, f"{what} rate", subject, reference, "ssh-agent", "/s", budget, at_least=True)


def _gpg(row: str, place: Place) -> tuple[list[Daemon], Findings]:
    """A gpg-agent, or why there is none."""
    try:
        return [place.start_gpg_agent()], []
    except Missing as fault:
        return [], [Skip(row, GPG, str(fault))]


def ssh_server(agent: Daemon) -> dict[str, object]:
    """An ssh-agent that is asked for its list, as load.py takes it."""
    return {"path": agent.socket, "hello": "", "request": SSH_LIST.hex(), "skip": 0, "lines": False}


def gpg_server(agent: Daemon) -> dict[str, object]:
    """A gpg-agent, which greets whoever connects, and is asked for its process id."""
    return {"path": agent.socket, "hello": "", "request": GPG_PID.hex(), "skip": 1, "lines": True}


def exec_server(owner: str, agent: Daemon) -> dict[str, object]:
    """An agent that is asked what `agentkeys exec` asks: every key."""
    return _agentkeys(owner, agent, wire.encode(b"exec"))


def get_server(owner: str, agent: Daemon) -> dict[str, object]:
    """An agent that is asked for one value."""
    return _agentkeys(owner, agent, wire.encode(b"get", b"key", b"API_KEY_00000"))


def _agentkeys(owner: str, agent: Daemon, request: bytes) -> dict[str, object]:
    hello = wire.hello(owner.encode(), __version__.encode())
    return {"path": agent.socket, "hello": hello.hex(), "request": request.hex(), "skip": 1, "lines": False}
