"""restore: with a backup key when the owner's own identity is lost, or from an older copy when that was agreed to."""

import json
import shutil
from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.owners.backups import assert_values, backup_key, opens, own, sealed_files, versions
from tests.owners.tty import converse


def test_a_lost_identity_is_replaced_and_the_rack_is_back(backed: tuple[Seat, Path], tmp_path: Path) -> None:
    """Exit 7 before; restore says not verified, makes a new identity, and only files sealed to it are left."""
    seat, key = backed
    old_key = shutil.copy(own(seat), tmp_path / "old.key")
    before, seen = sealed_files(seat), versions(seat)
    wallet = seat.cli("owner", "show", "human", "--json", check=True).json()["wallet"]
    own(seat).unlink()
    assert seat.cli("list").code == 7
    done = seat.cli("restore", "--identity", key, "--yes", check=True)
    assert b"not verified" in done.out + done.err
    after = sealed_files(seat)
    assert not set(before[1:]) & set(after[1:])
    assert [path for path in after if opens(seat, Path(old_key), path)] == []
    assert [path for path in after if not opens(seat, own(seat), path)] == []
    assert [path for path in after if not opens(seat, key, path)] == []
    assert versions(seat) > seen
    assert seat.cli("owner", "show", "human", "--json", check=True).json()["wallet"] == wallet
    assert {row["name"] for row in seat.cli("list", "--json", check=True).json()} == set(seat.values)
    assert_values(seat)
    seat.set("AFTER", b"x")
    rows = seat.cli("recipient", "get", "--json", check=True).json()
    assert [row["label"] for row in rows] == ["owner", "backup"]
    assert rows[0]["recipient"] == seat.cli("owner", "show", "human", "--json").json()["recipients"][0]


def test_a_rack_can_be_restored_to_an_ssh_key(backed: tuple[Seat, Path]) -> None:
    """restore --via ssh: from now on that key opens it, and the lost identity's file isn't made again."""
    seat, key = backed
    own(seat).unlink()
    ssh = seat.home.path / "id_new"
    seat.cli.with_prefix("ssh-keygen")("-q", "-t", "ed25519", "-N", "", "-f", ssh, check=True)
    seat.cli("restore", "--identity", key, "--via", "ssh", "--pubkey", f"{ssh}.pub", "--yes", check=True)
    assert not own(seat).exists()
    assert seat.cli("owner", "show", "human", "--json", check=True).json()["via"] == "ssh"
    assert [path for path in sealed_files(seat) if not opens(seat, ssh, path)] == []
    assert_values(seat)


def test_restore_asks_on_a_terminal_and_only_yes_is_yes(backed: tuple[Seat, Path]) -> None:
    """Anything else, or no terminal, leaves every file as it is; --yes goes without."""
    seat, key = backed
    own(seat).unlink()
    before = {path: path.read_bytes() for path in sealed_files(seat)}
    for answer in (b"no", b"", b"YES!", b"y"):
        code, shown = converse(seat.cli, "restore", "--identity", str(key), replies=[(b"restore it?", answer)])
        assert (code, b"not verified" in shown) == (2, True), shown
    assert seat.cli("restore", "--identity", key).code == 2
    assert {path: path.read_bytes() for path in sealed_files(seat)} == before
    assert not own(seat).exists()
    code, _ = converse(seat.cli, "restore", "--identity", str(key), replies=[(b"restore it?", b"yes")])
    assert code == 0
    assert_values(seat)


def test_a_key_that_is_no_backup_restores_nothing(backed: tuple[Seat, Path]) -> None:
    """A stranger's key is exit 7, a missing file 2, and neither makes an identity or touches a file."""
    seat, _key = backed
    stranger, _ = backup_key(seat, "stranger")
    own(seat).unlink()
    before = {path: path.read_bytes() for path in sealed_files(seat)}
    assert seat.cli("restore", "--identity", stranger, "--yes").code == 7
    assert seat.cli("restore", "--identity", "/nonexistent.key", "--yes").code == 2
    assert {path: path.read_bytes() for path in sealed_files(seat)} == before
    assert list(own(seat).parent.iterdir()) == []


