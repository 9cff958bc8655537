"""restore --via: an owner's identity is made anew, in every way there is to keep one, and the old one opens nothing.

The old identity is still there in most of these: who moves to a hardware key restores as who lost a laptop does.
"""

import os
from pathlib import Path

import pytest

from agentkeys.stores.identities import VIAS
from tests.agent.seat import Seat
from tests.owners.backups import assert_values, backup_key, opens, own, sealed_files
from tests.owners.bus import Bus
from tests.owners.plugins import key_file, new_recipient
from tests.owners.tty import converse
from tests.support.plugin import Plant

ENTRY = {"service": "agentkeys", "account": "identity-human"}

Replies = list[tuple[bytes, bytes]]


class Change:
    """An owner with an identity in a file, before and after a restore to another."""

    def __init__(self, backed: tuple[Seat, Path]) -> None:
        self.seat, self.key = backed
        self.old = self.seat.home.path / "old.key"
        self.old.write_bytes(own(self.seat).read_bytes())
        self.card = self.shown()

    def shown(self) -> dict[str, object]:
        """What `owner show` says."""
        shown: dict[str, object] = self.seat.cli("owner", "show", "human", "--json", check=True).json()
        return shown

    def restore(self, *options: str, env: "dict[str, str] | None" = None, code: int = 0) -> bytes:
        """Restore with the backup; what it printed."""
        done = self.seat.cli("restore", "--identity", self.key, "--yes", *options, env=env)
        assert done.code == code, done.err
        return done.out + done.err

    def assert_changed(self, via: str) -> None:
        """It is kept so from now on; only it and the backup open the rack; the rest of the card is as it was."""
        after = self.shown()
        assert after["via"] == via
        assert after["recipients"] != self.card["recipients"]
        for member in ("owner", "wallet", "aliases", "created_at", "manifest"):
            assert after[member] == self.card[member], member
        assert [path for path in sealed_files(self.seat) if opens(self.seat, self.old, path)] == []
        assert [path for path in sealed_files(self.seat) if not opens(self.seat, self.key, path)] == []
        assert not list(self.seat.home.root.rglob("*.next"))
        assert [path.read_bytes() for path in own(self.seat).parent.glob("*.lost-*")] == [self.old.read_bytes()]

    def assert_unlocks(self, replies: Replies, env: "dict[str, str] | None" = None) -> None:
        """Every value is back, byte for byte, after the answers that the identity wants."""
        seat = self.seat.start()
        if replies:
            code, shown = converse(seat.cli, "unlock", replies=replies)
            assert code == 0, shown
        else:
            seat.cli("unlock", env=env, check=True)
        for name, value in seat.values.items():
            assert seat.get(name, check=True).out == value, name


@pytest.fixture
def change(backed: tuple[Seat, Path]) -> Change:
    """A rack with a backup, about to be restored."""
    return Change(backed)


def files(seat: Seat) -> dict[str, bytes]:
    """Every file of the home, but for locks and the audit log."""
    root = seat.home.root
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(("lock/", "audit/"))}


def test_to_a_file(change: Change) -> None:
    """A fresh one, although the old one opens; nothing is asked."""
    assert b"via file" in change.restore("--via", "file")
    change.assert_changed("file")
    assert own(change.seat).stat().st_mode & 0o777 == 0o600
    change.assert_unlocks([])


def test_to_a_passphrase(change: Change, canary: Plant) -> None:
    """Asked for twice; what opens the rack from now on is asked for at each verb."""
    word = canary("new passphrase")
    options = ["restore", "--identity", str(change.key), "--yes", "--via", "passphrase"]
    asked = [(b"new passphrase for human: ", word), (b"the same again: ", word)]
    code, shown = converse(change.seat.cli, *options, replies=asked)
    assert (code, b"asked at each verb" in shown) == (0, True), shown
    change.assert_changed("passphrase")
    assert change.seat.cli("list").code == 4
    change.assert_unlocks([(b"passphrase for human: ", word)])


