"""`agentkeys agent`: what is done. It loads no typer, because scripts and shell start-up files wait."""

import posix
from typing import NoReturn

from agentkeys import client, paths
from agentkeys.cli import activation, one_agent, robots, start
from agentkeys.cli.agent_options import AgentOptions, check
from agentkeys.cli.work import home, no_agent, owner_here, work
from agentkeys.client.command import DEFAULT_PATH, become, drop_coercion, find_program
from agentkeys.client.connection import Connection
from agentkeys.errors import DENIED, OK, AgentkeysError, NoAgent, UsageFault
from agentkeys.inject import exports

FALSE = b"false;\n"
"""What makes an `eval` of our output fail."""


def run(options: AgentOptions) -> int:
    """Start, find, stop or become an agent; the exit code. Raises AgentkeysError."""
    check(options)
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
        site = one_agent.site_of(options, root, owner)
        pid, path = start.start_private(site), site.socket
    else:
        site = one_agent.site_of(options, root, owner)
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
    return owner_here(root, options.owner)


def _told(options: AgentOptions, path: str, pid: int, owner: str) -> bytes:
    """What goes to stdout once the agent answers."""
    return paths.to_bytes(path) + b"\n" if options.print_socket else exports.exports(options.shell, path, pid, owner)


def _serve_here(options: AgentOptions, root: str, owner: str) -> NoReturn:
    """Become the agent; its pid is ours."""
    site = one_agent.site_of(options, root, owner)
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
    answer = work("unlock", one_agent.unlock_fields(options, root, owner, socket))
    for row in answer.texts("undone"):
        state, slug, why = row.split("\n", 2)
        client.note(f"{state} {slug}: {why}")
    if posix.isatty(2):
        client.note(f"{one_agent.keys_brought(answer)} unlocked")
    code = int(answer.text("code"))
    if code not in (OK, DENIED):
        raise AgentkeysError("not everything could be unlocked", f"agentkeys unlock --for {owner}", code)


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
    site = one_agent.site_of(options, root, owner)
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
        one_agent.stop(connection)
    except NoAgent as fault:
        raise no_agent(root, owner, fault) from None
    if posix.isatty(1) and b"AGENTKEYS_SOCK" in posix.environ:
        client.note(
            'no shell took these lines, and this one still has the variables; next time: eval "$(agentkeys agent -k)"'
        )
    return exports.print_unsets(options.shell)


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
