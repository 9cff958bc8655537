"""A session: how an owner's agent proves itself to the master's agent. Its record, its ids and its states.

Rule 1: a session is not an identity. It opens no rack; losing it loses no key.
Rule 2: a session id is `master`, or `daemon-` and a wallet in lower case, and nothing else: it names a directory and a
        keychain account.
Rule 3: a record that can't be read is damaged or newer, never absent.
"""

import json

from agentkeys.core import refs, wallet
from agentkeys.errors import UsageFault

MASTER = "master"
"""The id of the human's session."""

PREFIX = "daemon-"
"""How the ids of all others begin; the wallet follows."""

VERSION = 1
"""Of the record."""

TOKEN_SIZE = 32
"""Bytes: as many as nobody guesses, and a SHA-256 block takes whole."""

LIFE = 365 * 86400
"""Seconds that a self-issued session lasts. Each start of its agent renews one that is half over, so only an owner
that ran nothing for half a year, after half a year without a start, finds it expired."""

READY = "ready"
EXPIRED = "expired"
LOCKED = "locked"
"""It is in the keychain, and that is locked."""
UNREACHABLE = "unreachable"
"""It is in the keychain, and none answers."""
GONE = "gone"
"""It is not where it was put."""
DAMAGED = "damaged"
"""It is no session, not this owner's, open to others, or older than the last one that was saved."""
NEWER = "newer"
"""A later version of agentkeys wrote it."""
UNASKED = "unasked"
"""It is in a keychain that wasn't asked, because that could have disturbed somebody."""


class Damaged(ValueError):
    """No session can be read from this."""


class Newer(ValueError):
    """A later version wrote it."""


class Session:
    """Its holder is the agent of `wallet`."""

    __slots__ = ("expires", "grant", "issued", "serial", "token", "wallet")

    def __init__(self, wallet: str, token: bytes, issued: int, expires: int, grant: str = "", serial: int = 0) -> None:
        self.wallet = wallet
        """In lower case."""
        self.token = token
        """TOKEN_SIZE random bytes, the secret."""
        self.issued = issued
        """Seconds of the wall clock (Unix time), as is `expires`."""
        self.expires = expires
        self.grant = grant
        """The id of what the master allowed; empty for one that its owner issued to itself."""
        self.serial = serial
        """Rises with each write of this slot, so that an older copy is known as one."""

    def __repr__(self) -> str:
        return "Session(…)"

    def to_bytes(self) -> bytes:
        """The record, as it rests in a file or the keychain."""
        members = {
            "version": VERSION,
            "serial": self.serial,
            "wallet": self.wallet,
            "token": self.token.hex(),
            "grant": self.grant,
            "issued_at": self.issued,
            "expires_at": self.expires,
        }
        return (json.dumps(members, indent=1) + "\n").encode("ascii")

    def half_over(self, now: int) -> bool:
        """Whether it should be renewed."""
        return is_half_over(self.issued, self.expires, self.grant, now)


def from_bytes(data: bytes) -> Session:
    """The session in a record. Raises Damaged, Newer.

    Records without a version are those of the older program of this name: token, wallet, created_at, ttl_seconds.
    """
    try:
        found = json.loads(data)
        if not isinstance(found, dict):
            raise Damaged
        version = found.get("version", 0)
        if type(version) is int and version > VERSION:
            raise Newer
        if version == VERSION:
            issued, expires = _time(found["issued_at"]), _time(found["expires_at"])
            serial, grant = _time(found["serial"]), found["grant"]
        else:
            issued, expires = _time(found["created_at"]), _time(found["created_at"]) + _time(found["ttl_seconds"])
            serial, grant = 0, ""
        token, whose = bytes.fromhex(found["token"]), str(found["wallet"])
        if type(grant) is not str or len(token) != TOKEN_SIZE or not wallet.is_address(whose):
            raise Damaged
    except Newer:
        raise
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Damaged from None
    return Session(whose.lower(), token, issued, expires, grant, serial)


def _time(value: object) -> int:
    """A number of seconds, or a count. Raises Damaged."""
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise Damaged
    return value


def is_half_over(issued: int, expires: int, grant: str, now: int) -> bool:
    """Whether half of a self-issued session's time has passed; one that was granted is its master's to renew."""
    return not grant and now >= issued + (expires - issued) // 2


def id_of(owner: str, address: str) -> str:
    """The id of an owner's session: the human's is the master's, everybody else's goes by the wallet."""
    return MASTER if owner == refs.DEFAULT_OWNER else PREFIX + address.lower()


def is_id(text: str) -> bool:
    """Whether `text` is a session id."""
    return text == MASTER or (
        text.startswith(PREFIX + "0x") and wallet.is_address(text[len(PREFIX) :]) and text == text.lower()
    )


def check_id(text: str) -> str:
    """`text` if it is a session id. Raises UsageFault."""
    if not is_id(text):
        raise UsageFault(
            f"not a session's id: {refs.shown(text)}; it is master, or daemon- and a wallet in lower case",
            "agentkeys session list",
        )
    return text
