"""agent, status, relock: an agent's life."""

from typing import Annotated

import typer

from agentkeys import client, errors
from agentkeys.cli import options as o
from agentkeys.cli import shells
from agentkeys.cli.start import start_agent
from agentkeys.cli.work import home, no_agent, owner_named, require_owner
from agentkeys.core import refs
from agentkeys.errors import NoAgent
from agentkeys.inject import exports

app = o.new_app()


@app.command()
def agent(
    owner: o.Owner = "",
    sh: Annotated[bool, typer.Option("-s", help="Print for sh: --shell sh.")] = False,
    csh: Annotated[bool, typer.Option("-c", help="Print for csh: --shell csh.")] = False,
    shell: o.Shell = "",
    kill: Annotated[bool, typer.Option("-k", help="Stop the owner's agent.")] = False,
) -> int:
    """Start the owner's agent, or re-use the one that runs, and print what exports its socket.

    \b
    eval "$(agentkeys agent)"
    eval "$(agentkeys agent --for seaturtle)"
    eval "$(agentkeys agent -k)"
    agentkeys agent | source      # fish
    eval "`agentkeys agent`"      # csh
    """
    dialect = shells.dialect(sh, csh, shell, "agent")
    root = home()
    name = owner_named(root, owner)
    require_owner(root, name)
    if kill:
        return _kill(root, name, dialect)
    connection = start_agent(root, name)
    return exports.print_exports(dialect, connection.path, connection.pid, name)


def _kill(root: str, owner: str, dialect: str) -> int:
    """Ask the agent to leave; no pid is ever signalled."""
    options = o.gather("agent", owner)
    caller = client.Caller(options)
    try:
        caller.connect().ask(b"stop")
    except NoAgent as fault:
        raise no_agent(root, owner, fault) from None
    return exports.print_unsets(dialect)


@app.command()
def status(owner: o.Owner = "", sock: o.Sock = "", as_json: o.Json = False) -> int:
    """Say what the owner's agent holds, and for how long. With no agent it says so, and JSON is null.

    \b
    agentkeys status --for seaturtle --json
    """
    options = o.gather("status", owner, sock)
    options.json = as_json
    root = home()
    options.owner = owner_named(root, owner)
    require_owner(root, options.owner)
    try:
        return client.status(options)
    except NoAgent as fault:
        if as_json:
            return client.write_out(b"null\n")
        return client.write_out(f"{client.printable(fault.message)}\n".encode())


@app.command()
def relock(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only this key.")] = "",
    owner: o.Owner = "",
    key: o.Key = "",
    env: o.Env = "",
    as_json: o.Json = False,
) -> int:
    """Make all of the owner's agents forget: everything, one key, or one env's.

    \b
    agentkeys relock --for seaturtle
    agentkeys relock --key GITHUB_TOKEN
    """
    if name and key:
        raise errors.UsageFault("name one key", "agentkeys relock GITHUB_TOKEN")
    options = o.gather("relock", owner, env=refs.check_env(env) if env else "")
    options.json = as_json
    options.keys = [name or key] if name or key else []
    root = home()
    options.owner = owner_named(root, owner)
    require_owner(root, options.owner)
    try:
        return client.relock(options)
    except NoAgent:
        if not as_json:
            client.note(f"no agent for {options.owner}, so nothing was unlocked")
        return client.report_relocked([], as_json)
