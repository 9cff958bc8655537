"""Run by the measured venv's Python: what each protective measure takes by itself, ROUNDS medians of it in nanoseconds.

`measures.py DIRECTORY` prints JSON, {measure: [ns, …]}, and beside them the least system call there is.
"""

import json
import os
import resource
import signal
import statistics
import sys
from _socket import AF_UNIX
from _socket import socket as Socket
from collections.abc import Callable
from time import perf_counter_ns as clock

from agentkeys import hardening, paths, wire
from agentkeys.agent import peer
from agentkeys.agent.clients import RECEIVE
from agentkeys.client.connection import peer_ids
from agentkeys.core.secret import Secret

ROUNDS = 15
TURNS = 300
"""Of each measure in a round; a round's figure is their median."""

VALUE = b"x" * 40
"""A token."""


def main(directory: str) -> None:
    """Measure everything once for each round, in turn."""
    listener, client = Socket(AF_UNIX), Socket(AF_UNIX)
    listener.bind(f"{directory}/measured.sock")
    listener.listen()
    client.connect(f"{directory}/measured.sock")
    accepted, _ = listener._accept()  # type: ignore[attr-defined]
    theirs = Socket(fileno=accepted)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps what fork() leaves
    memory = hardening.MemoryLock()
    buffer, zeros = bytearray(RECEIVE), bytes(4096)
    secret = Secret(VALUE)
    fields: list[bytes | bytearray | memoryview] = [b"ok", b"value", VALUE]

    def wipe() -> None:
        buffer[:4096] = zeros

    def close_memory() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hardening.close_memory()

    measures: dict[str, Callable[[], object]] = {
        "getppid(2), the least there is": os.getppid,
        "closing one's memory": close_memory,
        "forking once more": fork,
        "looking for a tracer": hardening.require_untraced,
        "uid and pid of a peer": lambda: peer_ids(theirs),
        "login session of a peer, by its pidfd": lambda: peer.session_of(theirs, os.getpid()),
        "locking a buffer of 64 KiB": lambda: memory.lock(buffer),
        "overwriting 4 KiB of the receive buffer": wipe,
        "overwriting a value": secret.wipe,
        "encoding a reply": lambda: wire.encode(b"ok", b"value", VALUE),
        "encoding a reply that can be overwritten": lambda: wire.encode_wipeable(fields),
        "whether a socket's directory is ours alone": lambda: paths.is_private_dir(directory),
    }
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(ROUNDS):
        for name, measure in measures.items():
            found[name].append(median(measure, TURNS // 10 if measure is fork else TURNS))
    json.dump(found, sys.stdout)


def fork() -> None:
    """A child that ends at once and is not waited for: what a daemon's start pays for it."""
    if not os.fork():
        os._exit(0)


def median(measure: Callable[[], object], turns: int) -> float:
    """Nanoseconds."""
    times = []
    for _ in range(turns):
        start = clock()
        measure()
        times.append(clock() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main(sys.argv[1])
