"""Session buses with odd keychains on them: one that would be started, one without a default collection."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection

from tests.owners.bus import CONFIG, Bus, running

DRIVER = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")

SECRETS = "org.freedesktop.secrets"

SERVICE = """[D-BUS Service]
Name={name}
Exec=/usr/bin/touch {place}/started
"""

EMPTY = """
import sys
from jeepney import MessageType, message_bus, new_method_return
from jeepney.io.blocking import open_dbus_connection
connection = open_dbus_connection(bus=sys.argv[1])
connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.secrets"))
print("there", flush=True)
while True:
    message = connection.receive()
    if message.header.message_type is MessageType.method_call:
        connection.send(new_method_return(message, "o", ("/",)))
"""
"""Owns the service's name and has no collection by any alias."""


@contextmanager
def starting_bus(place: Path, env: Mapping[str, str]) -> Iterator[Bus]:
    """A D-Bus that would start a keychain; `started` appears in `place` when it does."""
    (place / "services").mkdir()
    (place / "services" / f"{SECRETS}.service").write_text(SERVICE.format(name=SECRETS, place=place))
    address = f"unix:path={place}/bus"
    config = place / "bus.conf"
    text = CONFIG.format(address=address)
    config.write_text(text.replace("<auth>", f"<servicedir>{place}/services</servicedir>\n<auth>"))
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address"]
    with running(command, env) as child:
        assert child.stdout
        assert child.stdout.readline().startswith(b"unix:path=")
        yield Bus(address, env)


@contextmanager
def without_default(bus: Bus) -> Iterator[None]:
    """A Secret Service that has no default collection yet."""
    with running([sys.executable, "-c", EMPTY, bus.address], {**os.environ}) as child:
        assert child.stdout
        assert child.stdout.readline() == b"there\n"
        yield


def end_keychain(bus: Bus) -> None:
    """Kill whatever owns the service's name on a bus of ours: a daemon that a fix has started."""
    connection = open_dbus_connection(bus=bus.address)
    try:
        reply = connection.send_and_get_reply(new_method_call(DRIVER, "GetConnectionUnixProcessID", "s", (SECRETS,)))
    finally:
        connection.close()
    if isinstance(reply.body[0], int):
        os.kill(reply.body[0], signal.SIGKILL)
