"""A manifest comes back as it was sealed, and from nothing but what its owner's key wrote."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkeys.core import derive, manifest, sealed_json
from agentkeys.core.manifest import KeyRecord, Manifest
from agentkeys.errors import VaultFault

KEY = bytes(range(32))

slugs = st.from_regex(r"(@all|[a-z0-9]{1,5})\.[a-z]{1,5}\.[A-Z_]{1,5}", fullmatch=True)
texts = st.text(st.characters(codec=None), max_size=20)
states = st.dictionaries(texts, st.integers() | texts | st.lists(texts, max_size=2), max_size=3)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Any manifest that could be."""
    made = Manifest("ana", draw(texts), draw(texts), draw(texts), draw(st.lists(texts, max_size=3)))
    made.version = draw(st.integers(0, 2**60))
    made.vaults = draw(st.dictionaries(texts, states, max_size=2))
    for slug in draw(st.sets(slugs, max_size=5)):
        caps = st.none() | st.integers(1, 2**40)
        made.keys[slug] = KeyRecord(slug, draw(texts), draw(texts), draw(texts), draw(texts), draw(caps))
    return made


def plain(it: Manifest) -> "dict[str, object]":
    """All that a manifest says."""
    keys = {slug: record.as_json() for slug, record in sorted(it.keys.items())}
    assert all(record.slug == slug for slug, record in it.keys.items())
    facts = {name: getattr(it, name) for name in ("owner", "wallet", "wallet_key", "via", "recipients", "version")}
    return {**facts, "vaults": it.vaults, "keys": keys}


@given(manifests())
def test_what_was_sealed_comes_back(made: Manifest) -> None:
    """Every member, and once more the same bytes."""
    data = made.to_bytes(KEY)
    found = manifest.from_bytes(data, KEY, "ana")
    assert plain(found) == plain(made)
    assert found.to_bytes(KEY) == data


def test_its_text_is_the_documented_json() -> None:
    """Members in their order, keys sorted: what `age -d` shows an owner without this program."""
    made = Manifest("ana", "0xAb", "00" * 32, "file", ["age1x"])
    made.version = 3
    made.vaults = {"os.secure": {"generation": 2}}
    for slug in ("b.all.B", "@all.all.A"):
        made.keys[slug] = KeyRecord(slug, "os.secure", "copy", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", 60)
    found = json.loads(made.to_bytes(KEY))
    mac = found.pop("mac")
    assert len(mac) == 64
    row = {
        "vault": "os.secure",
        "mech": "copy",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-02T00:00:00Z",
        "max_seconds": 60,
        "expires_at": None,
    }
    assert found == {
        "format": "agentkeys/manifest/1",
        "owner": "ana",
        "version": 3,
        "via": "file",
        "wallet": "0xAb",
        "wallet_key": "00" * 32,
        "recipients": ["age1x"],
        "backups": {},
        "vaults": {"os.secure": {"generation": 2}},
        "keys": {"@all.all.A": row, "b.all.B": row},
    }
    assert list(found["keys"]) == ["@all.all.A", "b.all.B"]


ROW = {
    "vault": "os.secure",
    "mech": "copy",
    "created_at": "t",
    "updated_at": "t",
    "max_seconds": None,
    "expires_at": None,
}
MEMBERS = {
    "format": manifest.FORMAT,
    "owner": "ana",
    "version": 1,
    "via": "file",
    "wallet": "0x",
    "wallet_key": "00",
    "recipients": ["age1x"],
    "vaults": {"os.secure": {}},
    "keys": {"@all.all.A": ROW},
}
WRONG = {
    "version": ["1", None, 1.5, []],
    "via": [1, None],
    "wallet": [1, None, []],
    "wallet_key": [1, None],
    "recipients": ["age1x", None, {}, [1], [None]],
    "vaults": [[], None, "x"],
    # Not each slug and type: those are ours behind the MAC, and looking at 10,000 would slow every unlock.
    "keys": [
        [],
        None,
        {"@all.all.A": []},
        {"@all.all.A": None},
        {"@all.all.A": {}},
    ],
}


def test_the_sample_of_the_next_test_is_right() -> None:
    """So that what fails there fails for its one change."""
    assert list(manifest.from_bytes(sealed_json.dump(MEMBERS, "keys", KEY), KEY, "ana").keys) == ["@all.all.A"]


@pytest.mark.parametrize("name", [name for name in MEMBERS if name not in ("format", "owner")])
def test_a_member_out_of_shape_is_refused(name: str) -> None:
    """Missing or of another type, though the MAC is right: VaultFault, never another exception."""
    without = {member: value for member, value in MEMBERS.items() if member != name}
    for members in (without, *[{**MEMBERS, name: value} for value in WRONG[name]]):
        with pytest.raises(VaultFault, match=r"host\.ana\.yml\.age is damaged"):
            manifest.from_bytes(sealed_json.dump(members, "keys", KEY), KEY, "ana")


HOSTILE = [
    {"version": -1},
    {"version": 2**64},
    {"vaults": {"os.secure": []}},
    {"vaults": {"os.secure": None}},
    {"keys": {"../../x": ROW}},
    {"keys": {"": ROW}},
    {"keys": {"@all.all.A": {**ROW, "vault": []}}},
    {"keys": {"@all.all.A": {**ROW, "expires_at": 7}}},
    {"keys": {"@all.all.A": {**ROW, "max_seconds": "1"}}},
    {"keys": {"@all.all.A": {**ROW, "max_seconds": -1}}},
]


@pytest.mark.parametrize("members", HOSTILE, ids=str)
def test_a_rack_that_cannot_be_verified_is_looked_at_in_full(members: "dict[str, object]") -> None:
    """What `restore` opens with a backup's key may be anybody's, so every slug, type and number counts there."""
    with pytest.raises(VaultFault, match=r"host\.ana\.yml\.age is damaged"):
        manifest.from_unverified(sealed_json.dump({**MEMBERS, **members}, "keys", KEY), "ana")
    assert manifest.from_unverified(sealed_json.dump(MEMBERS, "keys", KEY), "ana").version == 1


def test_a_bomb_of_brackets_is_refused() -> None:
    """Nested deeper than the reader goes: damaged, whoever made it."""
    text = b'{\n  "format": ' + b"[" * 200_000
    data = text + b',\n  "mac": "' + derive.mac(KEY, text).encode() + b'"\n}\n'
    for read in (lambda: manifest.from_unverified(data, "ana"), lambda: manifest.from_bytes(data, KEY, "ana")):
        with pytest.raises(VaultFault, match="is damaged"):
            read()


def test_a_refusal_shows_nothing_of_what_was_read() -> None:
    """Neither the wallet's key nor a name."""
    made = Manifest("ana", "0xAb", "5ec4e7" * 10, "file", ["age1x"])
    for data, key, owner in ((made.to_bytes(KEY)[:-1], KEY, "ana"), (made.to_bytes(KEY), bytes(32), "ana")):
        with pytest.raises(VaultFault) as refusal:
            manifest.from_bytes(data, key, owner)
        assert "5ec4e7" not in f"{refusal.value} {refusal.value.hint} {refusal.value.args} {refusal.value.__cause__}"
