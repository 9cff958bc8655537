"""init makes what is missing of an owner and leaves what is there; it never makes a second identity for one rack."""

import json
import os
import shutil
from pathlib import Path

import pytest

from agentkeys.core import wallet
from agentkeys.errors import DENIED, USAGE, VAULT, AgentkeysError
from agentkeys.stores import identity
from agentkeys.stores.wallet_key import address, keccak256
from tests.stores.racks import recipient_of, ssh_key, write_private
from tests.support.homes import Home
from tests.support.runner import Runner
from tests.worker.office import WORKER, Office


def everything(root: Path) -> "dict[str, tuple[int, bytes]]":
    """Each file's inode and bytes, save the locks, whose holders write their pid."""
    files = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path): (path.stat().st_ino, path.read_bytes()) for path in files}


def test_an_owner_is_made_whole(empty: Office) -> None:
    """An identity in a file, a wallet of its own, an empty rack that it opens, and a public card."""
    facts = empty.facts("init", ("store", "file"))
    root = empty.root
    assert (facts["owner"], facts["effect"], facts["via"], facts["keys"]) == ("ana", "created", "file", "0")
    opened = identity.open_file(str(root / "identity" / "ana.key"))
    assert facts["recipient"] == opened.recipient
    manifest = empty.manifest()
    assert (manifest.version, manifest.keys, manifest.recipients) == (1, {}, [opened.recipient])
    assert address(int(manifest.wallet_key, 16)) == manifest.wallet == facts["wallet"]
    assert facts["manifest"] == str(root / "host.ana.yml.age")
    assert os.readlink(root / "names" / manifest.wallet.lower()) == "ana"


def test_everything_is_this_user_s_alone(office: Office) -> None:
    """Directories 0700, files 0600."""
    for path in (office.root, *office.root.rglob("*")):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o7777 == (0o700 if path.is_dir() else 0o600), path


def test_a_card_tells_no_secret(office: Office) -> None:
    """Wallet, recipients, how the identity is kept; neither the identity nor the wallet's key, in no public file."""
    card = json.loads((office.root / "owners" / "ana.json").read_text())
    manifest = office.manifest()
    assert card["wallet"] == manifest.wallet
    assert card["recipients"] == manifest.recipients
    assert set(card) == {"owner", "wallet", "aliases", "via", "recipients", "key_path", "created_at"}
    secret_line = (office.root / "identity" / "ana.key").read_text().splitlines()[1]
    for path, (_inode, data) in everything(office.root).items():
        assert manifest.wallet_key.encode() not in data
        assert path.endswith("identity/ana.key") or secret_line.encode() not in data


def test_init_again_changes_nothing(office: Office) -> None:
    """It says what it found; no file is written anew."""
    before = everything(office.root)
    wallet_before = office.manifest().wallet
    for fields in ([], [("via", "file")], [("via", "")]):
        facts = office.facts("init", *fields)
        assert (facts["effect"], facts["wallet"]) == ("found", wallet_before)
    assert everything(office.root) == before


def test_two_owners_share_nothing(office: Office) -> None:
    """Another identity, another wallet, another rack, in one home."""
    bob = office.of("bob")
    bob.do("init", ("via", "file"))
    assert bob.manifest().wallet != office.manifest().wallet
    assert bob.rack().identity.recipient != office.rack().identity.recipient
    shutil.copy(office.root / "host.ana.yml.age", office.root / "host.bob.yml.age")
    with pytest.raises(AgentkeysError, match="can't be opened"):
        bob.manifest()


