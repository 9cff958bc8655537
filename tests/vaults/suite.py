"""The contract of vaults/base.py as a suite; each vault's tests are a subclass that says how to make it.

`AnyVault` is what every vault promises; `VaultSuite` adds what one promises whose values come back, be they kept here
or found where a reference leads.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentkeys.core import manifest
from agentkeys.core.derive import OwnerKeys
from agentkeys.core.grades import PROTECTIONS
from agentkeys.core.manifest import Manifest
from agentkeys.errors import AgentkeysError, VaultFault
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


class Piece:
    """A file of a vault's: something at rest that can be lost, damaged or exchanged."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self) -> bytes:
        """What rests there."""
        return self.path.read_bytes()

    def put(self, data: "bytes | None") -> None:
        """Make it so; None loses it."""
        if data is None:
            self.path.unlink()
        else:
            self.path.write_bytes(data)


class AnyVault:
    """What every vault promises. A subclass defines `make`."""

    def make(self, place: Place) -> Vault:
        """A vault of the kind under test."""
        raise AssertionError("each vault says how it is made")

    def put(self, value: bytes) -> bytes:
        """What write() is given for a value: itself, or where it is from now on."""
        return value

    def pieces(self, place: Place) -> "list[Piece]":
        """What rests of this vault's, wherever that is."""
        return [Piece(path) for path in self.files(place)]

    @staticmethod
    def files(place: Place) -> "list[Path]":
        """What lies in the owner's place."""
        directory = Path(place.directory)
        return sorted(directory.iterdir()) if directory.exists() else []

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
            after = through_a_manifest(vault.write(state, self.given(named)))
            self.make(place).settle(after)
            return after

        return change

    def given(self, changes: "dict[str, bytes | None]") -> "dict[str, bytes | None]":
        """Changes as write() takes them."""
        return {slug: None if value is None else self.put(value) for slug, value in changes.items()}

    def test_it_says_what_it_is(self, vault: Vault) -> None:
        """A name for --vault, and how values rest."""
        assert vault.name
        assert vault.protection in PROTECTIONS
        assert vault.in_memory in (True, False)

    def test_nothing_is_in_a_fresh_one(self, vault: Vault) -> None:
        """An empty state is no fault, and there is nothing to settle, to write anew or to discard."""
        assert vault.read({}) == {}
        assert vault.fetch({}, [A]) == {}
        vault.settle({})
        assert vault.read(vault.rewrite({}, {})) == {}
        vault.discard()
        assert vault.read({}) == {}

    def test_its_state_holds_no_secret(self, vault: Vault, canary: Plant) -> None:
        """It is shown by who lists vaults, and it is JSON."""
        value = canary("STATE", allowed=["*/vault/ana/direct.*"])
        state = vault.write({}, self.given({A: value, B: value * 1000}))
        assert value.decode() not in repr(state)
        assert through_a_manifest(state) == state

    def test_a_change_that_is_no_change_is_none(self, vault: Vault, place: Place) -> None:
        """Deleting what isn't there is no fault, first of all in a fresh one."""
        state = through_a_manifest(vault.write({}, {A: None}))
        vault.settle(state)
        assert self.make(place).read(state) == {}

    def test_what_was_read_before_is_left_as_it_was(self, vault: Vault) -> None:
        """The state that is handed in is the caller's: a failed commit goes back to it."""
        old = vault.write({}, self.given({A: b"1", B: b"2"}))
        before = through_a_manifest(old)
        vault.write(old, self.given({A: b"3", B: None, C: b"4"}))
        assert old == before

    def test_once_discarded_nothing_is_left_but_files(
        self, vault: Vault, write: Callable[..., State], place: Place
    ) -> None:
        """`owner remove` takes the directory away by itself; what else rests goes by this, and twice is no fault."""
        write({}, A=b"1", B=b"\0large" * 5000)
        vault.write({}, self.given({C: b"never committed"}))
        for _ in range(2):
            self.make(place).discard()
            assert [piece for piece in self.pieces(place) if type(piece) is not Piece] == []


