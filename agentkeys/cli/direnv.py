"""direnv and shim: programs get keys where a shell can't or shouldn't have them."""

import json
import os
import posix
import shutil
from typing import Annotated

from agentkeys import client, paths
from agentkeys.cli import options as o
from agentkeys.cli.grammar import Argument, Family, Option
from agentkeys.cli.work import home, owner_named
from agentkeys.client import shims
from agentkeys.client.command import DEFAULT_PATH, path_behind
from agentkeys.core import refs
from agentkeys.errors import UsageFault
from agentkeys.inject import direnv as exports
from agentkeys.inject.shims import remove as remove_shim
from agentkeys.inject.shims import write as write_shims
from agentkeys.stores import atomic

app = Family()
direnv = app.group("direnv", "Let direnv's .envrc files say: use agentkeys.")

LIBRARY = "hooks/direnv.sh"

OURS = b"# `use agentkeys` for direnv(1)"
"""The line by which an older library of ours is told from somebody else's file."""


@direnv.command()
def install(
    print_: Annotated[bool, Option("--print", help="Print the library file, and write nothing.")] = False,
    force: Annotated[bool, Option("--force", help="Replace a file that isn't ours.")] = False,
) -> int:
    """Write direnv's library file, by which an .envrc can say `use agentkeys`. Done twice, it changes nothing.

    \b
    agentkeys direnv install
    echo 'use agentkeys --for seaturtle' >> .envrc && direnv allow
    """
    with open(paths.shipped(LIBRARY), "rb") as file:
        text = file.read()
    if print_:
        return client.write_out(text)
    path = f"{_config_dir()}/lib/agentkeys.sh"
    there = _read(path)
    if there == text:
        o.say(f"{path} is there, nothing changed")
        return 0
    if there is not None and OURS not in there and not force:
        raise UsageFault(f"{path} is there and is no library of ours", f"agentkeys direnv install --force; cat {path}")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as error:
        raise UsageFault(f"{path} can't be written: {error.strerror}", "agentkeys direnv install --print") from None
    atomic.write_file(path, text, 0o644)
    o.say(f"wrote {path}; in an .envrc: use agentkeys")
    return 0


def _config_dir() -> str:
    """Where direnv looks for its library (direnv(1)): $DIRENV_CONFIG, else direnv/ in the user's config directory."""
    chosen = paths.env_text(posix.environ, b"DIRENV_CONFIG")
    base = paths.env_text(posix.environ, b"XDG_CONFIG_HOME") or f"{paths.user_home(posix.environ)}/.config"
    return chosen or f"{base}/direnv"


def _read(path: str) -> bytes | None:
    """What is there, None for nothing; a link or anything else that isn't a file counts as somebody else's."""
    if not os.path.lexists(path):
        return None
    if os.path.islink(path) or not os.path.isfile(path):
        return b""
    with open(path, "rb") as file:
        return file.read()


@direnv.command()
def export(
    owner: o.Owner = "",
    env: o.Env = "",
    org: o.Org = "",
    shim: Annotated[
        list[str] | None, Option("--shim", metavar="PROGRAM", help="A program to run under `agentkeys exec`.")
    ] = None,
) -> int:
    """Print what `use agentkeys` evaluates: references, what to watch, where the shims are. No value of a key."""
    given = [("--for", owner and owner_named(home(), owner)), ("--env", env), ("--org", org)]
    given += [("--shim", name) for name in shim or ()]
    return exports.export([word for name, value in given if value for word in (name, value)])


@app.command()
def shim(
    programs: Annotated[list[str] | None, Argument(metavar="[PROGRAM]…", help="What gets a shim.")] = None,
    owner: o.Owner = "",
    env: o.Env = "",
    org: o.Org = "",
    keys: o.Keys = None,
    remove: Annotated[bool, Option("--remove", help="Remove the shims of these programs.")] = False,
    list_: Annotated[bool, Option("--list", help="Say which shims there are.")] = False,
    as_json: o.Json = False,
) -> None:
    """Have programs run under `agentkeys exec` whenever they are called by name, by scripts and editors too.

    \b
    agentkeys shim gh terraform --for seaturtle
    export PATH="$HOME/.agentkeys/shims/bin:$PATH"
    agentkeys shim --remove terraform
    """
    root = home()
    directory = shims.home(root)
    names = [shims.check_name(name) for name in programs or ()]
    if list_ or not names:
        if names or remove:
            raise UsageFault("name the programs, or list them all", "agentkeys shim gh")
        _list(directory, as_json)
        return
    if remove:
        there = shims.present(directory)
        for name in names:
            if name in there:
                remove_shim(directory, name)
            o.say(f"removed {name} from {directory}" if name in there else f"{name} had no shim")
        return
    options = [word for key in keys or () for word in ("--key", refs.check_name(key) if "." not in key else key)]
    for slug in keys or ():
        refs.candidates(refs.ANY_ORG, refs.ANY_ENV, slug)
    given = (("--for", owner and owner_named(root, owner)), ("--env", env and refs.check_env(env)))
    options += [
        word for name, value in (*given, ("--org", org and refs.check_org(org))) if value for word in (name, value)
    ]
    write_shims(directory, {name: shims.text(root, name, options) for name in names})
    for name in names:
        o.say(f"made {directory}/{name}")
    path = path_behind(posix.environ.get(b"PATH", DEFAULT_PATH), paths.shims_dir(root)).decode(
        paths.FS_ENCODING, "surrogateescape"
    )
    for name in names:
        if shutil.which(name, path=path) is None:
            client.note(f"there is no program {name} in PATH now, for its shim to run")
    if paths.to_bytes(directory) not in posix.environ.get(b"PATH", b"").split(b":"):
        client.note(f'it isn\'t in PATH yet: export PATH="{directory}:$PATH"')


def _list(directory: str, as_json: bool) -> None:
    found = {name: _options(data) for name, data in sorted(shims.present(directory).items())}
    if as_json:
        o.say(json.dumps([{"program": name, "options": words} for name, words in found.items()]))
    elif not found:
        o.say("no shims")
    for name, words in {} if as_json else found.items():
        o.say(f"{name}  {' '.join(['agentkeys exec', *words, '-- ' + name])}")


def _options(data: bytes) -> "list[str]":
    """What a shim gives to `exec`, beside where not to look."""
    line = data.decode(paths.FS_ENCODING, "surrogateescape").rstrip("\n").rpartition("\n")[2]
    return line.partition("/shims' ")[2].partition("-- ")[0].split()
