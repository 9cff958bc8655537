"""Starting an agent: one of any number of callers spawns it, everyone else waits and re-uses it.

A discoverable agent is found by its owner's name and re-used; a private one has a socket that nobody else knows of,
and is always a new one.
"""

import json
import os
import posix
import time
from typing import NoReturn

from agentkeys import client, paths, procs
from agentkeys.cli import robots
from agentkeys.client.connection import Connection, discover
from agentkeys.errors import AgentkeysError, NoAgent, OutcomeUnknown, UsageFault
from agentkeys.stores import atomic

SCRIPT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/agent/__main__.py"

START_LOCK_SECONDS = 20.0
"""How long to wait for another caller's start: twice what that caller may take itself."""

BUSY_TRIES, BUSY_PAUSE = 100, 0.02
"""How often to look for an agent that has its lock and doesn't listen yet, and seconds between; `-D` is one."""


class Site:
    """Where an agent is to live, and for whom."""

    def __init__(self, root: str, owner: str, name: str, socket: str, session: int) -> None:
        self.root = root
        self.owner = owner
        self.run = paths.run_dir(root, owner)
        self.lock = f"{self.run}/{name}.lock"
        self.socket = socket
        self.session = session
        """The login session it serves, or UNSET_SESSION for all of this user's processes."""
        self.private = ""
        """As the agent's option of that name."""
        self.longest = self.idle = 0
        """Seconds that keys stay at most, and without a use; 0 for what config.toml says."""
        self.started = False
        """Whether it was us who started the agent there."""
        self.handed_over = False
        """Whether the socket listens already, as descriptor 3."""
        self.auto_unlock = False
        """Whether the agent unlocks by itself before it serves anybody, and again before that expires."""
        self.quiet = False
        """Whether a start says nothing of whom the agent serves: one of many says it for all."""
        self.exact = False
        """Whether an agent of another kind (login session or not) won't do."""


def session_for(login: str) -> int:
    """The login session that --login-session `login` binds an agent to. Raises UsageFault when there is none."""
    session = paths.UNSET_SESSION if login == "uid" else paths.login_session()
    if login == "bound" and session == paths.UNSET_SESSION:
        raise UsageFault("there is no login session here to bind the agent to", "agentkeys agent --login-session uid")
    return session


def discoverable(root: str, owner: str, login: str = "") -> Site:
    """The one place of an owner's agent, in this login session if there is one. Raises UsageFault."""
    session = session_for(login)
    name = "agent" if session == paths.UNSET_SESSION else f"session-{session}"
    site = Site(root, owner, name, paths.socket(paths.runtime_dir(posix.environ), owner, session), session)
    site.exact = bool(login)
    return site


def private(root: str, owner: str, path: str = "", login: str = "") -> Site:
    """A place that only AGENTKEYS_SOCK leads to: `path`, or a new one. Raises UsageFault."""
    token = os.urandom(8).hex()
    directory = paths.runtime_dir(posix.environ)
    socket = named_socket(path) if path else paths.private_socket(directory, owner, token)
    name = paths.PRIVATE_AT + paths.digest(paths.to_bytes(socket), 8) if path else paths.PRIVATE + token
    site = Site(root, owner, name, socket, session_for(login))
    site.private = "at" if path else "own"
    return site


def named_socket(path: str) -> str:
    """The absolute path of a socket that the user named. Raises UsageFault for one that can't be."""
    if "\n" in path or "\0" in path:
        raise UsageFault("a socket's path can't hold a newline", "agentkeys agent -a /path/to/socket")
    whole = path if path.startswith("/") else f"{os.getcwd()}/{path}"
    if len(paths.to_bytes(whole)) > paths.MAX_SOCKET_PATH:
        raise UsageFault(
            f"{whole} is over {paths.MAX_SOCKET_PATH} bytes, more than a socket's address holds",
            "agentkeys agent -a /a/shorter/path",
        )
    if whole.endswith("/"):
        raise UsageFault(f"{whole} names a directory, not a socket", f"agentkeys agent -a {whole}agent.sock")
    return whole


def start_agent(site: Site) -> Connection:
    """A connection to the agent of a discoverable site, started if need be.

    Raises TimedOut, and what the new agent answered when it couldn't start.
    """
    found = running(site)
    if found is not None:
        return found
    atomic.make_private_dir(site.run)
    with atomic.FileLock(f"{site.run}/start", START_LOCK_SECONDS):
        found = running(site)
        if found is None:
            pid = _spawn(site, 0)
            found = running(site)
            for _ in range(0 if pid else BUSY_TRIES):
                if found is None:
                    time.sleep(BUSY_PAUSE)
                    found = running(site)
    if found is None:
        raise AgentkeysError("the new agent is gone again", f"agentkeys status --for {site.owner}")
    return found


