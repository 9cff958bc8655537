"""Racks, identities and ssh keys for tests, made by the tools that users have."""

import base64
import shutil
from pathlib import Path

from agentkeys.core.manifest import KeyRecord, Manifest
from agentkeys.stores import atomic, identity
from agentkeys.stores.rack import Rack
from tests.support.runner import Runner
from tests.support.uids import require

WALLET = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
WALLET_KEY = f"{1:064x}"


def write_private(path: Path, data: "bytes | str") -> Path:
    """A file that only we can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(0o600)
    return path


def make_identity(root: Path, owner: str = "ana") -> identity.OpenIdentity:
    """A fresh identity in the owner's own place."""
    return identity.open_file(str(write_private(root / "identity" / f"{owner}.key", identity.generate())))


def make_rack(root: Path, owner: str = "ana", opened: "identity.OpenIdentity | None" = None) -> Rack:
    """An owner's rack at version 1, with no key in it."""
    atomic.make_private_dir(str(root))
    rack = Rack(str(root), owner, opened or make_identity(root, owner))
    rack.commit(new_manifest(rack))
    return rack


def new_manifest(rack: Rack) -> Manifest:
    """The first manifest of a rack."""
    return Manifest(rack.owner, WALLET, WALLET_KEY, "file", [rack.identity.recipient])


def put(rack: Rack, *slugs: str) -> Manifest:
    """One more version of the rack, with these keys added."""
    manifest = rack.require()
    for slug in slugs:
        manifest.keys[slug] = KeyRecord(slug, "os.secure", "copy", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
    rack.commit(manifest)
    return manifest


def ssh_key(program: Runner, path: Path, *options: str, passphrase: str = "") -> Path:
    """A private key made by ssh-keygen; its public half lies beside it."""
    require(shutil.which("ssh-keygen"), "ssh-keygen")
    path.parent.mkdir(parents=True, exist_ok=True)
    program("ssh-keygen", "-q", "-N", passphrase, "-C", "a comment", "-f", path, *options, check=True)
    return path


def recipient_of(key: Path) -> str:
    """The public half as age takes it: type and blob, without the comment."""
    return " ".join(Path(f"{key}.pub").read_text().split()[:2])


def private_numbers(key: Path) -> "list[bytes]":
    """The fields of an unencrypted private key, by PROTOCOL.key of OpenSSH: its type first."""
    blob = base64.b64decode("".join(key.read_text().splitlines()[1:-1]))
    magic = b"openssh-key-v1\0"
    assert blob.startswith(magic)
    rest = blob[len(magic) :]
    for _ in ("cipher", "kdf", "kdf options"):
        rest = _string(rest)[1]
    section, _ = _string(_string(rest[4:])[1])
    section = section[8:]  # two equal check integers
    fields = []
    while len(section) > 4 and len(fields) < 7:
        field, section = _string(section)
        fields.append(field)
    return fields


def _string(data: bytes) -> "tuple[bytes, bytes]":
    """A length-prefixed string and what follows it (RFC 4251, 5)."""
    end = 4 + int.from_bytes(data[:4], "big")
    return data[4:end], data[end:]
