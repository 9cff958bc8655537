"""A bundle gives back the bytes that the manifest's state names, or refuses."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkeys.core import sealed_json
from agentkeys.errors import VaultFault
from agentkeys.stores import age
from agentkeys.stores.bundle import LARGE, Bundle, State
from tests.stores.racks import make_identity
from tests.support.plugin import Plant

KEY = bytes(range(32))
BIG, OTHER = b"\0big" * LARGE, b"\0two" * LARGE


def plain(directory: Path, owner: str = "ana", key: bytes = KEY) -> Bundle:
    """A bundle of .json files that are not sealed."""
    return Bundle(str(directory), "direct.", ".json", owner, key, lambda data: data, lambda data, _path: data)


def sealed(directory: Path, owner: str = "ana") -> Bundle:
    """A bundle of .age files."""
    mine = make_identity(directory / "keys", owner)
    return Bundle(
        str(directory / owner),
        "",
        ".age",
        owner,
        KEY,
        lambda data: age.seal(data, [mine.recipient]),
        lambda data, path: age.open_sealed(data, mine.decryptor, path),
    )


def swept(bundle: Bundle, state: State) -> "list[str]":
    """What is left once `state` is committed."""
    bundle.sweep(state)
    return sorted(os.listdir(bundle.directory))


slugs = st.from_regex(r"[a-z]{1,3}\.all\.[A-Z]{1,3}", fullmatch=True)
values = st.binary(max_size=50) | st.text(max_size=20).map(str.encode) | st.just(BIG)
bundles = st.dictionaries(slugs, values, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(bundles, min_size=1, max_size=4))
def test_each_generation_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, generations: "list[dict[str, bytes]]"
) -> None:
    """Any bytes under any slug; and until it is swept, the generation before still does too."""
    bundle = plain(tmp_path_factory.mktemp("bundle"))
    state: State = {}
    before: dict[str, bytes] = {}
    for data in generations:
        new = bundle.write(state, data)
        assert bundle.read(new) == data
        assert bundle.read(state) == before
        bundle.sweep(new)
        assert bundle.read(new) == data
        state, before = new, data


@pytest.mark.parametrize(
    "value", [b"", b"\0", b"\xff\xfe", b"a\r\n", b" ", b'{"base64": "eA=="}', b'","mac": "', "é".encode()]
)
def test_a_value_is_exact_bytes(value: bytes, tmp_path: Path) -> None:
    """Nothing is trimmed, decoded or taken for syntax, sealed or not."""
    for bundle in (plain(tmp_path / "plain"), sealed(tmp_path)):
        state = bundle.write({}, {"@all.all.A": value})
        assert bundle.read(state) == {"@all.all.A": value}


def test_nothing_is_an_empty_bundle(tmp_path: Path) -> None:
    """Before the first write, and after everything was deleted."""
    bundle = plain(tmp_path / "none")
    assert bundle.read({}) == {}
    bundle.sweep({})
    assert bundle.read(bundle.write(bundle.write({}, {"@all.all.A": b"x"}), {})) == {}


def test_each_generation_is_a_file_of_its_own(tmp_path: Path) -> None:
    """0600 in a 0700 directory; the old one goes only when the new one is committed."""
    bundle = plain(tmp_path / "ana")
    first = bundle.write({}, {"@all.all.A": b"1"})
    second = bundle.write(first, {"@all.all.A": b"2"})
    assert sorted(os.listdir(bundle.directory)) == ["direct.1.json", "direct.2.json"]
    assert swept(bundle, second) == ["direct.2.json"]
    assert (tmp_path / "ana").stat().st_mode & 0o7777 == 0o700
    assert (tmp_path / "ana" / "direct.2.json").stat().st_mode & 0o7777 == 0o600


def test_a_large_value_has_a_file_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    """Over 16 KiB, and not a byte earlier; writing another key doesn't touch it, writing it anew does."""
    bundle = plain(tmp_path)
    first = bundle.write({}, {"@all.all.L": BIG, "@all.all.S": bytes(LARGE), "@all.all.B": bytes(LARGE + 1)})
    assert sorted(first["large"]) == ["@all.all.B", "@all.all.L"]
    name = first["large"]["@all.all.L"][0]
    inode = (tmp_path / name).stat().st_ino
    second = bundle.write(first, {"@all.all.L": BIG, "@all.all.S": b"new"})
    assert second["large"]["@all.all.L"][0] == name
    assert swept(bundle, second) == sorted([name, "direct.2.json"])
    assert (tmp_path / name).stat().st_ino == inode
    third = bundle.write(second, {"@all.all.L": OTHER})
    assert bundle.read(second)["@all.all.L"] == BIG
    assert third["large"]["@all.all.L"][0] != name
    assert swept(bundle, third) == sorted([third["large"]["@all.all.L"][0], "direct.3.json"])
    assert bundle.read(third) == {"@all.all.L": OTHER}


