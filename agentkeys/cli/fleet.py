"""Every owner's agents at a glance: each is asked for its own `status`, by a thread of its own.

Rule 1: nobody waits for an agent that is stopped, busy or gone; it is shown as such, and asked again when it answered.
Rule 2: looking extends nothing and changes nothing; an agent that nobody looks at is left asleep.
"""

import json
import threading
import time

from agentkeys import paths
from agentkeys.client.connection import Connection
from agentkeys.client.near import owners
from agentkeys.errors import DENIED, AgentkeysError, NoAgent, OutcomeUnknown
from agentkeys.stores.card import read_card

PATIENCE = 2.0
"""Seconds for an agent to answer, which takes it a millisecond; who takes longer is shown as not answering."""

UNLOCKED, LOCKED, EXPIRED, CLOSED = "unlocked", "locked", "expired", "closed"
"""What an agent holds: something; nothing yet; nothing any more; and nobody gets any of it until `lock --open`."""

NO_AGENT, NO_ANSWER, REFUSED = "no-agent", "no-answer", "refused"
"""An owner without one; an agent that doesn't answer within PATIENCE; one that doesn't serve this process."""


class Sighting:
    """One agent as it was last seen, or an owner without one."""

    def __init__(self, owner: str, wallet: str, state: str) -> None:
        self.owner = owner
        self.wallet = wallet
        """From the owner's card, or from the agent; empty when neither knows."""
        self.state = state
        self.socket = ""
        self.private = False
        """Whether only AGENTKEYS_SOCK leads there."""
        self.pid: int | None = None
        self.held = 0
        """Keys it holds."""
        self.known: int | None = None
        """Keys it knows of; None before its first unlock."""
        self.next_expiry: int | None = None
        """Seconds until the first of them expires."""
        self.last_given: int | None = None
        """Seconds since a value was given out."""
        self.denied: int | None = None
        self.renewal: int | None = None
        """Seconds until it unlocks again by itself."""
        self.fault = ""
        """Why its last automatic unlock failed, or why it doesn't serve us."""

    def as_json(self) -> "dict[str, object]":
        """Its members, an interface as `status --json` is."""
        return {
            "owner": self.owner,
            "wallet": self.wallet,
            "state": self.state,
            "pid": self.pid,
            "socket": self.socket or None,
            "private": self.private,
            "keys_held": self.held,
            "keys_known": self.known,
            "next_expiry_in_seconds": self.next_expiry,
            "last_given_seconds_ago": self.last_given,
            "denied": self.denied,
            "auto_unlock_in_seconds": self.renewal,
            "fault": self.fault,
        }


class _Question:
    """One `status` asked of one agent, and its answer once there is one.

    An agent of another login session would refuse it and log that, so it is only seen to be there.
    """

    def __init__(self, owner: str, path: str, foreign: bool) -> None:
        self.foreign = foreign
        """Whether it is of another login session."""
        self.asked = time.monotonic()
        self.reply: dict[str, object] | None = None
        self.fault: AgentkeysError | None = None
        self._thread = threading.Thread(target=self._ask, args=(owner, path), daemon=True)
        self._thread.start()

    def _ask(self, owner: str, path: str) -> None:
        try:
            connection = Connection(path, owner)
            if self.foreign:
                connection.close()
                return
            reply = json.loads(bytes(connection.ask(b"status", b"format", b"json")[1]))
            connection.close()
            self.reply = reply if isinstance(reply, dict) else {}
        except AgentkeysError as fault:
            self.fault = fault
        except (ValueError, IndexError):
            self.fault = AgentkeysError("the agent answered something unknown", "agentkeys agent -k")

    def is_answered(self, until: float) -> bool:
        """Wait for the answer until then, a time of time.monotonic()."""
        self._thread.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive()


