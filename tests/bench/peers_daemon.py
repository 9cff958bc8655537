"""The peers of row 2 whose values are behind a daemon: GnuPG's agent, ssh's, or the desktop's keyring.

None of them has a goal to keep: most look up one value, where `exec` brings all. The keyring is a gnome-keyring of the
place's own, on a bus of its own, with a password that everybody may read.
"""

import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.clock import Command
from tests.bench.peer import Peer, pip_program, version
from tests.bench.place import KEYS, Missing, Place, need, wait_for

BUS = """<busconfig>
<type>session</type>
<listen>{address}</listen>
<auth>EXTERNAL</auth>
<policy context="default">
  <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy>
</busconfig>
"""
"""The session's own, less its services: nothing may start a second keyring."""

PASSWORD = b"bench"

NO_ENVCHAIN = "Debian, PyPI and npm have no envchain: build it, and it is measured; secret-tool makes the same call"

PATIENCE = 5.0
"""Seconds for a keyring to open."""


def _ssh_add(place: Place, quick: bool) -> Peer:
    program = need("ssh-add")
    agent = place.start_ssh_agent("peer")
    command = Command([program, "-l"], {**place.env, "SSH_AUTH_SOCK": agent.socket})
    return Peer(f"ssh-add -l, {KEYS} keys", "", command)


def _gpg_agent(place: Place, quick: bool) -> Peer:
    program = need("gpg-connect-agent")
    place.start_gpg_agent()
    command = Command([program, "GETINFO pid", "/bye"], place.gpg_env)
    number = place.run(program, "--version").decode().splitlines()[0].split()[-1]
    return Peer("gpg-connect-agent GETINFO pid", number, command)


def _pass(place: Place, quick: bool) -> Peer:
    _password_store(place)
    return Peer("pass show, gpg-agent warm", "", Command([need("pass"), "show", "key"], place.gpg_env))


def _gopass(place: Place, quick: bool) -> Peer:
    """Debian's: a rewrite of pass in Go, and not the larger gopasspw/gopass, which Debian doesn't have."""
    program = need("gopass")
    _password_store(place)
    return Peer("gopass show, gpg-agent warm", "", Command([program, "show", "key"], place.gpg_env))


def _password_store(place: Place) -> None:
    """A store of one value, which pass and gopass both read."""
    if (place.home / ".password-store").exists():
        return
    program = need("pass")
    place.start_gpg_agent()
    place.run(program, "init", "bench", env=place.gpg_env)
    place.run(program, "insert", "--echo", "key", stdin=b"value\n", env=place.gpg_env)


def _secret_tool(place: Place, quick: bool) -> Peer:
    program = need("secret-tool")
    env = _keyring(place)
    place.run(program, "store", "--label=bench", "name", "bench", stdin=b"value", env=env)
    return Peer("secret-tool lookup (libsecret)", "", Command([program, "lookup", "name", "bench"], env))


def _envchain(place: Place, quick: bool) -> Peer:
    try:
        program = need("envchain")
    except Missing:
        raise Missing(NO_ENVCHAIN) from None
    env = _keyring(place)
    names = [f"API_KEY_{number:05}" for number in range(KEYS)]
    place.run(program, "--set", "bench", *names, stdin=b"value\n" * KEYS, env=env)
    return Peer("envchain", "", Command([program, "bench", "true"], env))


def _keyring_get(place: Place, quick: bool) -> Peer:
    """What most Python programs look a secret up with, as a command."""
    program = pip_program(place, "keyring", "keyring")
    env = _keyring(place)
    place.run(program, "set", "bench", "key", stdin=b"value\n", env=env)
    number = version(place, str(Path(program).with_name("python")), "-c", KEYRING_VERSION)
    return Peer("keyring get", number, Command([program, "get", "bench", "key"], env))


KEYRING_VERSION = "from importlib.metadata import version; print(version('keyring'))"


def _keyring(place: Place) -> dict[str, str]:
    """The environment of a program that has an open gnome-keyring, started once. Raises Missing."""
    daemon, keyring, tool = need("dbus-daemon"), need("gnome-keyring-daemon"), need("secret-tool")
    bus = place.directory / "bus"
    env = {**place.env, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}"}
    if not bus.exists():
        config = place.directory / "bus.conf"
        config.write_text(BUS.format(address=f"unix:path={bus}"))
        place.start([daemon, f"--config-file={config}", "--nofork", "--nopidfile"])
        wait_for(bus)
        place.start([keyring, "--foreground", "--unlock", "--components=secrets"], env, PASSWORD)
        deadline = time.monotonic() + PATIENCE
        while not place.succeeds(tool, "store", "--label=first", "name", "first", stdin=b"value", env=env):
            if time.monotonic() > deadline:
                raise Missing("gnome-keyring doesn't open its collection here")
            time.sleep(0.05)
    return env


MAKERS: dict[str, Callable[[Place, bool], Peer]] = {
    "ssh-add -l": _ssh_add,
    "gpg-connect-agent": _gpg_agent,
    "pass show": _pass,
    "gopass show": _gopass,
    "secret-tool lookup": _secret_tool,
    "envchain": _envchain,
    "keyring get": _keyring_get,
}
