"""The keychain vault keeps the contract in every mood of a keychain, and leaks no item whenever it is killed.

The keychain here is a stand-in that keeps the real one's contract; tests/owners has the real one.
"""

import itertools
import json
from pathlib import Path

import pytest

from agentkeys.errors import AgentkeysError, Locked, TimedOut, VaultFault
from agentkeys.stores import atomic, keychain
from agentkeys.vaults.base import Place, State, Vault
from agentkeys.vaults.keychain import LEDGER, KeychainVault
from tests.support.plugin import Plant
from tests.vaults import drawer as moods
from tests.vaults.drawer import Drawer
from tests.vaults.suite import A, B, C, Piece, VaultSuite, place_at, through_a_manifest


class Item(Piece):
    """An item of the keychain."""

    def __init__(self, drawer: Drawer, account: str) -> None:
        self.drawer = drawer
        self.account = account

    def get(self) -> bytes:
        """See Piece."""
        return self.drawer.items[self.account]

    def put(self, data: "bytes | None") -> None:
        """See Piece."""
        if data is None:
            del self.drawer.items[self.account]
        else:
            self.drawer.items[self.account] = data


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def drawer(monkeypatch: pytest.MonkeyPatch) -> Drawer:
    """The machine's keychain."""
    made = Drawer()
    monkeypatch.setattr("agentkeys.vaults.keychain.open_keychain", lambda: made)
    return made


def ledger(place: Place) -> list[str]:
    """The accounts that the vault remembers."""
    path = Path(place.directory) / LEDGER
    return json.loads(path.read_text())["accounts"] if path.exists() else []


def accounts(state: State) -> list[str]:
    """The accounts that a state names."""
    items = state.get("items", {})
    assert isinstance(items, dict)
    return [account for account, _mac in items.values()]


MOODS: "dict[str, type[AgentkeysError]]" = {
    moods.LOCKED: Locked,
    moods.HIDING: Locked,
    moods.ABSENT: VaultFault,
    moods.HANGING: TimedOut,
}
"""What each is to raise."""

CHANGES: "dict[str, dict[str, bytes | None]]" = {
    "add": {C: b"3"},
    "replace": {A: b"new"},
    "delete": {A: None},
    "everything at once": {A: b"new", B: None, C: b"3"},
    "the last go": {A: None, B: None},
}


