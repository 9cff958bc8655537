"""os.secure keeps the contract; the values are sealed by age."""

from pathlib import Path

from agentkeys.stores import age
from agentkeys.vaults.base import Place, Vault
from agentkeys.vaults.os_secure import OsSecure
from tests.vaults.suite import VaultSuite


class TestOsSecure(VaultSuite):
    """The default vault."""

    def make(self, place: Place) -> Vault:
        """See VaultSuite."""
        return OsSecure(place)

    def test_every_file_is_an_age_file(self, vault: Vault, place: Place) -> None:
        """Under `vault/<owner>/`, each with age's header: what the stock tool opens."""
        vault.write({}, {"@all.all.A": b"small", "@all.all.B": b"large" * 5000})
        files = self.files(place)
        assert len(files) == 2
        assert all(path.suffix == ".age" and path.read_bytes().startswith(age.HEADER) for path in files)

    def test_the_generation_is_the_file_s_name(self, vault: Vault, place: Place) -> None:
        """`<generation>.age`, as documented."""
        state = vault.write(vault.write({}, {"@all.all.A": b"1"}), {"@all.all.A": b"2"})
        assert (Path(place.directory) / f"{state['generation']}.age").exists()
