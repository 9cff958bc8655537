"""`agentkeys agent`: what its flags mean together. It loads no typer, because scripts and shell start-up files wait.

parse() takes a plain command line; help, clustered letters and mistakes are left to the typer command in `life`,
which hands the same options to run().
"""

import posix
from typing import NoReturn

from agentkeys import client, paths
from agentkeys.cli import activation, robots, shells, start
from agentkeys.cli.work import home, no_agent, owner_named, require_owner, work
from agentkeys.client.command import DEFAULT_PATH, become, drop_coercion, find_program
from agentkeys.client.connection import Connection
from agentkeys.core import refs
from agentkeys.errors import DENIED, OK, AgentkeysError, NoAgent, OutcomeUnknown, UsageFault
from agentkeys.inject import exports
from agentkeys.worker.job import Answer

FALSE = b"false;\n"
"""What makes an `eval` of our output fail."""


class AgentOptions:
    """What was asked for."""

    def __init__(self) -> None:
        self.owner = ""
        """The text after --for, or "" for the default."""
        self.everyone = False
        """Whether every owner is meant."""
        self.robot = False
        """Whether, without a name, the only robot that has a session is meant."""
        self.kill = False
        self.reload = False
        self.foreground = False
        self.debug = False
        self.path: str | None = None
        """The socket that -a names."""
        self.print_socket = False
        self.unlock = False
        self.auto_unlock = False
        self.life = ""
        """What -t says: the longest time, or that and the idle limit."""
        self.shell = ""
        """The dialect to print in: sh, csh, fish or json."""
        self.login: str | None = None
        """What --login-session says: uid or bound."""
        self.command: list[str] | None = None
        """What stands behind --; None without one."""


_FLAGS = {
    "--all": "everyone",
    "--robot": "robot",
    "-k": "kill",
    "-D": "foreground",
    "-d": "debug",
    "--reload": "reload",
    "--print-socket": "print_socket",
    "--unlock": "unlock",
    "--auto-unlock": "auto_unlock",
}
_TEXTS = {
    "--for": "owner",
    "--owner": "owner",
    "-a": "path",
    "--login-session": "login",
    "-t": "life",
    "--shell": "shell",
}
_DIALECTS = {"-s": "sh", "-c": "csh"}


def parse(words: "list[str]") -> AgentOptions | None:
    """The options of a plain command line, or None for anything that isn't."""
    options = AgentOptions()
    at = 0
    dialects = []
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            options.command = words[at:]
            break
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name in _FLAGS and not equals:
            setattr(options, _FLAGS[name], True)
        elif name in _TEXTS:
            if not equals:
                if at == len(words):
                    return None
                value = words[at]
                at += 1
            if not value:
                return None
            setattr(options, _TEXTS[name], value)
        elif name in _DIALECTS and not equals:
            dialects.append(name)
        else:
            return None
    options.shell = shells.dialect("-s" in dialects, "-c" in dialects, options.shell, "agent")
    return options


def run(options: AgentOptions) -> int:
    """Start, find, stop or become an agent; the exit code. Raises AgentkeysError."""
    _check(options)
    program = _program(options)
    root = home()
    if options.everyone and options.kill:
        from agentkeys.cli import fleet_stop  # threads, which no single end needs

        return fleet_stop.stop_all(root)
    if options.everyone:
        from agentkeys.cli import fleet_start  # threads, which no single start needs

        return fleet_start.start_all(options, root)
    owner = _owner(options, root)
    if options.kill:
        return _kill(root, owner, options)
    if options.reload:
        from agentkeys.cli import all_agents  # threads, which no start needs

        return all_agents.reload(root, owner)
    if program is not None:
        return _run_command(options, root, owner, program)
    if options.foreground or options.debug:
        _serve_here(options, root, owner)
    if options.path is not None:
        site = site_of(options, root, owner)
        pid, path = start.start_private(site), site.socket
    else:
        site = site_of(options, root, owner)
        connection = start.start_agent(site)
        pid, path = connection.pid, connection.path
        connection.close()
        if options.life and not site.started:
            client.note("the agent ran already, so -t changes nothing: agentkeys agent -k, then start it again")
    if options.unlock or options.auto_unlock:
        unlock(options, root, owner, path)
    return client.write_out(_told(options, path, pid, owner))


