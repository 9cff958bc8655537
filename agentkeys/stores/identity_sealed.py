"""An identity under a passphrase: an age file with one scrypt stanza, as `age -p` makes it.

scrypt protects the identity only; manifest and values are sealed to its X25519 key, so a rack of 10,000 keys costs
one stretching for each verb that opens it, and an unlocked agent none.
"""

import pyrage

from agentkeys.errors import Locked, VaultFault

MAX_WORK_FACTOR = 20
"""log2 of scrypt's N: 1 GiB and 3 s. More than the binding ever chooses, and refused from the header: a rack that
somebody else wrote must not be able to stop the machine (age-encryption.org/v1, scrypt recipient stanza)."""

MAX_HEADER = 1024
"""Bytes looked at to find the stanza: an scrypt header has one."""


def seal(identity: str, passphrase: str) -> bytes:
    """Encrypt an identity file under a passphrase, at the factor the binding calibrates to about a second."""
    return pyrage.passphrase.encrypt(identity.encode("ascii"), passphrase)


def unseal(data: bytes, passphrase: str, path: str) -> bytes | None:
    """The identity file, or None for a wrong passphrase. Raises VaultFault for what isn't such a file."""
    check_header(data, path)
    try:
        return pyrage.passphrase.decrypt(data, passphrase)
    except (pyrage.DecryptError, ValueError):
        return None


def check_header(data: bytes, path: str) -> None:
    """Raise VaultFault unless the file has one scrypt stanza of a bearable factor."""
    lines = data[:MAX_HEADER].split(b"\n")
    words = lines[1].split(b" ") if len(lines) > 1 else []
    if lines[0] != b"age-encryption.org/v1" or words[:2] != [b"->", b"scrypt"] or len(words) != 4:
        raise VaultFault(f"{path} is not an identity under a passphrase", "put it back from your backup")
    factor = words[3]
    if not factor.isdigit() or len(factor) > 2 or int(factor) > MAX_WORK_FACTOR:
        raise VaultFault(
            f"{path} wants more than 2^{MAX_WORK_FACTOR} rounds of scrypt, which agentkeys never writes",
            "somebody else wrote it: put it back from your backup",
        )


def wrong_passphrase(what: str) -> Locked:
    """The error after PASSPHRASE_TRIES."""
    return Locked(f"wrong passphrase for {what}", "again, or restore from a backup recipient: agentkeys restore")