def test_a_change_leaves_large_values_unread(tmp_path: Path) -> None:
    """One whose file is lost or damaged stays a fault; it can be set again or deleted, and so can the others."""
    bundle = plain(tmp_path)
    first = bundle.write({}, {"@all.all.L": BIG, "@all.all.M": OTHER, "@all.all.S": b"small"})
    (tmp_path / first["large"]["@all.all.L"][0]).unlink()
    (tmp_path / first["large"]["@all.all.M"][0]).write_bytes(b"damaged")
    second = bundle.change(first, {"@all.all.S": b"new", "@all.all.T": b"more"})
    assert second["large"] == first["large"]
    with pytest.raises(VaultFault):
        bundle.read(second)
    third = bundle.change(second, {"@all.all.L": OTHER, "@all.all.M": None})
    assert bundle.read(third) == {"@all.all.L": OTHER, "@all.all.S": b"new", "@all.all.T": b"more"}
    assert bundle.read(bundle.change(third, {"@all.all.L": b"shrunk"}))["@all.all.L"] == b"shrunk"


def test_a_change_over_lost_or_damaged_small_values_is_refused(tmp_path: Path) -> None:
    """They are all in one file, and it would write down what is left of them."""
    bundle = plain(tmp_path)
    state = bundle.write({}, {"@all.all.S": b"small"})
    for damage in (lambda path: path.write_bytes(b"damaged"), Path.unlink):
        damage(tmp_path / "direct.1.json")
        with pytest.raises(VaultFault):
            bundle.change(state, {"@all.all.T": b"more"})


def test_a_sweep_takes_nobody_elses_files(tmp_path: Path) -> None:
    """Other vaults keep theirs in the same directory; what isn't called as ours is never ours to remove."""
    others = ["shelf-1.age", "-1.age", "1-short.age", "x1.age", "1.age.bak", "direct.x.json", "direct..json", "1 .age"]
    for bundle in (plain(tmp_path / "plain"), sealed(tmp_path)):
        state = bundle.write({}, {"@all.all.A": b"1", "@all.all.L": BIG})
        for name in others:
            (Path(bundle.directory) / name).write_bytes(b"theirs")
        bundle.sweep(bundle.write(state, {"@all.all.A": b"2"}))
        assert set(others) <= set(os.listdir(bundle.directory))


def test_a_value_that_shrinks_leaves_its_large_file(tmp_path: Path) -> None:
    """And one that grows gets one."""
    bundle = plain(tmp_path)
    first = bundle.write({}, {"@all.all.A": BIG, "@all.all.B": b"small"})
    second = bundle.write(first, {"@all.all.A": b"small", "@all.all.B": BIG})
    assert list(second["large"]) == ["@all.all.B"]
    assert len(swept(bundle, second)) == 2
    assert bundle.read(second) == {"@all.all.A": b"small", "@all.all.B": BIG}


Spoil = Callable[[Path, State, State], None]

