"""Derived keys are HKDF's as the RFC has it, and each serves one owner and one purpose."""

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from agentkeys.core import derive
from agentkeys.core.derive import OwnerKeys


def span(first: int, last: int) -> bytes:
    """Bytes as the RFC counts them up."""
    return bytes(range(first, last + 1))


RFC_5869 = {
    "A.1": (
        b"\x0b" * 22,
        span(0x00, 0x0C),
        span(0xF0, 0xF9),
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    "A.2": (
        span(0x00, 0x4F),
        span(0x60, 0xAF),
        span(0xB0, 0xFF),
        "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
        (
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        ),
    ),
    "A.3": (
        b"\x0b" * 22,
        b"",
        b"",
        "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
}
"""Appendix A of RFC 5869, the cases for SHA-256: material, salt, info, PRK, OKM."""


@pytest.mark.parametrize(("material", "salt", "info", "prk", "okm"), RFC_5869.values(), ids=RFC_5869)
def test_hkdf_is_rfc_5869(material: bytes, salt: bytes, info: bytes, prk: str, okm: str) -> None:
    """Both steps give the published values."""
    extracted = derive.hkdf_extract(salt, material)
    assert extracted.hex() == prk
    assert derive.hkdf_expand(extracted, info, len(okm) // 2).hex() == okm


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(1, 255 * 32))
def test_expand_is_what_another_library_makes(key: bytes, info: bytes, length: int) -> None:
    """At every length up to the last."""
    assert derive.hkdf_expand(key, info, length) == HKDFExpand(hashes.SHA256(), length, info).derive(key)


def test_expand_refuses_what_hkdf_cannot_make() -> None:
    """RFC 5869, 2.3: L is at most 255 hashes."""
    with pytest.raises(ValueError, match="HKDF"):
        derive.hkdf_expand(bytes(32), b"", 255 * 32 + 1)


def test_an_owner_s_keys_are_what_the_docstring_says() -> None:
    """Recomputed by another library: anybody with the identity can check a rack by the document alone."""
    material = span(0, 31)
    root = HKDF(hashes.SHA256(), 32, None, b"agentkeys/v1/ana").derive(material)
    keys = OwnerKeys(material, "ana")
    assert keys.manifest == HKDFExpand(hashes.SHA256(), 32, b"manifest").derive(root)
    assert keys.state == HKDFExpand(hashes.SHA256(), 32, b"state").derive(root)


def test_no_key_serves_two_ends() -> None:
    """Two owners with one identity, or one owner's two purposes, share nothing."""
    made = [OwnerKeys(material, owner) for material in (bytes(32), b"\1" * 32) for owner in ("ana", "bob")]
    keys = {key for it in made for key in (it.manifest, it.state)}
    assert len(keys) == 8


def test_keys_do_not_show_themselves() -> None:
    """Whoever logs them logs a constant."""
    keys = OwnerKeys(bytes(32), "ana")
    text = f"{keys} {keys!r} {[keys]}"
    assert keys.manifest.hex() not in text
    assert repr(keys.manifest) not in text
    assert repr(keys) == "OwnerKeys(…)"


@given(st.binary(min_size=1, max_size=64), st.lists(st.binary(max_size=100), max_size=4))
def test_a_mac_is_keyed_blake2b_over_its_parts(key: bytes, parts: "list[bytes]") -> None:
    """RFC 7693, 256 bits, as hex."""
    assert derive.mac(key, *parts) == hashlib.blake2b(b"".join(parts), key=key, digest_size=32).hexdigest()


@given(st.text(max_size=4), st.text(max_size=4))
def test_macs_are_compared_as_texts(one: str, other: str) -> None:
    """Equal texts are the same; what isn't ASCII is never equal to what is."""
    assert derive.same(one, one)
    if one.isascii() and other.isascii():
        assert derive.same(one, other) == (one == other)
    assert not derive.same("ab", "aé")
