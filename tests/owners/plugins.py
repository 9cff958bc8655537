"""An age plugin for tests: a stand-in that speaks the real protocol, and keys as its own tool would write them."""

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.support.uids import exclusive, require

NAME = "akteststub"
INSTALLED = Path(f"/usr/local/bin/age-plugin-{NAME}")
ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def bech32(prefix: str, data: bytes) -> str:
    """BIP 173."""
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    words = [int(bits[at : at + 5], 2) for at in range(0, len(bits), 5)]
    spread = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    check = 1
    for value in spread + words + [0] * 6:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for number, constant in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= constant if top >> number & 1 else 0
    check ^= 1
    words += [check >> 5 * (5 - number) & 31 for number in range(6)]
    return prefix + "1" + "".join(ALPHABET[word] for word in words)


def new_recipient(key: bytes = b"") -> str:
    """A recipient of the plugin's; of some other key, without one."""
    return bech32(f"age1{NAME}", key or b"\0" + secrets.token_bytes(15))


def key_file(seat: Seat, asks: bool = False, name: str = "plugin.txt", comment: bool = True) -> Path:
    """What the plugin's own tool would write; `asks` for one that wants its PIN, 1234."""
    key = bytes([asks]) + secrets.token_bytes(15)
    path = seat.home.path / name
    identity = bech32(f"age-plugin-{NAME}-", key).upper()
    recipient = f"# recipient: {new_recipient(key)}\n" if comment else ""
    path.write_text(f"{recipient}{identity}\n")
    return path


@pytest.fixture
def free(run: object) -> Iterator[None]:
    """Nobody else uses the plugin's place meanwhile; nothing is left there."""
    require(os.geteuid() == 0, "root, to install a plugin where only root writes")
    with exclusive(Path("/tmp/ak-plugin.lock")):
        INSTALLED.unlink(missing_ok=True)
        yield
        INSTALLED.unlink(missing_ok=True)


@pytest.fixture
def plugin(free: None) -> Path:
    """The stand-in, installed."""
    shutil.copy(Path(__file__).with_name("stub.py"), INSTALLED)
    INSTALLED.chmod(0o755)
    return INSTALLED
