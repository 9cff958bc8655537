"""The contract of vaults/base.py as one suite; each vault's tests are a subclass that says how to make it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentkeys.core import manifest
from agentkeys.core.derive import OwnerKeys
from agentkeys.core.manifest import Manifest
from agentkeys.errors import VaultFault
from agentkeys.stores import age
from agentkeys.vaults.base import Place, State, Vault
from tests.stores.racks import make_identity
from tests.support.plugin import Plant

A, B, C = "@all.all.A", "acme.prod.B", "acme.test.C"

EXACT = {
    "empty": b"",
    "one byte": b"x",
    "NUL": b"\0",
    "NUL inside": b"a\0b",
    "invalid UTF-8": b"\xff\xfe\xc3",
    "trailing newline": b"value\n",
    "only spaces": b"   \t ",
    "CR LF": b"a\r\nb",
    "JSON": b'{"base64": "eA=="}\\u0000',
    "PEM": b"-----BEGIN KEY-----\nabc\n-----END KEY-----\n",
    "every byte": bytes(range(256)),
    "16 KiB": bytes(16 * 1024),
    "over 16 KiB": b"\xff" * (16 * 1024 + 1),
    "1 MiB": bytes(range(256)) * 4096,
}

slugs = st.sampled_from([A, B, C])
changes = st.dictionaries(slugs, st.none() | st.binary(max_size=30) | st.just(b"\0large" * 5000), max_size=3)


def place_at(directory: Path, owner: str = "ana") -> Place:
    """An owner's place there, with an identity of their own."""
    mine = make_identity(directory.parent / "identities", owner)
    return Place(
        owner,
        str(directory),
        OwnerKeys(mine.material, owner).manifest,
        lambda data: age.seal(data, [mine.recipient]),
        lambda data, path: age.open_sealed(data, mine.decryptor, path),
    )


def through_a_manifest(state: State) -> State:
    """The state as the next process has it: once through the manifest's JSON."""
    made = Manifest("ana", "0x", "00", "file", ["age1x"])
    made.vaults["it"] = state
    return manifest.from_bytes(made.to_bytes(bytes(32)), bytes(32), "ana").vaults["it"]


