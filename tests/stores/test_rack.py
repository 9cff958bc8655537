"""A rack is read only as its owner last wrote it; whatever else lies there is refused by its cause."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys import paths
from agentkeys.core.manifest import Manifest
from agentkeys.errors import UsageFault, VaultFault
from agentkeys.stores import age, identity, rack
from agentkeys.stores.rack import Card, Rack, read_card
from tests.stores.racks import make_identity, make_rack, put, recipient_of, ssh_key, write_private
from tests.support.plugin import Plant
from tests.support.runner import Runner


def again(it: Rack) -> Rack:
    """The same rack as another process opens it."""
    return Rack(it.root, it.owner, it.identity)


def file_of(it: Rack) -> Path:
    """The sealed manifest."""
    return Path(it.path)


def seen_file(it: Rack) -> Path:
    """Where the highest version is remembered."""
    return Path(paths.state_file(it.root, it.owner))


def test_each_commit_is_the_next_version(tmp_path: Path) -> None:
    """Read back whole by who opens it next; files are this user's alone."""
    mine = make_rack(tmp_path)
    for version in (2, 3):
        put(mine, f"@all.all.K{version}")
        assert again(mine).require().version == version
        assert again(mine).seen_version() == version
    assert list(again(mine).require().keys) == ["@all.all.K2", "@all.all.K3"]
    for path in (file_of(mine), seen_file(mine)):
        assert path.stat().st_mode & 0o7777 == 0o600
        assert path.parent.stat().st_mode & 0o7777 == 0o700


def test_no_rack_yet_is_told_from_one_that_is_gone(tmp_path: Path) -> None:
    """The first is a matter of `init`; the second is never answered by a fresh one."""
    fresh = Rack(str(tmp_path), "ana", make_identity(tmp_path))
    assert fresh.read() is None
    with pytest.raises(UsageFault, match="has no rack yet"):
        fresh.require()
    mine = make_rack(tmp_path)
    file_of(mine).unlink()
    for read in (again(mine).read, again(mine).require):
        with pytest.raises(VaultFault, match="is gone, and this machine has seen it"):
            read()


def test_a_rack_made_with_the_public_key_alone_is_refused(tmp_path: Path) -> None:
    """age authenticates no sender: who has the recipient can seal, and is told from the owner by the MAC."""
    mine = make_rack(tmp_path)
    forged = Manifest("ana", "0x0", "00", "file", [mine.identity.recipient])
    forged.version = 99
    for key in (bytes(32), b"\1" * 32, mine.identity.recipient.encode()[:32]):
        file_of(mine).write_bytes(age.seal(forged.to_bytes(key), [mine.identity.recipient]))
        with pytest.raises(VaultFault, match="not written by this owner"):
            again(mine).read()
    assert again(mine).seen_version() == 1


def test_a_rack_of_another_owner_is_refused(tmp_path: Path, program: Runner) -> None:
    """Also when both use one ssh key, so that age opens it."""
    key = ssh_key(program, tmp_path / "id", "-t", "ed25519")
    ana, bob = (make_rack(tmp_path, name, identity.open_ssh(str(key), recipient_of(key))) for name in ("ana", "bob"))
    eve = make_rack(tmp_path, "eve")
    put(ana, "@all.all.A")
    file_of(bob).write_bytes(file_of(ana).read_bytes())
    with pytest.raises(VaultFault, match="not written by this owner"):
        again(bob).read()
    file_of(eve).write_bytes(file_of(ana).read_bytes())
    with pytest.raises(VaultFault, match="can't be opened"):
        again(eve).read()


def test_an_older_rack_put_back_is_refused(tmp_path: Path) -> None:
    """A key that was deleted or replaced doesn't come back; the message names both versions."""
    mine = make_rack(tmp_path)
    old = file_of(mine).read_bytes()
    put(mine, "@all.all.A")
    newest = file_of(mine).read_bytes()
    file_of(mine).write_bytes(old)
    for _ in range(2):
        with pytest.raises(VaultFault, match="is version 1, and this machine has seen 2"):
            again(mine).read()
    file_of(mine).write_bytes(newest)
    assert again(mine).require().version == 2


def test_a_newer_rack_is_accepted_and_remembered(tmp_path: Path) -> None:
    """Another machine wrote it, or a crash came between the two files; what is older is refused from then on."""
    mine = make_rack(tmp_path)
    put(mine, "@all.all.A")
    second = file_of(mine).read_bytes()
    put(mine, "@all.all.B")
    for state in (b'{"version": 2}\n', b'{"version": 1}\n', None):
        if state is None:
            seen_file(mine).unlink()
        else:
            seen_file(mine).write_bytes(state)
        writer = again(mine)
        with writer.lock:  # a reader without it leaves no trace
            assert writer.require().version == 3
        assert again(mine).seen_version() == 3
    file_of(mine).write_bytes(second)
    with pytest.raises(VaultFault, match="this machine has seen 3"):
        again(mine).read()