def test_to_a_variable(change: Change) -> None:
    """The identity that AGENTKEYS_IDENTITY holds now; none of it is kept, and without it nothing is done."""
    path, public = backup_key(change.seat, "ci")
    before = files(change.seat)
    assert b"AGENTKEYS_IDENTITY" in change.restore("--via", "env", code=4)
    assert files(change.seat) == before
    env = {"AGENTKEYS_IDENTITY": path.read_text()}
    change.restore("--via", "env", env=env)
    change.assert_changed("env")
    assert change.shown()["recipients"] == [public]
    assert not own(change.seat).exists()
    assert change.seat.cli("list").code == 4
    change.assert_unlocks([], env)


@pytest.mark.parametrize("word", ["", "of the ssh key"], ids=["open", "encrypted"])
def test_to_an_ssh_key(word: str, change: Change) -> None:
    """--pubkey names it; its private half is opened before the rack is sealed to it."""
    key = change.seat.home.path / "id_new"
    keygen = change.seat.cli.with_prefix("ssh-keygen")
    keygen("-q", "-t", "ed25519", "-N", word, "-f", key, check=True)
    before = files(change.seat)
    assert b"--pubkey" in change.restore("--via", "ssh", code=2)
    assert files(change.seat) == before
    options = ["--via", "ssh", "--pubkey", f"{key}.pub"]
    replies = [(b"passphrase for ", word.encode())] if word else []
    if word:
        change.restore(*options, code=4)
        assert files(change.seat) == before
    code, shown = converse(
        change.seat.cli, "restore", "--identity", str(change.key), "--yes", *options, replies=replies
    )
    assert code == 0, shown
    change.assert_changed("ssh")
    assert change.shown()["key_path"] == str(key)
    assert not own(change.seat).exists()
    change.assert_unlocks(replies)


def test_to_an_ssh_key_whose_private_half_is_not_here(change: Change) -> None:
    """A rack that is sealed to it could be opened by nobody here: exit 7, and everything is as it was."""
    key = change.seat.home.path / "id_new"
    change.seat.cli.with_prefix("ssh-keygen")("-q", "-t", "ed25519", "-N", "", "-f", key, check=True)
    key.unlink()
    before = files(change.seat)
    change.restore("--via", "ssh", "--pubkey", f"{key}.pub", code=7)
    assert files(change.seat) == before


@pytest.mark.parametrize("asks", [False, True], ids=["silent", "with a PIN"])
def test_to_a_plugin(asks: bool, change: Change, plugin: Path) -> None:
    """--plugin-identity names what its tool wrote, as the caller sees it; a PIN is asked for once, as a proof."""
    path = key_file(change.seat, asks)
    options = ["--identity", str(change.key), "--yes", "--via", "plugin:akteststub", "--plugin-identity"]
    replies = [(b"PIN of the stub: ", b"1234")] if asks else []
    if asks:
        before = files(change.seat)
        assert change.seat.cli("restore", *options, path).code == 4
        code, shown = converse(change.seat.cli, "restore", *options, str(path), replies=[(replies[0][0], b"9999")])
        assert (code, b"9999" in shown) == (7, False), shown
        assert files(change.seat) == before
    child = change.seat.cli.with_prefix(*change.seat.cli.prefix)
    child.cwd = path.parent
    code, shown = converse(child, "restore", *options, path.name, replies=replies)
    assert code == 0, shown
    change.assert_changed("plugin:akteststub")
    assert own(change.seat).stat().st_mode & 0o777 == 0o600
    change.assert_unlocks(replies * 3)  # the stub asks for each file: rack, values, the large value


