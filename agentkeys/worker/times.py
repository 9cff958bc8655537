"""How long a key may stay unlocked: TTL = min(asked or the default, its own cap, its credential's end, the maximum)."""

from agentkeys.core import refs
from agentkeys.core.manifest import KeyRecord
from agentkeys.worker import expiry

SUDO_PART = f".{refs.SUDO_ENV}."


def time_to_live(record: KeyRecord, asked: int) -> int:
    """Seconds; `asked` is 0 for the default. 0 for a credential that has ended."""
    usual = refs.SUDO_TTL if SUDO_PART in record.slug else refs.DEFAULT_TTL
    ttl = min(asked or usual, record.max_ttl or refs.MAX_TTL, refs.MAX_TTL)
    left = expiry.seconds_left(record)
    return ttl if left is None else min(ttl, left)
