"""exec, get, source, env and hook, where `client` needs help: to explain, to show help, to render JSON."""

import json
import os
from typing import Annotated

from agentkeys import client
from agentkeys.cli import options as o
from agentkeys.cli import shells
from agentkeys.cli.grammar import Argument, Family, Option
from agentkeys.cli.work import home, no_agent, owner_named
from agentkeys.client import shells as client_shells
from agentkeys.client import verbs
from agentkeys.client.command import exec_with_keys
from agentkeys.errors import NoAgent, UsageFault
from agentkeys.inject import exports, surroundings

app = Family()

NamedKeys = Annotated[
    list[str] | None,
    Option(
        "--key",
        metavar="NAME[=AS]",
        help="Only this key, as another variable if you like; may be repeated.",
    ),
]


@app.command("exec", context_settings={"allow_interspersed_args": False})
def exec_(
    command: Annotated[list[str] | None, Argument(metavar="COMMAND…", help="What to become.")] = None,
    owner: o.Owner = "",
    sock: o.Sock = "",
    env: o.Env = "",
    org: o.Org = "",
    keys: NamedKeys = None,
    clean_env: Annotated[
        bool, Option("--clean-env", help="Pass on nothing but HOME, PATH, TERM and the like.")
    ] = False,
    no_repo: o.NoRepo = False,
    behind: Annotated[
        str, Option("--behind", metavar="DIR", help="Look for COMMAND in PATH, but not in DIR or below it.")
    ] = "",
) -> int:
    """Become COMMAND with the owner's unlocked keys in its environment. Nothing runs if one is missing or locked.

    In a repository with an .agentkeys.yml that was allowed: with the keys which that asks for, and no others.

    Options stand before COMMAND: all words behind it are its own, --for and --key too.

    \b
    agentkeys exec --for seaturtle -- gh pr list
    agentkeys exec --key DEPLOY_TOKEN=GITHUB_TOKEN -- ./deploy
    """
    if not command:
        raise UsageFault("no command to run", "agentkeys exec -- gh pr list")
    options = o.gather("exec", owner, sock, env, org)
    options.keys, options.command, options.clean_env, options.no_repo = keys or [], command, clean_env, no_repo
    options.behind = behind
    root = home()
    options.owner = owner_named(root, owner)
    try:
        return exec_with_keys(options)
    except NoAgent as fault:
        raise no_agent(root, options.owner, fault, owner) from None


@app.command()
def source(
    owner: o.Owner = "",
    sock: o.Sock = "",
    env: o.Env = "",
    org: o.Org = "",
    keys: NamedKeys = None,
    shell: o.Shell = "",
    strict: Annotated[bool, Option("--strict", help="All keys or none, and then fail (the default).")] = False,
    lenient: Annotated[bool, Option("--lenient", help="Leave out what can't be given, and say so.")] = False,
    no_repo: o.NoRepo = False,
) -> int:
    """Print what sets the owner's unlocked keys in the shell that runs it. One command with keys is safer: exec.

    \b
    eval "$(agentkeys source --for seaturtle --key GITHUB_TOKEN)"
    agentkeys source | source     # fish
    eval "`agentkeys source`"     # csh
    """
    if strict and lenient:
        raise UsageFault("strict and lenient exclude each other", "agentkeys source --lenient")
    options = o.gather("source", owner, sock, env, org)
    options.keys, options.lenient, options.no_repo = keys or [], lenient, no_repo
    options.shell = shells.dialect(sh=False, csh=False, shell=shell, verb="source")
    root = home()
    options.owner = owner_named(root, owner)
    try:
        return exports.source(options)
    except NoAgent as fault:
        raise no_agent(root, options.owner, fault, owner) from None


@app.command()
def env(
    owner: o.Owner = "",
    sock: o.Sock = "",
    env: o.Env = "",
    org: o.Org = "",
    no_repo: Annotated[bool, Option("--no-repo", help="Ignore the repository's manifest.")] = False,
    shell: o.Shell = "",
    hook: Annotated[str, Option("--hook", metavar="SHELL", help="For that shell's hook, which asks so.")] = "",
    off: Annotated[bool, Option("--off", help="With --hook: take back what it set.")] = False,
) -> int:
    """Print what sets AGENTKEYS_OWNER, _SOCK, _PROJECT and _STATE in the shell that runs it; no key.

    \b
    eval "$(agentkeys env)"
    agentkeys env --shell json
    """
    if off and not hook:
        raise UsageFault("off is for a hook", "__agentkeys_off")
    if shell and hook:
        raise UsageFault("a hook says for itself which shell it is of", "agentkeys env --shell sh")
    options = o.gather("env", owner, sock, env, org)
    options.hook, options.off, options.no_repo = hook, off, no_repo
    options.shell = "" if hook else shells.dialect(sh=False, csh=False, shell=shell, verb="env")
    options.owner = owner_named(home(), owner)
    return surroundings.env(options)


@app.command()
def hook(
    shell: Annotated[str, Argument(metavar="SHELL", help="bash, zsh, fish, tcsh, mksh, ksh or dash.")] = "",
) -> int:
    """Print a shell's hook: it keeps AGENTKEYS_PROJECT and AGENTKEYS_STATE current, and starts nothing at a prompt.

    \b
    eval "$(agentkeys hook bash)"      # at the end of ~/.bashrc; zsh, mksh, ksh and dash alike
    agentkeys hook fish | source       # config.fish
    eval "`agentkeys hook tcsh`"       # ~/.tcshrc
    """
    return client_shells.print_hook(shell)


@app.command()
def get(
    name: Annotated[str, Argument(metavar="[NAME]", help="The key, by name or as org.env.NAME.")] = "",
    owner: o.Owner = "",
    sock: o.Sock = "",
    env: o.Env = "",
    org: o.Org = "",
    key: o.Key = "",
    no_repo: o.NoRepo = False,
    as_json: o.Json = False,
) -> int:
    """Print one unlocked value: its exact bytes, and a newline only on a terminal.

    \b
    agentkeys get GITHUB_TOKEN --for seaturtle
    """
    if bool(name) == bool(key):
        raise UsageFault("name one key", "agentkeys get GITHUB_TOKEN")
    options = o.gather("get", owner, sock, env, org)
    options.keys, options.no_repo = [name or key], no_repo
    root = home()
    options.owner = owner_named(root, owner)
    try:
        if not as_json:
            return verbs.get(options)
        value = verbs.read_one(options)
    except NoAgent as fault:
        raise no_agent(root, options.owner, fault, owner) from None
    try:
        text = json.dumps({"key": name or key, "value": value.decode("utf-8")})
    except UnicodeDecodeError:
        raise UsageFault("the value is not text, which JSON can't hold", f"agentkeys get {name or key}") from None
    return client.write_out(text.encode("ascii") + os.linesep.encode())
