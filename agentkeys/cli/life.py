"""agent, lock, status, relock: an agent's life."""

import sys
from typing import Annotated

from agentkeys import client, errors
from agentkeys.cli import agent_command, agent_options, all_agents, shells
from agentkeys.cli import options as o
from agentkeys.cli.grammar import Argument, Family, Option
from agentkeys.cli.values import prompt_hidden
from agentkeys.cli.work import home, owner_here
from agentkeys.client import verbs
from agentkeys.core import refs
from agentkeys.errors import NoAgent

app = Family()

MAX_NAMED = 5
"""Keys that a line names; more are counted."""


@app.command()
def agent(
    command: Annotated[
        list[str] | None, Argument(metavar="[-- COMMAND…]", help="What the agent lives for; needs the --.")
    ] = None,
    owner: o.Owner = "",
    robot: Annotated[
        bool, Option("--robot", help="Resume the only robot that has a session here; none or several: an error.")
    ] = False,
    sh: Annotated[bool, Option("-s", help="Print for sh: --shell sh.")] = False,
    csh: Annotated[bool, Option("-c", help="Print for csh: --shell csh.")] = False,
    shell: o.Shell = "",
    foreground: Annotated[bool, Option("-D", help="Stay in the foreground.")] = False,
    debug: Annotated[bool, Option("-d", help="The same, and say on stderr what happens.")] = False,
    path: Annotated[str | None, Option("-a", metavar="PATH", help="Start a private agent at this socket.")] = None,
    print_socket: Annotated[bool, Option("--print-socket", help="Print the socket's path alone.")] = False,
    unlock: Annotated[bool, Option("--unlock", help="Unlock the default env's keys as well.")] = False,
    auto_unlock: Annotated[
        bool, Option("--auto-unlock", help="Unlock, and again by itself before the keys expire.")
    ] = False,
    life: Annotated[
        str, Option("-t", metavar="TIME[:IDLE]", help="No key stays longer than TIME, or IDLE without a use.")
    ] = "",
    login_session: Annotated[
        str | None,
        Option("--login-session", metavar="uid|bound", help="Serve all of this user, or this login only."),
    ] = None,
    reload: Annotated[bool, Option("--reload", help="Have the owner's agents read config.toml again.")] = False,
    everyone: Annotated[
        bool, Option("--all", help="Start every owner's agent, or with -k stop them; a line for each.")
    ] = False,
    kill: Annotated[bool, Option("-k", help="Stop the owner's agent, or with -a that one.")] = False,
) -> int:
    """Start the owner's agent, or re-use the one that runs, and print what exports its socket.

    With a command, start a private agent that lives exactly as long as it.

    \b
    eval "$(agentkeys agent)"
    eval "$(agentkeys agent --for seaturtle --unlock)"
    agentkeys agent --for seaturtle --unlock -- make deploy
    agentkeys agent --all --auto-unlock
    agentkeys agent --all -k
    eval "$(agentkeys agent -k)"
    agentkeys agent | source      # fish
    eval "`agentkeys agent`"      # csh
    """
    if command and "--" not in sys.argv:
        raise errors.UsageFault("a command stands behind --", "agentkeys agent -- make deploy")
    options = agent_options.AgentOptions()
    options.owner, options.robot, options.everyone = owner, robot, everyone
    options.kill, options.reload = kill, reload
    options.foreground, options.debug, options.path = foreground, debug, path
    options.print_socket, options.unlock, options.login = print_socket, unlock, login_session
    options.auto_unlock, options.life = auto_unlock, life
    options.shell = shells.dialect(sh, csh, shell, "agent")
    options.command = command or ([] if "--" in sys.argv else None)
    return agent_command.run(options)


@app.command()
def lock(
    owner: o.Owner = "",
    passphrase: Annotated[bool, Option("--passphrase", help="Forget nothing, but serve nothing until --open.")] = False,
    reopen: Annotated[bool, Option("--open", help="Serve again what --passphrase locked.")] = False,
    as_json: o.Json = False,
) -> int:
    """Make all of the owner's agents on this machine forget everything, at once.

    With --passphrase they keep it, and serve none of it until --open and the same passphrase.

    \b
    agentkeys lock --for seaturtle
    agentkeys lock --passphrase
    agentkeys lock --open
    """
    if passphrase and reopen:
        raise errors.UsageFault("--passphrase and --open are two things", "agentkeys lock --open")
    root = home()
    name = owner_here(root, owner)
    if reopen:
        return all_agents.open_(root, name, prompt_hidden(f"passphrase that locked {name}'s agents: "), as_json)
    if not passphrase:
        return all_agents.lock(root, name, as_json)
    chosen = prompt_hidden(f"passphrase to lock {name}'s agents with: ")
    if not chosen:
        raise errors.UsageFault("an empty passphrase locks nothing", "agentkeys lock --passphrase")
    if prompt_hidden("the same again: ") != chosen:
        raise errors.UsageFault("the two passphrases differ", "agentkeys lock --passphrase")
    return all_agents.close(root, name, chosen, as_json)


@app.command()
def status(
    owner: o.Owner = "",
    sock: o.Sock = "",
    everyone: Annotated[bool, Option("--all", help="A line for each agent of each owner.")] = False,
    watch: Annotated[bool, Option("--watch", help="With --all: again and again, until q or Ctrl-C.")] = False,
    as_json: o.Json = False,
) -> int:
    """Say what the owner's agent holds, and for how long. With no agent it says so, and JSON is null.

    \b
    agentkeys status --for seaturtle --json
    agentkeys status --all
    agentkeys status --all --watch
    """
    if everyone:
        if owner or sock:
            raise errors.UsageFault(
                "--all is every owner, so it goes with neither --for nor --sock", "agentkeys status --all"
            )
        from agentkeys.cli import fleet_status  # threads and a terminal's modes, which one agent's status needs not

        return fleet_status.show(home(), watch, as_json)
    if watch:
        raise errors.UsageFault("--watch goes with --all", "agentkeys status --all --watch")
    options = o.gather("status", owner, sock)
    options.json = as_json
    root = home()
    options.owner = owner_here(root, owner)
    try:
        return verbs.status(options)
    except NoAgent as fault:
        if as_json:
            return client.write_out(b"null\n")
        return client.write_out(f"{client.printable(fault.message)}\n".encode())


@app.command()
def relock(
    name: Annotated[str, Argument(metavar="[NAME]", help="Only this key.")] = "",
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
    options.owner = owner_here(root, owner)
    try:
        slugs = verbs.forget(options)
    except NoAgent:
        if not as_json:
            client.note(f"no agent for {options.owner}, so nothing was unlocked")
        return verbs.report_relocked([], as_json)
    if not slugs and not as_json and (still := all_agents.unlocked(root, options.owner)):
        what = f"{name or key}" + (f" in env {env}" if env else "") if name or key else f"of env {env}"
        return client.write_out(f"no unlocked key {what} here; {_in_short(still)}\n".encode("ascii"))
    return verbs.report_relocked(slugs, as_json)


def _in_short(slugs: "list[str]") -> str:
    """What still is unlocked: by name while that fits a line or two."""
    if len(slugs) > MAX_NAMED:
        return f"{len(slugs)} others are unlocked: agentkeys status"
    return f"still unlocked: {', '.join(slugs)}"
