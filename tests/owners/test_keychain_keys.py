"""Values in the keychain through the command line, with a real gnome-keyring on a bus of the test's own."""

import os
import signal

import pexpect
import pytest

from agentkeys.stores import keychain
from agentkeys.stores.keychain_linux import SecretService
from tests.agent.seat import Seat
from tests.owners.backups import backup_key
from tests.owners.bus import Bus, mute
from tests.owners.motley import manifest_of, values_of
from tests.support.plugin import Plant
from tests.vaults.drawer import LOCKED, READY, Drawer

SET = ("set", "TOKEN", "--vault", "keychain")


def accounts(wallet: Bus) -> list[str]:
    """The items that are values."""
    found = [it["account"] for _label, it in wallet.items(service="agentkeys")]
    return sorted(account for account in found if account.startswith("key-"))


def named(seat: Seat) -> list[str]:
    """The items that the rack names."""
    items = manifest_of(seat).vaults["keychain"].get("items", {})
    assert isinstance(items, dict)
    return sorted(account for account, _mac in items.values())


def state_of_disk(seat: Seat) -> dict[str, bytes]:
    """Every file but locks and the audit log."""
    root = seat.home.root
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(("lock/", "audit/", "run/"))}


@pytest.fixture
def token(wallet: Bus, seat: Seat, canary: Plant) -> bytes:
    """A value in the keychain, beside two in os.secure that are unlocked."""
    value = canary("TOKEN")
    seat.cli(*SET, input=value, check=True)
    return value


def test_nobody_types_a_value_that_no_keychain_takes(bus: Bus, rack: Seat) -> None:
    """Without a keychain, and with a silent one: the error comes, and the question doesn't."""

    def shown() -> bytes:
        child = rack.cli.on_tty(*SET)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == expected
        return child.before

    expected = 7
    text = shown()
    assert (b"no keychain answers here" in text, b"(hidden)" in text) == (True, False)
    with mute(bus):
        expected = 124
        text = shown()
    assert (b"the keychain doesn't answer" in text, b"(hidden)" in text) == (True, False)


def test_a_value_in_the_keychain_end_to_end(wallet: Bus, seat: Seat, canary: Plant) -> None:
    """set, list, unlock, get, exec, set again and del: one item at each time, which goes with its value."""
    value = canary("TOKEN")
    done = seat.cli(*SET, "--json", input=value, check=True)
    assert (done.json()["vault"], done.json()["grade"]) == ("keychain", "encrypted/permanent")
    assert seat.get("TOKEN").code == 4
    assert len(accounts(wallet)) == 1
    assert wallet.secret(service="agentkeys", account=accounts(wallet)[0]) == value
    assert seat.unlock().get("TOKEN").out == value
    assert seat.cli("exec", "--", "printenv", "TOKEN", reveals=True, check=True).out == value + b"\n"
    before, new = accounts(wallet), canary("TOKEN again")
    seat.cli("set", "TOKEN", input=new, check=True)
    assert seat.get("TOKEN").out == new
    assert len(accounts(wallet)) == 1
    assert accounts(wallet) != before, "an item is written once"
    assert seat.cli("del", "TOKEN", check=True).out == b"deleted @all.all.TOKEN from keychain of human\n"
    assert accounts(wallet) == []
    assert not (values_of(seat) / "keychain.json").exists()
    assert seat.get("TOKEN").code == 5


@pytest.mark.parametrize("value", [b"\0\xff\n", "välue\n".encode(), bytes(range(256)) * 4096], ids=len)
def test_bytes_come_back_exactly(value: bytes, wallet: Bus, seat: Seat) -> None:
    """Whatever they are, up to 1 MiB."""
    seat.set("TOKEN", value, "--vault", "keychain")
    assert seat.unlock().get("TOKEN").out == value


