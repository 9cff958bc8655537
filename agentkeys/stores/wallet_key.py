"""Making a wallet: a secp256k1 key by `cryptography`, its address by pycryptodome's Keccak-256."""

from agentkeys.core import wallet


def keccak256(data: bytes) -> bytes:
    """Keccak-256 with its original padding, which Ethereum kept when NIST changed SHA-3's."""
    from Crypto.Hash import keccak  # 40 ms, paid where a wallet is made or typed

    return keccak.new(digest_bits=256, data=data).digest()


def generate() -> "tuple[str, str]":
    """(EIP-55 address, secret as 64 hex digits) of a fresh wallet."""
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256K1())
    return address(private.private_numbers().private_value), f"{private.private_numbers().private_value:064x}"


def address(secret: int) -> str:
    """The EIP-55 address of a secp256k1 secret. Raises ValueError when it is out of range."""
    from cryptography.hazmat.primitives.asymmetric import ec

    numbers = ec.derive_private_key(secret, ec.SECP256K1()).public_key().public_numbers()
    return wallet.address_of(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"), keccak256)