class Fleet:
    """All owners of one home, and what is known of their agents."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._questions: dict[str, _Question] = {}
        """Those still unanswered, by socket."""
        self._seen: dict[str, Sighting] = {}
        """How each agent was last seen, by socket."""
        self._refused: set[str] = set()
        """The sockets where a `status` was refused: once is enough for their log."""

    def look(self, patience: float = PATIENCE) -> "list[Sighting]":
        """Ask every agent, wait `patience` seconds for those that take long, and say what is known then.

        An agent that takes longer keeps its last sighting until PATIENCE is over.
        """
        until = time.monotonic() + patience
        locks = [(owner, lock) for owner in owners(self.root) for lock in paths.agent_locks(self.root, owner)]
        agents = [(owner, lock, path) for owner, lock in locks if (path := paths.lock_socket(lock))]
        asked = self._questions
        self._questions = {
            path: asked.get(path) or _Question(owner, path, path in self._refused or _is_foreign(lock))
            for owner, lock, path in agents
        }
        found = [self._seen_at(owner, path, until, lock) for owner, lock, path in agents]
        live = [sighting for sighting in found if sighting is not None]
        self._seen = {sighting.socket: sighting for sighting in live}
        alone = sorted(set(owners(self.root)) - {sighting.owner for sighting in live})
        live += [Sighting(owner, self._wallet(owner), NO_AGENT) for owner in alone]
        return sorted(live, key=lambda sighting: (sighting.owner, sighting.private, sighting.socket))

    def _seen_at(self, owner: str, path: str, until: float, lock: str) -> Sighting | None:
        """The agent at `path`; None when there is none any more."""
        question = self._questions[path]
        if question.is_answered(until):
            del self._questions[path]
            if isinstance(question.fault, (NoAgent, OutcomeUnknown)):
                return None
            sighting = self._sighting(owner, question)
            if sighting.state == REFUSED:
                self._refused.add(path)
        elif time.monotonic() - question.asked < PATIENCE and path in self._seen:
            return self._seen[path]
        else:
            sighting = Sighting(owner, self._wallet(owner), NO_ANSWER)
        sighting.socket = path
        sighting.private = lock.rpartition("/")[2].startswith(paths.PRIVATE)
        return sighting

    def _sighting(self, owner: str, question: _Question) -> Sighting:
        reply, fault = question.reply, question.fault
        if reply is None:
            denied = question.foreign or (fault is not None and fault.exit_code == DENIED)
            sighting = Sighting(owner, self._wallet(owner), REFUSED if denied else NO_ANSWER)
            sighting.fault = fault.message if fault is not None else "it serves another login session"
            return sighting
        rows = reply.get("keys")
        keys = [key for key in rows if isinstance(key, dict)] if isinstance(rows, list) else []
        held = [key for key in keys if key.get("state") == "unlocked"]
        state = UNLOCKED if held else EXPIRED if any(key.get("state") == "expired" for key in keys) else LOCKED
        sighting = Sighting(owner, _text(reply, "wallet"), CLOSED if reply.get("locked") is True else state)
        sighting.held = len(held)
        sighting.known = len(keys) if reply.get("unlocked") is True else None
        times = [left for key in held if (left := _number(key, "expires_in_seconds")) is not None]
        sighting.next_expiry = min(times, default=None)
        sighting.pid = _number(reply, "pid")
        sighting.last_given = _number(reply, "last_given_seconds_ago")
        sighting.denied = _number(reply, "denied")
        sighting.renewal = _number(reply, "auto_unlock_in_seconds")
        sighting.fault = _text(reply, "auto_unlock_fault")
        return sighting

    def _wallet(self, owner: str) -> str:
        try:
            card = read_card(self.root, owner)
        except AgentkeysError:
            return ""  # damaged; `doctor` says so
        return card.wallet if card is not None else ""


def _is_foreign(lock: str) -> bool:
    """Whether a lock file is that of an agent of another login session than ours."""
    name, ours = lock.rpartition("/")[2], paths.login_session()
    return name.startswith("session-") and ours != paths.UNSET_SESSION and name != f"session-{ours}.lock"


def _number(found: "dict[str, object]", name: str) -> "int | None":
    value = found.get(name)
    return value if isinstance(value, int) else None


def _text(found: "dict[str, object]", name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""
