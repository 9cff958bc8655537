"""The vault of docs/how-to/write-a-vault.md keeps the contract, as one that somebody else wrote must."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

from agentkeys.errors import VaultFault
from agentkeys.stores import age
from agentkeys.vaults.base import Place, State, Vault
from agentkeys.vaults.os_secure import OsSecure
from tests.vaults.suite import A, B, C, VaultSuite

PACKAGE = Path(__file__).parent / "example_package"


def load() -> ModuleType:
    """Its one module, not installed."""
    spec = importlib.util.spec_from_file_location("agentkeys_shelf", PACKAGE / "agentkeys_shelf.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SHELF = load().Shelf


class TestShelf(VaultSuite):
    """A third-party vault."""

    def make(self, place: Place) -> Vault:
        """See AnyVault."""
        made = SHELF(place)
        assert isinstance(made, Vault)
        return made

    def test_each_value_is_a_sealed_file_of_its_own(self, vault: Vault, place: Place) -> None:
        """0600, with age's header: what the stock tool opens."""
        vault.write({}, {A: b"1", B: b"2"})
        files = self.files(place)
        assert len(files) == 2
        assert all(path.read_bytes().startswith(age.HEADER) for path in files)
        assert Path(place.directory).stat().st_mode & 0o777 == 0o700

    def test_a_damaged_file_is_its_key_s_fault_alone(self, vault: Vault, place: Place) -> None:
        """And a lost one its key's loss; a swapped one is found out by its slug."""
        state = vault.write({}, {A: b"1", B: b"2", C: b"3"})
        a, b, c = [Path(place.directory) / row[0] for row in state["files"].values()]
        a.write_bytes(b"damaged")
        b.unlink()
        found = vault.fetch(state, [A, B, C])
        assert isinstance(found[A], VaultFault)
        assert B not in found
        assert found[C] == b"3"
        a.write_bytes(c.read_bytes())
        assert isinstance(vault.fetch(state, [A])[A], VaultFault)

    def test_it_leaves_other_vaults_files(self, vault: Vault, place: Place) -> None:
        """They keep theirs in the same directory, and neither sweeps the other's."""
        sealed = OsSecure(place)
        one, two = sealed.write({}, {A: b"1" * 20_000}), vault.write({}, {B: b"2"})
        vault.settle(two)
        vault.settle(vault.write(two, {C: b"3"}))
        assert sealed.read(one) == {A: b"1" * 20_000}
        after = sealed.write(one, {A: b"4" * 20_000})
        sealed.settle(after)
        assert vault.read(two) == {B: b"2"}

    @pytest.mark.parametrize("obstacle", ["a file", "a link"])
    def test_what_is_in_the_way_is_a_vault_fault(self, vault: Vault, place: Place, obstacle: str) -> None:
        """Where its directory should be, or a value: no foreign exception, no link followed."""
        if obstacle == "a file":
            Path(place.directory).parent.mkdir(parents=True, exist_ok=True)
            Path(place.directory).write_bytes(b"")
            with pytest.raises(VaultFault):
                vault.write({}, {A: b"1"})
            return
        state: State = vault.write({}, {A: b"1"})
        (path,) = self.files(place)
        moved = path.rename(path.parent.parent / "elsewhere")
        os.symlink(moved, path)
        with pytest.raises(VaultFault):
            vault.read(state)
