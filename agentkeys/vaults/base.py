"""The contract of a vault, for whoever writes one.

Rule 1: a vault never decides; it stores bytes under slugs and gives the same bytes back.
Rule 2: write() prepares and must be durable when it returns, but counts only once the manifest that holds the state
        it returned is committed. A crash before that must leave everything read(old state) needs.
Rule 3: settle() comes after the commit and removes what the old state alone needed. It may be cut short by a crash;
        the next write() or settle() must clean that up too.
Rule 4: raise VaultFault with a hint, never a foreign exception, and never put a value into a message.
"""

import abc
from collections.abc import Callable

State = dict[str, object]
"""What a vault wants remembered in the manifest: JSON, without secrets of its own."""


class Place:
    """What a vault is given: whose it is, where it may write, and the owner's sealing."""

    def __init__(
        self,
        owner: str,
        directory: str,
        mac_key: bytes,
        seal: Callable[[bytes], bytes],
        unseal: Callable[[bytes, str], bytes],
    ) -> None:
        self.owner = owner
        self.directory = directory
        """The owner's own directory for values, 0700 or not there yet."""
        self.mac_key = mac_key
        """32 bytes, derived from the owner's identity, to authenticate what rests outside the manifest."""
        self.seal = seal
        """Encrypt to the owner's recipients."""
        self.unseal = unseal
        """Decrypt; the second argument names the file in an error."""


class Vault(abc.ABC):
    """Holds values of one owner."""

    name: str
    """As `--vault` takes it."""

    protection: str
    """How values rest: `reference` (not here at all), `encrypted` or `plaintext`; part of a key's grade."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @abc.abstractmethod
    def read(self, state: State) -> "dict[str, bytes]":
        """Every value by slug; {} for an empty state. Raises VaultFault."""

    @abc.abstractmethod
    def write(self, state: State, changes: "dict[str, bytes | None]") -> State:
        """Prepare `changes` (None deletes) on top of `state`; the state to commit. Raises VaultFault."""

    def rewrite(self, state: State, values: "dict[str, bytes]") -> State:
        """The recipients, or the whole identity, changed: write `values`, all that `state` holds, anew.

        What isn't sealed by us needs nothing; the state it returns is committed like write()'s. Raises VaultFault.
        """
        del values
        return state

    @abc.abstractmethod
    def settle(self, state: State) -> None:
        """`state` is committed: remove what it doesn't need. Raises VaultFault."""