def start_private(site: Site, watch: int = 0) -> int:
    """Start an agent at a private site; its pid. With `watch`, it ends with that process.

    Raises what it answered when it couldn't start.
    """
    atomic.make_private_dir(site.run)
    pid = _spawn(site, watch)
    if not pid:
        raise UsageFault(
            f"{site.socket} is in the way: another agent of {site.owner} listens on it",
            f"agentkeys agent -k --for {site.owner} -a {site.socket}",
        )
    return pid


def serve_here(site: Site, say: bytes, otherwise: bytes, debug: bool) -> NoReturn:
    """Become the agent. `say` goes to stdout once its socket answers, or `otherwise`. Raises UsageFault, ….

    A pid in `say` is our own, which stays the same.
    """
    if not site.private and not site.handed_over and running(site) is not None:
        raise UsageFault(f"an agent of {site.owner} runs already", f"agentkeys agent -k --for {site.owner}")
    atomic.make_private_dir(site.run)
    texts = [text.decode(paths.FS_ENCODING, "surrogateescape") for text in (say, otherwise)]
    arguments = [*_arguments(site), "--say", texts[0], "--otherwise", texts[1], "--note", whom_it_serves(site)]
    arguments += ["--auto-unlock", "yes"] if site.auto_unlock else []
    manager = paths.env_text(posix.environ, b"NOTIFY_SOCKET")
    arguments += ["--notify", manager] if manager else []
    procs.become(SCRIPT, [*arguments, "--debug", "yes"] if debug else arguments)


def running(site: Site) -> Connection | None:
    """A connection to the running agent, which answered; None when none does. A pid or a file proves nothing."""
    try:
        connection = _exactly(site) if site.exact else discover(posix.environ, site.root, site.owner)
        connection.ask(b"ping")
    except (NoAgent, OutcomeUnknown):
        return None
    return connection


def _exactly(site: Site) -> Connection:
    """Connect to the site's own agent, wherever its lock file says it listens. Raises NoAgent, Denied."""
    for path in (site.socket, paths.lock_socket(site.lock)):
        if path and paths.exists(path):
            try:
                return Connection(path, site.owner, paths.home_id(site.root))
            except NoAgent:
                continue
    raise NoAgent(f"no agent for {site.owner}")


def _spawn(site: Site, watch: int) -> int:
    """Start an agent in the background; its pid, or 0 when another one holds the lock."""
    arguments = [*_arguments(site), "--watch", str(watch)] if watch else _arguments(site)
    answer = procs.read_answer(SCRIPT, arguments).decode(paths.FS_ENCODING, "surrogateescape").split("\n")
    if answer[0] == "error" and len(answer) >= 4:
        code = int(answer[1]) if answer[1].isdigit() else 1
        raise AgentkeysError(answer[2], answer[3], code)
    if answer[0] != "ok":
        return 0
    site.started = True
    if not watch and not site.quiet and (note := whom_it_serves(site)):
        client.note(note)
    return int(answer[1])


def whom_it_serves(site: Site) -> str:
    """What is said once, at the start of an agent that tells none of this user's processes apart; "" for others."""
    if site.session != paths.UNSET_SESSION:
        return ""
    why = "no login session here" if paths.login_session() == paths.UNSET_SESSION else "bound to no login session"
    return f"{why}, so every process of this user may ask this agent"


def _arguments(site: Site) -> "list[str]":
    """The agent's command line, which is public."""
    arguments = ["--for", site.owner, "--home", site.root, "--socket", site.socket, "--lock", site.lock]
    arguments += ["--session", str(site.session), "--wallet", _wallet(site.root, site.owner)]
    arguments += ["--config", paths.config_file(posix.environ)]
    arguments += ["--longest", str(site.longest), "--idle", str(site.idle)]
    arguments += robots.start_arguments(site.root, site.owner)
    arguments += ["--handed-over", "yes"] if site.handed_over else []
    return [*arguments, "--private", site.private] if site.private else arguments


def _wallet(root: str, owner: str) -> str:
    """The owner's wallet for `status`, from its public card."""
    try:
        return str(json.loads(paths.read_small(paths.owner_card(root, owner)))["wallet"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