def _owner(options: AgentOptions, root: str) -> str:
    """Whose agent it is to be. Raises UsageFault, and for a robot why its session can't be had."""
    if options.robot:
        return robots.resumed(root, options.owner)
    owner = owner_named(root, options.owner)
    require_owner(root, owner)
    return owner


def _check(options: AgentOptions) -> None:
    """Refuse flags that contradict each other. Raises UsageFault."""
    serving = options.foreground or options.debug
    starting = (
        serving
        or options.unlock
        or options.auto_unlock
        or bool(options.life)
        or options.print_socket
        or options.robot
        or options.command is not None
    )
    starting = starting or options.login is not None
    if options.kill and (options.reload or starting):
        raise UsageFault("-k goes with --for, -a and --all only", "agentkeys agent -k")
    if options.reload and (starting or options.path is not None):
        raise UsageFault("--reload goes with --for only", "agentkeys agent --reload")
    if options.login not in (None, "uid", "bound"):
        raise UsageFault("--login-session is uid or bound", "agentkeys agent --login-session uid")
    if options.everyone:
        _check_everyone(options)
    if options.path == "":
        raise UsageFault("-a names no socket", "agentkeys agent -a /path/to/socket")
    if serving and options.unlock:
        raise UsageFault(
            "an agent in the foreground takes --auto-unlock, or is unlocked from another shell",
            "agentkeys agent -D --auto-unlock",
        )
    if options.command is None:
        return
    if not options.command:
        raise UsageFault("no command to run", "agentkeys agent --unlock -- make deploy")
    if serving or options.print_socket:
        raise UsageFault("an agent for a command takes neither -D nor -d nor --print-socket", "agentkeys agent --help")


def _check_everyone(options: AgentOptions) -> None:
    """Refuse what only one agent can do. Raises UsageFault."""
    one = options.reload or options.foreground or options.debug or options.print_socket
    if one or options.owner or options.path is not None or options.command is not None:
        raise UsageFault(
            "--all goes with -k, --unlock, --auto-unlock, -t and --login-session only",
            "agentkeys agent --all --auto-unlock",
        )


def _told(options: AgentOptions, path: str, pid: int, owner: str) -> bytes:
    """What goes to stdout once the agent answers."""
    return paths.to_bytes(path) + b"\n" if options.print_socket else exports.exports(options.shell, path, pid, owner)


def site_of(options: AgentOptions, root: str, owner: str) -> start.Site:
    """Where the agent is to be, and within which limits. Raises UsageFault."""
    if options.path is not None or options.command is not None:
        site = start.private(root, owner, options.path or "", options.login or "")
    else:
        site = start.discoverable(root, owner, options.login or "")
    longest, colon, idle = options.life.partition(":")
    if options.life:
        site.longest = refs.parse_duration(longest)
        site.idle = refs.parse_duration(idle) if colon else 0
    return site


def _serve_here(options: AgentOptions, root: str, owner: str) -> NoReturn:
    """Become the agent; its pid is ours."""
    site = site_of(options, root, owner)
    site.auto_unlock = options.auto_unlock
    path = activation.handed_over()
    if path:
        if options.path is not None:
            raise UsageFault("-a names one socket, and another one is handed over", "agentkeys agent -D")
        site.socket, site.handed_over = path, True
    say = _told(options, site.socket, posix.getpid(), owner)
    start.serve_here(site, say, b"" if options.print_socket else FALSE, options.debug)


