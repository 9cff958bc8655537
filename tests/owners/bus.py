"""A private D-Bus, a real gnome-keyring on it, and a Secret Service that never answers."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import secretstorage
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection

from tests.agent.seat import eventually
from tests.owners import prompter as prompting

PASSWORD = b"the keyring's own password"

CONFIG = """<busconfig>
<type>session</type>
<listen>{address}</listen>
<auth>EXTERNAL</auth>
<policy context="default">
  <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy>
</busconfig>
"""
"""The session's own, less its services: a bus that starts a keyring by itself would race with ours."""

MUTE = """
import sys
from jeepney import MessageType, message_bus
from jeepney.io.blocking import open_dbus_connection
connection = open_dbus_connection(bus=sys.argv[1])
connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.secrets"))
print("deaf", flush=True)
while True:
    connection.receive()
"""
"""Owns the service's name, takes every call and answers none."""


class Bus:
    """A session bus of a test's own."""

    def __init__(self, address: str, env: Mapping[str, str]) -> None:
        self.address = address
        self.env = {**env, "DBUS_SESSION_BUS_ADDRESS": address}
        """Of a program that is on it."""
        self.keyring_pid = 0

    @contextmanager
    def collection(self) -> "Iterator[secretstorage.Collection]":
        """The default collection, as another program of the session sees it."""
        connection = open_dbus_connection(bus=self.address)
        try:
            yield secretstorage.Collection(connection, "/org/freedesktop/secrets/aliases/default")
        finally:
            connection.close()

    def items(self, **attributes: str) -> list[tuple[str, dict[str, str]]]:
        """(label, attributes) of every entry that has these."""
        with self.collection() as collection:
            return [(it.get_label(), it.get_attributes()) for it in collection.search_items(attributes)]

    def secret(self, **attributes: str) -> bytes:
        """The one entry's secret."""
        with self.collection() as collection:
            (item,) = collection.search_items(attributes)
            return bytes(item.get_secret())

    def delete(self, **attributes: str) -> None:
        """Remove the one entry."""
        with self.collection() as collection:
            (item,) = collection.search_items(attributes)
            item.delete()

    def lock(self) -> None:
        """Lock the default collection."""
        with self.collection() as collection:
            collection.lock()
            assert collection.is_locked()

    def unlock(self) -> None:
        """Unlock it without the person's dialog, by the interface that gnome-keyring has for its own login module."""
        connection = open_dbus_connection(bus=self.address)
        try:

            def call(interface: str, method: str, signature: str, *body: object) -> "tuple[Any, ...]":
                address = DBusAddress("/org/freedesktop/secrets", "org.freedesktop.secrets", interface)
                reply = connection.send_and_get_reply(new_method_call(address, method, signature, body))
                return tuple(reply.body)

            _output, session = call("org.freedesktop.Secret.Service", "OpenSession", "sv", "plain", ("s", ""))
            (path,) = call("org.freedesktop.Secret.Service", "ReadAlias", "s", "default")
            secret = (session, b"", PASSWORD, "text/plain")
            name = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"
            call(name, "UnlockWithMasterPassword", "o(oayays)", path, secret)
        finally:
            connection.close()
        with self.collection() as collection:
            assert not collection.is_locked()


@contextmanager
def running(command: list[str], env: Mapping[str, str], given: bytes = b"") -> Iterator["subprocess.Popen[bytes]"]:
    """A program with `given` as its input, killed at the end."""
    child = subprocess.Popen(
        command, env=dict(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with child:
        try:
            assert child.stdin
            child.stdin.write(given)
            child.stdin.close()
            yield child
        finally:
            child.kill()


@contextmanager
def session_bus(place: Path, env: Mapping[str, str]) -> Iterator[Bus]:
    """A D-Bus with nobody on it."""
    address = f"unix:path={place}/bus"
    config = place / "bus.conf"
    config.write_text(CONFIG.format(address=address))
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address"]
    with running(command, env) as child:
        assert child.stdout
        assert child.stdout.readline().startswith(b"unix:path=")
        yield Bus(address, env)


@contextmanager
def keyring(bus: Bus) -> Iterator[None]:
    """gnome-keyring with an unlocked login collection."""
    command = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
    with running(command, bus.env, PASSWORD) as child:
        bus.keyring_pid = child.pid
        eventually(lambda: _answers(bus))
        yield


@contextmanager
def prompter(bus: Bus, password: bytes | None) -> Iterator[None]:
    """Somebody before gnome-keyring's window, who types that, or closes it."""
    command = [sys.executable, prompting.__file__, bus.address, *([password.decode()] if password is not None else [])]
    with running(command, {**os.environ}) as child:
        assert child.stdout
        assert child.stdout.readline() == f"{prompting.READY}\n".encode()
        yield


def _answers(bus: Bus) -> bool:
    try:
        with bus.collection() as collection:
            return not collection.is_locked()
    except secretstorage.SecretStorageException:
        return False


@contextmanager
def mute(bus: Bus) -> Iterator[None]:
    """A Secret Service that accepts every call and never answers."""
    with running([sys.executable, "-c", MUTE, bus.address], {**os.environ}) as child:
        assert child.stdout
        assert child.stdout.readline() == b"deaf\n"
        yield
