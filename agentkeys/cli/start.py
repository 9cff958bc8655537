"""Starting an agent: one of any number of callers spawns it, everyone else waits and re-uses it."""

import json
import os
import posix

from agentkeys import client, paths, procs
from agentkeys.errors import AgentkeysError, NoAgent, OutcomeUnknown
from agentkeys.stores import atomic

SCRIPT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/agent/__main__.py"

START_LOCK_SECONDS = 20.0
"""How long to wait for another caller's start: twice what that caller may take itself."""


def start_agent(root: str, owner: str) -> client.Connection:
    """A connection to the owner's discoverable agent, started if need be.

    Raises TimedOut, and what the new agent answered when it couldn't start.
    """
    found = _running(root, owner)
    if found is not None:
        return found
    run = paths.run_dir(root, owner)
    atomic.make_private_dir(run)
    with atomic.FileLock(f"{run}/start", START_LOCK_SECONDS):
        found = _running(root, owner)
        if found is None:
            _spawn(root, owner, run)
            found = _running(root, owner)
    if found is None:
        raise AgentkeysError("the new agent is gone again", f"agentkeys status --for {owner}")
    return found


def _running(root: str, owner: str) -> client.Connection | None:
    """A connection to the running agent, which answered; None when none does. A pid or a file proves nothing."""
    try:
        connection = client.discover(posix.environ, root, owner)
        connection.ask(b"ping")
    except (NoAgent, OutcomeUnknown):
        return None
    return connection


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
