"""An identity in the keychain: a real gnome-keyring on a bus of the test's own, and stand-ins for those that hang."""

import os
import signal
from pathlib import Path

import pytest

from agentkeys.errors import VaultFault
from agentkeys.stores import keychain
from tests.agent.seat import Seat
from tests.owners.bus import Bus, mute
from tests.support.plugin import Plant
from tests.support.runner import Runner

HERE = {"service": "agentkeys", "account": "identity-human"}


def files(root: Path) -> dict[str, bytes]:
    """Every file below `root`, but for the locks and the audit log."""
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(("lock/", "audit/"))}


def identities(wallet: Bus) -> list[str]:
    """The accounts of all identities in the keychain, which holds sessions too."""
    accounts = [attributes["account"] for _label, attributes in wallet.items(service="agentkeys")]
    return sorted(account for account in accounts if account.startswith("identity-"))


def test_init_prefers_the_keychain_and_leaves_no_identity_file(wallet: Bus, human: Seat) -> None:
    """With a keychain there, a plain init keeps the identity in it: one entry, and no file holds its text."""
    made = human.cli("init", "--json", check=True).json()
    assert (made["via"], made["effect"]) == ("keychain", "created")
    assert not (human.home.root / "identity").exists()
    assert identities(wallet) == [HERE["account"]]
    secret = wallet.secret(**HERE)
    line = next(line for line in secret.splitlines() if line.startswith(b"AGE-SECRET-KEY-1"))
    assert human.home.root.is_dir()
    for name, data in files(human.home.root).items():
        assert line not in data, name
    again = human.cli("init", "--json", check=True).json()
    assert (again["wallet"], again["effect"]) == (made["wallet"], "found")
    assert wallet.secret(**HERE) == secret


def test_a_rack_whose_identity_is_in_the_keychain_works(wallet: Bus, human: Seat, canary: Plant) -> None:
    """set, list, unlock, get and exec, and relock, end to end."""
    value = canary("in a keychain rack")
    human.cli("init", check=True)
    human.set("TOKEN", value)
    assert [row["name"] for row in human.cli("list", "--json", check=True).json()] == ["TOKEN"]
    human.start().unlock()
    assert human.get("TOKEN", check=True).out == value
    assert human.cli("exec", "--", "printenv", "TOKEN", reveals=True, check=True).out == value + b"\n"
    human.cli("relock", check=True)
    assert human.get("TOKEN").code == 4


def test_a_locked_keychain_is_locked_and_nothing_is_made_or_written(wallet: Bus, human: Seat) -> None:
    """Locked is not absent: every verb exits 4 and says so; no new identity, no file, no entry."""
    human.cli("init", check=True)
    human.set("TOKEN", b"x")
    human.start()
    wallet.lock()
    before = files(human.home.root)
    for args in (["list"], ["unlock"], ["del", "TOKEN"], ["set", "OTHER"], ["recipient", "get"]):
        done = human.cli(*args, input=b"y")
        assert done.code == 4, args
        assert b"locked" in done.err, args
    assert files(human.home.root) == before
    assert identities(wallet) == [HERE["account"]]


def test_init_never_makes_a_second_identity_beside_a_locked_one(wallet: Bus, human: Seat) -> None:
    """The card is lost, the keychain locked: exit 4, and nothing but the entry of before."""
    human.cli("init", check=True)
    (human.home.root / "owners" / "human.json").unlink()
    wallet.lock()
    before = files(human.home.root)
    done = human.cli("init")
    assert done.code == 4
    assert b"locked" in done.err
    assert files(human.home.root) == before
    assert identities(wallet) == [HERE["account"]]


def test_a_locked_keychain_that_holds_nothing_gives_way_to_a_file(wallet: Bus, human: Seat) -> None:
    """A first init beside a locked keychain says why it keeps a file."""
    wallet.lock()
    done = human.cli("init", "--json", check=True)
    assert done.json()["via"] == "file"
    assert b"locked" in done.err
    assert (human.home.root / "identity" / "human.key").stat().st_mode & 0o777 == 0o600
    assert wallet.items(service="agentkeys") == []


def test_an_entry_that_was_removed_is_exit_7(wallet: Bus, human: Seat) -> None:
    """Somebody deleted it by hand: the rack can't be opened, that is said, and no other one is put there."""
    human.cli("init", check=True)
    wallet.delete(**HERE)
    for args in (["list"], ["set", "TOKEN"], ["init"]):
        done = human.cli(*args, input=b"x")
        assert done.code == 7, args
        assert b"identity-human" in done.err, args
    assert identities(wallet) == []


def test_an_entry_of_another_identity_is_exit_7(wallet: Bus, human: Seat) -> None:
    """An entry that was replaced isn't taken for this owner's."""
    human.cli("init", check=True)
    human.cli("init", "--for", "other", check=True)
    others = wallet.secret(service="agentkeys", account="identity-other")
    with wallet.collection() as collection:
        (item,) = collection.search_items(HERE)
        item.set_secret(others)
    assert human.cli("list").code == 7
    with wallet.collection() as collection:
        (item,) = collection.search_items(HERE)
        item.set_secret(b"no identity at all")
    assert human.cli("list").code == 7


def test_session_store_file_keeps_to_files(wallet: Bus, human: Seat) -> None:
    """AGENTKEYS_SESSION_STORE=file: no entry though a keychain is there."""
    made = human.cli("init", "--json", env={"AGENTKEYS_SESSION_STORE": "file"}, check=True).json()
    assert made["via"] == "file"
    assert wallet.items(service="agentkeys") == []