class VaultSuite(AnyVault):
    """What every vault promises whose values come back."""

    exact = EXACT
    """The values that it gives back byte for byte, by what is odd about them."""

    damageable = True
    """Whether what rests could be damaged unnoticed, so that it must be found out."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each value of this vault's."""
        if "odd" in metafunc.fixturenames:
            metafunc.parametrize("odd", list(self.exact.values()), ids=list(self.exact))

    def test_bytes_come_back_exactly(self, vault: Vault, place: Place, odd: bytes) -> None:
        """Whatever they are, after a restart as well."""
        state = through_a_manifest(vault.write({}, self.given({A: odd})))
        vault.settle(state)
        assert self.make(place).read(state) == {A: odd}
        assert self.make(place).fetch(state, [A]) == {A: odd}

    def test_many_keys_come_back(self, vault: Vault, place: Place) -> None:
        """2,000 of them, each with its own value."""
        values = {f"@all.all.K{number}": f"value {number}".encode() for number in range(2000)}
        state = through_a_manifest(vault.write({}, self.given(dict(values))))
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

    def test_a_fetch_answers_what_was_asked(self, write: Callable[..., State], vault: Vault) -> None:
        """At least the slugs that were named and are there, each with its value; others it may answer as well."""
        state = write({}, A=b"1", B=b"2")
        for slugs in ([A], [B], [B, A], [A, C], [C], []):
            found = vault.fetch(state, slugs)
            assert {slug: found.get(slug) for slug in slugs if slug != C} == {
                slug: {A: b"1", B: b"2"}[slug] for slug in slugs if slug != C
            }
            assert C not in found

    def test_a_crash_before_the_commit_leaves_the_old_state(self, vault: Vault, place: Place) -> None:
        """Rule 2: what write() prepared counts for nothing until its state is in the manifest."""
        values: dict[str, bytes | None] = {A: b"old", B: b"\0large" * 5000}
        old = through_a_manifest(vault.write({}, self.given(values)))
        vault.settle(old)
        changes: list[dict[str, bytes | None]] = [
            {A: b"new"}, {A: None}, {B: b"\1large" * 5000}, {B: None, C: b"more"},
        ]  # fmt: skip
        for change in changes:
            vault.write(old, self.given(change))
            assert self.make(place).read(old) == values

    def test_a_crash_of_the_very_first_write_leaves_nothing(self, vault: Vault, place: Place) -> None:
        """The state is still empty, and the next write works."""
        vault.write({}, self.given({A: b"lost"}))
        again = self.make(place)
        assert again.read({}) == {}
        assert again.read(through_a_manifest(again.write({}, self.given({B: b"kept"})))) == {B: b"kept"}

    def test_a_crash_before_settle_is_cleaned_by_the_next_write_or_settle(self, vault: Vault, place: Place) -> None:
        """Rule 3: what the old state alone needed doesn't stay for ever."""
        state = through_a_manifest(vault.write({}, self.given({A: b"\0large" * 5000, B: b"1"})))
        vault.settle(state)
        usual = len(self.pieces(place))
        for turn in range(3):
            state = through_a_manifest(vault.write(state, self.given({A: b"%dlarge" % turn * 5000})))
        assert vault.write(state, self.given({A: b"lost" * 5000})) != state
        self.make(place).settle(state)
        assert len(self.pieces(place)) == usual
        assert self.make(place).read(state) == {A: b"2large" * 5000, B: b"1"}

    def test_a_rewrite_is_sealed_by_whom_it_was_made_for(self, vault: Vault, place: Place, tmp_path: Path) -> None:
        """When the recipients change, every file is anew; before the commit the old ones still serve the old state."""
        values = {A: b"small", B: b"large" * 5000}
        state = through_a_manifest(vault.write({}, self.given(dict(values))))
        other = place_at(tmp_path / "elsewhere" / "ana")
        new = Place(place.owner, place.directory, place.mac_key, other.seal, other.unseal, place.variable)
        after = through_a_manifest(self.make(new).rewrite(state, values))
        assert self.make(place).read(state) == values
        self.make(new).settle(after)
        assert self.make(new).read(after) == values

    def test_a_rewrite_brings_the_values_of_a_lost_identity(self, vault: Vault, place: Place, tmp_path: Path) -> None:
        """As `restore` does: read without a MAC that could be checked, written with another identity's."""
        values = {A: b"small", B: b"large" * 5000}
        state = through_a_manifest(vault.write({}, self.given(dict(values))))
        lost = Place(place.owner, place.directory, b"", lambda _data: b"", place.unseal, place.variable)
        assert self.make(lost).read(state) == values
        other = place_at(tmp_path / "elsewhere" / "ana")
        new = Place(place.owner, place.directory, other.mac_key, other.seal, other.unseal, place.variable)
        after = through_a_manifest(self.make(new).rewrite(state, values))
        self.make(new).settle(after)
        assert self.make(new).read(after) == values
        assert self.make(new).fetch(after, [A])[A] == b"small"

    def test_settle_again_changes_nothing(self, vault: Vault, place: Place) -> None:
        """It may be cut short and come twice."""
        state = through_a_manifest(vault.write({}, self.given({A: b"1"})))
        for _ in range(2):
            vault.settle(state)
            assert self.make(place).read(state) == {A: b"1"}

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(st.lists(st.tuples(changes, st.booleans(), st.booleans()), max_size=6))
    def test_any_history_of_changes_and_crashes_is_a_dict(
        self, tmp_path_factory: pytest.TempPathFactory, history: "list[tuple[dict[str, bytes | None], bool, bool]]"
    ) -> None:
        """Committed changes count, crashed ones don't, settled or not."""
        place = self.another_place(tmp_path_factory.mktemp("history") / "ana")
        state: State = {}
        expected: dict[str, bytes] = {}
        for raw, committed, settled in history:
            change = {slug: None if value is None else self.holdable(value) for slug, value in raw.items()}
            vault = self.make(place)
            after = vault.write(state, self.given(change))
            if committed:
                state = through_a_manifest(after)
                merged = {**expected, **change}
                expected = {slug: value for slug, value in merged.items() if value is not None}
                if settled:
                    vault.settle(state)
            assert self.make(place).read(state) == expected
        self.make(place).settle(state)
        assert self.make(place).read(state) == expected

    def another_place(self, directory: Path) -> Place:
        """A further place for vaults of this kind."""
        return place_at(directory)

    def holdable(self, value: bytes) -> bytes:
        """`value`, or one like it that this vault can hold."""
        return value

    def test_values_rest_as_it_says(self, vault: Vault, place: Place, canary: Plant) -> None:
        """Only plain text is readable on the disk; every file is 0600."""
        value = canary("RESTING", allowed=["*/vault/ana/direct.*"])
        vault.write({}, self.given({A: value, B: value * 1000}))
        found = [value in path.read_bytes() for path in self.files(place)]
        assert any(found) == (vault.protection == "plaintext")
        assert all(path.stat().st_mode & 0o7777 == 0o600 for path in self.files(place))

    def test_what_is_lost_or_damaged_is_a_vault_fault(self, vault: Vault, place: Place, canary: Plant) -> None:
        """Rule 4: with a hint, without a value, never another exception; for each piece that rests."""
        value = canary("DAMAGED", allowed=["*/vault/ana/*"])
        state = through_a_manifest(vault.write({}, self.given({A: value, B: value * 1000})))
        vault.settle(state)
        assert self.pieces(place) or not self.damageable
        for piece in self.pieces(place):
            whole = piece.get()
            for damage in (None, b"", whole[:-1], whole + b"\n", b"\0" + whole[1:], whole[:40] + whole[41:]):
                if damage == whole:
                    continue
                piece.put(damage)
                with pytest.raises(VaultFault) as refusal:
                    self.make(place).read(state)
                assert refusal.value.hint
                assert value.decode() not in f"{refusal.value} {refusal.value.hint} {refusal.value.__cause__}"
                self.assert_nothing_false_is_fetched(place, state, {A: value, B: value * 1000}, damage is None)
                piece.put(whole)
        assert self.make(place).read(state) == {A: value, B: value * 1000}

    def assert_nothing_false_is_fetched(
        self, place: Place, state: State, values: "dict[str, bytes]", lost: bool
    ) -> None:
        """What an unlock gets of a damaged vault: right values, faults, or nothing; what is lost is not a fault."""
        try:
            found = self.make(place).fetch(state, [A, B])
        except VaultFault:
            assert not lost
            return
        assert found != values
        for slug, answer in found.items():
            assert answer == values[slug] or isinstance(answer, AgentkeysError)

    def test_a_change_over_something_damaged_hides_nothing(self, vault: Vault, place: Place) -> None:
        """Rather than to write down what is left of it, it is refused; or the damage is one afterwards, too."""
        state = through_a_manifest(vault.write({}, self.given({A: b"1"})))
        for piece in self.pieces(place):
            piece.put(b"damaged")
            try:
                after = self.make(place).write(state, self.given({B: b"2"}))
            except VaultFault:
                continue
            with pytest.raises(VaultFault):
                self.make(place).read(after)

    def test_another_owner_s_pieces_are_refused(self, vault: Vault, place: Place, tmp_path: Path) -> None:
        """Copied over under the same names."""
        state = through_a_manifest(vault.write({}, self.given({A: b"mine"})))
        mine = self.pieces(place)
        other = place_at(tmp_path / "vault" / "bob", "bob")
        self.make(other).write({}, self.given({A: b"theirs"}))
        for piece, theirs in zip(mine, self.pieces(other), strict=True):
            piece.put(theirs.get())
            with pytest.raises(VaultFault):
                self.make(place).read(state)