def test_to_a_plugin_whose_file_names_no_recipient(change: Change, plugin: Path) -> None:
    """Then --pubkey says it; without it exit 2; the recipient of another key is exit 7. Nothing changes before."""
    named = key_file(change.seat)
    bare = change.seat.home.path / "bare.txt"
    recipient, identity = named.read_text().splitlines()
    bare.write_text(identity + "\n")
    before = files(change.seat)
    options = ["--via", "plugin:akteststub", "--plugin-identity", str(bare)]
    assert b"--pubkey age1akteststub1" in change.restore(*options, code=2)
    assert b"doesn't open what is sealed to" in change.restore(*options, "--pubkey", new_recipient(), code=7)
    assert b"recipient" in change.restore(*options, "--pubkey", "age1other1qqqq", code=2)
    assert files(change.seat) == before
    change.restore(*options, "--pubkey", recipient.rpartition(" ")[2])
    change.assert_changed("plugin:akteststub")
    change.assert_unlocks([])


def test_a_plugin_that_is_not_there_changes_nothing(change: Change, free: None) -> None:
    """Exit 7 saying where it was looked for."""
    before = files(change.seat)
    path = key_file(change.seat)
    said = change.restore("--via", "plugin:akteststub", "--plugin-identity", str(path), code=7)
    assert b"/usr/local/bin" in said
    assert files(change.seat) == before


def test_from_a_lost_plugin_key_to_another_of_its_kind(change: Change, plugin: Path) -> None:
    """A key that still opens the rack is kept; to one that doesn't nothing is sealed: the new one is asked for."""
    first = key_file(change.seat)
    change.restore("--via", "plugin:akteststub", "--plugin-identity", str(first))
    recipient = change.shown()["recipients"]
    change.restore()
    assert change.shown()["recipients"] == recipient
    held = own(change.seat).read_text().splitlines()
    other = key_file(change.seat, name="other.txt").read_text().splitlines()
    own(change.seat).write_text("\n".join([*held[:-1], other[-1]]) + "\n")
    before = files(change.seat)
    said = change.restore(code=2)
    assert b"--via plugin:akteststub --plugin-identity FILE" in said
    assert files(change.seat) == before
    change.restore("--plugin-identity", str(key_file(change.seat, name="new.txt")))
    assert change.shown()["via"] == "plugin:akteststub"
    assert change.shown()["recipients"] != recipient
    assert_values(change.seat)


def test_to_the_keychain(change: Change, wallet: Bus) -> None:
    """A fresh entry, and no file; an entry of that name from before is kept beside it and never taken."""
    old = change.old.read_bytes()
    change.seat.cli("init", "--for", "other", "--via", "keychain", check=True)
    change.restore("--via", "keychain")
    change.assert_changed("keychain")
    assert not own(change.seat).exists()
    assert accounts(wallet) == ["identity-human", "identity-other"]
    first = wallet.secret(**ENTRY)
    assert old not in first
    change.assert_unlocks([])
    change.seat.cli("relock", check=True)
    change.restore("--via", "keychain")
    assert wallet.secret(**ENTRY) != first
    (kept,) = [account for account in accounts(wallet) if "lost" in account]
    assert kept.startswith("identity-human.lost-")
    assert wallet.secret(service="agentkeys", account=kept) == first
    assert len(accounts(wallet)) == 3
    change.assert_unlocks([])


def accounts(bus: Bus) -> list[str]:
    """Of our entries, those of identities."""
    found = sorted(attributes["account"] for _, attributes in bus.items(service="agentkeys"))
    return [account for account in found if account.startswith("identity-")]


def test_from_the_keychain_whose_entry_is_gone(human: Seat, wallet: Bus, canary: Plant) -> None:
    """Without --via a new entry; with it, whatever else."""
    human.cli("init", check=True)
    human.values["TOKEN"] = canary("of a keychain owner")
    human.set("TOKEN", human.values["TOKEN"])
    key, public = backup_key(human)
    human.cli("recipient", "set", "--pubkey", public, check=True)
    wallet.delete(**ENTRY)
    human.cli("restore", "--identity", key, "--yes", check=True)
    assert accounts(wallet) == ["identity-human"]
    assert_values(human)
    wallet.delete(**ENTRY)
    human.cli("restore", "--identity", key, "--yes", "--via", "file", check=True)
    assert accounts(wallet) == []
    assert human.cli("owner", "show", "--json", check=True).json()["via"] == "file"
    assert_values(human)


