"""What a shell and direnv hand down to programs: values of keys in DIRENV_DIFF, shims, the library, start-up files.

A value is compared by the agent that holds it, as a salted hash, and never shown. What is locked can't be compared; it
is known by the shape of a long-lived credential alone.
"""

import base64
import json
import os
import pwd
import shutil
import zlib
from collections.abc import Iterator
from hashlib import blake2b

from agentkeys import paths
from agentkeys.client import shims
from agentkeys.client.connection import Connection
from agentkeys.client.shells import dialect_of
from agentkeys.core import token_shapes
from agentkeys.core.reading import DIGEST_SIZE, MAX_DIGESTS
from agentkeys.errors import AgentkeysError
from agentkeys.setup.doctor.findings import Finding, note, ok, quoted, warning
from agentkeys.setup.doctor.scene import Scene
from agentkeys.setup.systemd import LINGER

MAX_DIFF = 8 * 1024 * 1024
"""Bytes of what DIRENV_DIFF holds, unpacked: an environment can't be over 2 MiB (execve(2)), and it is there twice."""

HALVES = {"n": "an .envrc exports it", "p": "it was set before an .envrc changed it"}
"""The two halves of DIRENV_DIFF, and how a value comes into each."""

START_UP = {
    "sh": (".bashrc", ".bash_profile", ".profile", ".zshrc", ".zprofile", ".zshenv"),
    "csh": (".tcshrc", ".cshrc", ".login"),
    "fish": (".config/fish/config.fish",),
}
"""Where shells read the line that loads a hook, by their dialect."""

SYSTEMD = "/run/systemd/system"
"""Is there where systemd runs: sd_booted(3)."""

MAX_START_UP = 1024 * 1024
"""Bytes of such a file."""


def check_direnv(scene: Scene) -> Iterator[Finding]:
    """What DIRENV_DIFF holds of keys, and whether the library is this version's."""
    diff = scene.env("DIRENV_DIFF")
    if diff:
        found = list(_leaks(scene, diff))
        yield from found
        if not found:
            yield ok("direnv", "DIRENV_DIFF holds no value of an unlocked key")
    yield from _library(scene)


def _leaks(scene: Scene, diff: str) -> Iterator[Finding]:
    try:
        halves = unpacked(diff)
    except (ValueError, zlib.error):
        yield note("direnv-unreadable", "DIRENV_DIFF is not what direnv writes", "unset DIRENV_DIFF")
        return
    entries = [(half, name, text.encode("utf-8")) for half, names in halves.items() for name, text in names.items()]
    known = matches(scene, [value for _half, _name, value in entries])
    where = scene.env("DIRENV_FILE") or ".envrc"
    for half, name, value in entries:
        slug = known.get(value, "")
        shape = token_shapes.long_lived(value)
        if slug or shape:
            what = f"the value of {slug}" if slug else shape[0] if shape else ""
            text = f"DIRENV_DIFF, which every child inherits, holds {what} as {name}: {HALVES[half]}"
            fix = f"${{EDITOR:-vi}} {quoted(where)}" if half == "n" else f"cd / && unset {name}"
            yield warning("direnv-secret", text, fix)


def unpacked(diff: str) -> "dict[str, dict[str, str]]":
    """The halves of DIRENV_DIFF, of names and texts. Raises ValueError, zlib.error."""
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(base64.urlsafe_b64decode(diff), MAX_DIFF)
    found = json.loads(text)
    found = found if isinstance(found, dict) else {}
    halves = {half: found.get(half) for half in HALVES}
    return {
        half: {name: value for name, value in names.items() if isinstance(value, str) and value}
        for half, names in halves.items()
        if isinstance(names, dict)
    }


def matches(scene: Scene, values: "list[bytes]") -> "dict[bytes, str]":
    """Which of `values` an agent holds, and as which key. An agent that can't be asked is passed over."""
    wanted = sorted({value for value in values if value})[:MAX_DIGESTS]
    salt = os.urandom(DIGEST_SIZE)
    digests = b"".join([blake2b(value, digest_size=DIGEST_SIZE, key=salt).digest() for value in wanted])
    found: dict[bytes, str] = {}
    for spot, _call in scene.agents() if wanted else ():
        try:
            connection = Connection(spot.path, spot.owner)
            answer = connection.ask(b"known", b"salt", salt, b"digests", digests, waits=True)
            connection.close()
        except AgentkeysError:
            continue  # locked, of another login session, or of an older version
        for field in answer[1::2]:
            place, _, slug = str(field, "ascii").partition(" ")
            found[wanted[int(place)]] = slug
    return found


