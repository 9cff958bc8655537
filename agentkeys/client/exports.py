"""What `agentkeys agent` prints when the agent is there already, in sh's words."""

from agentkeys import paths
from agentkeys.client import Caller, Options, Unclear, note, write_out
from agentkeys.client.connection import Connection, discover
from agentkeys.errors import OutcomeUnknown, UsageFault

PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-")
"""Bytes that survive an unquoted `eval $(…)` in every shell."""


def agent(options: Options) -> int:
    """Re-use the owner's agent: print what `eval` exports."""
    caller = Caller(options)
    connection = reuse(caller)
    return print_exports(connection.path, connection.pid, caller.owner)


def reuse(caller: Caller) -> Connection:
    """A connection to the owner's discoverable agent, which answered. Raises NoAgent, Unclear."""
    connection = discover(caller.environ, caller.root, caller.owner)
    try:
        connection.ask(b"ping")
    except OutcomeUnknown:
        raise Unclear from None  # it hung up: a dying agent, or no agent at all
    return connection


def exported(path: str, pid: int, owner: str) -> "list[tuple[bytes, bytes]]":
    """The variables that `agentkeys agent` exports. Raises UsageFault for a path that no line can carry."""
    raw = paths.to_bytes(path)
    if b"\n" in raw or b"\0" in raw:
        raise UsageFault("the socket's path holds a newline, which no shell line can carry", "unset XDG_RUNTIME_DIR")
    return [
        (b"AGENTKEYS_SOCK", raw),
        (b"AGENTKEYS_AGENT_PID", b"%d" % pid),
        (b"AGENTKEYS_OWNER", owner.encode("ascii")),
    ]


def print_exports(path: str, pid: int, owner: str) -> int:
    """Print what `agentkeys agent` prints."""
    return write_out(exports(path, pid, owner))


def exports(path: str, pid: int, owner: str) -> bytes:
    """The sh lines that `agentkeys agent` prints, ssh-agent's shape; quoted only where the path needs it."""
    lines = []
    for name, value in exported(path, pid, owner):
        quoted = value if PLAIN.issuperset(value) else b"'" + value.replace(b"'", b"'\\''") + b"'"
        if quoted is not value:
            note('the socket\'s path needs quotes: write eval "$(agentkeys agent)", with the double quotes')
        lines.append(b"%s=%s; export %s;\n" % (name, quoted, name))
    return b"".join(lines)
