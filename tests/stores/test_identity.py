"""Identities are opened for exactly what they are, and an unsafe or foreign one is refused by name."""

import base64
import os
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkeys.errors import Locked, UsageFault, VaultFault
from agentkeys.stores import age, identity
from tests.stores.racks import make_identity, private_numbers, recipient_of, ssh_key, write_private
from tests.support.runner import Runner
from tests.support.uids import require

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

RFC_8032 = (
    bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
    bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
)
"""Secret and public key of TEST 1 in RFC 8032, 7.1."""


def bech32(prefix: str, data: bytes) -> str:
    """BIP 173, written from its text: five bits a letter, and a checksum of six."""
    bits = "".join([f"{byte:08b}" for byte in data])
    bits += "0" * (-len(bits) % 5)
    values = [int(bits[at : at + 5], 2) for at in range(0, len(bits), 5)]
    expanded = [ord(it) >> 5 for it in prefix] + [0] + [ord(it) & 31 for it in prefix]
    check = 1
    for value in [*expanded, *values, *[0] * 6]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    check ^= 1
    values += [check >> 5 * (5 - at) & 31 for at in range(6)]
    return prefix + "1" + "".join([BECH32[value] for value in values])


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_a_file_s_identity_yields_its_secret(tmp_path_factory: pytest.TempPathFactory, secret: bytes) -> None:
    """The 32 bytes of X25519 as age encodes them, and the recipient that belongs to them."""
    path = tmp_path_factory.getbasetemp() / "identity.key"
    write_private(path, bech32("age-secret-key-", secret).upper() + "\n")
    opened = identity.open_file(str(path))
    public = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    assert opened.material == secret
    assert opened.recipient == bech32("age", public)


def test_a_fresh_identity_is_one_that_age_keygen_reads(tmp_path: Path, program: Runner) -> None:
    """With its recipient in a comment, as age-keygen writes it; a different one each time."""
    require(shutil.which("age-keygen"), "age-keygen")
    opened = make_identity(tmp_path)
    path = tmp_path / "identity" / "ana.key"
    assert path.read_text().splitlines()[0] == f"# public key: {opened.recipient}"
    assert program("age-keygen", "-y", path, check=True).out.decode().strip() == opened.recipient
    assert identity.generate() != identity.generate()


def test_an_identity_of_age_keygen_is_opened(tmp_path: Path, program: Runner) -> None:
    """Its two comments are passed over."""
    require(shutil.which("age-keygen"), "age-keygen")
    path = tmp_path / "key.txt"
    program("age-keygen", "-o", path, check=True)
    opened = identity.open_file(str(path))
    assert opened.recipient == path.read_text().splitlines()[1].removeprefix("# public key: ")


def test_an_ed25519_key_yields_its_seed(tmp_path: Path) -> None:
    """The published one's, and the public half is the published one's too."""
    seed, public = RFC_8032
    key = Ed25519PrivateKey.from_private_bytes(seed)
    path = write_private(tmp_path / "id", key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    recipient = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    opened = identity.open_ssh(str(path), recipient)
    assert opened.material == seed
    assert base64.b64decode(opened.recipient.split()[1])[-32:] == public


def test_a_key_of_ssh_keygen_yields_its_private_numbers(tmp_path: Path, program: Runner) -> None:
    """Ed25519's seed; RSA's d at the length of its modulus, whatever d begins with."""
    key = ssh_key(program, tmp_path / "ed", "-t", "ed25519")
    _type, public, private = private_numbers(key)[:3]
    opened = identity.open_ssh(str(key), recipient_of(key))
    assert opened.material + public == private
    for bits in (2048, 3072):
        key = ssh_key(program, tmp_path / f"rsa{bits}", "-t", "rsa", "-b", str(bits))
        d = private_numbers(key)[3]
        opened = identity.open_ssh(str(key), recipient_of(key))
        assert opened.material == int.from_bytes(d, "big").to_bytes(bits // 8, "big")
        assert age.open_sealed(age.seal(b"x", [recipient_of(key)]), opened.decryptor, "it") == b"x"


def test_the_public_half_is_found_without_its_comment(tmp_path: Path, program: Runner) -> None:
    """Type and blob; the private key lies beside it under ssh-keygen's name."""
    key = ssh_key(program, tmp_path / "id", "-t", "ed25519")
    assert identity.read_ssh_recipient(f"{key}.pub") == recipient_of(key)
    assert identity.ssh_private_path(f"{key}.pub") == str(key)
    assert identity.ssh_private_path(str(key)) == str(key)


@pytest.mark.parametrize("options", [("-t", "ecdsa"), ("-t", "rsa", "-b", "1024")], ids=["ecdsa", "rsa 1024"])
def test_a_key_that_age_does_not_take_is_refused(options: "tuple[str, ...]", tmp_path: Path, program: Runner) -> None:
    """At `init`, by its public half, before anything is sealed to it."""
    key = ssh_key(program, tmp_path / "id", *options)
    with pytest.raises((UsageFault, VaultFault)) as refusal:
        identity.read_ssh_recipient(f"{key}.pub")
    assert refusal.value.hint


@pytest.mark.parametrize(
    "text", [b"", b"ssh-ed25519", b"ssh-ed25519 AAAA", b"ssh-ed25519 \xff", b"\0" * 99, b"hello you"]
)
def test_what_is_no_public_key_is_refused(text: bytes, tmp_path: Path) -> None:
    """Nothing of it is shown."""
    path = write_private(tmp_path / "id.pub", text)
    with pytest.raises((UsageFault, VaultFault)):
        identity.read_ssh_recipient(str(path))
    with pytest.raises(UsageFault, match="can't be read"):
        identity.read_ssh_recipient(str(tmp_path / "missing.pub"))


def test_another_key_of_the_user_is_refused(tmp_path: Path, program: Runner) -> None:
    """A private key that was replaced is told from a damaged rack."""
    mine, other = (ssh_key(program, tmp_path / name, "-t", "ed25519") for name in ("mine", "other"))
    with pytest.raises(VaultFault, match="not the key this owner was made with"):
        identity.open_ssh(str(other), recipient_of(mine))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o677])
