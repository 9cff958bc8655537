"""What is done with one agent, whether it is the only one or one of all: where it is, what it is brought, its end."""

from agentkeys.cli import start
from agentkeys.cli.agent_options import AgentOptions
from agentkeys.client.connection import Connection
from agentkeys.core import refs
from agentkeys.errors import NoAgent, OutcomeUnknown, UsageFault
from agentkeys.worker.job import Answer


def site_of(options: AgentOptions, root: str, owner: str) -> start.Site:
    """Where the agent is to be, and within which limits. Raises UsageFault."""
    if options.path is not None or options.command is not None:
        site = start.private(root, owner, options.path or "", options.login or "")
    else:
        site = start.discoverable(root, owner, options.login or "")
    longest, colon, idle = options.life.partition(":")
    if options.life:
        try:
            site.longest = refs.parse_duration(longest)
            site.idle = refs.parse_duration(idle) if colon else 0
        except UsageFault as fault:
            raise UsageFault(fault.message, "agentkeys agent -t 8h:30m") from None
    return site


def unlock_fields(options: AgentOptions, root: str, owner: str, socket: str) -> "list[tuple[str, bytes | str]]":
    """The worker's job: the default env's keys, into the agent at `socket`."""
    fields: list[tuple[str, bytes | str]] = [("home", root), ("owner", owner), ("socket", socket)]
    fields += [("org", refs.ANY_ORG), ("env", refs.ANY_ENV), ("duration", "0")]
    return [*fields, ("auto", "1")] if options.auto_unlock else fields


def keys_brought(answer: Answer) -> str:
    """How many keys an unlock brought, in words."""
    count = sum([len(row.split(b"\n")) - 1 for effect, row in answer.rows if effect in ("unlocked", "capped")])
    return f"{count} {'key' if count == 1 else 'keys'}"


def stop(connection: Connection) -> None:
    """Ask an agent to leave, and wait until it has. Raises NoAgent, TimedOut and what it answers."""
    connection.ask(b"stop", waits=True)
    try:
        connection.ask(b"ping")  # never answered: its end is the sign that socket and lock are gone
    except (NoAgent, OutcomeUnknown):
        pass
