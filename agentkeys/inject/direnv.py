"""direnv export: what `use agentkeys` in an .envrc runs (hooks/direnv.sh), in bash.

Rule 1: references only: owner, socket, project and state. DIRENV_DIFF keeps whatever is exported, for every child, so
        no value of a key is ever asked for here.
Rule 2: locked, absent and no agent at all are states, told by AGENTKEYS_STATE; only arguments that can't be fail.
Rule 3: nothing is started, nobody is asked, and an agent that doesn't answer soon isn't waited for.
"""

import posix
from _signal import ITIMER_REAL, SIGALRM, setitimer, signal

from agentkeys import client, errors, paths
from agentkeys.client import Caller, Options
from agentkeys.client.shims import PLAIN
from agentkeys.errors import AgentkeysError, NoAgent, OutcomeUnknown, UsageFault
from agentkeys.inject import shims
from agentkeys.inject.dialects import DIALECTS

PATIENCE = 0.25
"""Seconds to wait for an agent, which needs 20 µs: a person waits for the prompt meanwhile."""

USAGE = "use agentkeys [--for OWNER] [--env ENV] [--org ORG] [--shim PROGRAM,…]"

STATES = {errors.LOCKED: "locked", errors.ABSENT: "absent", errors.DENIED: "denied"}
"""What an agent's refusal means, by its exit code; any other is `error`."""

MANIFEST = ".agentkeys.yml"


def export(argv: "list[str]") -> int:
    """Print the script. Raises UsageFault, Denied in somebody else's home, and Unclear as Caller does."""
    options, programs = read(argv)
    caller = Caller(options)
    project = here(paths.env_text(caller.environ, b"PWD"))
    sock, state, why = look(caller, options)
    directory = shims.fit(caller.root, project, programs, shim_options(options))
    references = {
        "AGENTKEYS_OWNER": caller.owner,
        "AGENTKEYS_SOCK": sock,
        "AGENTKEYS_PROJECT": project,
        "AGENTKEYS_STATE": state,
    }
    sh = DIALECTS["sh"]
    lines = [sh.export(name, paths.to_bytes(text)) for name, text in references.items() if text]
    lines.append(_command("watch_file", f"{project}/{MANIFEST}", paths.epoch_file(caller.root, caller.owner)))
    if directory:
        lines.append(_command("PATH_add", directory))
    if why:
        lines.append(_command("log_status", f"agentkeys: {client.printable(why)}"))
    return client.write_out(b"".join(lines))


def here(pwd: str) -> str:
    """This directory by the name that the user knows it by, $PWD, if that is one of its names."""
    try:
        named, real = posix.stat(pwd), posix.stat(".")
    except OSError:
        return posix.getcwd()
    same = (named.st_dev, named.st_ino) == (real.st_dev, real.st_ino)
    return pwd if same and pwd.startswith("/") else posix.getcwd()


def read(argv: "list[str]") -> "tuple[Options, list[str]]":
    """What stands behind `use agentkeys`. Raises UsageFault."""
    options, programs = Options("direnv"), ""
    left = list(argv)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if not equals and left:
            value = left.pop(0)
        if name not in ("--for", "--owner", "--env", "--org", "--shim") or not value:
            raise UsageFault(f"not an argument of use agentkeys: {name!a}", USAGE)
        if name == "--shim":
            programs += f",{value}"
        else:
            setattr(options, {"--for": "owner"}.get(name, name[2:]), value)
    for text in (options.owner, options.env, options.org):
        if not frozenset(text) <= PLAIN:
            raise UsageFault(f"not an owner, env or org: {text!a}", USAGE)
    return options, [name for name in programs.split(",") if name]


def shim_options(options: Options) -> "list[str]":
    """What of it belongs to `exec`, so that a shim does what the .envrc says wherever it is started."""
    given = (("--for", options.owner), ("--env", options.env), ("--org", options.org))
    return [word for name, value in given if value for word in (name, value)]


def look(caller: Caller, options: Options) -> "tuple[str, str, str]":
    """(the agent's socket or "", the state, what a person should know or "")."""
    sock = caller.explicit
    signal(SIGALRM, _late)
    setitimer(ITIMER_REAL, PATIENCE)
    try:
        connection = caller.connect()
        sock = connection.path
        client.ask_keys(connection, b"hook", caller, options)
    except (NoAgent, OutcomeUnknown):
        return sock, "no-agent", f'no agent for {caller.owner}: eval "$(agentkeys agent --for {caller.owner})"'
    except AgentkeysError as fault:
        if fault.exit_code == errors.TIMED_OUT:
            return sock, "no-answer", f"the agent of {caller.owner} doesn't answer"
        return sock, STATES.get(fault.exit_code, "error"), fault.message + (f": {fault.hint}" if fault.hint else "")
    finally:
        setitimer(ITIMER_REAL, 0)
    return sock, "unlocked", ""


def _late(_number: int, _frame: object) -> None:
    raise TimeoutError  # as the socket's own time-out would


def _command(name: str, *words: str) -> bytes:
    quoted = [b"'" + paths.to_bytes(word).replace(b"'", b"'\\''") + b"'" for word in words]
    return b" ".join([name.encode("ascii"), *quoted]) + b"\n"
