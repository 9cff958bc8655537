"""ssh keys with a passphrase, and racks made from a public key alone, which wait for their private key."""

import json
import shutil
from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.owners.tty import converse
from tests.support.plugin import Plant


def keygen(seat: Seat, *more: str, word: bytes = b"") -> Path:
    """A new ssh key pair, with or without a passphrase."""
    path = seat.home.path / "id_key"
    seat.cli.with_prefix("ssh-keygen")("-q", "-N", word.decode(), "-f", path, *more, check=True)
    return path


@pytest.mark.parametrize("kind", [["-t", "ed25519"], ["-t", "rsa", "-b", "2048"]], ids=["ed25519", "rsa"])
def test_an_ssh_key_with_a_passphrase_is_asked_for_and_opened_in_memory(
    kind: list[str], human: Seat, canary: Plant
) -> None:
    """init, set, list and unlock ask on the terminal; wrong or nobody there is exit 4; no open copy is on disk."""
    word, value = canary("ssh passphrase"), canary("behind an ssh key")
    key = keygen(human, *kind, word=word)
    before = key.read_bytes()
    plain = keygen_plain(human, key, word)
    asked = [(b"passphrase for", word)]
    code, shown = converse(human.cli, "init", "--via", "ssh", "--pubkey", f"{key}.pub", replies=asked)
    assert code == 0, shown
    source = human.home.path / "value"
    source.write_bytes(value)
    code, shown = converse(human.cli, "set", "TOKEN", "--from-file", str(source), replies=asked)
    source.unlink()
    assert code == 0, shown
    human.start()
    code, shown = converse(human.cli, "unlock", replies=asked)
    assert code == 0, shown
    assert human.get("TOKEN", check=True).out == value
    wrong = (b"passphrase for", b"not this one")
    code, shown = converse(human.cli, "list", replies=[wrong, wrong, wrong])
    assert (code, b"wrong passphrase" in shown) == (4, True), shown
    code, shown = converse(human.cli, "list", replies=[wrong, wrong, *asked])
    assert code == 0, shown
    for args in (["list"], ["set", "X"], ["unlock"]):
        done = human.cli(*args, input=b"x")
        assert done.code == 4, args
        assert done.err
    assert key.read_bytes() == before
    middle = plain[len(plain) // 2 : len(plain) // 2 + 40]
    for path in (*human.home.path.rglob("*"), *human.home.runtime.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            assert middle not in data, path
            assert path == key or b"PRIVATE KEY" not in data, path


def test_an_ssh_keys_path_may_be_relative(human: Seat) -> None:
    """To where the caller stands, as any path; the card has it whole. A key in its place is told from a path."""
    key = keygen(human, "-t", "ed25519")
    made = human.cli("init", "--via", "ssh", "--pubkey", f"{key.name}.pub", "--json", cwd=key.parent, check=True).json()
    assert made["effect"] == "created"
    assert human.cli("owner", "show", "--json", check=True).json()["key_path"] == str(key)
    text = key.with_suffix(".pub").read_text()
    done = human.cli("init", "--for", "other", "--via", "ssh", "--pubkey", text)
    assert (done.code, b"file, not the key" in done.err) == (2, True)


def keygen_plain(seat: Seat, key: Path, word: bytes) -> bytes:
    """A base64 line of the same key without a passphrase, made and removed: what must be nowhere."""
    copy = key.with_name("plain")
    shutil.copy(key, copy)
    seat.cli.with_prefix("ssh-keygen")("-q", "-p", "-P", word.decode(), "-N", "", "-f", copy, check=True)
    line = copy.read_bytes().splitlines()[-3]
    copy.unlink()
    return line


@pytest.fixture
def unclaimed(human: Seat) -> tuple[Seat, Path, bytes]:
    """An owner made from a public key; where its private key goes, and its text."""
    key = keygen(human, "-t", "ed25519")
    private = key.read_bytes()
    key.unlink()
    made = human.cli("init", "--via", "ssh", "--pubkey", f"{key}.pub", "--json", check=True).json()
    assert (made["effect"], made["keys"]) == ("unclaimed", 0)
    return human, key, private


def give(key: Path, private: bytes) -> None:
    """The private key appears."""
    key.write_bytes(private)
    key.chmod(0o600)


def seen(seat: Seat) -> list[int]:
    """The versions that the state files hold."""
    return [json.loads(path.read_bytes())["version"] for path in (seat.home.root / "state").rglob("*.json")]


def test_a_rack_without_its_private_key_waits(unclaimed: tuple[Seat, Path, bytes]) -> None:
    """Every verb says that the key is gone, exit 7; init says what is there; the rack stays as it is."""
    seat, key, _ = unclaimed
    manifest = seat.home.root / "host.human.yml.age"
    before = manifest.read_bytes()
    for args in (["list"], ["set", "TOKEN"], ["del", "TOKEN"], ["recipient", "get"]):
        done = seat.cli(*args, input=b"x")
        assert done.code == 7, args
        assert str(key).encode() in done.err, args
    wallet = seat.cli("owner", "show", "--json", check=True).json()["wallet"]
    again = seat.cli("init", "--json", check=True).json()
    assert (again["effect"], again["wallet"]) == ("found", wallet)
    assert manifest.read_bytes() == before
    assert seen(seat) == []


def test_the_first_use_of_the_private_key_claims_the_rack(unclaimed: tuple[Seat, Path, bytes]) -> None:
    """From then on it is an ordinary rack with a wallet of its own, and its version is remembered."""
    seat, key, private = unclaimed
    give(key, private)
    assert seat.cli("list", "--json", check=True).json() == []
    assert seen(seat) == [1]
    age = seat.cli.with_prefix("age")("-d", "-i", key, seat.home.root / "host.human.yml.age", check=True, reveals=True)
    wallet = seat.cli("owner", "show", "--json", check=True).json()["wallet"]
    assert wallet.startswith("0x")
    assert (age.json()["format"], age.json()["wallet"]) == ("agentkeys/manifest/1", wallet)
    seat.cli("list", "--for", wallet, check=True)
    seat.set("TOKEN", b"x")
    assert seen(seat) == [2]
    assert seat.start().unlock().get("TOKEN", check=True).out == b"x"


@pytest.mark.parametrize("verb", ["set", "recipient", "init"])
def test_a_verb_that_writes_claims_as_well(verb: str, unclaimed: tuple[Seat, Path, bytes]) -> None:
    """Under the rack's lock already: it doesn't wait for itself."""
    seat, key, private = unclaimed
    give(key, private)
    if verb == "set":
        seat.set("TOKEN", b"x")
    elif verb == "recipient":
        seat.cli("recipient", "set", "--pubkey", f"{keygen_other(seat)}.pub", check=True)
    else:
        seat.cli("init", check=True)
    assert seen(seat) == [1 if verb == "init" else 2]
    seat.cli("list", check=True)


def keygen_other(seat: Seat) -> Path:
    """Another key pair."""
    path = seat.home.path / "id_other"
    seat.cli.with_prefix("ssh-keygen")("-q", "-t", "ed25519", "-N", "", "-f", path, check=True)
    return path


def test_an_unclaimed_rack_put_in_place_of_a_claimed_one_is_refused(unclaimed: tuple[Seat, Path, bytes]) -> None:
    """Anybody can seal one to the public key: after the claim it is exit 7 and its wallet isn't this owner's."""
    seat, key, private = unclaimed
    manifest = seat.home.root / "host.human.yml.age"
    first = manifest.read_bytes()
    give(key, private)
    seat.set("TOKEN", b"x")
    claimed = manifest.read_bytes()
    forger = seat.home.path / "forger"
    shutil.copy(f"{key}.pub", f"{forger}.pub")
    (seat.home.path / "elsewhere").mkdir()
    env = {"AGENTKEYS_HOME": str(seat.home.path / "elsewhere" / "ak")}
    seat.cli("init", "--via", "ssh", "--pubkey", f"{forger}.pub", env=env, check=True)
    forged = (seat.home.path / "elsewhere" / "ak" / "host.human.yml.age").read_bytes()
    for put in (forged, first):
        manifest.write_bytes(put)
        for args in (["list"], ["set", "OTHER"], ["init"]):
            assert seat.cli(*args, input=b"y").code == 7, args
        assert manifest.read_bytes() == put
    manifest.write_bytes(claimed)
    assert [row["name"] for row in seat.cli("list", "--json", check=True).json()] == ["TOKEN"]


def test_an_unclaimed_rack_of_another_owner_is_not_claimed(unclaimed: tuple[Seat, Path, bytes]) -> None:
    """Sealed to the same key but under another name: exit 7."""
    seat, key, private = unclaimed
    seat.cli("init", "--for", "other", "--via", "ssh", "--pubkey", f"{key}.pub", check=True)
    shutil.copy(seat.home.root / "host.other.yml.age", seat.home.root / "host.human.yml.age")
    give(key, private)
    assert seat.cli("list").code == 7
    seat.cli("list", "--for", "other", check=True)


def test_an_init_from_a_public_key_that_was_killed_before_its_card_is_finished(
    unclaimed: tuple[Seat, Path, bytes],
) -> None:
    """The rack is there and the card isn't: the next init doesn't crash, and the owner has one wallet once claimed."""
    seat, key, private = unclaimed
    (seat.home.root / "owners" / "human.json").unlink()
    shutil.rmtree(seat.home.root / "names", ignore_errors=True)
    done = seat.cli("init", "--via", "ssh", "--pubkey", f"{key}.pub")
    assert b"Traceback" not in done.err
    assert done.code == 0, done.err
    give(key, private)
    made = seat.cli("init", "--json", check=True).json()
    assert made["wallet"].startswith("0x")
    assert seat.cli("owner", "show", "--json", check=True).json()["wallet"] == made["wallet"]
    seat.cli("list", "--for", made["wallet"], check=True)