SPOILED: "dict[str, Spoil]" = {
    "gone": lambda place, _old, _new: (place / "direct.2.json").unlink(),
    "empty": lambda place, _old, _new: os.truncate(place / "direct.2.json", 0),
    "cut short": lambda place, _old, _new: os.truncate(place / "direct.2.json", 60),
    "rolled back": lambda place, _old, _new: shutil.copy(place / "direct.1.json", place / "direct.2.json"),
    "its large file gone": lambda place, _old, new: (place / new["large"]["@all.all.L"][0]).unlink(),
    "its large file cut": lambda place, _old, new: os.truncate(place / new["large"]["@all.all.L"][0], LARGE),
    "its large file rolled back": lambda place, old, new: shutil.copy(
        place / old["large"]["@all.all.L"][0], place / new["large"]["@all.all.L"][0]
    ),
    "its large files swapped": lambda place, _old, new: shutil.copy(
        place / new["large"]["@all.all.M"][0], place / new["large"]["@all.all.L"][0]
    ),
    "a symlink": lambda place, _old, _new: (
        (place / "direct.2.json").rename(place / "elsewhere"),
        (place / "direct.2.json").symlink_to("elsewhere"),
    ),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_what_the_manifest_does_not_name_is_refused(spoil: Spoil, tmp_path: Path, canary: Plant) -> None:
    """Missing, damaged, older, or another's: VaultFault naming the file, and no value in the message."""
    value = canary("BUNDLED", allowed=[f"{tmp_path}/*"])
    bundle = plain(tmp_path)
    old = bundle.write({}, {"@all.all.A": b"old", "@all.all.L": BIG, "@all.all.M": OTHER})
    new = bundle.write(old, {"@all.all.A": value, "@all.all.L": OTHER, "@all.all.M": OTHER + b"!"})
    assert bundle.read(new)["@all.all.A"] == value
    spoil(tmp_path, old, new)
    with pytest.raises(VaultFault, match=str(tmp_path)) as refusal:
        bundle.read(new)
    assert value.decode() not in f"{refusal.value} {refusal.value.hint} {refusal.value.__cause__}"


def test_any_changed_bit_is_refused(tmp_path: Path) -> None:
    """In each byte of a bundle in plain text, where nothing but the MAC protects it."""
    bundle = plain(tmp_path)
    state = bundle.write({}, {"@all.all.A": b"value", "@all.all.B": b"\xff"})
    whole = (tmp_path / "direct.1.json").read_bytes()
    for at, byte in enumerate(whole):
        for bit in range(8):
            (tmp_path / "direct.1.json").write_bytes(whole[:at] + bytes((byte ^ 1 << bit,)) + whole[at + 1 :])
            with pytest.raises(VaultFault):
                bundle.read(state)


def test_a_bundle_of_another_owner_or_key_is_refused(tmp_path: Path) -> None:
    """Put in this one's place under its name, plain or sealed."""
    mine = plain(tmp_path / "ana")
    state = mine.write({}, {"@all.all.A": b"mine"})
    for number, other in enumerate((plain(tmp_path / "bob", "bob"), plain(tmp_path / "eve", "ana", b"\1" * 32))):
        other.write({}, {"@all.all.A": b"mine"})
        shutil.copy(Path(other.directory) / "direct.1.json", tmp_path / "ana" / "direct.1.json")
        with pytest.raises(VaultFault, match="another owner" if number == 0 else "not written by this owner"):
            mine.read(state)
    ana, bob = sealed(tmp_path / "s", "ana"), sealed(tmp_path / "s", "bob")
    state = ana.write({}, {"@all.all.A": b"mine"})
    bob.write({}, {"@all.all.A": b"mine"})
    shutil.copy(Path(bob.directory) / "1.age", Path(ana.directory) / "1.age")
    with pytest.raises(VaultFault, match="can't be opened"):
        ana.read(state)


def test_another_bundle_of_the_same_owner_is_refused(tmp_path: Path) -> None:
    """Same owner, same key, same generation, but not the one that the manifest names."""
    bundle = plain(tmp_path / "one")
    state = bundle.write({}, {"@all.all.A": b"one"})
    plain(tmp_path / "two").write({}, {"@all.all.A": b"two"})
    shutil.copy(tmp_path / "two" / "direct.1.json", tmp_path / "one" / "direct.1.json")
    with pytest.raises(VaultFault, match="not the bundle the manifest names"):
        bundle.read(state)


def test_leftovers_go_with_the_next_write_or_sweep(tmp_path: Path) -> None:
    """Of a write that crashed before its commit, whole or half; what isn't this vault's stays."""
    bundle = plain(tmp_path)
    state = bundle.write({}, {"@all.all.A": b"kept"})
    for leftover in ("direct.2.json", "direct.2-0123456789abcdef.json", "direct.1-fedcba9876543210.json"):
        (tmp_path / leftover).write_bytes(b"half")
    for stranger in ("2.age", "notes.json", "direct.json.bak"):
        (tmp_path / stranger).write_bytes(b"")
    again = bundle.write(state, {"@all.all.A": b"new"})
    assert bundle.read(again) == {"@all.all.A": b"new"}
    assert swept(bundle, again) == ["2.age", "direct.2.json", "direct.json.bak", "notes.json"]


def test_no_room_leaves_what_was_there(tiny_disk: Path, full_disk: Callable[[], None]) -> None:
    """The write fails; the state before is whole, and with room the next write succeeds."""
    bundle = plain(tiny_disk / "ana")
    state = bundle.write({}, {"@all.all.A": b"old"})
    full_disk()
    for data in ({"@all.all.A": BIG}, {"@all.all.A": b"new" * 2000}):
        with pytest.raises(VaultFault, match="can't be written"):
            bundle.write(state, data)
        assert bundle.read(state) == {"@all.all.A": b"old"}
    (tiny_disk / "ballast").unlink()
    assert bundle.read(bundle.write(state, {"@all.all.A": b"new"})) == {"@all.all.A": b"new"}


def test_a_sealed_bundle_shows_nothing(tmp_path: Path, canary: Plant) -> None:
    """Neither a value nor a key's name, small or large, in a file or its name."""
    value = canary("SEALED")
    bundle = sealed(tmp_path)
    bundle.write({}, {"@all.all.VISIBLE": value, "@all.all.HUGE_VISIBLE": value * 1000})
    for path in Path(bundle.directory).iterdir():
        data = path.name.encode() + path.read_bytes()
        assert value not in data
        assert b"VISIBLE" not in data


STRANGE: "list[State]" = [
    {"generation": "1/../../victim"},
    {"generation": None},
    {"large": []},
    *[
        {"large": {"a.all.A": row}}
        for row in (
            ["../victim", ""],
            ["/etc/hostname", ""],
            ["direct.1-../../../victims.json", ""],
            ["victim"],
            "ab",
            [1, 2],
            None,
        )
    ],
]


@pytest.mark.parametrize("strange", STRANGE, ids=str)
def test_a_state_that_leads_elsewhere_is_refused(strange: State, tmp_path: Path) -> None:
    """A rack that can't be verified could name any file of the user's, and so make it a value: each use refuses it."""
    (tmp_path / "victim").write_bytes(b"victim")
    bundle = plain(tmp_path / "values", key=b"")
    state = {**bundle.write({}, {"a.all.A": b"small"}), **strange}
    uses = [bundle.read, bundle.read_what_is_left, bundle.sweep, lambda it: bundle.change(it, {})]
    for use in uses:
        with pytest.raises(VaultFault, match=r"what the rack says of .* is damaged"):
            use(state)
    assert sorted(os.listdir(tmp_path / "values")) == ["direct.1.json"]


@pytest.mark.parametrize("values", ["[]", "null", '{"a.all.A": 1}', '{"a.all.A": {}}', '{"a.all.A": {"base64": "é"}}'])
def test_values_of_another_shape_are_damaged(values: str, tmp_path: Path) -> None:
    """Never another exception, though nobody checks their MAC."""
    bundle = plain(tmp_path / "values", key=b"")
    state = bundle.write({}, {})
    path = tmp_path / "values" / "direct.1.json"
    data = path.read_bytes().replace(b'"values": {}', f'"values": {values}'.encode())
    path.write_bytes(data)
    with pytest.raises(VaultFault, match="is damaged"):
        bundle.read({**state, "mac": sealed_json.mac_of(data)})
