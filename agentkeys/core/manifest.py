"""The host manifest: an owner's wallet key, recipients and keys, and where each value rests. Pure data.

Serialised it is sealed JSON (agentkeys-manifest(5) will hold every member); sealed to the owner it is
`host.<owner>.yml.age`.
"""

from agentkeys.core import refs, sealed_json
from agentkeys.errors import VaultFault

FORMAT = "agentkeys/manifest/1"
UNCLAIMED = "agentkeys/unclaimed/1"
NO_KEY = bytes(32)
"""What an unclaimed manifest's MAC is keyed with: nobody's secret, for nobody's private key was there."""


MAX_NUMBER = 2**53
"""The largest version or number of seconds that is taken from a rack which can't be verified: JSON's safe integers."""


class KeyRecord:
    """One key of the rack."""

    __slots__ = ("created", "expires", "max_ttl", "mech", "slug", "updated", "vault")

    def __init__(
        self,
        slug: str,
        vault: str,
        mech: str,
        created: str,
        updated: str,
        max_ttl: int | None = None,
        expires: str | None = None,
    ) -> None:
        self.slug = slug
        self.vault = vault
        """The vault that holds its value."""
        self.mech = mech
        """What is done to the value on its way out; `copy` hands it on."""
        self.created = created
        """RFC 3339 in UTC."""
        self.updated = updated
        self.max_ttl = max_ttl
        """Seconds it may stay unlocked at most, or None."""
        self.expires = expires
        """When its issuer ends it, RFC 3339 in UTC, or None when that isn't known."""

    def as_json(self) -> "dict[str, object]":
        """Its members in the manifest and in `list --json`."""
        return {
            "vault": self.vault,
            "mech": self.mech,
            "created_at": self.created,
            "updated_at": self.updated,
            "max_seconds": self.max_ttl,
            "expires_at": self.expires,
        }


class Manifest:
    """One owner's rack. A new version is made by changing this and sealing it again."""

    def __init__(self, owner: str, wallet: str, wallet_key: str, via: str, recipients: "list[str]") -> None:
        self.owner = owner
        self.wallet = wallet
        """EIP-55 text."""
        self.wallet_key = wallet_key
        """The wallet's secp256k1 secret, 64 hex digits."""
        self.via = via
        """How its identity is kept: file, ssh."""
        self.recipients = recipients
        """The owner's own age recipient."""
        self.backups: dict[str, str] = {}
        """Further recipients by label; what is sealed to them only `restore` opens."""
        self.version = 0
        """Raised by one with each write; a lower one than seen before is a rollback."""
        self.vaults: dict[str, dict[str, object]] = {}
        """What each vault on this disk wants remembered: its generation and its MAC."""
        self.keys: dict[str, KeyRecord] = {}

    def sealed_to(self) -> "list[str]":
        """Every recipient of the rack and its values."""
        return [*self.recipients, *self.backups.values()]

    def to_unclaimed(self) -> bytes:
        """The sealed JSON of a rack that was made without the private key: empty, and its MAC a mere checksum."""
        members: dict[str, object] = {
            "format": UNCLAIMED,
            "owner": self.owner,
            "via": self.via,
            "recipients": self.recipients,
        }
        return sealed_json.dump(members, "keys", NO_KEY)

    def to_bytes(self, key: bytes) -> bytes:
        """The sealed JSON."""
        members: dict[str, object] = {
            "format": FORMAT,
            "owner": self.owner,
            "version": self.version,
            "via": self.via,
            "wallet": self.wallet,
            "wallet_key": self.wallet_key,
            "recipients": self.recipients,
            "backups": self.backups,
            "vaults": self.vaults,
            "keys": {slug: self.keys[slug].as_json() for slug in sorted(self.keys)},
        }
        return sealed_json.dump(members, "keys", key)


def from_bytes(data: bytes, key: bytes, owner: str) -> Manifest:
    """The manifest of `owner` in sealed JSON. Raises VaultFault for anything but one that to_bytes() made."""
    what = f"host.{owner}.yml.age"
    return _from_members(sealed_json.load(data, key, what, FORMAT, owner), what, owner)


def from_unverified(data: bytes, owner: str) -> Manifest:
    """As from_bytes(), for a rack whose MAC key is lost: whoever knew a recipient may have written it."""
    what = f"host.{owner}.yml.age"
    manifest = _from_members(sealed_json.load(data, None, what, FORMAT, owner), what, owner)
    sound = [_is_sound(record) for record in manifest.keys.values()]
    sound += [type(state) is dict for state in manifest.vaults.values()]
    if not (0 <= manifest.version <= MAX_NUMBER and all(sound)):
        raise VaultFault(f"{what} is damaged", sealed_json.RESTORE_HINT)
    return manifest


def _is_sound(record: KeyRecord) -> bool:
    """Whether a record that somebody else may have written is of our types, and its slug a slug."""
    texts = (record.vault, record.mech, record.created, record.updated, record.expires or "")
    cap = record.max_ttl
    if not (cap is None or (type(cap) is int and 0 < cap <= MAX_NUMBER)):
        return False
    return refs.is_slug(record.slug) and all(type(text) is str for text in texts)


def _from_members(found: "dict[str, object]", what: str, owner: str) -> Manifest:
    try:
        manifest = Manifest(
            owner,
            _text(found["wallet"]),
            _text(found["wallet_key"]),
            _text(found["via"]),
            _texts(found["recipients"]),
        )
        version, vaults, keys = found["version"], found["vaults"], found["keys"]
        backups = found.get("backups", {})
        if not (isinstance(version, int) and isinstance(vaults, dict) and isinstance(keys, dict)):
            raise TypeError
        if not isinstance(backups, dict):
            raise TypeError
        manifest.backups = {_text(label): _text(text) for label, text in backups.items()}
        manifest.version = version
        manifest.vaults = vaults
        # No check of each slug: the MAC says that we wrote it, and 10,000 checks are a quarter of an unlock.
        for slug, row in keys.items():
            manifest.keys[slug] = KeyRecord(
                slug,
                row["vault"],
                row["mech"],
                row["created_at"],
                row["updated_at"],
                row["max_seconds"],
                row["expires_at"],
            )
    except (KeyError, TypeError):
        raise VaultFault(f"{what} is damaged", sealed_json.RESTORE_HINT) from None
    return manifest


def is_unclaimed(data: bytes) -> bool:
    """Whether a manifest's text says that it waits to be claimed."""
    return f'"format": "{UNCLAIMED}"'.encode() in data[:80]


def from_unclaimed(data: bytes, owner: str, wallet: str, wallet_key: str) -> Manifest:
    """The empty manifest of to_unclaimed(), of version 0, with a wallet made now: before, anybody knew its maker.

    Raises VaultFault.
    """
    what = f"host.{owner}.yml.age"
    found = sealed_json.load(data, NO_KEY, what, UNCLAIMED, owner)
    try:
        return Manifest(
            owner,
            wallet,
            wallet_key,
            _text(found["via"]),
            _texts(found["recipients"]),
        )
    except (KeyError, TypeError):
        raise VaultFault(f"{what} is damaged", sealed_json.RESTORE_HINT) from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: object) -> "list[str]":
    if not isinstance(value, list):
        raise TypeError
    return [_text(item) for item in value]
