"""os.daemon: values that are in an agent's memory and nowhere else. What it forgets is gone.

`set` hands the value to the agent, and `unlock` gives what is still there a new deadline; that is the transaction's
work (agentkeys.worker.rack_jobs), so this vault has nothing to keep.
"""

from agentkeys.vaults.base import State, Vault


class OsDaemon(Vault):
    """State: {}."""

    name = "os.daemon"
    protection = "encrypted"
    """Nobody can read it at rest, for it never rests."""
    in_memory = True

    def read(self, state: State) -> "dict[str, bytes]":
        """See Vault."""
        del state
        return {}

    def write(self, state: State, changes: "dict[str, bytes | None]") -> State:
        """See Vault."""
        del state, changes
        return {}

    def settle(self, state: State) -> None:
        """See Vault."""