def test_an_identity_that_others_can_reach_is_refused(mode: int, tmp_path: Path, program: Runner) -> None:
    """Readable or writable by anybody else, file and ssh key alike; the hint closes it."""
    make_identity(tmp_path)
    key = ssh_key(program, tmp_path / "id", "-t", "ed25519")
    file = tmp_path / "identity" / "ana.key"
    for path, attempt in (
        (file, lambda: identity.open_file(str(file))),
        (key, lambda: identity.open_ssh(str(key), recipient_of(key))),
    ):
        path.chmod(mode)
        with pytest.raises(VaultFault, match="can be read by others") as refusal:
            attempt()
        assert refusal.value.hint == f"chmod 600 {path}"
        path.chmod(0o400)
        assert attempt().material


def test_an_identity_of_another_user_is_refused(tmp_path: Path) -> None:
    """Under sudo it would be root's word against theirs."""
    require(os.geteuid() == 0, "root, to give a file away")
    make_identity(tmp_path)
    os.chown(tmp_path / "identity" / "ana.key", 12345, 12345)
    with pytest.raises(VaultFault, match="belongs to uid 12345"):
        identity.open_file(str(tmp_path / "identity" / "ana.key"))


DAMAGED = {
    "empty": b"",
    "no identity in it": b"# public key: age1x\n",
    "a public key": b"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n",
    "a plugin's": b"AGE-PLUGIN-YUBIKEY-1QYPZGXYZ\n",
    "cut short": identity.generate().splitlines()[1][:-1].encode() + b"\n",
    "one letter changed": identity.generate().replace("KEY-1", "KEY-1Q").encode(),
    "not ASCII": b"AGE-SECRET-KEY-1" + "é".encode() * 58,
    "only its beginning": b"AGE-SECRET-KEY-1\n",
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_identity_is_refused(data: bytes, tmp_path: Path, program: Runner) -> None:
    """In a file of ours and as an ssh key; nothing of what was read is shown."""
    path = write_private(tmp_path / "key", data)
    public = recipient_of(ssh_key(program, tmp_path / "id", "-t", "ed25519"))
    for attempt in (lambda: identity.open_file(str(path)), lambda: identity.open_ssh(str(path), public)):
        with pytest.raises(VaultFault) as refusal:
            attempt()
        text = f"{refusal.value} {refusal.value.hint}"
        assert all(word not in text for word in data.decode("ascii", "replace").split() if len(word) > 20)


def test_a_missing_identity_is_said(tmp_path: Path) -> None:
    """Gone, with its path: it is the one thing that can't be made again."""
    for attempt in (identity.open_file, lambda path: identity.open_ssh(path, "ssh-ed25519 x")):
        with pytest.raises(VaultFault, match=f"{tmp_path}/key is gone"):
            attempt(str(tmp_path / "key"))


@pytest.mark.parametrize("answers", [None, [], ["wrong"] * 3, ["", "wrong horse", "correct"]])
def test_an_ssh_key_stays_shut_without_its_passphrase(
    answers: "list[str] | None", tmp_path: Path, program: Runner
) -> None:
    """Nobody to ask, or three wrong answers: locked, not damaged, and no answer is repeated."""
    key = ssh_key(program, tmp_path / "id", "-t", "ed25519", passphrase="correct horse")
    left = list(answers or ())

    def ask(_question: str) -> bytes:
        if not left:
            raise UsageFault("nobody is there")
        return left.pop(0).encode()

    with pytest.raises((Locked, UsageFault)) as refusal:
        identity.open_ssh(str(key), recipient_of(key), None if answers is None else ask)
    assert left == []
    assert answers == [] or "passphrase" in refusal.value.message
    assert not any(word in f"{refusal.value} {refusal.value.hint}" for word in ("wrong horse", "correct"))


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_an_ssh_key_opens_by_its_passphrase(kind: str, tmp_path: Path, program: Runner) -> None:
    """In memory alone, a mistyped one forgiven; the same private numbers as without it, and the file as it was."""
    key = ssh_key(program, tmp_path / "id", "-t", kind, passphrase="correct horse")
    before = key.read_bytes()
    answers = [b"mistyped", b"correct horse"]
    opened = identity.open_ssh(str(key), recipient_of(key), lambda _question: answers.pop(0))
    assert age.open_sealed(age.seal(b"x", [recipient_of(key)]), opened.decryptor, "it") == b"x"
    assert key.read_bytes() == before
    program("ssh-keygen", "-q", "-p", "-P", "correct horse", "-N", "", "-f", key, check=True)
    assert identity.open_ssh(str(key), recipient_of(key)).material == opened.material


def test_an_open_identity_does_not_show_itself(tmp_path: Path) -> None:
    """Whoever logs it logs a constant."""
    opened = make_identity(tmp_path)
    assert f"{opened} {opened!r} {[opened]}" == "OpenIdentity(…) OpenIdentity(…) [OpenIdentity(…)]"
