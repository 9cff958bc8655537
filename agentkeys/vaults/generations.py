"""What os.secure and os.direct share: a vault that is a Bundle on this disk, a new generation with each change."""

from agentkeys.stores import atomic
from agentkeys.stores.bundle import Bundle
from agentkeys.vaults.base import Fetched, Place, State, Vault


class GenerationVault(Vault):
    """A vault whose values are one Bundle; subclasses say how its files are called and whether they are sealed."""

    prefix: str
    suffix: str

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        sealed = self.protection == "encrypted"
        self._bundle = Bundle(
            place.directory,
            self.prefix,
            self.suffix,
            place.owner,
            place.mac_key,
            place.seal if sealed else _as_it_is,
            place.unseal if sealed else _as_it_is,
        )

    def read(self, state: State) -> "dict[str, bytes]":
        """See Vault."""
        return self._bundle.read(state)

    def fetch(self, state: State, slugs: "list[str]") -> Fetched:
        """See Vault."""
        del slugs  # they are all in one file
        return dict(self._bundle.read_what_is_left(state))

    def write(self, state: State, changes: "dict[str, bytes | None]") -> State:
        """See Vault."""
        return self._bundle.change(state, changes)

    def rewrite(self, state: State, values: "dict[str, bytes]") -> State:
        """See Vault."""
        return self._bundle.write(state, values, keep_large=False)

    def settle(self, state: State) -> None:
        """See Vault. After a power cut, deleted plain text must not be back; what is sealed may, as ciphertext."""
        if self._bundle.sweep(state) and self.protection == "plaintext":
            atomic.sync_dir(self.place.directory)


def _as_it_is(data: bytes, _path: str = "") -> bytes:
    return data
