"""When a credential ends: what --expires-in and --expires-at may say, and how much of it is left."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from agentkeys.core import refs
from agentkeys.core.manifest import KeyRecord
from agentkeys.errors import UsageFault
from agentkeys.worker import expiry, times
from agentkeys.worker.job import Job, encode


def job(**fields: str) -> Job:
    """A set as the CLI sends it."""
    return Job(encode("set", [(name.replace("_", "-"), value) for name, value in fields.items()]), lambda _text: b"")


def record(expires: "str | None" = None, cap: "int | None" = None, slug: str = "@all.all.A") -> KeyRecord:
    """A key that ends then."""
    return KeyRecord(slug, "os.secure", "copy", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", cap, expires)


def ahead(seconds: float) -> str:
    """A time from now as the manifest has it, rounded up to its second."""
    return datetime.fromtimestamp(int(time.time() + seconds) + 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


TIMES = {
    "2099-01-31": "2099-01-31T00:00:00Z",
    "2099-01-31T12:30": "2099-01-31T12:30:00Z",
    "2099-01-31 12:30:15": "2099-01-31T12:30:15Z",
    "2099-01-31T12:30:15Z": "2099-01-31T12:30:15Z",
    "2099-01-31T12:30:15.999Z": "2099-01-31T12:30:15Z",
    "2099-01-31T12:30:15+02:00": "2099-01-31T10:30:15Z",
    "2099-01-31T23:30:15-05:00": "2099-02-01T04:30:15Z",
    "2099-01-01T00:30+01:00": "2098-12-31T23:30:00Z",
    "20990131T123015Z": "2099-01-31T12:30:15Z",
    "2096-02-29": "2096-02-29T00:00:00Z",
    "9998-12-31": "9998-12-31T00:00:00Z",
}
"""What is said, and what is kept."""


@pytest.mark.parametrize("said", TIMES)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_a_time_is_kept_in_utc(said: str, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ISO 8601; without a zone it is UTC, wherever the machine stands."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert expiry.of_job(job(expires_at=said)) == TIMES[said]
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "said",
    [
        "tomorrow", "2099", "2099-13-01", "2099-02-30", "2097-02-29", "31.01.2099", "01/31/2099", "2099-01-31T25:00",
        "2099-01-31T12:30+99:00", "9999-12-31", "9999-12-31T23:59:59-12:00", "99999-01-01", "1e9", " ", "2099-01-31\n",
        "２０９９-01-31", "x" * 1000, "\x1b[31m",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(said: str) -> None:
    """With both ways to say it; foreign text is shown cut and escaped."""
    with pytest.raises(UsageFault) as refusal:
        expiry.of_job(job(expires_at=said))
    assert "not a date or time" in refusal.value.message
    assert refusal.value.message.isprintable()
    assert len(refusal.value.message) < 400
    assert "--expires-at" in refusal.value.hint
    assert "--expires-in" in refusal.value.hint


@pytest.mark.parametrize("said", ["2020-01-01", "1970-01-01T00:00:00Z", "1969-12-31", "0001-01-01"])
def test_what_is_over_is_refused(said: str) -> None:
    """It would be a key that never unlocks."""
    with pytest.raises(UsageFault, match="is over already"):
        expiry.of_job(job(expires_at=said))


def test_this_very_second_is_over() -> None:
    """A time that isn't ahead is none."""
    with pytest.raises(UsageFault, match="is over already"):
        expiry.of_job(job(expires_at=datetime.now(UTC).isoformat()))


def test_both_are_refused() -> None:
    """They say the same thing, maybe not the same."""
    with pytest.raises(UsageFault, match="twice"):
        expiry.of_job(job(expires_in="60", expires_at="2099-01-31"))


def test_neither_is_no_end() -> None:
    """Nor are empty ones."""
    assert expiry.of_job(job()) is None
    assert expiry.of_job(job(expires_in="", expires_at="")) is None


@pytest.mark.parametrize("seconds", [1, 60, 86_400, 366 * 86_400])
def test_so_long_counts_from_now(seconds: int) -> None:
    """To the second."""
    before = datetime.now(UTC)
    kept = expiry.of_job(job(expires_in=str(seconds)))
    assert kept is not None
    at = datetime.fromisoformat(kept)
    assert before - timedelta(seconds=1) <= at - timedelta(seconds=seconds) <= datetime.now(UTC)


def test_what_is_left_is_never_below_nothing() -> None:
    """None without an end, 0 after it, else whole seconds."""
    assert expiry.seconds_left(record()) is None
    assert expiry.seconds_left(record("2020-01-01T00:00:00Z")) == 0
    left = expiry.seconds_left(record(ahead(100)))
    assert left is not None
    assert 98 <= left <= 101


@pytest.mark.parametrize(
    ("expires", "cap", "asked", "slug", "ttl"),
    [
        (None, None, 0, "@all.all.A", refs.DEFAULT_TTL),
        (None, None, 0, "@all.sudo.A", refs.SUDO_TTL),
        (None, None, 7200, "@all.sudo.A", 7200),
        (None, 600, 0, "@all.all.A", 600),
        (None, 600, 300, "@all.all.A", 300),
        (None, 600, 3600, "@all.all.A", 600),
        (None, 30 * 86_400, 30 * 86_400, "@all.all.A", refs.MAX_TTL),
        ("2099-01-01T00:00:00Z", None, 0, "@all.all.A", refs.DEFAULT_TTL),
        ("2099-01-01T00:00:00Z", None, 99_999_999, "@all.all.A", refs.MAX_TTL),
        ("2020-01-01T00:00:00Z", None, 3600, "@all.all.A", 0),
    ],
)
def test_the_shortest_of_all_limits_counts(
    expires: "str | None", cap: "int | None", asked: int, slug: str, ttl: int
) -> None:
    """What is asked or usual, the key's cap, the credential's end, a week."""
    assert times.time_to_live(record(expires, cap, slug), asked) == ttl


def test_a_credential_s_end_shortens_what_is_asked() -> None:
    """To the second it has left."""
    assert 98 <= times.time_to_live(record(ahead(100)), 3600) <= 101
    assert times.time_to_live(record(ahead(3600), 60), 0) == 60