def test_locked_is_not_lost(wallet: Bus, seat: Seat, token: bytes) -> None:
    """Every verb that needs it exits 4 and changes nothing; other keys come, and an agent keeps what it held."""
    seat.unlock()
    wallet.lock()
    before = state_of_disk(seat)
    for words in (["set", "TOKEN"], ["set", "MORE", "--vault", "keychain"], ["del", "TOKEN"], ["unlock", "TOKEN"]):
        done = seat.cli(*words, input=b"value")
        assert done.code == 4, words
        assert b"locked" in done.err, words
    done = seat.cli("unlock", "--json")
    assert done.code == 4
    assert [(row["slug"], row["state"]) for row in done.json()["not_unlocked"]] == [("@all.all.TOKEN", "failed")]
    assert len(done.json()["unlocked"]) == 2
    assert state_of_disk(seat) == before
    assert seat.get("GITHUB_TOKEN", check=True).out == seat.values["GITHUB_TOKEN"]
    for words in (["set", "GITHUB_TOKEN"], ["set", "OTHER"], ["list"], ["del", "OTHER"]):
        seat.cli(*words, input=b"value", check=True)
    wallet.unlock()
    assert seat.unlock().get("TOKEN").out == token


def test_an_agent_keeps_the_value_of_a_keychain_that_was_locked_since(wallet: Bus, seat: Seat, token: bytes) -> None:
    """For its time; a set that fails takes it out, for it may count or not."""
    seat.unlock()
    wallet.lock()
    assert seat.cli("unlock").code == 4
    assert seat.get("TOKEN", check=True).out == token