def test_session_store_keychain_allows_no_file(bus: Bus, human: Seat) -> None:
    """AGENTKEYS_SESSION_STORE=keychain without a service: exit 7, and no owner, identity or rack."""
    for env in (
        {"AGENTKEYS_SESSION_STORE": "keychain"},
        {"AGENTKEYS_SESSION_STORE": "keychain", "DBUS_SESSION_BUS_ADDRESS": None},
    ):
        assert human.cli("init", env=env).code == 7
        left = {name for name in files(human.home.root) if name != "install.key"}
        assert left == set()


def test_any_other_session_store_is_exit_2(human: Seat) -> None:
    """A typo is no store, and nothing is made."""
    for text in ("keyring", "File", "none"):
        done = human.cli("init", env={"AGENTKEYS_SESSION_STORE": text})
        assert done.code == 2
        assert b"AGENTKEYS_SESSION_STORE" in done.err
    assert not human.home.root.exists()


def test_without_a_bus_a_file_is_kept_and_nothing_said(human: Seat) -> None:
    """No D-Bus at all, an address where nobody listens, and a bus without the service: via file, stderr empty."""
    for number, address in enumerate([None, "unix:path=/nonexistent/bus", "nonsense"]):
        done = human.cli("init", "--for", f"o{number}", "--json", env={"DBUS_SESSION_BUS_ADDRESS": address}, check=True)
        assert (done.json()["via"], done.err) == ("file", b""), address


def test_a_bus_without_the_service_is_as_none(bus: Bus, human: Seat) -> None:
    """A session bus where no keychain runs: via file, stderr empty."""
    done = human.cli("init", "--json", check=True)
    assert (done.json()["via"], done.err) == ("file", b"")


def test_via_keychain_without_one_is_exit_7_and_makes_nothing(bus: Bus, human: Seat) -> None:
    """Who asks for the keychain gets it or an error."""
    assert human.cli("init", "--via", "keychain").code == 7
    assert {name for name in files(human.home.root) if name != "install.key"} == set()


def test_a_service_that_never_answers_is_given_up(bus: Bus, human: Seat) -> None:
    """It accepts and is silent: a plain init keeps a file and says why, a forced keychain is an error, both end."""
    with mute(bus):
        done = human.cli("init", "--json", check=True)
        assert done.json()["via"] == "file"
        assert b"didn't answer" in done.err
        forced = human.cli("init", "--for", "other", env={"AGENTKEYS_SESSION_STORE": "keychain"})
        assert forced.code == 7
        assert not (human.home.root / "owners" / "other.json").exists()


def test_a_rack_whose_keychain_hangs_is_given_up(wallet: Bus, human: Seat) -> None:
    """The keyring's process is frozen: each verb ends with 124 and a reason, and nothing is made instead."""
    human.cli("init", check=True)
    before = files(human.home.root)
    os.kill(wallet.keyring_pid, signal.SIGSTOP)
    try:
        for args in (["list"], ["init"]):
            done = human.cli(*args)
            assert done.code == 124, args
            assert b"didn't answer" in done.err, args
    finally:
        os.kill(wallet.keyring_pid, signal.SIGCONT)
    assert files(human.home.root) == before
    human.cli("list", check=True)


class Forgetful(keychain.Keychain):
    """Takes every write; keeps what `kept` makes of it."""

    def __init__(self, kept: bytes | None) -> None:
        self.kept = kept

    def read(self, account: str) -> bytes | None:
        """See Keychain."""
        return self.kept

    def write(self, account: str, value: bytes) -> None:
        """See Keychain."""
        keychain.read_back(self, account, value)

    def delete(self, account: str) -> None:
        """See Keychain."""

    def holds(self, account: str) -> bool:
        """See Keychain."""
        return self.kept is not None

    def state(self) -> str:
        """See Keychain."""
        return "ready"


@pytest.mark.parametrize("kept", [None, b"", b"the older value", b"the valu"])
def test_a_keychain_that_drops_writes_is_found_out(kept: bytes | None) -> None:
    """Every write is read back; what isn't there as it was written is an error."""
    with pytest.raises(VaultFault):
        Forgetful(kept).write("identity-human", b"the value")
    Forgetful(b"the value").write("identity-human", b"the value")


@pytest.mark.parametrize("account", ["", "a b", "a/b", "é", "x" * 201, "a\n"])
def test_a_slot_has_a_plain_name(account: str) -> None:
    """Nothing that a backend could take for something else."""
    with pytest.raises(Exception, match="slot's name"):
        keychain.check_account(account)
    assert keychain.check_account("identity-human") == "identity-human"


def test_owner_remove_takes_the_entry_along(wallet: Bus, human: Seat) -> None:
    """The identity we kept goes with its owner, and only that one."""
    human.cli("init", check=True)
    human.cli("init", "--for", "other", check=True)
    human.cli("owner", "remove", "human", "--yes", check=True)
    assert identities(wallet) == ["identity-other"]
    assert not [it for _, it in wallet.items(service="agentkeys", account="master")]
    human.cli("list", "--for", "other", check=True)


def test_a_variable_or_config_file_of_keyrings_chooses_no_backend(wallet: Bus, human: Seat, cli: Runner) -> None:
    """PYTHON_KEYRING_BACKEND and keyringrc.cfg name code to be run with the secret; they aren't looked at."""
    for place in (human.home.path / ".config" / "python_keyring", human.home.path / ".local/share/python_keyring"):
        place.mkdir(parents=True)
        (place / "keyringrc.cfg").write_text("[backend]\ndefault-keyring=evil.Backend\nkeyring-path=/tmp\n")
    env = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    assert cli("init", "--json", env=env, check=True).json()["via"] == "keychain"
    assert len(wallet.items(**HERE)) == 1
