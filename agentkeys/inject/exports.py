"""The verbs that print what a shell runs: `source`, and `agent` for a shell other than sh.

Rule 1: all is rendered before a byte is printed, so that a failure prints `false;` and nothing else.
Rule 2: the values come from the agent, by the request that `exec` makes; nothing is decrypted or started.
"""

import posix

from agentkeys import client
from agentkeys.client import Caller, Options, ask_keys, settle_repo
from agentkeys.client.connection import Connection
from agentkeys.errors import ABSENT, LOCKED, AgentkeysError, Denied, UsageFault
from agentkeys.inject.dialects import DIALECTS, PLAIN

EVAL = {"sh": 'eval "$(agentkeys source)"', "csh": 'eval "`agentkeys source`"', "fish": "agentkeys source | source"}
"""How each shell takes what `source` prints."""

Given = list[tuple[str, bytes]]
"""Variables and their values."""

LEFT_OUT = "left-out"
"""Stands for a variable's name before the reason why one isn't given; agentkeys-protocol(7)."""

SUDO_ENV = "sudo"
"""agentkeys.core.refs has it, which is too much to load for one word."""


def agent(options: Options) -> int:
    """Re-use the owner's agent, and print its exports in the dialect of `options.shell`."""
    from agentkeys.client.exports import reuse

    caller = Caller(options)
    connection = reuse(caller)
    return print_exports(options.shell, connection.path, connection.pid, caller.owner)


def print_exports(shell: str, path: str, pid: int, owner: str) -> int:
    """Print what `agentkeys agent` prints."""
    return client.write_out(exports(shell, path, pid, owner))


def exports(shell: str, path: str, pid: int, owner: str) -> bytes:
    """What `agentkeys agent` prints. Raises UsageFault for a path that the dialect can't carry."""
    from agentkeys.client import exports as sh

    if shell == "sh":
        return sh.exports(path, pid, owner)
    dialect = DIALECTS[shell]
    exported = sh.exported(path, pid, owner)
    text = dialect.join([dialect.export(name.decode("ascii"), value) for name, value in exported])
    if shell == "csh" and not PLAIN.issuperset(exported[0][1]):
        client.note('the socket\'s path needs quotes: write eval "`agentkeys agent`", with the double quotes')
    return text


def print_unsets(shell: str) -> int:
    """What `agentkeys agent -k` prints."""
    dialect = DIALECTS[shell]
    names = ("AGENTKEYS_SOCK", "AGENTKEYS_AGENT_PID", "AGENTKEYS_OWNER")
    return client.write_out(dialect.join([dialect.unset(name) for name in names]))


def source(options: Options) -> int:
    """Print statements that set the keys: all or none of them, or, lenient, those that can be given."""
    if options.env == SUDO_ENV and not options.keys:
        raise UsageFault("sudo keys are only given by name", "agentkeys source --env sudo --key NAME")
    caller = Caller(options)
    shell = options.shell or _calling_shell(caller)
    settle_repo(caller, options)
    connection = caller.connect()
    left_out: list[str] = []
    try:
        given = (
            _lenient(connection, caller, options, left_out) if options.lenient else _strict(connection, caller, options)
        )
    except AgentkeysError as fault:
        if fault.hint.startswith("agentkeys exec "):  # the agent answers `exec`, and knows of no other verb
            fault.hint = fault.hint.replace(" exec ", " source ", 1).removesuffix(" -- command")
        raise
    text = _rendered(shell, given, left_out if options.lenient else None)
    for message in left_out:
        client.note(f"left out: {message}")
    code = client.write_out(text)
    if not code and given and posix.isatty(1):
        client.note("the values went to the terminal" + (f"; to set them: {EVAL[shell]}" if shell in EVAL else ""))
    return code


def _calling_shell(caller: Caller) -> str:
    from agentkeys.client.shells import calling_shell

    return calling_shell(caller.environ)


def _strict(connection: Connection, caller: Caller, options: Options) -> Given:
    """Everything that was asked for. Raises what `exec` would."""
    return _pairs(ask_keys(connection, b"exec", caller, options))


def _lenient(connection: Connection, caller: Caller, options: Options, left_out: "list[str]") -> Given:
    """What can be given; why the rest can't goes to `left_out`."""
    try:
        answered = _pairs(ask_keys(connection, b"exec", caller, options))
    except AgentkeysError as fault:
        if fault.exit_code not in (LOCKED, ABSENT):
            raise
        # Nothing was unlocked yet. The inventory tells locked from absent, for the first key: ask for each.
        asked = options.keys if options.wanted is None else options.wanted
        if len(asked) < 2:
            left_out.append(fault.message)
            return []
        given: Given = []
        for key in list(asked):
            asked[:] = [key]
            given += _lenient(connection, caller, options, left_out)
        return given
    left_out += [value.decode("utf-8", "replace") for name, value in answered if name == LEFT_OUT]
    return [(name, value) for name, value in answered if name != LEFT_OUT]


def _pairs(fields: "list[memoryview]") -> Given:
    """The fields behind `ok`. Raises AgentkeysError when one is missing."""
    if len(fields) % 2:
        raise AgentkeysError("the agent answered out of protocol", "agentkeys agent -k")
    return [(str(fields[at], "ascii", "replace"), bytes(fields[at + 1])) for at in range(0, len(fields), 2)]


def _rendered(shell: str, given: Given, left_out: "list[str] | None") -> bytes:
    """All that is printed. With `left_out`, a value that the dialect can't carry goes there. Raises UsageFault."""
    dialect = DIALECTS[shell]
    statements = []
    for name, value in given:
        try:
            statements.append(dialect.export(name, value))
        except (Denied, UsageFault) as fault:
            if left_out is None:
                raise
            left_out.append(fault.message)
    return dialect.join(statements)
