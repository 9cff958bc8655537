"""Identities: what opens an owner's rack, kept in a file of ours or as an ssh key of the user's.

An identity yields two things: the age identity that decrypts, and the private bytes that OwnerKeys derives from.
"""

import errno
import os
import stat
from collections.abc import Callable

import pyrage

from agentkeys.core.sealed_json import RESTORE_HINT
from agentkeys.errors import AgentkeysError, Locked, UsageFault, VaultFault
from agentkeys.stores import age, atomic
from agentkeys.stores.asking import Ask

MAX_KEY_FILE = 64 * 1024
"""Bytes: an ssh RSA-16384 key is 13 KiB."""

PASSPHRASE_TRIES = 3
"""How often a person may mistype, as with ssh-add."""

WRONG = "that was wrong; "
"""Before the same question again."""

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
"""BIP 173's alphabet: the index of a character is its five bits."""

PREFIX = "AGE-SECRET-KEY-1"

HYBRID_PREFIX = "AGE-SECRET-KEY-PQ-1"
"""MLKEM768-X25519, by `age-keygen -pq` since age 1.3; the binding knows neither it nor its stanzas."""


class OpenIdentity:
    """A private identity in memory, for the life of one worker."""

    def __init__(self, decryptor: age.Identity, material: bytes, recipient: str) -> None:
        self.decryptor = decryptor
        self.material = material
        """The private bytes: X25519's secret, ed25519's seed, or RSA's d big-endian at modulus length."""
        self.recipient = recipient
        """The public half, as age takes it."""
        self.refusal: Callable[[], AgentkeysError | None] = lambda: None
        """Why a question of a plugin's wasn't answered."""

    def __repr__(self) -> str:
        return "OpenIdentity(…)"


def generate() -> str:
    """A fresh X25519 identity, in age-keygen's file format."""
    key = pyrage.x25519.Identity.generate()
    return f"# public key: {key.to_public()}\n{key}\n"


def open_file(path: str) -> OpenIdentity:
    """The identity in a file of ours. Raises VaultFault when it is missing, readable by others, or no identity."""
    return parse_file(read_private(path), path)


def read_private(path: str) -> bytes:
    """A file of ours that nobody else may read. Raises VaultFault when it is missing or readable by others."""
    data = atomic.read_file(path, MAX_KEY_FILE)
    if data is None:
        raise VaultFault(f"the identity {path} is gone, and the rack can't be opened without it", put_back(path))
    _require_private(path)
    return data


def put_back(path: str) -> str:
    """The hint for an identity that is gone: the same one is better than any new one."""
    return f"put {path} back from your backup, or with a backup recipient's key: {RESTORE_HINT}"


def parse_file(data: bytes, what: str, hint: str = RESTORE_HINT) -> OpenIdentity:
    """The X25519 identity in age-keygen's file format, or alone, the first if there are more.

    Raises VaultFault; `what` names the source, and `hint` what else it may hold.
    """
    for line in data.decode("ascii", "replace").splitlines():
        if line.startswith(PREFIX):
            return _parse_x25519(line.strip(), what, hint)
        if line.startswith(HYBRID_PREFIX):
            raise VaultFault(f"{what} holds a hybrid identity, which agentkeys can't use", "age-keygen -o identity.key")
    raise VaultFault(f"{what} holds no age identity", hint)


def _parse_x25519(text: str, path: str, hint: str) -> OpenIdentity:
    try:
        key = pyrage.x25519.Identity.from_str(text)
    except (pyrage.IdentityError, ValueError):
        raise VaultFault(f"{path} holds a damaged age identity", hint) from None
    # pyrage has checked the Bech32 checksum; what is left is regrouping 52 × 5 bits into 32 bytes.
    bits = 0
    for character in text[len(PREFIX) : -6].lower():
        bits = bits << 5 | BECH32.index(character)
    return OpenIdentity(key, (bits >> 4).to_bytes(32, "big"), str(key.to_public()))


def ssh_private_path(public: str) -> str:
    """The private key beside an ssh public key, as ssh-keygen names them: `id` for `id.pub`, and `id` itself."""
    return public.removesuffix(".pub")


def read_ssh_recipient(path: str) -> str:
    """The recipient in an ssh public key file, without its comment. Raises UsageFault."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            words = file.read(MAX_KEY_FILE).decode("ascii", "replace").split()
    except OSError as error:
        raise UsageFault(f"{path} can't be read: {error.strerror}", "ssh-keygen -t ed25519") from None
    if len(words) < 2 or words[0] not in ("ssh-ed25519", "ssh-rsa"):
        raise UsageFault(f"{path} is no ssh-ed25519 or ssh-rsa public key", "ssh-keygen -t ed25519 -f KEY")
    age.recipient(f"{words[0]} {words[1]}")
    return f"{words[0]} {words[1]}"


def open_ssh(path: str, recipient: str, ask: Ask | None = None) -> OpenIdentity:
    """An ssh private key, `recipient`'s other half (any key, when that is "").

    A passphrase is asked for by `ask`, three times at most, and only held in memory.

    Raises VaultFault when it is gone, readable by others, or not `recipient`'s other half, Locked for a passphrase
    that is wrong or that nobody can be asked for.
    """
    data = atomic.read_file(path, MAX_KEY_FILE)
    if data is None:
        raise VaultFault(f"the ssh key {path} is gone, and the rack can't be opened without it", put_back(path))
    _require_private(path)
    # 30 ms of imports, for ssh owners alone
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    private = _load_ssh(data, path, ask)
    if isinstance(private, Ed25519PrivateKey):
        material = private.private_bytes_raw()
    elif isinstance(private, RSAPrivateKey):
        material = private.private_numbers().d.to_bytes((private.key_size + 7) // 8, "big")
    else:
        raise VaultFault(f"{path} is neither ed25519 nor RSA, which age needs", "ssh-keygen -t ed25519 -f KEY")
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    if recipient and public != recipient:
        raise VaultFault(f"{path} is not the key this owner was made with", RESTORE_HINT)
    plain = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return OpenIdentity(pyrage.ssh.Identity.from_buffer(plain), material, public)


def _load_ssh(data: bytes, path: str, ask: Ask | None) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    passphrase: bytes | None = None
    for attempt in range(PASSPHRASE_TRIES + 1):
        try:
            return load_ssh_private_key(data, passphrase)
        except TypeError:
            pass  # it wants a passphrase
        except (ValueError, UnsupportedAlgorithm):
            if passphrase is None:
                raise VaultFault(f"{path} is no ssh private key", "ssh-keygen -t ed25519 -f KEY") from None
        if ask is None:
            raise Locked(f"{path} is protected by a passphrase, and nobody can be asked", f"ssh-keygen -y -f {path}")
        if attempt < PASSPHRASE_TRIES:
            passphrase = ask(f"{WRONG if attempt else ''}passphrase for {path}: ") or b"\0"
    raise Locked(f"wrong passphrase for {path}", f"ssh-keygen -y -f {path}")


def _require_private(path: str) -> None:
    if stat.S_IMODE(os.stat(path).st_mode) & 0o077:
        raise VaultFault(f"{path} can be read by others", f"chmod 600 {path}")
