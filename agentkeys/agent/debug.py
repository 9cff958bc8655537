"""What `agentkeys agent -d` says on stderr: one line for each event and what came of it.

Verbs that there are, uids, pids, decisions and counts. Never a value, a key's name, or any text that a caller chose:
a terminal's scrollback and a service's journal are read by more people than the audit log.
"""

import os
import select

from agentkeys.agent.server import Step
from agentkeys.core.agent import VERBS
from agentkeys.core.effects import Audit, Effect, ReadConfig, Reply, Unlock, Wipe
from agentkeys.core.events import (
    AuditDurable,
    AuditFailed,
    ConfigRead,
    ConfigRefused,
    Disconnected,
    Event,
    PeerRefused,
    Request,
    Tick,
    UnlockEnded,
)
from agentkeys.core.state import AgentState

MAX_LINE = 512
"""Bytes of a line: below PIPE_BUF (4096 on Linux, 512 on macOS), so that a pipe with room takes it as a whole."""


def traced(step: Step) -> Step:
    """The transition function `step`, saying what happens."""

    def trace(state: AgentState, event: Event, now: int) -> "list[Effect]":
        effects = step(state, event, now)
        say(describe(event, effects))
        return effects

    return trace


def describe(event: Event, effects: "list[Effect]") -> str:
    """One line about an event."""
    wiped = sum([len(effect.secrets) for effect in effects if isinstance(effect, Wipe)])
    also = f", {wiped} values wiped" if wiped else ""
    if isinstance(event, (ConfigRead, ConfigRefused)):
        what = "config.toml was read" if isinstance(event, ConfigRead) else "config.toml was refused"
        return what if event.request is None else f"{what}; {_asked(event.request)}: {_decision(effects)}{also}"
    if isinstance(event, Request):
        return f"{_asked(event)}: {_decision(effects)}{also}"
    if isinstance(event, PeerRefused):
        return f"connection {event.conn}, uid {event.peer.uid}, pid {event.peer.pid}: refused: {event.why}"
    if isinstance(event, UnlockEnded):
        return f"automatic unlock: {'failed' if event.fault else 'done'}"
    if isinstance(event, Tick):
        unlocks = ", unlocking again" if any(isinstance(effect, Unlock) for effect in effects) else ""
        return f"timer{also}{unlocks}"
    if isinstance(event, (AuditDurable, AuditFailed, Disconnected)):
        word = {AuditDurable: "on the disk", AuditFailed: "audit log can't be written", Disconnected: "gone"}[
            type(event)
        ]
        return f"connection {event.conn}: {word}: {_decision(effects)}{also}"
    return f"told to leave{also}"


def _asked(request: Request) -> str:
    """Who asked what."""
    peer = request.peer
    verb = request.verb.decode("ascii") if request.verb in VERBS else "unknown verb"
    limit = f", {peer.limited}" if peer.limited else ""
    return f"connection {request.conn}, uid {peer.uid}, pid {peer.pid}{limit}: {verb}"


def _decision(effects: "list[Effect]") -> str:
    """What is answered: ok, an exit code, or what has to happen before."""
    for effect in effects:
        if isinstance(effect, Reply):
            return "ok" if effect.fields[0] == b"ok" else f"error {bytes(effect.fields[2]).decode('ascii')}"
        if isinstance(effect, ReadConfig):
            return "config.toml first"
    return "audit log first" if any(isinstance(effect, Audit) for effect in effects) else "done"


def say(line: str) -> None:
    """Write a line to stderr, unless that would keep the agent waiting for a reader that doesn't read."""
    try:
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"agentkeys: debug: {line}\n".encode("ascii", "replace")[:MAX_LINE])
    except (OSError, ValueError):
        pass  # nobody reads it