def _library(scene: Scene) -> Iterator[Finding]:
    base = scene.env("DIRENV_CONFIG") or f"{scene.env('XDG_CONFIG_HOME') or scene.env('HOME') + '/.config'}/direnv"
    path = f"{base}/lib/agentkeys.sh"
    there = _text(path)
    if there is None:
        return
    if there != _text(paths.shipped("hooks/direnv.sh")):
        yield warning("direnv-library", f"{path} isn't this version's", "agentkeys direnv install --force")
    else:
        yield ok("direnv-library", f"{path} is this version's")


def check_shell(scene: Scene) -> Iterator[Finding]:
    """Which shell this is, what its start-up file loads, and whether shims stand before what they are for."""
    findings = [*_real_shell(scene), *_start_up(scene), *_shims(scene), *_linger(scene)]
    yield from findings
    if not findings:
        yield ok("shell", "nothing is loaded twice, and no shim stands behind its program")


def _linger(scene: Scene) -> Iterator[Finding]:
    """An agent below /run/user goes with its user's last logout, unless systemd is told to let the user linger."""
    name = pwd.getpwuid(scene.uid).pw_name
    below = [spot for spot, _call in scene.agents() if spot.path.startswith(f"/run/user/{scene.uid}/")]
    if below and os.path.isdir(SYSTEMD) and not os.path.exists(f"{LINGER}/{name}"):
        what = f"{below[0].path} goes with your last logout, and the agent with it"
        yield note("linger-off", what, "loginctl enable-linger")


def _real_shell(scene: Scene) -> Iterator[Finding]:
    try:
        program = os.readlink(f"/proc/{os.getppid()}/exe")
    except OSError:
        return  # no /proc, or another user's
    real, said = dialect_of(program), dialect_of(scene.env("SHELL"))
    if real and said and real != said:
        what = f"this shell is {program}, and SHELL says {scene.env('SHELL')}: programs that ask SHELL print for that"
        yield note("shell-other", what, f"export SHELL={quoted(program)}" if real == "sh" else "")


def _start_up(scene: Scene) -> Iterator[Finding]:
    for names in START_UP.values():
        for name in names:
            path = f"{scene.env('HOME')}/{name}"
            lines = [line.strip() for line in (_text(path) or "").splitlines()]
            hooks = [at for at, line in enumerate(lines) if "agentkeys hook" in line and not line.startswith("#")]
            agents = [at for at, line in enumerate(lines) if "agentkeys agent" in line and not line.startswith("#")]
            if len(hooks) > 1:
                yield note("hook-twice", f"{path} loads the hook {len(hooks)} times", f"${{EDITOR:-vi}} {quoted(path)}")
            elif hooks and agents and agents[0] > hooks[0]:
                what = f"{path} loads the hook before the agent is there, so the first prompt says that there is none"
                yield note("hook-early", what, f"${{EDITOR:-vi}} {quoted(path)}")


def _shims(scene: Scene) -> Iterator[Finding]:
    if not scene.is_ours:
        return
    directory = shims.home(scene.root)
    there = shims.present(directory)
    places = scene.env("PATH").split(":")
    if there and directory not in places:
        what = f"there are shims in {directory}, which isn't in PATH"
        yield note("shims-unused", what, f'export PATH={quoted(directory)}:"$PATH"')
        return
    for name in sorted(there):
        found = shutil.which(name, path=scene.env("PATH"))
        if found and not found.startswith(paths.shims_dir(scene.root)):
            what = f"{found} stands in PATH before its shim, so {name} runs without keys"
            yield warning("shim-behind", what, f'export PATH={quoted(directory)}:"$PATH"')


def _text(path: str) -> str | None:
    """A small text file of anybody's, or None."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(MAX_START_UP)
    except OSError:
        return None
