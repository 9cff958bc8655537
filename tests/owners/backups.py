"""Backup keys, and what stock age opens with them."""

import json
from pathlib import Path

from tests.agent.seat import Seat


def backup_key(seat: Seat, name: str = "backup") -> tuple[Path, str]:
    """A key pair by age-keygen: the private file, the public text."""
    path = seat.home.path / f"{name}.key"
    seat.cli.with_prefix("age-keygen")("-o", path, check=True)
    return path, seat.cli.with_prefix("age-keygen")("-y", path, check=True).out.decode().strip()


def opens(seat: Seat, key: Path, path: Path) -> bool:
    """Whether stock age opens a file with this key."""
    return seat.cli.with_prefix("age")("-d", "-i", key, path, reveals=True).code == 0


def sealed_files(seat: Seat) -> list[Path]:
    """The manifest and every value file that is sealed."""
    root = seat.home.root
    return [root / f"host.{seat.owner}.yml.age", *sorted((root / "vault" / seat.owner).glob("*.age"))]


def own(seat: Seat) -> Path:
    """The owner's identity file."""
    return seat.home.root / "identity" / f"{seat.owner}.key"


def versions(seat: Seat) -> int:
    """The version this machine has seen."""
    (path,) = (seat.home.root / "state").glob(f"*/{seat.owner}.json")
    return int(json.loads(path.read_bytes())["version"])


def assert_values(seat: Seat) -> None:
    """Every value is back byte for byte through a fresh unlock."""
    seat.start().unlock()
    assert set(seat.states()) == set(seat.values)
    for name, value in seat.values.items():
        assert seat.get(name, check=True).out == value, name
