"""Where sockets go when the environment is odd: a documented place that both sides compute alike, or a refusal."""

import os
import secrets
import shlex
import stat
from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.support.plugin import Plant

LAST_RESORT = Path(f"/tmp/runtime-{os.geteuid()}")
SYSTEM = Path(f"/run/user/{os.geteuid()}")


@pytest.fixture
def drifter(rack: Seat, canary: Plant) -> Seat:
    """An owner with a name of its own, because shared directories may hold other tests' owners."""
    owner = f"drifter{secrets.token_hex(4)}"
    rack.cli("init", "--for", owner, check=True)
    seat = Seat(rack.home, rack.cli, {"TOKEN": canary("drifter's")}, owner)
    seat.set("TOKEN", seat.values["TOKEN"])
    return seat


def serves_at(seat: Seat, **env: str | None) -> Path:
    """Start, unlock and read under `env`; where the agent listens."""
    out = seat.cli("agent", "--for", seat.owner, env=env, check=True).out.decode()
    path = Path(shlex.split(out)[0].removeprefix("AGENTKEYS_SOCK=").removesuffix(";"))
    seat.cli("unlock", "--for", seat.owner, env=env, check=True)
    got = seat.cli("get", "TOKEN", "--for", seat.owner, env=env, reveals=True, check=True)
    assert got.out == seat.values["TOKEN"]
    facts = path.lstat()
    assert stat.S_ISSOCK(facts.st_mode)
    assert (facts.st_uid, facts.st_mode & 0o777) == (os.geteuid(), 0o600)
    assert path.parent.lstat().st_mode & 0o170777 == stat.S_IFDIR | 0o700
    assert len(os.fsencode(path)) <= 103
    seat.cli("agent", "-k", "--for", seat.owner, env=env, check=True)
    assert not path.exists()
    return path


def fallback() -> Path:
    """The directory for those without XDG_RUNTIME_DIR on this machine."""
    ours = SYSTEM.exists() and SYSTEM.stat().st_uid == os.geteuid() and SYSTEM.stat().st_mode & 0o077 == 0
    return (SYSTEM if ours else LAST_RESORT) / "agentkeys"


def test_a_runtime_directory_of_ours_is_used(drifter: Seat) -> None:
    """$XDG_RUNTIME_DIR/agentkeys/OWNER.sock."""
    env = {"XDG_RUNTIME_DIR": str(drifter.home.runtime)}
    assert serves_at(drifter, **env) == drifter.home.runtime / "agentkeys" / f"{drifter.owner}.sock"


@pytest.mark.parametrize("value", [None, "", "relative", "./", "/nonexistent", "/etc/passwd", "/etc", "/tmp"])
def test_a_runtime_directory_that_is_not_ours_is_not_used(value: str | None, drifter: Seat) -> None:
    """Unset, empty, relative, missing, a file, or open to others: the system's own directory, or the last resort."""
    assert serves_at(drifter, XDG_RUNTIME_DIR=value).parent == fallback()
    assert not (drifter.home.path / "relative").exists()
    assert not (drifter.home.path / "agentkeys").exists()


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o770, 0o701])
def test_a_runtime_directory_open_to_others_is_not_used(mode: int, drifter: Seat, short_path: Path) -> None:
    """0700 or not at all."""
    short_path.chmod(mode)
    assert serves_at(drifter, XDG_RUNTIME_DIR=str(short_path)).parent == fallback()
    assert list(short_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a directory to another user")
def test_a_runtime_directory_of_another_user_is_not_used(drifter: Seat, short_path: Path) -> None:
    """0700, but not ours: `sudo` kept the variable."""
    os.chown(short_path, 12345, 12345)
    assert serves_at(drifter, XDG_RUNTIME_DIR=str(short_path)).parent == fallback()
    assert list(short_path.iterdir()) == []


def test_a_runtime_directory_that_is_a_symlink_is_not_used(drifter: Seat, short_path: Path) -> None:
    """Who can move the link can move the socket."""
    (short_path / "link").symlink_to(drifter.home.runtime)
    assert serves_at(drifter, XDG_RUNTIME_DIR=str(short_path / "link")).parent == fallback()


@pytest.mark.parametrize("length", [90, 103, 104, 108, 150, 200, 1000])
def test_a_path_too_long_for_a_socket_is_shortened_alike_on_both_sides(
    length: int, drifter: Seat, short_path: Path
) -> None:
    """Up to 103 bytes as it is; beyond, a short name of its own, never a cut one."""
    rest = length - len(f"{short_path}//agentkeys/{drifter.owner}.sock")
    parts = []
    while rest > 0:
        part = "d" * min(rest, 200)
        parts.append(part)
        rest -= len(part) + 1
    long = short_path.joinpath(*parts)
    long.mkdir(mode=0o700, parents=True)
    wanted = long / "agentkeys" / f"{drifter.owner}.sock"
    found = serves_at(drifter, XDG_RUNTIME_DIR=str(long))
    if len(str(wanted)) <= 103:
        assert found == wanted
    else:
        assert found.parent == LAST_RESORT / "agentkeys"
        assert drifter.owner not in found.name


def test_two_long_paths_are_two_sockets(drifter: Seat, short_path: Path) -> None:
    """The short name stands for the whole path."""
    found = set()
    for last in ("x", "y"):
        long = short_path / ("d" * 150 + last)
        long.mkdir(mode=0o700)
        found.add(serves_at(drifter, XDG_RUNTIME_DIR=str(long)))
    assert len(found) == 2


def test_the_longest_owner_name_fits(rack: Seat) -> None:
    """32 characters, in a runtime directory of usual length."""
    owner = "x" * 32
    rack.cli("init", "--for", owner, check=True)
    out = rack.cli("agent", "--for", owner, check=True).out
    assert f"{rack.home.runtime}/agentkeys/{owner}.sock".encode() in out