def test_starts_at_once_make_one_owner(empty: Office) -> None:
    """Eight at a time: one of them made her, the others found her, and all speak of one wallet."""
    run = empty.program.with_prefix(*WORKER)
    children = [run.start(stdin=-1, stdout=-1) for _ in range(8)]
    for child in children:
        child.stdin.write(empty.request("init", ("via", "file")))
        child.stdin.close()
    answers = [child.stdout.read() for child in children]
    assert [child.wait() for child in children] == [0] * 8
    effects = sorted([b"created" in answer for answer in answers])
    assert effects == [False] * 7 + [True]
    assert all(empty.manifest().wallet.encode() in answer for answer in answers)


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_an_ssh_key_opens_the_rack(kind: str, empty: Office, program: Runner, tmp_path: Path) -> None:
    """By its public half's path or its own; nothing of it is copied, and no other identity is made."""
    key = ssh_key(program, tmp_path / "keys" / "id", "-t", kind)
    facts = empty.facts("init", ("via", "ssh"), ("pubkey", f"{key}.pub"))
    assert (facts["effect"], facts["via"], facts["recipient"]) == ("created", "ssh", recipient_of(key))
    assert empty.of("bob").facts("init", ("via", "ssh"), ("pubkey", str(key)))["recipient"] == recipient_of(key)
    assert not (empty.root / "identity").exists()
    empty.set("@all.all.A", b"value")
    assert empty.values() == {"@all.all.A": b"value"}
    assert empty.facts("init")["effect"] == "found"


def test_the_usual_ssh_key_needs_no_path(empty: Office, program: Runner, home: Home) -> None:
    """~/.ssh/id_ed25519.pub."""
    key = ssh_key(program, home.path / ".ssh" / "id_ed25519", "-t", "ed25519")
    assert empty.facts("init", ("via", "ssh"))["recipient"] == recipient_of(key)


def refusal(office: Office, *fields: "tuple[str, str]") -> AgentkeysError:
    """The error of an init that must fail."""
    with pytest.raises(AgentkeysError) as refused:
        office.do("init", *fields)
    assert refused.value.hint
    return refused.value


REFUSED = {
    "an unknown way": [("via", "magic")],
    "a path for a file": [("via", "file"), ("pubkey", "/tmp/id.pub")],
    "a relative path": [("via", "ssh"), ("pubkey", "id.pub")],
    "a missing key": [("via", "ssh"), ("pubkey", "/nowhere/id.pub")],
    "a device": [("via", "ssh"), ("pubkey", "/dev/null")],
}


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_and_makes_nobody(fields: "list[tuple[str, str]]", empty: Office) -> None:
    """Usage, with a way out, and afterwards there is no owner, identity or rack."""
    assert refusal(empty, *fields).exit_code == USAGE
    made = [path.name for path in empty.root.rglob("*") if path.is_file()]
    assert set(made) <= {"ana.lock", "install.lock", "install.key"}


@pytest.mark.parametrize("owner", ["", "Ana", "agentkeys", "0xabc", "../eve", "a b", "a" * 33, "é", "ana\n"])
def test_an_impossible_name_is_refused(owner: str, empty: Office) -> None:
    """Before anything is made of it: a name becomes file names."""
    assert refusal(empty.of(owner), ("via", "file")).exit_code == USAGE
    assert not empty.root.exists()


def test_an_owner_stays_the_way_it_was_made(office: Office, program: Runner, tmp_path: Path) -> None:
    """Another --via is refused and changes nothing: it would be another identity."""
    before = everything(office.root)
    key = ssh_key(program, tmp_path / "id", "-t", "ed25519")
    assert "was made via file" in refusal(office, ("via", "ssh"), ("pubkey", f"{key}.pub")).message
    bob = office.of("bob")
    bob.do("init", ("via", "ssh"), ("pubkey", f"{key}.pub"))
    assert "was made via ssh" in refusal(bob, ("via", "file")).message
    assert {path: it for path, it in everything(office.root).items() if path in before} == before


def test_a_name_that_is_taken_is_refused(office: Office) -> None:
    """An alias of ana's is no owner's name."""
    (office.root / "names" / "annie").symlink_to("ana")
    assert "already another name for ana" in refusal(office.of("annie"), ("via", "file")).message


