"""Keys derived from an owner's identity, by HKDF-SHA256 (RFC 5869).

    root      = HKDF(private identity bytes, info = "agentkeys/v1/" + owner)
    manifest  = HKDF-Expand(root, "manifest")     authenticates manifest and bundles
    state     = HKDF-Expand(root, "state")        authenticates the audit chain; pushed to the agent at unlock

age authenticates no sender: whoever knows the public key can seal a file for the owner. These keys come from the
private half, so what they authenticate was written by someone who could have opened it.
"""

import hashlib
import hmac

KEY_SIZE = 32
"""Bytes of every key here: SHA-256's output and BLAKE2b's keyed form take it whole."""


def hkdf_extract(salt: bytes, material: bytes) -> bytes:
    """RFC 5869, 2.2; an empty salt is a block of zeros."""
    return hmac.digest(salt or bytes(32), material, "sha256")


def hkdf_expand(key: bytes, info: bytes, length: int = KEY_SIZE) -> bytes:
    """RFC 5869, 2.3. Raises ValueError for over 255 blocks."""
    if length > 255 * 32:
        raise ValueError("HKDF can't make that much")
    block, output, counter = b"", b"", 1
    while len(output) < length:
        block = hmac.digest(key, block + info + bytes((counter,)), "sha256")
        output += block
        counter += 1
    return output[:length]


class OwnerKeys:
    """What an owner's private identity yields."""

    def __init__(self, material: bytes, owner: str) -> None:
        """`material` is the 32-byte secret of X25519, the seed of ed25519, or RSA's d at modulus length."""
        root = hkdf_expand(hkdf_extract(b"", material), b"agentkeys/v1/" + owner.encode("ascii"))
        self.manifest = hkdf_expand(root, b"manifest")
        self.state = hkdf_expand(root, b"state")

    def __repr__(self) -> str:
        return "OwnerKeys(…)"


def mac(key: bytes, *parts: bytes) -> str:
    """BLAKE2b-256 keyed with `key` (RFC 7693) over `parts`, as 64 hex digits."""
    state = hashlib.blake2b(key=key, digest_size=32)
    for part in parts:
        state.update(part)
    return state.hexdigest()


def same(one: str, other: str) -> bool:
    """Compare two MACs in constant time."""
    return hmac.compare_digest(one.encode("ascii", "replace"), other.encode("ascii", "replace"))