def unlock(options: AgentOptions, root: str, owner: str, socket: str) -> None:
    """Bring the default env's keys into the agent at `socket`. Raises what the worker answered.

    What can't be brought is said; it fails the verb only where a vault failed.
    """
    answer = work("unlock", unlock_fields(options, root, owner, socket))
    for row in answer.texts("undone"):
        state, slug, why = row.split("\n", 2)
        client.note(f"{state} {slug}: {why}")
    if posix.isatty(2):
        client.note(f"{keys_brought(answer)} unlocked")
    code = int(answer.text("code"))
    if code not in (OK, DENIED):
        raise AgentkeysError("not everything could be unlocked", f"agentkeys unlock --for {owner}", code)


def unlock_fields(options: AgentOptions, root: str, owner: str, socket: str) -> "list[tuple[str, bytes | str]]":
    """The worker's job: the default env's keys, into the agent at `socket`."""
    fields: list[tuple[str, bytes | str]] = [("home", root), ("owner", owner), ("socket", socket)]
    fields += [("org", refs.ANY_ORG), ("env", refs.ANY_ENV), ("duration", "0")]
    return [*fields, ("auto", "1")] if options.auto_unlock else fields


def keys_brought(answer: Answer) -> str:
    """How many keys an unlock brought, in words."""
    count = sum([len(row.split(b"\n")) - 1 for effect, row in answer.rows if effect in ("unlocked", "capped")])
    return f"{count} {'key' if count == 1 else 'keys'}"


# --- for one command -----------------------------------------------------------------------------------------


def _program(options: AgentOptions) -> "tuple[bytes, list[bytes]] | None":
    """The program and argv of the command, found before anything is started. Raises AgentkeysError, 126 or 127."""
    if options.command is None:
        return None
    return find_program(options.command, posix.environ.get(b"PATH", DEFAULT_PATH), "agent")


def _run_command(options: AgentOptions, root: str, owner: str, program: "tuple[bytes, list[bytes]]") -> int:
    """Start a private agent that watches this process, then become the command. Returns only on failure.

    From the start of the agent on our end, however it comes, is the agent's end: nothing has to be cleaned up here.
    """
    site = site_of(options, root, owner)
    pid = start.start_private(site, watch=posix.getpid())
    environ = dict(posix.environ)
    drop_coercion(environ)
    if options.unlock or options.auto_unlock:
        unlock(options, root, owner, site.socket)
        environ.pop(b"AGENTKEYS_IDENTITY", None)  # it has done its work: the command can use keys and open no rack
    environ[b"AGENTKEYS_SOCK"] = paths.to_bytes(site.socket)
    environ[b"AGENTKEYS_AGENT_PID"] = b"%d" % pid
    environ[b"AGENTKEYS_OWNER"] = owner.encode("ascii")
    return become(*program, environ)


# --- its end -------------------------------------------------------------------------------------------------


def _kill(root: str, owner: str, options: AgentOptions) -> int:
    """Ask the agent to leave, and wait until it has; no pid is ever signalled. Raises NoAgent, naming others."""
    try:
        path = options.path
        connection = client.Caller(_stop_options(owner)).connect() if path is None else _named(root, owner, path)
        stop(connection)
    except NoAgent as fault:
        raise no_agent(root, owner, fault) from None
    if posix.isatty(1) and b"AGENTKEYS_SOCK" in posix.environ:
        client.note(
            'no shell took these lines, and this one still has the variables; next time: eval "$(agentkeys agent -k)"'
        )
    return exports.print_unsets(options.shell)


def stop(connection: Connection) -> None:
    """Ask an agent to leave, and wait until it has. Raises NoAgent, TimedOut and what it answers."""
    connection.ask(b"stop", waits=True)
    try:
        connection.ask(b"ping")  # never answered: its end is the sign that socket and lock are gone
    except (NoAgent, OutcomeUnknown):
        pass


def _stop_options(owner: str) -> client.Options:
    options = client.Options("agent")
    options.owner = owner
    return options


def _named(root: str, owner: str, path: str) -> Connection:
    """The agent at the socket that -a names. Raises NoAgent, UsageFault."""
    whole = start.named_socket(path)
    try:
        return Connection(whole, owner, paths.home_id(root))
    except NoAgent:
        raise NoAgent(f"no agent answers at {whole}, which -a names", f"agentkeys status --for {owner}") from None
