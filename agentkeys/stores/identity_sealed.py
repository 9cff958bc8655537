"""An identity under a passphrase: an age file with one scrypt stanza, as `age -p` makes it.

scrypt protects the identity only; manifest and values are sealed to its X25519 key, so a rack of 10,000 keys costs
one stretching for each verb that opens it, and an unlocked agent none.
"""

import re

import pyrage

from agentkeys.errors import VaultFault

MAX_WORK_FACTOR = 20
"""log2 of scrypt's N: 1 GiB and 3 s. More than the binding ever chooses, and refused from the header: a rack that
somebody else wrote must not be able to stop the machine (age-encryption.org/v1, scrypt recipient stanza)."""

AGE_HEADER = b"age-encryption.org/v1\n"

SHAPE = re.compile(
    re.escape(AGE_HEADER)
    + rb"-> scrypt [A-Za-z0-9+/]{21}[AQgw] ([1-9][0-9]*)\n"  # a salt of 16 bytes, a factor without leading zero
    rb"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]\n"  # a file key of 16 bytes and its tag of 16
    rb"--- [A-Za-z0-9+/]{43}\n"
)
"""The header that `age -p` writes, to the byte: one scrypt stanza, in canonical base64. So whatever is left for the
binding to refuse is a wrong passphrase, and asking for it again makes sense."""


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
    found = SHAPE.match(data)
    if found is None:
        raise VaultFault(f"{path} is not an identity under a passphrase", "put it back from your backup")
    factor = found[1]
    if len(factor) > 2 or int(factor) > MAX_WORK_FACTOR:
        raise VaultFault(
            f"{path} wants more than 2^{MAX_WORK_FACTOR} rounds of scrypt, which agentkeys never writes",
            "somebody else wrote it: put it back from your backup",
        )
