"""A wallet's address: `0x` and 40 hex digits, the last 20 bytes of the Keccak-256 of a secp256k1 public key.

Shown with EIP-55's checksum in the letter case; taken in any case, but a mixed case must be the right one.
Keccak-256 is handed in, because Python's sha3_256 pads differently and this package imports no third party.
"""

from collections.abc import Callable

from agentkeys.errors import UsageFault

Keccak = Callable[[bytes], bytes]

HEX = frozenset("0123456789abcdef")


def is_address(text: str) -> bool:
    """Whether `text` has an address's shape, whatever its case."""
    return len(text) == 42 and text[:2] in ("0x", "0X") and HEX.issuperset(text[2:].lower())


def checksummed(address: str, keccak: Keccak) -> str:
    """EIP-55: a letter is upper case where its nibble of keccak(lower-case hex) is 8 or more."""
    digits = address[2:].lower()
    nibbles = keccak(digits.encode("ascii")).hex()
    return "0x" + "".join([d.upper() if int(n, 16) >= 8 else d for d, n in zip(digits, nibbles, strict=False)])


def address_of(public_key: bytes, keccak: Keccak) -> str:
    """The EIP-55 address of an uncompressed public key (64 bytes, without its 04 prefix)."""
    return checksummed("0x" + keccak(public_key)[-20:].hex(), keccak)


def check_address(text: str, keccak: Keccak) -> str:
    """The lower-case address in `text`. Raises UsageFault for a wrong shape or a wrong checksum."""
    if not is_address(text):
        raise UsageFault("not a wallet: a wallet is 0x and 40 hex digits", "agentkeys owner list")
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and checksummed(text, keccak)[2:] != digits:
        raise UsageFault("that wallet's checksum is wrong: a digit or its letter case is mistyped", "copy it whole")
    return "0x" + digits.lower()
