"""os.daemon keeps what of the contract applies: it takes every change, keeps nothing, and nothing rests anywhere."""

from pathlib import Path

from agentkeys.vaults.base import Place, State, Vault
from agentkeys.vaults.os_daemon import OsDaemon
from tests.support.plugin import Plant
from tests.vaults.suite import A, AnyVault, B


class TestOsDaemon(AnyVault):
    """The vault that is an agent's memory."""

    def make(self, place: Place) -> Vault:
        """See AnyVault."""
        return OsDaemon(place)

    def test_it_says_that_it_is_memory(self, vault: Vault) -> None:
        """So that its keys are transient, and `unlock` asks the agent rather than it."""
        assert vault.in_memory

    def test_nothing_comes_back_and_nothing_rests(self, vault: Vault, place: Place, canary: Plant) -> None:
        """Whatever was written: no value, no file, no state; not even the directory."""
        value = canary("NOWHERE")
        state = vault.write({}, {A: value, B: value * 1000})
        assert state == {}
        for _ in range(2):
            self.make(place).settle(state)
            assert self.make(place).read(state) == self.make(place).fetch(state, [A]) == {}
        assert vault.rewrite(state, {}) == {}
        assert not Path(place.directory).exists()

    def test_a_state_that_isn_t_its_own_is_dropped(self, vault: Vault) -> None:
        """Whatever a manifest says of it."""
        state: State = {"generation": 7}
        assert vault.read(state) == {}
        assert vault.write(state, {A: b"1"}) == {}
