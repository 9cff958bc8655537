"""Hands these tests owners whose identities rest in every place there is."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.seat import Seat, locked, rack, seat, template
from tests.owners.backups import backup_key
from tests.owners.bus import Bus, keyring, session_bus
from tests.owners.moods import Mood, odd_wallet
from tests.owners.plugins import free, plugin
from tests.support.homes import Home
from tests.support.plugin import Plant
from tests.support.runner import Runner
from tests.support.uids import require

__all__ = ["free", "locked", "plugin", "rack", "seat", "template"]


@pytest.fixture
def bus(home: Home, cli: Runner, short_path: Path) -> Iterator[Bus]:
    """A session bus with no service on it; `cli` is on it too."""
    require(shutil.which("dbus-daemon"), "dbus-daemon")
    with session_bus(short_path, home.env) as made:
        cli.env["DBUS_SESSION_BUS_ADDRESS"] = made.address
        yield made


@pytest.fixture
def wallet(bus: Bus) -> Iterator[Bus]:
    """A session bus with an unlocked gnome-keyring on it."""
    require(shutil.which("gnome-keyring-daemon"), "gnome-keyring")
    with keyring(bus):
        yield bus


@pytest.fixture
def mood(bus: Bus, tmp_path: Path) -> Iterator[Mood]:
    """Puts a stand-in for a keychain, which is on the session bus and well, into another mood."""
    with odd_wallet(bus, tmp_path) as made:
        yield made


@pytest.fixture
def human(home: Home, cli: Runner) -> Seat:
    """Owner human, not made yet."""
    return Seat(home, cli, {})


@pytest.fixture
def backed(rack: Seat, canary: Plant) -> tuple[Seat, Path]:
    """A rack with a large value and a backup recipient; the backup's key."""
    rack.values["LARGE"] = canary("LARGE", suffix=bytes(range(256)) * 100)
    rack.set("LARGE", rack.values["LARGE"])
    key, public = backup_key(rack)
    rack.cli("recipient", "set", "--pubkey", public, check=True)
    return rack, key