@pytest.mark.parametrize("missing", [["owners"], ["names"], ["owners", "names"], ["state"], ["lock", "install.key"]])
def test_what_is_missing_is_made_again(missing: "list[str]", office: Office) -> None:
    """Card, name, memory and locks; the identity, the wallet and the rack are those that were there."""
    wallet_before = office.manifest().wallet
    kept = everything(office.root)
    for name in missing:
        path = office.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    facts = office.facts("init")
    assert (facts["effect"], facts["wallet"]) == ("found", wallet_before)
    after = everything(office.root)
    for name in ("identity/ana.key", "host.ana.yml.age"):
        assert after[str(office.root / name)] == kept[str(office.root / name)]
    assert (office.root / "owners" / "ana.json").exists()
    assert os.readlink(office.root / "names" / wallet_before.lower()) == "ana"


@pytest.mark.parametrize("missing", [["identity"], ["identity", "owners"], ["identity", "owners", "names", "state"]])
def test_a_lost_identity_is_never_replaced(missing: "list[str]", office: Office) -> None:
    """Where a rack is, a fresh identity opens nothing: it is said what is lost, and none is made."""
    rack = (office.root / "host.ana.yml.age").read_bytes()
    for name in missing:
        shutil.rmtree(office.root / name)
    assert refusal(office, ("via", "file")).exit_code in (VAULT, USAGE)
    assert not (office.root / "identity" / "ana.key").exists()
    assert (office.root / "host.ana.yml.age").read_bytes() == rack


def test_a_lost_rack_is_never_replaced(office: Office) -> None:
    """This machine has seen one: an empty rack in its place would look like every key was deleted."""
    (office.root / "host.ana.yml.age").unlink()
    error = refusal(office)
    assert (error.exit_code, "is gone" in error.message) == (VAULT, True)
    assert not (office.root / "host.ana.yml.age").exists()


def test_an_ssh_key_with_a_passphrase_is_said(empty: Office, program: Runner, tmp_path: Path) -> None:
    """Nobody is there to type it, so nobody is made; and it isn't called damaged."""
    key = ssh_key(program, tmp_path / "id", "-t", "ed25519", passphrase="correct horse")
    done = empty.send(empty.request("init", ("via", "ssh"), ("pubkey", f"{key}.pub")))
    assert b"passphrase" in done.out
    assert b"correct" not in done.out + done.err
    assert not (empty.root / "owners").exists()


def test_a_home_that_is_none_is_refused(empty: Office) -> None:
    """A file, or a link to somewhere else."""
    write_private(empty.root, b"")
    assert refusal(empty, ("via", "file")).exit_code == VAULT
    empty.root.unlink()
    (empty.root.parent / "elsewhere").mkdir()
    empty.root.symlink_to("elsewhere")
    assert refusal(empty, ("via", "file")).exit_code in (VAULT, DENIED)
    assert os.listdir(empty.root.parent / "elsewhere") == []


def test_a_wallet_leads_to_its_owner(office: Office) -> None:
    """In each of its right letter cases; a mistyped one is told from one that isn't here."""
    mine = office.manifest().wallet
    for text in (mine, mine.lower(), "0x" + mine[2:].upper()):
        assert office.facts("resolve", ("text", text))["owner"] == "ana"
    at = next(at for at, letter in enumerate(mine) if at > 1 and letter.isalpha())
    other = wallet.checksummed("0x" + "12" * 20, keccak256)
    wrong = {
        mine[:at] + mine[at].swapcase() + mine[at + 1 :]: "checksum is wrong",
        other: "no owner here has that wallet",
        mine[:-1]: "not a wallet",
        "0x": "not a wallet",
        "An Owner": "not an owner's name",
    }
    for text, message in wrong.items():
        with pytest.raises(AgentkeysError, match=message) as refused:
            office.do("resolve", ("text", text))
        assert refused.value.exit_code == USAGE
