"""Addresses are Ethereum's: the published vectors, and no other letter case passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkeys.core import wallet
from agentkeys.errors import UsageFault
from agentkeys.stores import wallet_key
from agentkeys.stores.wallet_key import keccak256

EIP_55 = (
    # all upper case
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    # all lower case
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    # mixed
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)
"""The test cases of EIP-55 itself."""

KEYS = {
    1: "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
    2: "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF",
    3: "0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69",
    # EIP-155's example
    int("46" * 32, 16): "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F",
    # the first two accounts of Hardhat's and Anvil's published test mnemonic
    0xAC0974BEC39A17E36BA4A6B4D238FF944BACB478CBED5EFCAE784D7BF4F2FF80: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    0x59C6995E998F97A5A0044966F0945389DC9E86DAE88C7A8412F4603B6B78690D: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
}
"""secp256k1 secret to address, as published."""

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""The order of secp256k1's group (SEC 2, 2.4.1)."""


def test_keccak_is_the_original() -> None:
    """Of nothing it is what Ethereum calls the empty hash, not SHA3-256's a7ffc6…."""
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@pytest.mark.parametrize("address", EIP_55)
def test_an_address_is_shown_as_eip_55_shows_it(address: str) -> None:
    """From any letter case."""
    for text in (address, address.lower(), "0x" + address[2:].upper()):
        assert wallet.checksummed(text, keccak256) == address


@pytest.mark.parametrize("address", EIP_55)
def test_an_address_is_taken_in_the_three_right_cases(address: str) -> None:
    """Checksummed, all lower and all upper case; what comes out is lower."""
    for text in (address, address.lower(), "0x" + address[2:].upper(), "0X" + address[2:].upper()):
        assert wallet.check_address(text, keccak256) == address.lower()


@pytest.mark.parametrize("address", EIP_55[4:])
def test_a_mistyped_checksum_is_refused(address: str) -> None:
    """Any one letter in the other case is noticed."""
    for at, letter in enumerate(address[2:], start=2):
        if letter.isalpha():
            with pytest.raises(UsageFault, match="checksum"):
                wallet.check_address(address[:at] + letter.swapcase() + address[at + 1 :], keccak256)


NO_ADDRESSES = [
    "", "0x", EIP_55[4][:-1], EIP_55[4] + "0", EIP_55[4][2:], "1x" + EIP_55[2][2:], EIP_55[2][:-1] + "g", "ana",
    " " + EIP_55[2], EIP_55[2] + "\n", "0x" + "\N{FULLWIDTH DIGIT ONE}" * 40,
]  # fmt: skip


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_refused(text: str) -> None:
    """42 characters, 0x and hex digits, no other digits of Unicode."""
    assert not wallet.is_address(text)
    with pytest.raises(UsageFault, match="0x and 40 hex digits"):
        wallet.check_address(text, keccak256)


@pytest.mark.parametrize(("secret", "address"), KEYS.items(), ids=KEYS.values())
def test_a_key_s_address_is_the_published_one(secret: int, address: str) -> None:
    """The last 20 bytes of Keccak-256 of the public key."""
    assert wallet_key.address(secret) == address


@pytest.mark.parametrize("secret", [0, ORDER, ORDER + 1, -1])
def test_a_number_that_is_no_key_is_refused(secret: int) -> None:
    """A secret lies between 1 and the group's order."""
    with pytest.raises(ValueError, match=r"."):
        wallet_key.address(secret)


def test_the_largest_key_is_a_key() -> None:
    """Its public point is key 1's, mirrored, so its address is another."""
    assert wallet.is_address(wallet_key.address(ORDER - 1))
    assert wallet_key.address(ORDER - 1) != KEYS[1]


def test_a_fresh_wallet_is_its_own_and_whole() -> None:
    """64 hex digits whose address it is, and another one each time."""
    address, secret = wallet_key.generate()
    assert len(secret) == 64
    assert wallet_key.address(int(secret, 16)) == address
    assert wallet.check_address(address, keccak256) == address.lower()
    assert wallet_key.generate() != (address, secret)


@given(st.binary(min_size=20, max_size=20))
def test_every_address_survives_its_own_check(raw: bytes) -> None:
    """What we show, we take."""
    text = wallet.checksummed("0x" + raw.hex(), keccak256)
    assert wallet.check_address(text, keccak256) == "0x" + raw.hex()