def test_any_damage_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    """A flipped bit in each byte, each cut, and bytes behind it: VaultFault, and the files stay for a look."""
    mine = make_rack(tmp_path)
    whole, state = file_of(mine).read_bytes(), seen_file(mine).read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 3)] + [whole + b"\0", whole + whole]
    damaged += [whole[:at] + bytes((byte ^ 1 << at % 8,)) + whole[at + 1 :] for at, byte in enumerate(whole)]
    for data in damaged:
        file_of(mine).write_bytes(data)
        with pytest.raises(VaultFault):
            again(mine).read()
    assert file_of(mine).read_bytes() == damaged[-1]
    assert seen_file(mine).read_bytes() == state


@pytest.mark.parametrize("data", [b"", b"x", b"{}", b"[]", b"null", b'{"version": "x"}', b'{"version": 1e999}'])
def test_a_damaged_memory_of_versions_is_refused(data: bytes, tmp_path: Path) -> None:
    """Rather than taken for never having seen one; the hint says how to begin anew."""
    mine = make_rack(tmp_path)
    seen_file(mine).write_bytes(data)
    with pytest.raises(VaultFault, match="is damaged") as refusal:
        again(mine).read()
    assert refusal.value.hint == f"rm {seen_file(mine)}"


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"version": ' + b"[" * 100_000])
def test_a_deeply_nested_memory_is_refused(data: bytes, tmp_path: Path) -> None:
    """A parser that gives up is a damaged file, not a crash."""
    mine = make_rack(tmp_path)
    seen_file(mine).write_bytes(data)
    with pytest.raises(VaultFault, match="is damaged"):
        again(mine).read()


def test_no_room_leaves_the_old_rack(tiny_disk: Path, full_disk: Callable[[], None]) -> None:
    """The commit fails, what was read before is read again, and with room it succeeds."""
    mine = make_rack(tiny_disk / "root")
    manifest = put(mine, "@all.all.A")
    full_disk()
    with pytest.raises(VaultFault, match="can't be written"):
        put(mine, *[f"@all.all.B{number}" for number in range(100)])
    assert list(again(mine).require().keys) == ["@all.all.A"]
    (tiny_disk / "ballast").unlink()
    mine.commit(manifest)
    assert again(mine).require().version == 3


def test_a_crashed_commit_s_leftover_goes_with_the_next(tmp_path: Path) -> None:
    """It is ciphertext under a name that nothing reads."""
    mine = make_rack(tmp_path)
    leftover = write_private(tmp_path / "host.ana.yml.age.4711.tmp", file_of(mine).read_bytes()[:100])
    assert again(mine).require().version == 1
    put(mine, "@all.all.A")
    assert not leftover.exists()


def test_a_rack_is_sealed_to_every_recipient(tmp_path: Path) -> None:
    """A named backup opens it; without being one, an identity doesn't."""
    mine, backup = make_rack(tmp_path), make_identity(tmp_path, "backup")
    with pytest.raises(VaultFault):
        age.open_sealed(file_of(mine).read_bytes(), backup.decryptor, "it")
    manifest = mine.require()
    manifest.recipients.append(backup.recipient)
    mine.commit(manifest)
    assert b'"owner": "ana"' in age.open_sealed(file_of(mine).read_bytes(), backup.decryptor, "it")


def test_the_file_shows_no_name(tmp_path: Path, canary: Plant) -> None:
    """Who reads the disk learns how large the rack is, and whose."""
    name = canary("KEY_NAME").decode().replace("-", "_").upper()
    mine = make_rack(tmp_path)
    put(mine, f"@all.all.{name}")
    assert all(name.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


CARD = Card("ana", "0xAb", "file", ["age1x"], "", "2026-01-01T00:00:00Z")


def test_a_card_comes_back(tmp_path: Path) -> None:
    """With each of its facts; no card is None."""
    path = Path(paths.owner_card(str(tmp_path), "ana"))
    assert read_card(str(tmp_path), "ana") is None
    write_private(path, CARD.to_bytes())
    assert vars(read_card(str(tmp_path), "ana")) == vars(CARD)


@pytest.mark.parametrize("change", ["", "[]", "null", "5", '"x"', "{}", "{", "[" * 60_000, "\xff", '{"recipients": 5}'])
def test_a_damaged_card_is_refused(change: str, tmp_path: Path) -> None:
    """Anything that isn't one: VaultFault, and how to have it made again, out of the damaged one's way."""
    card = paths.owner_card(str(tmp_path), "ana")
    write_private(Path(card), change.encode("latin-1"))
    with pytest.raises(VaultFault, match="is damaged") as refusal:
        rack.open_rack(str(tmp_path), "ana")
    assert refusal.value.hint == f"mv {card} {card}.damaged && agentkeys init --for ana"


@pytest.mark.parametrize(
    "change", [{"recipients": []}, {"recipients": "age1x"}, {"recipients": [5]}, {"via": "magic"}, {"via": None}]
)
def test_a_card_that_makes_no_sense_is_refused(change: "dict[str, object]", tmp_path: Path) -> None:
    """Nothing in a card is trusted, its shape included."""
    make_identity(tmp_path)
    members = {**json.loads(CARD.to_bytes()), "via": "ssh", "key_path": str(tmp_path / "id"), **change}
    write_private(Path(paths.owner_card(str(tmp_path), "ana")), json.dumps(members))
    with pytest.raises(VaultFault):
        rack.open_rack(str(tmp_path), "ana")
    assert sorted(os.listdir(tmp_path)) == ["identity", "owners"]
