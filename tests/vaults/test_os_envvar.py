"""os.envvar keeps the contract of a reference: the rack has a variable's name, the caller's environment the value."""

import hashlib
from pathlib import Path
from typing import ClassVar

import pytest

from agentkeys.errors import Absent, Locked, UsageFault, VaultFault
from agentkeys.vaults.base import Place, Vault
from agentkeys.vaults.os_envvar import OsEnvvar
from tests.vaults.suite import EXACT, A, B, C, VaultSuite, place_at


class TestOsEnvvar(VaultSuite):
    """The vault for what a CI runner provides."""

    exact: ClassVar[dict[str, bytes]] = {name: value for name, value in EXACT.items() if value and b"\0" not in value}
    """execve(2) takes no NUL, and an empty variable is as good as none."""
    damageable = False
    environment: ClassVar[dict[str, bytes]] = {}

    def make(self, place: Place) -> Vault:
        """See VaultSuite."""
        return OsEnvvar(place)

    def put(self, value: bytes) -> bytes:
        """See AnyVault: export it under a name of its own."""
        name = f"V_{hashlib.blake2b(value, digest_size=8).hexdigest()}"
        self.environment[name] = value
        return name.encode()

    def another_place(self, directory: Path) -> Place:
        """See VaultSuite: with our environment as the caller's."""
        place = place_at(directory)
        place.variable = self.environment.get
        return place

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """See AnyVault."""
        return self.another_place(tmp_path / "vault" / "ana")

    def holdable(self, value: bytes) -> bytes:
        """See VaultSuite."""
        return value.replace(b"\0", b"0") or b"x"

    def test_it_protects_by_reference(self, vault: Vault, place: Place) -> None:
        """Nothing rests here, the directory isn't even made."""
        vault.settle(vault.write({}, {A: b"TOKEN"}))
        assert vault.protection == "reference"
        assert not Path(place.directory).exists()

    def test_the_state_is_the_names(self, vault: Vault) -> None:
        """As documented: {"variables": {slug: name}}; two keys may share one."""
        state = vault.write({}, {A: b"TOKEN", B: b"TOKEN", C: b"_x9"})
        assert state == {"variables": {A: "TOKEN", B: "TOKEN", C: "_x9"}}
        assert vault.write(state, {A: None, C: b"OTHER"}) == {"variables": {B: "TOKEN", C: "OTHER"}}

    def test_only_what_was_asked_for_is_looked_up(self, place: Place) -> None:
        """A caller's other variables are none of our business."""
        asked = []

        def variable(name: str) -> bytes:
            asked.append(name)
            return b"value"

        place.variable = variable
        vault = self.make(place)
        state = vault.write({}, {A: b"ONE", B: b"TWO"})
        assert vault.fetch(state, [B, C]) == {B: b"value"}
        assert asked == ["TWO"]

    @pytest.mark.parametrize("value", [None, b""], ids=["unset", "empty"])
    def test_a_variable_without_a_value_is_absent(self, place: Place, value: "bytes | None") -> None:
        """That key alone; a CI runner exports secrets of forks as empty. read() can't go without it."""
        place.variable = {"ONE": b"1", "TWO": value}.get
        vault = self.make(place)
        state = vault.write({}, {A: b"ONE", B: b"TWO"})
        found = vault.fetch(state, [A, B])
        assert found[A] == b"1"
        fault = found[B]
        assert isinstance(fault, Absent)
        assert (fault.message, fault.hint) == ("the variable TWO is unset or empty", "export TWO=…")
        with pytest.raises(VaultFault, match="TWO is unset"):
            vault.read(state)

    def test_a_value_is_read_anew_each_time(self, place: Place) -> None:
        """What was exported last counts."""
        environment = {"ONE": b"old"}
        place.variable = environment.get
        vault = self.make(place)
        state = vault.write({}, {A: b"ONE"})
        assert vault.read(state) == {A: b"old"}
        environment["ONE"] = b"new"
        assert vault.read(state) == {A: b"new"}

    def test_without_a_caller_it_is_locked(self, tmp_path: Path) -> None:
        """An agent that unlocks again by itself has nobody's environment: not absent, not its own."""
        vault = self.make(place_at(tmp_path / "ana"))
        state = vault.write({}, {A: b"HOME"})
        for read in (lambda: vault.fetch(state, [A]), lambda: vault.read(state)):
            with pytest.raises(Locked) as refusal:
                read()
            assert refusal.value.hint
        assert vault.fetch(state, []) == {}

    @pytest.mark.parametrize(
        "name", [b"", b"9A", b"A-B", b"A B", b"A=B", b"A\0", b"\xff", "Ä".encode(), b"A\n", b"x" * 129, b"$TOKEN"]
    )
    def test_what_is_no_variable_s_name_is_refused(self, vault: Vault, name: bytes) -> None:
        """Before anything is kept; most likely it is a value, which is shown cut and escaped."""
        with pytest.raises(UsageFault) as refusal:
            vault.write({}, {A: name})
        assert "not a variable's name" in refusal.value.message
        assert len(refusal.value.message) < 120
        assert refusal.value.message.isprintable()

    @pytest.mark.parametrize("state", [{"variables": None}, {"variables": []}, {"other": 1}])
    def test_a_state_of_another_shape_is_empty(self, vault: Vault, state: dict[str, object]) -> None:
        """What a later version may have written holds nothing that this one knows."""
        assert vault.read(state) == {}
