"""What an agent knows of its owner's session: public facts that it is told at its start and at each change.

It shows them in `status`, and decides nothing by them; it never gets the token.
"""

from _json import encode_basestring_ascii as quote

from agentkeys.core import asked
from agentkeys.core.events import Pairs
from agentkeys.core.refs import show_duration
from agentkeys.errors import UsageFault

PLACES = {"keychain": "in the keychain", "file": "in a file"}
"""Where a session can be kept, and how that is said."""

MAX_FIELD = 64
"""Characters of an id or a grant: `daemon-` and a wallet are 49."""

MAX_LEFT = 10
"""Digits of the seconds until it expires: three hundred years."""

FIELDS = frozenset((b"id", b"place", b"grant", b"left"))


class OwnSession:
    """As it was when the agent was told last."""

    __slots__ = ("ends", "grant", "id", "place")

    def __init__(self, session_id: str, place: str, grant: str, ends: int) -> None:
        self.id = session_id
        self.place = place
        """One of PLACES."""
        self.grant = grant
        """Empty for one that its owner issued to itself."""
        self.ends = ends
        """Seconds of the agent's own life at which it expires."""


def read(session_id: str, place: str, grant: str, left: str, up: int) -> OwnSession:
    """What the agent is told, `up` seconds after its start. Raises UsageFault for what can't be."""
    if place not in PLACES or len(session_id) > MAX_FIELD or len(grant) > MAX_FIELD:
        raise UsageFault("not a session", "agentkeys session list")
    if not left.isdecimal() or not left.isascii() or len(left) > MAX_LEFT:
        raise UsageFault("not a session's time", "agentkeys session list")
    return OwnSession(session_id, place, grant, up + int(left))


def from_request(pairs: Pairs, up: int) -> OwnSession | None:
    """The fields of the verb `session`: all of them, or none for no session. Raises UsageFault."""
    if not pairs:
        return None
    known = {name: asked.text(value) for name, value in asked.exactly(pairs, FIELDS, "session").items()}
    return read(known[b"id"], known[b"place"], known[b"grant"], known[b"left"], up)


def as_json(kept: OwnSession | None, up: int) -> str:
    """One JSON object, or null."""
    if kept is None:
        return "null"
    grant = quote(kept.grant) if kept.grant else "null"
    return (
        f'{{"id":{quote(kept.id)},"place":{quote(kept.place)},"state":"{_state(kept, up)}","grant":{grant},'
        f'"expires_in_seconds":{max(0, kept.ends - up)}}}'
    )


def as_text(kept: OwnSession, owner: str, up: int) -> str:
    """For a person."""
    if _state(kept, up) == "expired":
        return f"expired: agentkeys init --for {owner}"
    issued = f"by grant {kept.grant}" if kept.grant else "issued by itself"
    return f"{PLACES[kept.place]}, {issued}, {show_duration(kept.ends - up)} left"


def _state(kept: OwnSession, up: int) -> str:
    return "ready" if kept.ends > up else "expired"
