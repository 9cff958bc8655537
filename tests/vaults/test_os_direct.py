"""os.direct keeps the contract; the values can be read without agentkeys, and not changed unnoticed."""

import json
from pathlib import Path

import pytest

from agentkeys.errors import VaultFault
from agentkeys.vaults.base import Place, Vault
from agentkeys.vaults.os_direct import OsDirect
from agentkeys.vaults.os_secure import OsSecure
from tests.vaults.suite import VaultSuite


class TestOsDirect(VaultSuite):
    """The vault for what is no secret."""

    def make(self, place: Place) -> Vault:
        """See VaultSuite."""
        return OsDirect(place)

    def test_its_file_is_json_with_the_values(self, vault: Vault, place: Place) -> None:
        """`direct.<generation>.json`, readable by any program."""
        state = vault.write({}, {"@all.all.A": "välue".encode()})
        path = Path(place.directory) / f"direct.{state['generation']}.json"
        assert json.loads(path.read_text())["values"] == {"@all.all.A": "välue"}

    def test_a_value_changed_by_an_editor_is_refused(self, vault: Vault, place: Place) -> None:
        """Plain text is open to be read, not to be written."""
        state = vault.write({}, {"@all.all.A": b"honest", "@all.all.B": b"large" * 5000})
        for path in self.files(place):
            whole = path.read_bytes()
            path.write_bytes(whole.replace(b"honest", b"forged").replace(b"large", b"LARGE"))
            with pytest.raises(VaultFault):
                self.make(place).read(state)
            path.write_bytes(whole)

    def test_it_lives_beside_os_secure(self, vault: Vault, place: Place) -> None:
        """Both keep their files in one directory, and neither sweeps the other's."""
        sealed, direct = OsSecure(place), vault
        one, two = sealed.write({}, {"@all.all.A": b"1" * 20_000}), direct.write({}, {"@all.all.B": b"2" * 20_000})
        sealed.settle(one)
        direct.settle(two)
        sealed.settle(sealed.write(one, {"@all.all.C": b"3"}))
        assert direct.read(two) == {"@all.all.B": b"2" * 20_000}
