"""Time takes keys away, on the agent's own clock, whoever asks and however often."""

from pathlib import Path

import pytest

from tests.agent.dialogue import Dialogue
from tests.agent.seat import Seat, eventually


def left(seat: Seat, name: str) -> int | None:
    """Seconds that a key still has."""
    return {key["name"]: key["expires_in_seconds"] for key in seat.status()["keys"]}[name]


def test_a_key_expires_by_itself(locked: Seat) -> None:
    """Unlocked for a second, it is gone without anybody's doing; get says expired, exit 4, and how to get it back."""
    locked.unlock("--duration", "1s")
    assert locked.states()["GITHUB_TOKEN"] == "unlocked"
    eventually(lambda: locked.states()["GITHUB_TOKEN"] == "expired")
    done = locked.get("GITHUB_TOKEN")
    assert (done.code, done.out) == (4, b"")
    assert b"expired" in done.err
    assert b"hint: agentkeys unlock --for human" in done.err
    locked.unlock()
    assert locked.get("GITHUB_TOKEN").out == locked.values["GITHUB_TOKEN"]


def test_asking_does_not_extend_it(locked: Seat) -> None:
    """status, list, get and exec all the while: it expires all the same."""
    locked.unlock("--duration", "2s")
    with Dialogue(locked.socket).greet() as client:

        def used_up() -> bool:
            client.ask(b"get", b"key", b"GITHUB_TOKEN")
            client.ask(b"exec", b"key", b"GITHUB_TOKEN")
            client.ask(b"status", b"format", b"json")
            return client.ask(b"get", b"key", b"GITHUB_TOKEN")[0] == b"error"

        eventually(used_up)
    assert locked.states()["GITHUB_TOKEN"] == "expired"


def test_each_key_has_its_own_time(seat: Seat) -> None:
    """A shorter unlock of one key leaves the other's hours alone."""
    seat.unlock("GITHUB_TOKEN", "--duration", "1s")
    eventually(lambda: seat.states()["GITHUB_TOKEN"] == "expired")
    assert seat.states()["OPENAI_API_KEY"] == "unlocked"
    assert seat.get("OPENAI_API_KEY").out == seat.values["OPENAI_API_KEY"]


def test_an_unlock_replaces_the_time_longer_or_shorter(locked: Seat) -> None:
    """What was said last holds."""
    for duration, low, high in (("1h", 3500, 3600), ("5m", 290, 300), ("2h", 7100, 7200)):
        locked.unlock("--duration", duration)
        found = left(locked, "GITHUB_TOKEN")
        assert found is not None
        assert low < found <= high


def test_the_usual_time_is_nine_hours(locked: Seat) -> None:
    """Without --duration."""
    locked.unlock()
    found = left(locked, "GITHUB_TOKEN")
    assert found is not None
    assert 9 * 3600 - 60 < found <= 9 * 3600


@pytest.mark.parametrize("asked", ["8d", "365d"])
def test_no_key_stays_longer_than_a_week(asked: str, locked: Seat) -> None:
    """The absolute cap, and it is said."""
    done = locked.cli("unlock", "--duration", asked, check=True)
    assert b"capped" in done.err
    found = left(locked, "GITHUB_TOKEN")
    assert found is not None
    assert found <= 7 * 24 * 3600


def test_the_wall_clock_does_not_matter(locked: Seat) -> None:
    """The agent's timer stands on a clock that never jumps and counts suspend: CLOCK_BOOTTIME."""
    locked.unlock("--duration", "1h")
    texts = [path.read_text() for path in Path(f"/proc/{locked.pid}/fdinfo").iterdir()]
    timers = [text for text in texts if "clockid:" in text]
    assert len(timers) == 1
    assert "clockid: 7" in timers[0]
    assert "it_value: (0, 0)" not in timers[0]


def test_an_expired_value_is_not_in_the_agents_answers(locked: Seat) -> None:
    """Neither get, exec nor a relock brings it back; set stores the new value without unlocking it."""
    locked.unlock("--duration", "1s")
    eventually(lambda: locked.states()["GITHUB_TOKEN"] == "expired")
    locked.cli("set", "GITHUB_TOKEN", input=b"new", check=True)
    assert locked.get("GITHUB_TOKEN").code == 4
    assert locked.cli("exec", "--", "true").code == 4
    locked.cli("relock", check=True)
    assert locked.states()["GITHUB_TOKEN"] == "locked"