class VaultSuite:
    """What every vault promises. A subclass defines `make`, and `on_disk` when its values rest in files."""

    on_disk = True

    def make(self, place: Place) -> Vault:
        """A vault of the kind under test."""
        raise AssertionError("each vault says how it is made")

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """Where it may write; nothing is there yet."""
        return place_at(tmp_path / "vault" / "ana")

    @pytest.fixture
    def vault(self, place: Place) -> Vault:
        """The vault under test."""
        return self.make(place)

    @pytest.fixture
    def write(self, vault: Vault, place: Place) -> Callable[..., State]:
        """A committed change: write, the manifest, settle; each by another process's vault."""

        def change(state: State, **values: "bytes | None") -> State:
            named = {{"A": A, "B": B, "C": C}[name]: value for name, value in values.items()}
            after = through_a_manifest(vault.write(state, named))
            self.make(place).settle(after)
            return after

        return change

    def test_it_says_what_it_is(self, vault: Vault) -> None:
        """A name for --vault, and how values rest."""
        assert vault.name
        assert vault.protection in ("reference", "encrypted", "plaintext")

    def test_nothing_is_in_a_fresh_one(self, vault: Vault) -> None:
        """An empty state is no fault, and there is nothing to settle."""
        assert vault.read({}) == {}
        vault.settle({})
        assert vault.read({}) == {}

    @pytest.mark.parametrize("value", EXACT.values(), ids=EXACT)
    def test_bytes_come_back_exactly(self, vault: Vault, place: Place, value: bytes) -> None:
        """Whatever they are, after a restart as well."""
        state = through_a_manifest(vault.write({}, {A: value}))
        vault.settle(state)
        assert self.make(place).read(state) == {A: value}

    def test_many_keys_come_back(self, vault: Vault, place: Place) -> None:
        """2,000 of them, each with its own value."""
        values = {f"@all.all.K{number}": f"value {number}".encode() for number in range(2000)}
        state = through_a_manifest(vault.write({}, values))
        assert self.make(place).read(state) == values

    def test_a_change_leaves_the_other_keys(self, write: Callable[..., State], vault: Vault) -> None:
        """Adding, replacing and deleting each touch their own slug; deleting what isn't there is no fault."""
        state = write({}, A=b"1", B=b"2")
        state = write(state, C=b"3")
        assert vault.read(state) == {A: b"1", B: b"2", C: b"3"}
        state = write(state, B=b"two", C=None)
        assert vault.read(state) == {A: b"1", B: b"two"}
        state = write(state, C=None)
        assert vault.read(state) == {A: b"1", B: b"two"}

    def test_the_last_key_can_go(self, write: Callable[..., State], vault: Vault) -> None:
        """And a first one come again."""
        state = write(write({}, A=b"1"), A=None)
        assert vault.read(state) == {}
        assert vault.read(write(state, A=b"again")) == {A: b"again"}

    def test_a_crash_before_the_commit_leaves_the_old_state(self, vault: Vault, place: Place) -> None:
        """Rule 2: what write() prepared counts for nothing until its state is in the manifest."""
        old = through_a_manifest(vault.write({}, {A: b"old", B: b"\0large" * 5000}))
        vault.settle(old)
        for change in ({A: b"new"}, {A: None}, {B: b"\1large" * 5000}, {B: None, C: b"more"}):
            vault.write(old, change)
            assert self.make(place).read(old) == {A: b"old", B: b"\0large" * 5000}

    def test_a_crash_of_the_very_first_write_leaves_nothing(self, vault: Vault, place: Place) -> None:
        """The state is still empty, and the next write works."""
        vault.write({}, {A: b"lost"})
        again = self.make(place)
        assert again.read({}) == {}
        assert again.read(through_a_manifest(again.write({}, {B: b"kept"}))) == {B: b"kept"}

    def test_a_crash_before_settle_is_cleaned_by_the_next_write_or_settle(self, vault: Vault, place: Place) -> None:
        """Rule 3: what the old state alone needed doesn't stay for ever."""
        state = through_a_manifest(vault.write({}, {A: b"\0large" * 5000, B: b"1"}))
        vault.settle(state)
        usual = len(self.files(place))
        for turn in range(3):
            state = through_a_manifest(vault.write(state, {A: b"%dlarge" % turn * 5000}))
        assert vault.write(state, {A: b"lost" * 5000}) != state
        self.make(place).settle(state)
        assert len(self.files(place)) == usual
        assert self.make(place).read(state) == {A: b"2large" * 5000, B: b"1"}

    def test_a_rewrite_is_sealed_by_whom_it_was_made_for(self, vault: Vault, place: Place, tmp_path: Path) -> None:
        """When the recipients change, every file is anew; before the commit the old ones still serve the old state."""
        values = {A: b"small", B: b"large" * 5000}
        state = through_a_manifest(vault.write({}, values))
        other = place_at(tmp_path / "elsewhere" / "ana")
        new = Place(place.owner, place.directory, place.mac_key, other.seal, other.unseal)
        after = through_a_manifest(self.make(new).rewrite(state, values))
        assert self.make(place).read(state) == values
        self.make(new).settle(after)
        assert self.make(new).read(after) == values

    def test_settle_again_changes_nothing(self, vault: Vault, place: Place) -> None:
        """It may be cut short and come twice."""
        state = through_a_manifest(vault.write({}, {A: b"1"}))
        for _ in range(2):
            vault.settle(state)
            assert self.make(place).read(state) == {A: b"1"}

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(st.lists(st.tuples(changes, st.booleans(), st.booleans()), max_size=6))
    def test_any_history_of_changes_and_crashes_is_a_dict(
        self, tmp_path_factory: pytest.TempPathFactory, history: "list[tuple[dict[str, bytes | None], bool, bool]]"
    ) -> None:
        """Committed changes count, crashed ones don't, settled or not."""
        place = place_at(tmp_path_factory.mktemp("history") / "ana")
        state: State = {}
        expected: dict[str, bytes] = {}
        for change, committed, settled in history:
            vault = self.make(place)
            after = vault.write(state, change)
            if committed:
                state = through_a_manifest(after)
                merged = {**expected, **change}
                expected = {slug: value for slug, value in merged.items() if value is not None}
                if settled:
                    vault.settle(state)
            assert self.make(place).read(state) == expected

    def test_its_state_holds_no_secret(self, vault: Vault, canary: Plant) -> None:
        """It is shown by who lists vaults, and it is JSON."""
        value = canary("STATE", allowed=["*/vault/ana/direct.*"])
        state = vault.write({}, {A: value, B: value * 1000})
        assert value.decode() not in repr(state)
        assert through_a_manifest(state) == state

    def test_values_rest_as_it_says(self, vault: Vault, place: Place, canary: Plant) -> None:
        """Encrypted is nowhere readable on the disk; plain text is, and 0600 in either case."""
        value = canary("RESTING", allowed=["*/vault/ana/direct.*"])
        vault.write({}, {A: value, B: value * 1000})
        found = [value in path.read_bytes() for path in self.files(place)]
        assert any(found) == (vault.protection == "plaintext")
        assert all(path.stat().st_mode & 0o7777 == 0o600 for path in self.files(place))

    def test_what_is_lost_or_damaged_is_a_vault_fault(self, vault: Vault, place: Place, canary: Plant) -> None:
        """Rule 4: with a hint, without a value, never another exception; for each of its files."""
        value = canary("DAMAGED", allowed=["*/vault/ana/*"])
        state = through_a_manifest(vault.write({}, {A: value, B: value * 1000}))
        vault.settle(state)
        assert self.files(place) or not self.on_disk
        for path in self.files(place):
            whole = path.read_bytes()
            for damage in (None, b"", whole[:-1], whole + b"\n", b"\0" + whole[1:], whole[:40] + whole[41:]):
                path.unlink() if damage is None else path.write_bytes(damage)
                with pytest.raises(VaultFault) as refusal:
                    self.make(place).read(state)
                assert refusal.value.hint
                assert value.decode() not in f"{refusal.value} {refusal.value.hint} {refusal.value.__cause__}"
                path.write_bytes(whole)
        assert self.make(place).read(state) == {A: value, B: value * 1000}

    def test_a_change_over_something_damaged_is_refused(self, vault: Vault, place: Place) -> None:
        """Rather than write down what is left of it."""
        state = through_a_manifest(vault.write({}, {A: b"1"}))
        for path in self.files(place):
            path.write_bytes(b"damaged")
            with pytest.raises(VaultFault):
                self.make(place).write(state, {B: b"2"})

    def test_another_owner_s_files_are_refused(self, vault: Vault, place: Place, tmp_path: Path) -> None:
        """Copied over under the same names."""
        state = through_a_manifest(vault.write({}, {A: b"mine"}))
        other = place_at(tmp_path / "vault" / "bob", "bob")
        self.make(other).write({}, {A: b"theirs"})
        for path in self.files(other):
            (Path(place.directory) / path.name).write_bytes(path.read_bytes())
            with pytest.raises(VaultFault):
                self.make(place).read(state)

    @staticmethod
    def files(place: Place) -> "list[Path]":
        """What lies in the owner's place."""
        directory = Path(place.directory)
        return sorted(directory.iterdir()) if directory.exists() else []
