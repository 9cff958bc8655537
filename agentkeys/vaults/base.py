"""The contract of a vault, for whoever writes one; docs/how-to/write-a-vault.md walks through an example.

Rule 1: a vault never decides; it stores bytes under slugs and gives the same bytes back.
Rule 2: write() prepares and must be durable when it returns, but counts only once the manifest that holds the state
        it returned is committed. A crash before that must leave everything read(old state) needs.
Rule 3: settle() comes after the commit and removes what the old state alone needed. It may be cut short by a crash;
        the next write() or settle() must clean that up too.
Rule 4: raise VaultFault (or Locked, TimedOut) with a hint, never a foreign exception, and never put a value into a
        message.
Rule 5: a vault whose `protection` is `reference` is written *where* a value is, and reads the value from there.
"""

import abc
from collections.abc import Callable

from agentkeys.errors import AgentkeysError, Locked

State = dict[str, object]
"""What a vault wants remembered in the manifest: JSON, without secrets of its own."""

Fetched = dict[str, bytes | AgentkeysError]
"""A value for each slug, or why that one alone couldn't be had."""


def _nobody(_name: str) -> bytes | None:
    raise Locked("variables are read from whoever unlocks, and nobody does", "agentkeys unlock")


class Place:
    """What a vault is given: whose it is, where it may write, and the owner's sealing."""

    def __init__(
        self,
        owner: str,
        directory: str,
        mac_key: bytes,
        seal: Callable[[bytes], bytes],
        unseal: Callable[[bytes, str], bytes],
        variable: Callable[[str], bytes | None] = _nobody,
    ) -> None:
        self.owner = owner
        self.directory = directory
        """The owner's own directory for values, 0700 or not there yet.

        All vaults of the owner share it, so a file's name begins with its vault's.
        """
        self.mac_key = mac_key
        """32 bytes, derived from the owner's identity, to authenticate what rests outside the manifest.

        b"" is that of a lost identity, whose MACs can't be checked.
        """
        self.seal = seal
        """Encrypt to the owner's recipients."""
        self.unseal = unseal
        """Decrypt; the second argument names the file in an error."""
        self.variable = variable
        """A variable of the person's or job's environment that asked for this, None when it is unset.

        Raises Locked when nobody did: the agent that unlocks again by itself has no such environment.
        """


class Vault(abc.ABC):
    """Holds values of one owner."""

    name: str
    """As `--vault` takes it."""

    protection: str
    """How values rest: `reference` (not here at all), `encrypted` or `plaintext`; part of a key's grade."""

    in_memory = False
    """Whether values rest nowhere: only agents hold them, and read() never has any."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @abc.abstractmethod
    def read(self, state: State) -> "dict[str, bytes]":
        """Every value by slug; {} for an empty state. Raises VaultFault when one is missing."""

    def fetch(self, state: State, slugs: "list[str]") -> Fetched:
        """What `unlock` needs: at least those of `slugs` that there are. Raises VaultFault, Locked, TimedOut.

        A slug that isn't among the answers is lost; one that failed alone is answered with its error, Absent where a
        reference leads to nothing.
        """
        del slugs
        return dict(self.read(state))

    @abc.abstractmethod
    def write(self, state: State, changes: "dict[str, bytes | None]") -> State:
        """Prepare `changes` (None deletes) on top of `state`; the state to commit. Raises VaultFault."""

    def rewrite(self, state: State, values: "dict[str, bytes]") -> State:
        """The recipients, or the whole identity, changed: write `values`, all that `state` holds, anew.

        What isn't sealed by us needs nothing, and a reference isn't asked; the state it returns is committed like
        write()'s. Raises VaultFault.
        """
        del values
        return state

    @abc.abstractmethod
    def settle(self, state: State) -> None:
        """`state` is committed: remove what it doesn't need. Raises VaultFault."""

    def discard(self) -> None:  # noqa: B027 - most vaults have nothing to do
        """The owner is being removed, and the rack can't be asked: remove all of its values that are not files.

        Files in `place.directory` go without this. Raises VaultFault, Locked, TimedOut.
        """
