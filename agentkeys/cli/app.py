"""Dispatch: one verb family is loaded at a time, and `agentkeys --help` comes from a table without loading any."""

import errno
import importlib
import os
import sys

from agentkeys import __version__, client, errors
from agentkeys.cli.grammar import Family, Leave
from agentkeys.errors import AgentkeysError, UsageFault

FAMILIES = {
    "agent": "life",
    "lock": "life",
    "status": "life",
    "relock": "life",
    "init": "rack",
    "set": "keys",
    "get": "inject",
    "del": "keys",
    "list": "rack",
    "unlock": "rack",
    "import": "env_file",
    "exec": "inject",
    "source": "inject",
    "hook": "inject",
    "env": "inject",
    "owner": "owners",
    "recipient": "owners",
    "restore": "owners",
    "session": "sessions",
    "setup": "operator",
    "doctor": "doctor",
    "completion": "completion",
    "direnv": "direnv",
    "shim": "direnv",
    "allow": "repo",
    "deny": "repo",
}

STDOUT_TROUBLE = (errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)
"""How a write to a closed or full stdout fails; a closed pipe (EPIPE) is silent."""

HELP = """\
usage: agentkeys VERB [--for OWNER] …

ssh-agent for API keys: every agent on a machine has its own rack of keys, its own daemon and its own socket.

start here
  init       make an owner: an identity, a wallet and an empty rack
  set        put a value into the rack (hidden prompt, a pipe, --from-file, --from-env)
  agent      start or re-use the owner's agent:  eval "$(agentkeys agent)"
  unlock     bring keys from the rack into the agent, for a while
  exec       run a command with the keys in its environment:  agentkeys exec -- gh pr list

daily
  get        print one value
  source     set keys in this shell:  eval "$(agentkeys source --key GITHUB_TOKEN)"
  hook       let the shell follow you:  eval "$(agentkeys hook bash)"
  env        what the shell should know here: owner, socket, project, state
  list       what is in the rack
  shim       have programs run under `agentkeys exec` when they are called by name
  status     what the agent holds, and for how long; --all for every owner's
  relock     make the agents forget: everything, one key, or one env's
  lock       make all of the owner's agents forget everything, at once
  del        take a key out of the rack
  import     put what a .env file holds into the rack:  agentkeys import .env --replace

owners
  owner      list, show, alias and remove owners
  recipient  who else can restore the rack: set, get, del
  restore    open the rack with a backup identity, or an older copy of it
  session    where each owner's session is kept, and why: list, show, move, clear, doctor

shells
  direnv     for .envrc files, which can then say `use agentkeys`:  agentkeys direnv install

repositories
  allow      show what .agentkeys.yml asks for, and allow that until it changes
  deny       take that back

operator
  doctor             what is wrong between you and your keys, and what mends it
  setup              have an owner's agent run from boot on: systemd, launchd, remove; write a faster launcher
  completion         what bash, zsh or fish need to complete agentkeys' words:  eval "$(agentkeys completion bash)"

owners     --for seaturtle, else $AGENTKEYS_OWNER, else human
help       agentkeys VERB --help, man agentkeys
"""


def run(argv: "list[str]") -> int:
    """Run any verb; the exit code. Every failure is printed here, once."""
    verb = argv[0] if argv else ""
    if sys.stdout is None:  # it was closed; help must fail on it like everything else
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for the life of the process
    try:
        return _dispatch(verb, argv)
    except AgentkeysError as fault:
        return client.complain(fault, evaluated=_is_evaluated(argv))
    except KeyboardInterrupt:
        return client.interrupted(evaluated=_is_evaluated(argv))
    except BrokenPipeError:
        return errors.MALFUNCTION
    except Exception as fault:  # noqa: BLE001 - the last line of defence, which reports a bug
        return client.complain(client.bug(fault), evaluated=_is_evaluated(argv))


def _is_evaluated(argv: "list[str]") -> bool:
    """Whether a shell evaluates what we print: not a command's own output, nor a path."""
    if argv[:1] == ["agent"]:
        return not {"--", "--all", "--print-socket", "--reload"} & set(argv)
    return bool(argv) and argv[0] in client.EVALUATED


def _dispatch(verb: str, argv: "list[str]") -> int:
    if verb in ("", "-h", "--help", "help") and len(argv) < 2:
        if not verb:
            os.write(2, HELP.encode())
            return errors.USAGE
        return client.write_out(HELP.encode())
    if verb == "help":
        verb, argv = argv[1], [argv[1], "--help"]
    if verb in ("-V", "--version", "version"):
        return client.write_out(f"agentkeys {__version__}\n".encode())
    family = FAMILIES.get(verb)
    if family is None:
        from agentkeys.cli import mistyped

        raise mistyped.no_verb(argv, list(FAMILIES))
    if verb == "agent":
        from agentkeys.cli import agent_command, agent_options  # typer would be half of what a script's start waits for

        options = agent_options.parse(argv[1:])
        if options is not None:
            return agent_command.run(options)
    return _run(importlib.import_module(f"agentkeys.cli.{family}").app, verb, argv)


def _run(family: Family, verb: str, argv: "list[str]") -> int:
    """Run one verb of a family, by typer only where that has something to explain."""
    try:
        call = family.plain(argv)
        code = call() if call else _run_typer(family, verb, argv)
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - or Python would fail once more at its exit
        if error.errno not in STDOUT_TROUBLE:
            raise
        raise AgentkeysError(f"stdout can't be written: {error.strerror}") from None
    except Leave as leave:
        return leave.code
    return code if isinstance(code, int) else errors.OK


def _run_typer(family: Family, verb: str, argv: "list[str]") -> object:
    """Run one verb by typer, whose usage errors become ours.

    They are found through the public BadParameter's base, because typer carries its own click since 0.28.
    """
    import typer

    usage_error: type[Exception] = typer.BadParameter.__bases__[0]
    try:
        code = family.only(verb).as_typer()(args=argv, prog_name="agentkeys", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except usage_error as fault:
        text = getattr(fault, "format_message", lambda: "wrong usage")()
        raise UsageFault(text[:1].lower() + text[1:].rstrip("."), f"agentkeys {verb} --help") from None
    if code == errors.INTERRUPTED:
        raise KeyboardInterrupt  # typer turns it into an exit code
    return code
