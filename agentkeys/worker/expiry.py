"""When a credential's issuer ends it: what `set --expires-in` and `--expires-at` say, and how much of that is left."""

import time

from agentkeys.core import refs
from agentkeys.core.manifest import KeyRecord
from agentkeys.errors import UsageFault
from agentkeys.worker.job import Job

END_OF_CALENDAR = 253_370_764_800
"""Seconds since 1970 at the beginning of the year 9999, the last that RFC 3339 can write in every zone."""

HINT = "agentkeys set NAME --expires-at 2027-01-31, or --expires-in 30d"


def of_job(job: Job) -> str | None:
    """RFC 3339 in UTC from the fields `expires-in` (seconds) or `expires-at`, None without. Raises UsageFault."""
    seconds, text = job.number("expires-in"), job.text("expires-at", "")
    if seconds and text:
        raise UsageFault("--expires-in and --expires-at say the same thing twice", HINT)
    if seconds:
        return _show(time.time() + seconds)
    if not text:
        return None
    from datetime import UTC, datetime  # a millisecond at each unlock, and few credentials end

    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageFault(f"not a date or time: {refs.shown(text)}", HINT) from None
    when = at.replace(tzinfo=at.tzinfo or UTC).timestamp()  # a time without a zone is UTC, not this machine's
    if when >= END_OF_CALENDAR:
        raise UsageFault(f"not a date or time: {refs.shown(text)}", HINT)
    if when <= time.time():
        raise UsageFault(f"{refs.shown(text)} is over already", HINT)
    return _show(when)


def seconds_left(record: KeyRecord) -> int | None:
    """Seconds until the credential ends, 0 when it has; None when that isn't known."""
    if record.expires is None:
        return None
    from datetime import datetime

    return max(0, int(datetime.fromisoformat(record.expires).timestamp() - time.time()))


def _show(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
