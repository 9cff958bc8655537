"""Starting an agent: one of any number of callers spawns it, everyone else waits and re-uses it."""

import json
import os
import posix

from agentkeys import client, paths, procs
from agentkeys.errors import AgentkeysError, NoAgent
from agentkeys.stores import atomic

SCRIPT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/agent/__main__.py"

START_LOCK_SECONDS = 20.0
"""How long to wait for another caller's start: twice what that caller may take itself."""


def start_agent(root: str, owner: str) -> client.Connection:
    """A connection to the owner's discoverable agent, started if need be.

    Raises TimedOut, and what the new agent answered when it couldn't start.
    """
    try:
        return client.discover(posix.environ, root, owner)
    except NoAgent:
        run = paths.run_dir(root, owner)
        atomic.make_private_dir(run)
    with atomic.FileLock(f"{run}/start", START_LOCK_SECONDS):
        try:
            return client.discover(posix.environ, root, owner)
        except NoAgent:
            _spawn(root, owner, run)
        return client.discover(posix.environ, root, owner)


def _spawn(root: str, owner: str, run: str) -> None:
    session = paths.login_session()
    lock = "agent" if session == paths.UNSET_SESSION else f"session-{session}"
    arguments = ["--for", owner, "--home", root, "--socket", client.usual_sockets(posix.environ, owner)[0]]
    arguments += ["--lock", f"{run}/{lock}.lock", "--session", str(session), "--wallet", _wallet(root, owner)]
    arguments += ["--config", paths.config_file(posix.environ)]
    answer = procs.read_answer(SCRIPT, arguments).decode(paths.FS_ENCODING, "surrogateescape").split("\n")
    if answer[0] == "error" and len(answer) >= 4:
        code = int(answer[1]) if answer[1].isdigit() else 1
        raise AgentkeysError(answer[2], answer[3], code)
    if answer[0] == "ok" and session == paths.UNSET_SESSION:
        client.note("no login session here, so every process of this user may ask this agent")


def _wallet(root: str, owner: str) -> str:
    """The owner's wallet for `status`, from its public card."""
    try:
        with open(paths.owner_card(root, owner), "rb") as card:
            return str(json.loads(card.read(65536))["wallet"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
