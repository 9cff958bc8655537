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


def export(argv: "list[str]") -> int:
    """Print the script. Raises UsageFault, Denied in somebody else's home, and Unclear as Caller does."""
    options, programs = read(argv)
    options.word = True
    surroundings.prepare()
    root = paths.home(posix.environ)
    found = surroundings.look(options)
    pwd, place = paths.env_text(posix.environ, b"PWD"), posix.getcwd()
    found.project = known_as(pwd, found.project or place)
    directory = shims.fit(root, known_as(pwd, place), programs, shim_options(options))
    sh = DIALECTS["sh"]
    lines = [sh.export(name, text) for name, text in surroundings.references(found).items() if text]
    lines.append(_command("watch_file", *watched(root, found)))
    if directory:
        lines.append(_command("PATH_add", directory))
    why = why_not(root, found, options.owner)
    if why:
        lines.append(_command("log_status", f"agentkeys: {client.printable(why)}"))
    return client.write_out(b"".join(lines))


def known_as(pwd: str, directory: str) -> str:
    """This directory or one above it by the name that the user knows it by: what of $PWD is a name of it, if any is."""
    real = posix.stat(directory)
    while pwd.startswith("/"):
        try:
            named = posix.stat(pwd)
        except OSError:
            break
        if (named.st_dev, named.st_ino) == (real.st_dev, real.st_ino):
            return pwd
        pwd = pwd[: pwd.rfind("/")]
    return directory


def watched(root: str, found: Found) -> "list[str]":
    """The files whose change may change what was told; one that isn't there changes when it appears.

    The manifest and every place where a nearer one would count, what the manifest extended when it was allowed, whether
    it is allowed, and the sign of the owner's agents. What else it extends by now counts only once that is allowed.
    """
    places = paths.repo_places(posix.environ)
    sign = paths.epoch_file(root, found.owner)
    if not found.manifest:
        return [*places, sign]
    from agentkeys.client import repo

    files = places[: places.index(found.manifest) + 1]
    decided = repo.record(root, found.manifest)
    files += [path for path, _ in decided.files if path != found.manifest] if decided else []
    return [*files, repo.record_path(root, found.manifest), sign]


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


def why_not(root: str, found: Found, asked: str) -> str:
    """What a person should know of it, or "". `asked` is what --for said."""
    if found.state == "no-agent":
        from agentkeys.client.near import no_owner, owners  # for a failure alone

        if found.owner not in owners(root):
            fault = no_owner(root, found.owner, asked)
            return f"{fault.message}: {fault.hint}"
        return f'no agent for {found.owner}: eval "$(agentkeys agent --for {found.owner})"'
    if found.fault is None:
        return ""
    return found.fault.message + (f": {found.fault.hint}" if found.fault.hint else "")


def _command(name: str, *words: str) -> bytes:
    quoted = [b"'" + paths.to_bytes(word).replace(b"'", b"'\\''") + b"'" for word in words]
    return b" ".join([name.encode("ascii"), *quoted]) + b"\n"