def test_to_a_keychain_that_is_locked_or_absent(change: Change, wallet: Bus) -> None:
    """Exit 4 and 7; the old identity opens the rack as before."""
    before = files(change.seat)
    change.restore("--via", "keychain", env={"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}, code=7)
    change.seat.cli("init", "--for", "other", "--via", "keychain", check=True)
    others = change.seat.cli("owner", "show", "other", "--json", check=True).json()["wallet"].lower()
    wallet.lock()
    assert b"locked" in change.restore("--via", "keychain", code=4)
    after = {name: data for name, data in files(change.seat).items() if "other" not in name and others not in name}
    assert after == before
    assert accounts(wallet) == ["identity-other"]
    assert_values(change.seat)


@pytest.mark.parametrize(
    "options",
    [
        ["--via", "nonsense"],
        ["--via", "plugin:../x"],
        ["--via", "plugin:akteststub"],
        ["--via", "file", "--pubkey", "x.pub"],
        ["--via", "file", "--plugin-identity", "/nonexistent"],
        ["--via", "ssh", "--pubkey", "/nonexistent.pub"],
        ["--via", "ssh", "--pubkey", "/nonexistent.pub", "--plugin-identity", "/nonexistent"],
    ],
    ids=" ".join,
)
def test_what_can_not_be_meant_changes_nothing(options: list[str], change: Change, plugin: Path) -> None:
    """Exit 2 with a hint that says `restore`, or names a tool, and no file is other than before."""
    before = files(change.seat)
    assert b"agentkeys: hint: " in change.restore(*options, code=2)
    assert files(change.seat) == before


@pytest.mark.parametrize("options", [["--via", "file"], ["--pubkey", "x"], ["--plugin-identity", "x"]], ids=" ".join)
def test_a_new_identity_needs_a_backups(options: list[str], rack: Seat) -> None:
    """With --accept-older or with nothing it is no question of identities: exit 2, and nothing is asked."""
    before = files(rack)
    for more in ([], ["--accept-older"]):
        done = rack.cli("restore", *options, *more)
        assert done.code == 2
        assert b"--identity backup.key" in done.err
    assert files(rack) == before


def test_a_passphrase_that_is_mistyped_changes_nothing(change: Change, canary: Plant) -> None:
    """The old identity goes on."""
    before = files(change.seat)
    word = canary("mistyped")
    code, shown = converse(
        change.seat.cli,
        *["restore", "--identity", str(change.key), "--yes", "--via", "passphrase"],
        replies=[(b"new passphrase for human: ", word), (b"the same again: ", word + b"x")],
    )
    assert (code, b"agentkeys restore --for human" in shown) == (2, True), shown
    assert files(change.seat) == before
    assert_values(change.seat)


def test_owner_remove_takes_the_replaced_identities_along(change: Change) -> None:
    """A file that a restore kept is the owner's, too; other owners' stay."""
    change.restore("--via", "file")
    change.restore("--via", "file")
    change.seat.cli("init", "--for", "human-2", "--via", "file", check=True)
    assert len(list(own(change.seat).parent.glob("human.key.lost-*"))) == 2, "also two within a second"
    change.seat.cli("owner", "remove", "human", "--yes", check=True)
    assert os.listdir(own(change.seat).parent) == ["human-2.key"]


def test_every_way_to_keep_an_identity_is_tried_here() -> None:
    """A new kind of identity needs its test."""
    source = Path(__file__).read_text()
    assert [via for via in VIAS if f'"--via", "{via}"' not in source] == []