class TestKeychain(VaultSuite):
    """The vault of who trusts a desktop's keychain."""

    @pytest.fixture(autouse=True)
    def _drawer(self, drawer: Drawer) -> None:
        self.drawer = drawer

    def make(self, place: Place) -> Vault:
        """See VaultSuite."""
        return KeychainVault(place)

    def pieces(self, place: Place) -> "list[Piece]":
        """See VaultSuite; the ledger's damage is another test's."""
        mine = [account for account in self.drawer.items if account.startswith(f"key-{place.owner}-")]
        return [Item(self.drawer, account) for account in mine]

    def test_each_value_is_an_item_named_by_chance(self, vault: Vault, place: Place) -> None:
        """`key-<owner>-<32 hex digits>`: no slug, and a new one for each value."""
        state = vault.write({}, {A: b"1", B: b"2"})
        again = vault.write(state, {A: b"1"})
        names = {*accounts(state), *accounts(again)}
        assert len(names) == 3
        for account in names:
            head, _, random = account.rpartition("-")
            assert (head, len(random)) == ("key-ana", 32)
            assert keychain.check_account(account)

    def test_no_value_is_in_a_file(self, vault: Vault, place: Place, canary: Plant) -> None:
        """The ledger has accounts and nothing else."""
        state = vault.write({}, {A: canary("KEYCHAIN")})
        (path,) = self.files(place)
        assert json.loads(path.read_bytes()) == {"accounts": accounts(state)}

    def test_an_item_under_another_slug_is_refused(self, vault: Vault, place: Place) -> None:
        """Two items that change places are both found out, and the third is read."""
        state = vault.write({}, {A: b"1", B: b"2", C: b"3"})
        a, b, _c = accounts(state)
        self.drawer.items[a], self.drawer.items[b] = self.drawer.items[b], self.drawer.items[a]
        found = self.make(place).fetch(state, [A, B, C])
        assert isinstance(found[A], VaultFault)
        assert isinstance(found[B], VaultFault)
        assert found[C] == b"3"

    @pytest.mark.parametrize(
        "item", [["identity-ana", ""], ["key-bob-1", ""], ["key-ana-1"], "ab", None, [1, 2]], ids=str
    )
    def test_an_account_of_somebody_else_s_is_refused(self, item: object, vault: Vault, place: Place) -> None:
        """A rack that can't be verified could make an owner's identity a value; no account is read or deleted."""
        self.drawer.items = {"identity-ana": b"1", "key-bob-1": b"2"}
        state: State = {"items": {A: item}}
        uses = (vault.read, vault.settle, lambda it: vault.fetch(it, [A]), lambda it: vault.write(it, {A: None}))
        for use in uses:
            with pytest.raises(VaultFault, match="what the rack says of keychain is damaged"):
                use(state)
        assert len(self.drawer.items) == 2

    def test_only_what_was_asked_for_is_read(self, vault: Vault, place: Place) -> None:
        """One item for one key: a keychain may ask the person for each."""
        state = vault.write({}, {A: b"1", B: b"2"})
        asked, _other = accounts(state)
        self.drawer.items = {asked: b"1"}
        assert self.make(place).fetch(state, [A]) == {A: b"1"}
        self.drawer.mood = moods.LOCKED
        assert self.make(place).fetch(state, [C]) == {}

    def test_a_lost_item_is_its_key_s_own_loss(self, vault: Vault, place: Place) -> None:
        """fetch goes without it and read names it; deleting and replacing it work."""
        state = vault.write({}, {A: b"1", B: b"2"})
        del self.drawer.items[accounts(state)[0]]
        assert self.make(place).fetch(state, [A, B]) == {B: b"2"}
        with pytest.raises(VaultFault, match=A):
            self.make(place).read(state)
        for change in ({A: None}, {A: b"new"}):
            after = through_a_manifest(vault.write(state, change))
            assert A not in vault.read(after) or vault.read(after)[A] == b"new"

    @pytest.mark.parametrize("mood", MOODS)
    def test_what_cant_be_read_now_is_not_lost(self, vault: Vault, place: Place, mood: str) -> None:
        """Locked, gone, hanging, or locked and showing nothing: a fault of all, never an answer without the value."""
        state = vault.write({}, {A: b"1", B: b"2"})
        self.drawer.mood = mood
        for use in (self.make(place).read, lambda state: self.make(place).fetch(state, [A, B])):
            with pytest.raises(MOODS[mood]) as refusal:
                use(state)
            assert type(refusal.value) is MOODS[mood]
            assert refusal.value.hint
        self.drawer.mood = moods.READY
        assert self.make(place).read(state) == {A: b"1", B: b"2"}

    @pytest.mark.parametrize("mood", MOODS)
    @pytest.mark.parametrize("change", [{A: b"new"}, {A: None}, {C: b"3"}], ids=["replace", "delete", "add"])
    def test_what_cant_be_changed_now_is_not_changed(
        self, vault: Vault, place: Place, mood: str, change: "dict[str, bytes | None]"
    ) -> None:
        """Also a deletion: it would be acknowledged while the value stays."""
        state = vault.write({}, {A: b"1", B: b"2"})
        before, known = dict(self.drawer.items), ledger(place)
        self.drawer.mood = mood
        with pytest.raises(MOODS[mood]):
            self.make(place).write(state, change)
        assert (self.drawer.items, ledger(place)) == (before, known)

    @pytest.mark.parametrize("mood", MOODS)
    def test_a_change_of_nothing_asks_no_keychain(self, vault: Vault, place: Place, mood: str) -> None:
        """A rack without keychain keys goes on working without one."""
        self.drawer.mood = mood
        state = vault.write({}, {A: None})
        vault.settle(state)
        assert self.make(place).fetch(state, [A]) == {}
        self.make(place).discard()

    @pytest.mark.parametrize("mood", [moods.REFUSING, moods.DROPPING])
    def test_a_write_that_does_not_stay_is_a_fault(self, vault: Vault, place: Place, mood: str) -> None:
        """The old state counts, and what may be left of the new goes with the next change."""
        state = vault.write({}, {A: b"1"})
        self.drawer.mood = mood
        with pytest.raises(VaultFault):
            self.make(place).write(state, {A: b"new", B: b"2"})
        self.drawer.mood = moods.READY
        assert self.make(place).read(state) == {A: b"1"}
        self.make(place).settle(state)
        assert sorted(self.drawer.items) == ledger(place) == accounts(state)

    def test_an_item_that_is_removed_by_hand_stops_no_clean_up(self, vault: Vault, place: Place) -> None:
        """Deleting what isn't there is no fault."""
        state = vault.write({}, {A: b"1"})
        self.drawer.items.clear()
        after = through_a_manifest(vault.write(state, {A: None}))
        vault.settle(after)
        assert ledger(place) == []

    def test_other_programs_and_owners_items_are_left(self, vault: Vault, tmp_path: Path) -> None:
        """discard takes what the ledger names, and nothing that merely looks like it."""
        vault.write({}, {A: b"1"})
        self.make(place_at(tmp_path / "vault" / "bob", "bob")).write({}, {A: b"theirs"})
        self.drawer.items["identity-ana"] = b"identity"
        self.drawer.items["key-ana-" + "0" * 32] = b"not ours"
        vault.discard()
        assert sorted(self.drawer.items.values()) == [b"identity", b"not ours", b"theirs"]

    def test_without_items_there_is_no_ledger(self, vault: Vault, place: Place) -> None:
        """So that an owner without keychain keys is removed without a keychain."""
        state = vault.write({}, {A: b"1"})
        assert self.files(place) != []
        vault.settle(vault.write(state, {A: None}))
        assert self.files(place) == []

    @pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"accounts": 1}', b"\xff", b"[" * 100_000])
    def test_a_damaged_ledger_is_a_vault_fault(self, vault: Vault, place: Place, text: bytes) -> None:
        """Changes are refused rather than items leaked; reading goes on."""
        state = vault.write({}, {A: b"1"})
        path = Path(place.directory) / LEDGER
        path.write_bytes(text)
        with pytest.raises(VaultFault) as refusal:
            self.make(place).write(state, {B: b"2"})
        assert refusal.value.hint == f"rm {path}"
        assert self.make(place).read(state) == {A: b"1"}

    # --- kill -9

    @pytest.fixture
    def steps(self, drawer: Drawer, monkeypatch: pytest.MonkeyPatch) -> "list[str]":
        """What was done to the outside, in order; a Killed ends the process before step number `kill_at`."""
        done: list[str] = []
        self.kill_at = 10**6

        def count(what: str) -> None:
            if len(done) >= self.kill_at:
                raise Killed
            done.append(what)

        drawer.before = lambda what: count(what.split()[0])
        for name in ("write_file", "remove_file"):
            real = getattr(atomic, name)
            monkeypatch.setattr(
                f"agentkeys.vaults.keychain.atomic.{name}",
                lambda path, *rest, real=real, name=name: (count(name), real(path, *rest))[1],
            )
        return done

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_killed_before_any_step_nothing_leaks(
        self, place: Place, drawer: Drawer, steps: "list[str]", change: "dict[str, bytes | None]"
    ) -> None:
        """Old or new counts, whole; after the next change the ledger, the manifest and the keychain agree."""
        values: dict[str, bytes | None] = {A: b"1", B: b"2"}
        state = through_a_manifest(self.make(place).write({}, values))
        for kill_at in itertools.count():
            steps.clear()
            self.kill_at, counts = kill_at, state
            try:
                counts = through_a_manifest(self.make(place).write(state, change))
                steps.append("commit")
                self.make(place).settle(counts)
            except Killed:
                finished = False
            else:
                finished = True
            self.kill_at = 10**6
            expected = {**values, **change} if counts is not state else values
            assert self.make(place).read(counts) == {slug: it for slug, it in expected.items() if it is not None}
            assert set(accounts(counts)) <= set(ledger(place)), "what may exist is in the ledger"
            assert set(drawer.items) <= set(ledger(place)), "before it does"
            state = through_a_manifest(self.make(place).write(counts, {**values, C: None}))
            self.make(place).settle(state)
            assert sorted(drawer.items) == sorted(ledger(place)) == sorted(accounts(state)), f"after {steps}"
            if finished:
                break
        assert kill_at >= 2, "a change has several steps"

    def test_killed_in_the_middle_of_a_removal_the_next_one_finishes(
        self, place: Place, drawer: Drawer, steps: "list[str]"
    ) -> None:
        """discard forgets an account only once its item is gone."""
        self.make(place).write({}, {A: b"1", B: b"2", C: b"3"})
        self.kill_at = len(steps) + 2
        with pytest.raises(Killed):
            self.make(place).discard()
        assert len(drawer.items) == 1
        self.kill_at = 10**6
        self.make(place).discard()
        assert drawer.items == {}
        assert ledger(place) == []