def test_an_identity_that_was_replaced_is_kept_beside(backed: tuple[Seat, Path]) -> None:
    """What lies in the identity's place and can't open the rack is never overwritten."""
    seat, key = backed
    own(seat).write_bytes(b"something else\n")
    assert seat.cli("list").code == 7
    seat.cli("restore", "--identity", key, "--yes", check=True)
    kept = [path for path in own(seat).parent.iterdir() if path != own(seat)]
    assert [path.read_bytes() for path in kept] == [b"something else\n"]
    assert_values(seat)


def test_restore_keeps_an_identity_that_still_opens_the_rack(backed: tuple[Seat, Path]) -> None:
    """With the own identity at hand no new one is made."""
    seat, key = backed
    before = own(seat).read_bytes()
    seat.cli("restore", "--identity", key, "--yes", check=True)
    assert [path.read_bytes() for path in own(seat).parent.iterdir()] == [before]
    assert_values(seat)


def test_restore_without_anything_is_exit_2(rack: Seat) -> None:
    """Neither a backup nor --accept-older: usage, and nothing changes."""
    before = {path: path.read_bytes() for path in sealed_files(rack)}
    assert rack.cli("restore").code == 2
    assert rack.cli("restore", "--yes").code == 2
    assert rack.cli("restore", "--for", "nobody", "--accept-older", "--yes").code == 2
    assert {path: path.read_bytes() for path in sealed_files(rack)} == before


def put_back(seat: Seat, saved: Path) -> None:
    """The rack's sealed files as they were, but not what the machine remembers."""
    shutil.rmtree(seat.home.root / "vault" / "human")
    shutil.copytree(saved / "vault" / "human", seat.home.root / "vault" / "human")
    shutil.copy(saved / "host.human.yml.age", seat.home.root / "host.human.yml.age")


def test_an_older_copy_is_refused_until_it_is_accepted(rack: Seat, tmp_path: Path) -> None:
    """list says 7; restore --accept-older asks, brings the old keys back, is audited, and never lowers the version."""
    shutil.copytree(rack.home.root, tmp_path / "saved", symlinks=True)
    rack.set("LATER", b"x")
    seen = versions(rack)
    put_back(rack, tmp_path / "saved")
    for args in (["list"], ["set", "OTHER"], ["recipient", "get"]):
        assert rack.cli(*args, input=b"x").code == 7, args
    assert rack.cli("restore", "--accept-older").code == 2
    code, shown = converse(rack.cli, "restore", "--accept-older", replies=[(b"restore it?", b"no")])
    assert (code, b"older" in shown) == (2, True)
    assert rack.cli("list").code == 7
    rack.cli("restore", "--accept-older", "--yes", check=True)
    assert versions(rack) > seen
    assert {row["name"] for row in rack.cli("list", "--json", check=True).json()} == set(rack.values)
    assert_values(rack)
    (line,) = [line for line in rack.chain() if "restore" in json.dumps(line)]
    assert str(seen) in json.dumps(line)


def test_an_older_copy_from_a_backup_needs_both_words(backed: tuple[Seat, Path], tmp_path: Path) -> None:
    """--identity alone refuses an older copy and leaves no new identity behind; with --accept-older it comes back."""
    seat, key = backed
    shutil.copytree(seat.home.root, tmp_path / "saved", symlinks=True)
    seat.set("LATER", b"x")
    seen = versions(seat)
    put_back(seat, tmp_path / "saved")
    own(seat).unlink()
    assert seat.cli("restore", "--identity", key, "--yes").code == 2
    assert list(own(seat).parent.iterdir()) == []
    seat.cli("restore", "--identity", key, "--accept-older", "--yes", check=True)
    assert versions(seat) > seen
    assert_values(seat)


@pytest.mark.parametrize("how", ["identity", "older"])
def test_restore_tells_live_agents_nothing_wrong(how: str, backed: tuple[Seat, Path]) -> None:
    """An agent that is unlocked while the rack is restored still answers, and unlocks again."""
    seat, key = backed
    seat.start().unlock()
    args = ["--identity", str(key)] if how == "identity" else ["--accept-older"]
    if how == "identity":
        own(seat).unlink()
    seat.cli("restore", *args, "--yes", check=True)
    assert_values(seat)