def test_without_a_keychain_it_has_failed(wallet: Bus, seat: Seat, token: bytes) -> None:
    """Another session, without a bus or with one where none runs: 7, not lost; nothing is changed."""
    before = state_of_disk(seat)
    for env in ({"DBUS_SESSION_BUS_ADDRESS": None}, {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent/bus"}):
        for words in (["unlock", "TOKEN"], ["set", "TOKEN"], ["del", "TOKEN"]):
            done = seat.cli(*words, input=b"value", env=env)
            assert done.code == 7, words
            assert b"lost" not in done.err
    assert state_of_disk(seat) == before
    assert seat.unlock().get("TOKEN").out == token


def test_a_keychain_that_hangs_is_given_up(wallet: Bus, seat: Seat, token: bytes) -> None:
    """Its process is frozen: 124 with a reason, the other keys come, nothing is changed."""
    before = state_of_disk(seat)
    os.kill(wallet.keyring_pid, signal.SIGSTOP)
    try:
        for words in (["unlock"], ["set", "TOKEN"], ["del", "TOKEN"]):
            done = seat.cli(*words, input=b"value")
            assert done.code == 124, words
            assert b"didn't answer" in done.err
    finally:
        os.kill(wallet.keyring_pid, signal.SIGCONT)
    assert state_of_disk(seat) == before
    assert seat.get("GITHUB_TOKEN", check=True).out == seat.values["GITHUB_TOKEN"]
    assert seat.unlock().get("TOKEN").out == token


def test_an_item_that_was_removed_by_hand_is_lost(wallet: Bus, seat: Seat, token: bytes) -> None:
    """That key alone: 0 without a name, 5 with it; set again, it is there."""
    wallet.delete(service="agentkeys", account=accounts(wallet)[0])
    done = seat.cli("unlock", check=True)
    assert b"lost @all.all.TOKEN: keychain doesn't have it any more" in done.err
    assert seat.cli("unlock", "TOKEN").code == 5
    assert seat.get("TOKEN").code == 5
    seat.cli("set", "TOKEN", input=b"new", check=True)
    assert seat.unlock().get("TOKEN").out == b"new"
    assert accounts(wallet) == named(seat)


def test_an_item_that_was_exchanged_is_refused(wallet: Bus, seat: Seat, token: bytes) -> None:
    """Another program of this user can write there, and doesn't get its value into an agent."""
    with wallet.collection() as collection:
        (item,) = collection.search_items({"service": "agentkeys", "account": accounts(wallet)[0]})
        item.set_secret(b"an intruder's")
    done = seat.cli("unlock", "TOKEN")
    assert done.code == 7
    assert b"is not what the manifest names" in done.err
    assert b"intruder" not in done.err
    assert seat.get("TOKEN").code == 4


def test_owner_remove_leaves_no_item(wallet: Bus, seat: Seat, token: bytes) -> None:
    """Of that owner; another's stay, as does what another program keeps."""
    seat.cli("init", "--for", "other", check=True)
    seat.cli(*SET, "--for", "other", input=b"theirs", check=True)
    seat.cli("set", "MORE", "--vault", "keychain", input=b"more", check=True)
    assert len(accounts(wallet)) == 3
    seat.cli("owner", "remove", "human", "--yes", check=True)
    (left,) = accounts(wallet)
    assert left.startswith("key-other-")
    assert not values_of(seat).exists()


def test_owner_remove_refuses_before_it_touches_anything(wallet: Bus, seat: Seat, token: bytes) -> None:
    """Locked 4, hanging 124, none at all 7: the owner is whole, its agent runs, and a later removal works."""
    seat.unlock()
    before, items = state_of_disk(seat), accounts(wallet)

    def refused(code: int, env: "dict[str, str | None] | None" = None) -> bytes:
        done = seat.cli("owner", "remove", "human", "--yes", env=env)
        assert done.code == code, done.err
        assert state_of_disk(seat) == before
        assert seat.get("TOKEN", check=True).out == token
        return done.err

    wallet.lock()
    assert b"locked" in refused(4)
    wallet.unlock()
    refused(7, {"DBUS_SESSION_BUS_ADDRESS": None})
    os.kill(wallet.keyring_pid, signal.SIGSTOP)
    try:
        refused(124)
    finally:
        os.kill(wallet.keyring_pid, signal.SIGCONT)
    assert accounts(wallet) == items
    seat.cli("owner", "remove", "human", "--yes", check=True)
    assert accounts(wallet) == []


def test_an_owner_without_such_keys_is_removed_without_a_keychain(bus: Bus, seat: Seat) -> None:
    """Or with one that never answers: it isn't asked."""
    with mute(bus):
        seat.cli("owner", "remove", "human", "--yes", check=True)


def test_a_rack_restored_with_a_new_identity_has_its_values(wallet: Bus, seat: Seat, token: bytes) -> None:
    """The items stay, authenticated by the new identity; and a change of recipients on the way."""
    key, public = backup_key(seat)
    seat.cli("recipient", "set", "--pubkey", public, check=True)
    items = accounts(wallet)
    (seat.home.root / "identity" / "human.key").unlink()
    seat.cli("agent", "-k", check=True)
    seat.cli("restore", "--identity", key, "--yes", check=True)
    assert accounts(wallet) == items
    assert seat.start().unlock().get("TOKEN").out == token
    seat.cli("del", "TOKEN", check=True)
    assert accounts(wallet) == []


# --- the stand-in of tests/vaults keeps the contract that the real one keeps


@pytest.fixture(params=["stand-in", "gnome-keyring"])
def both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> "tuple[keychain.Keychain, Bus | Drawer]":
    """A keychain, and the hand that locks it."""
    if request.param == "stand-in":
        drawer = Drawer()
        return drawer, drawer
    wallet = request.getfixturevalue("wallet")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", wallet.address)
    return SecretService(), wallet


def lock(hand: "Bus | Drawer", locked: bool) -> None:
    """Lock it, or unlock it."""
    if isinstance(hand, Drawer):
        hand.mood = LOCKED if locked else READY
    else:
        (hand.lock if locked else hand.unlock)()


def test_the_stand_in_is_like_the_real_one(both: "tuple[keychain.Keychain, Bus | Drawer]") -> None:
    """Open and locked: what each call answers or raises, for a slot that is there and for one that isn't."""
    chain, hand = both
    assert (chain.state(), chain.read("a"), chain.holds("a")) == ("ready", None, False)
    chain.delete("a")
    for value in (b"", b"one", b"\0\xff" * 1000):
        chain.write("a", value)
        assert chain.read("a") == value
    assert (chain.holds("a"), chain.holds("b")) == (True, False)
    lock(hand, True)
    assert (chain.state(), chain.holds("a"), chain.read("b")) == ("locked", True, None)
    for use in (lambda: chain.read("a"), lambda: chain.write("b", b"x"), lambda: chain.delete("a")):
        with pytest.raises(keychain.Locked):
            use()
    chain.delete("b")
    lock(hand, False)
    chain.delete("a")
    assert (chain.read("a"), chain.holds("a"), chain.state()) == (None, False, "ready")
    with pytest.raises(keychain.UsageFault):
        chain.read("no slot's name")
