"""direnv export: what `use agentkeys` in an .envrc runs (hooks/direnv.sh), in bash.

Rule 1: references only: owner, socket, project and state. DIRENV_DIFF keeps whatever is exported, for every child, so
        no value of a key is ever asked for here.
Rule 2: locked, absent and no agent at all are states, told by AGENTKEYS_STATE; only arguments that can't be fail.
Rule 3: nothing is started, nobody is asked, and an agent that doesn't answer soon isn't waited for.
"""

import posix

from agentkeys import client, paths
from agentkeys.client import Options
from agentkeys.client.shims import PLAIN
from agentkeys.errors import UsageFault
from agentkeys.inject import shims, surroundings
from agentkeys.inject.dialects import DIALECTS
from agentkeys.inject.surroundings import Found

USAGE = "use agentkeys [--for OWNER] [--env ENV] [--org ORG] [--shim PROGRAM,…]"

MANIFEST = ".agentkeys.yml"


def export(argv: "list[str]") -> int:
    """Print the script. Raises UsageFault, Denied in somebody else's home, and Unclear as Caller does."""
    options, programs = read(argv)
    surroundings.prepare()
    root = paths.home(posix.environ)
    found = surroundings.look(options)
    found.project = here(paths.env_text(posix.environ, b"PWD"))
    directory = shims.fit(root, found.project, programs, shim_options(options))
    sh = DIALECTS["sh"]
    lines = [sh.export(name, text) for name, text in surroundings.references(found).items() if text]
    lines.append(_command("watch_file", f"{found.project}/{MANIFEST}", paths.epoch_file(root, found.owner)))
    if directory:
        lines.append(_command("PATH_add", directory))
    why = why_not(found)
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


def why_not(found: Found) -> str:
    """What a person should know of it, or ""."""
    if found.state == "no-agent":
        return f'no agent for {found.owner}: eval "$(agentkeys agent --for {found.owner})"'
    if found.fault is None:
        return ""
    return found.fault.message + (f": {found.fault.hint}" if found.fault.hint else "")


def _command(name: str, *words: str) -> bytes:
    quoted = [b"'" + paths.to_bytes(word).replace(b"'", b"'\\''") + b"'" for word in words]
    return b" ".join([name.encode("ascii"), *quoted]) + b"\n"
