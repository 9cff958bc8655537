"""What every check starts from: environment, home, owners, and who answers at their sockets; each read once."""

import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from agentkeys import paths
from agentkeys.client.connection import usual_sockets
from agentkeys.errors import AgentkeysError
from agentkeys.setup.doctor import call as calls
from agentkeys.setup.doctor.call import Call
from agentkeys.setup.doctor.holders import lock_holder
from agentkeys.stores.card import Card, read_card

Work = Callable[[str, "list[tuple[str, bytes | str]]", float], "dict[str, str]"]
"""Runs a worker's job within so many seconds. Raises AgentkeysError."""

BUDGET = 20.0
"""Seconds for everything: usually it takes half of one; twenty owners' hung agents are called side by side."""

MAX_CALLS = 64
AT_ONCE = 16
"""Sockets called at most, and side by side: at calls.PATIENCE each, 8 s for 64 that hang."""

SESSION = re.compile(r"(?:session-|\.)(\d+)\.(?:lock|sock)\Z")
"""How an agent's lock or socket is called that serves one login session."""


class Spot:
    """A place where an owner's agent listens, listened, or would."""

    def __init__(self, owner: str, path: str, lock: str) -> None:
        self.owner = owner
        self.path = path
        self.lock = lock
        """The lock file that names it, or empty."""
        self.call: Call | None = None
        """None where there is no socket, or too many."""

    @property
    def is_private(self) -> bool:
        """Whether only AGENTKEYS_SOCK leads to it."""
        return self.lock.rpartition("/")[2].startswith(paths.PRIVATE)

    @property
    def session(self) -> int:
        """The login session that it serves, or UNSET_SESSION."""
        found = SESSION.search(self.lock) or SESSION.search(self.path)
        return int(found[1]) if found else paths.UNSET_SESSION


class Scene:
    """One look at this user's surroundings."""

    def __init__(self, environ: "dict[bytes, bytes]", work: Work, argv0: str = "") -> None:
        self.environ = environ
        self.work = work
        self.argv0 = argv0
        """How this program was called."""
        self.uid = os.geteuid()
        self.end = time.monotonic() + BUDGET
        self.root = ""
        """The persistent root, or empty when nothing says where it is."""
        self.root_fault: AgentkeysError | None = None
        self.there: list[str] = []
        """Every owner of this home."""
        self.owners: list[str] = []
        """Those to look at."""
        self.opened: dict[str, bool] = {}
        """Whether an owner's rack could be opened with its identity, where that was tried."""
        self._spots: list[Spot] | None = None
        self._cards: dict[str, Card | None] = {}
        try:
            self.root = paths.home(environ)
        except AgentkeysError as fault:
            self.root_fault = fault

    def env(self, name: str) -> str:
        """A variable's text, or empty."""
        return paths.env_text(self.environ, name.encode("ascii"))

    @property
    def is_ours(self) -> bool:
        """Whether there is a home, and it is this user's; what is in another's isn't looked at."""
        try:
            return bool(self.root) and os.path.isdir(self.root) and os.stat(self.root).st_uid == self.uid
        except OSError:
            return False

    def card(self, owner: str) -> Card | None:
        """An owner's card, or None when it isn't there or can't be read."""
        if owner not in self._cards:
            try:
                self._cards[owner] = read_card(self.root, owner)
            except AgentkeysError:
                self._cards[owner] = None
        return self._cards[owner]

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.end - time.monotonic())

    @property
    def runtime(self) -> str:
        """The directory of this home's sockets. Raises AgentkeysError without a home."""
        return paths.runtime_dir(self.environ)

    @property
    def spots(self) -> "list[Spot]":
        """Where the owners' agents are, called once."""
        if self._spots is None:
            self._spots = self._find_spots()
            there = [spot for spot in self._spots if paths.exists(spot.path)][:MAX_CALLS]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for spot, made in zip(there, pool.map(self._call, there), strict=True):
                    spot.call = made
        return self._spots

    def agents(self, owner: str = "") -> "list[tuple[Spot, Call]]":
        """The live agents, of one owner or of all that are looked at."""
        found = [(spot, spot.call) for spot in self.spots if spot.call and spot.call.state == calls.AGENT]
        return [(spot, made) for spot, made in found if not owner or spot.owner == owner]

    def _find_spots(self) -> "list[Spot]":
        found: dict[str, Spot] = {}
        if not self.is_ours:
            return []
        for owner in self.owners:
            for path in usual_sockets(self.environ, owner):
                found[path] = Spot(owner, path, "")
            for lock in paths.agent_locks(self.root, owner):
                path = paths.lock_socket(lock)
                if path:
                    found[path] = Spot(owner, path, lock)
        return list(found.values())

    def _call(self, spot: Spot) -> Call:
        """An agent of another login session refuses a status and logs that, so it is greeted only."""
        ours = paths.login_session()
        curious = spot.session in (paths.UNSET_SESSION, ours) or ours == paths.UNSET_SESSION
        return calls.call(spot.path, curious, expected=bool(spot.lock) and lock_holder(spot.lock) != 0)
