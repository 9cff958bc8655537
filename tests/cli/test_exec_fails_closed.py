"""exec resolves everything first: while one key can't be had, the command does not run. A marker file proves it."""

from pathlib import Path

import psutil
import pytest

from tests.agent.seat import Seat, eventually
from tests.support.plugin import Plant


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What the command would leave behind."""
    return tmp_path / "ran"


def refused(seat: Seat, marker: Path, code: int, *args: str) -> bytes:
    """The command didn't run, and the exit code says why; what stderr said."""
    done = seat.cli("exec", *args, "--", "touch", marker)
    assert done.code == code
    assert not marker.exists()
    assert done.out == b""
    assert done.err.startswith(b"agentkeys: error: ")
    return done.err


def test_a_command_runs_when_everything_is_there(seat: Seat, marker: Path) -> None:
    """The control of the tests below: the same command does leave its marker."""
    seat.cli("exec", "--", "touch", marker, check=True)
    assert marker.exists()


def test_nothing_runs_before_the_first_unlock(locked: Seat, marker: Path) -> None:
    """Exit 4."""
    refused(locked, marker, 4)
    refused(locked, marker, 4, "--key", "GITHUB_TOKEN")


def test_nothing_runs_on_a_locked_key(seat: Seat, marker: Path) -> None:
    """One key of two relocked and asked for: exit 4 naming it. Not asked for: the other one is enough."""
    seat.cli("relock", "GITHUB_TOKEN", check=True)
    assert b"GITHUB_TOKEN" in refused(seat, marker, 4, "--key", "OPENAI_API_KEY", "--key", "GITHUB_TOKEN")
    seat.cli("exec", "--key", "OPENAI_API_KEY", "--", "touch", marker, check=True)


def test_nothing_runs_after_relock(seat: Seat, marker: Path) -> None:
    """Exit 4, although an agent answers and knows the names."""
    seat.cli("relock", check=True)
    refused(seat, marker, 4)


def test_nothing_runs_on_an_expired_key(locked: Seat, marker: Path) -> None:
    """One key expired, one still held: a plain exec is exit 4 naming the expired one, not half an environment."""
    locked.unlock("OPENAI_API_KEY")
    locked.unlock("GITHUB_TOKEN", "--duration", "1s")
    eventually(lambda: locked.states()["GITHUB_TOKEN"] == "expired")
    err = refused(locked, marker, 4)
    assert b"GITHUB_TOKEN is expired" in err
    refused(locked, marker, 4, "--key", "GITHUB_TOKEN")
    locked.cli("exec", "--key", "OPENAI_API_KEY", "--", "touch", marker, check=True)


def test_nothing_runs_on_an_absent_key(seat: Seat, marker: Path) -> None:
    """Exit 5, whatever else was asked for."""
    refused(seat, marker, 5, "--key", "GITHUB_TOKEN", "--key", "NOPE")


def test_nothing_runs_without_an_agent(rack: Seat, marker: Path) -> None:
    """Exit 3, and no agent was started for it."""
    refused(rack, marker, 3)
    assert rack.home.agents() == []


def test_nothing_runs_on_a_denied_name(seat: Seat, canary: Plant, marker: Path) -> None:
    """Exit 6 for a variable that loads code."""
    seat.cli("set", "LD_PRELOAD", input=canary("LD_PRELOAD"), check=True)
    seat.unlock()
    refused(seat, marker, 6, "--key", "LD_PRELOAD")
    refused(seat, marker, 6)
    seat.cli("exec", "--key", "GITHUB_TOKEN", "--", "touch", marker, check=True)


@pytest.mark.parametrize("value", [b"a\0b", b"x" * (128 * 1024), b"x" * (1024 * 1024)], ids=["NUL", "128 KiB", "1 MiB"])
def test_nothing_runs_on_a_value_that_no_variable_can_hold(value: bytes, seat: Seat, marker: Path) -> None:
    """Exit 2 naming the key and the way that works, get."""
    seat.set("AWKWARD", value)
    seat.unlock()
    err = refused(seat, marker, 2)
    assert b"AWKWARD" in err
    assert b"agentkeys get AWKWARD" in err
    assert seat.get("AWKWARD", check=True).out == value


def test_the_largest_value_that_fits_is_given(seat: Seat, marker: Path) -> None:
    """NAME=value with its NUL may have 128 KiB, not a byte more."""
    fits = b"x" * (128 * 1024 - len(b"LARGE=\0"))
    seat.set("LARGE", fits)
    seat.unlock()
    script = ("sh", "-c", 'printf %s "$LARGE" | wc -c')
    assert seat.cli("exec", "--key", "LARGE", "--", *script, check=True).out.strip() == str(len(fits)).encode()
    seat.set("LARGE", fits + b"x")
    refused(seat, marker, 2, "--key", "LARGE")


def test_keys_that_no_environment_can_hold_together_are_refused(seat: Seat, marker: Path) -> None:
    """Each value fits, all don't: over 2 MiB the agent says so (2), over the caller's own limit execve (126)."""
    for number in range(12):
        seat.set(f"LARGE_{number}", b"x" * 120_000)
    seat.unlock()
    small = seat.cli.with_prefix("sh", "-c", 'ulimit -s 4096; exec "$@"', "sh", *seat.cli.prefix)
    done = small("exec", "--", "touch", marker)
    assert done.code == 126
    assert b"Traceback" not in done.err
    for number in range(12, 20):
        seat.set(f"LARGE_{number}", b"x" * 120_000)
    seat.unlock()
    refused(seat, marker, 2)


def test_nothing_runs_when_the_agent_dies_meanwhile(seat: Seat, marker: Path) -> None:
    """Asked, then gone: exit 8 says that the outcome isn't known."""
    process = psutil.Process(seat.pid)
    process.suspend()
    child = seat.cli.start("exec", "--", "touch", marker)
    asking = psutil.Process(child.pid)
    eventually(lambda: asking.net_connections("unix") and asking.status() == psutil.STATUS_SLEEPING)
    process.kill()
    assert child.wait(20) in (3, 8)
    assert not marker.exists()
