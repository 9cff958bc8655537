"""A key that moves from one vault to another leaves nothing of its value in the old one, whichever the two are."""

import pytest

from tests.agent.seat import Seat
from tests.owners.bus import Bus
from tests.owners.motley import manifest_of, values_of
from tests.support.plugin import Plant

VAULTS = ("os.secure", "os.direct", "os.envvar", "os.daemon", "keychain")
SLUG = "@all.all.MOVED"


class Mover:
    """One key, its value of the moment, and where that may be found."""

    def __init__(self, seat: Seat, wallet: Bus, canary: Plant) -> None:
        self.seat = seat
        self.wallet = wallet
        self.canary = canary
        self.environment: dict[str, str] = {}

    def set(self, vault: str) -> bytes:
        """Put a new value into that vault, large enough for a file of its own; the value."""
        value = self.canary(f"in {vault}", allowed=["*/vault/human/direct.*"]) + b"x" * 20_000
        if vault == "os.envvar":
            self.environment = {"MOVED": value.decode()}
            self.seat.cli("set", "MOVED", "--vault", vault, check=True)
        else:
            self.seat.set("MOVED", value, "--vault", vault)
        return value

    def items(self) -> list[str]:
        """The accounts of values in the keychain."""
        found = [it["account"] for _label, it in self.wallet.items(service="agentkeys")]
        return [account for account in found if account.startswith("key-")]

    def rests(self, value: bytes) -> list[str]:
        """Files in which that value can be read."""
        return [path.name for path in self.seat.home.root.rglob("*") if path.is_file() and value in path.read_bytes()]

    def assert_only_in(self, vault: str) -> None:
        """The rack names it there, and no other vault has anything of it."""
        manifest = manifest_of(self.seat)
        assert manifest.keys[SLUG].vault == vault
        for name, state in manifest.vaults.items():
            assert SLUG not in repr(state) or name == vault, f"{name} still names it"
        assert len(self.items()) == (vault == "keychain")
        files = [path.name for path in values_of(self.seat).iterdir()]
        assert len([name for name in files if "-" in name]) == (vault in ("os.secure", "os.direct")), files
        assert ("keychain.json" in files) == (vault == "keychain")


@pytest.mark.parametrize("old", VAULTS)
def test_moved_to_any_other_vault_nothing_stays(old: str, wallet: Bus, seat: Seat, canary: Plant) -> None:
    """Files, items, states and agents: the old value is nowhere, the new one where it was put and given out."""
    mover = Mover(seat, wallet, canary)
    for new in VAULTS:
        if new == old:
            continue
        before = mover.set(old)
        mover.assert_only_in(old)
        seat.cli("unlock", "MOVED", env=mover.environment, check=True)
        assert seat.get("MOVED", check=True).out == before
        after = mover.set(new)
        mover.assert_only_in(new)
        assert mover.rests(before) == []
        assert seat.get("MOVED").out in (after, b""), "the old value is given out by nobody"
        seat.cli("unlock", "MOVED", env=mover.environment, check=True)
        assert seat.get("MOVED", check=True).out == after
        assert seat.get("GITHUB_TOKEN", check=True).out == seat.values["GITHUB_TOKEN"]
    seat.cli("del", "MOVED", check=True)
    assert mover.items() == []
    assert mover.rests(after) == []


def test_a_move_that_can_t_be_made_leaves_it_where_it_was(wallet: Bus, seat: Seat, canary: Plant) -> None:
    """Out of a locked keychain, and into it: exit 4, the value of before is served after the next unlock."""
    mover = Mover(seat, wallet, canary)
    inside = mover.set("keychain")
    wallet.lock()
    done = seat.cli("set", "MOVED", "--vault", "os.secure", input=b"new")
    assert done.code == 4
    assert b"the keychain is locked" in done.err
    done = seat.cli("set", "GITHUB_TOKEN", "--vault", "keychain", input=b"new")
    assert done.code == 4
    assert manifest_of(seat).keys[SLUG].vault == "keychain"
    assert seat.cli("unlock", "GITHUB_TOKEN").code == 0
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]
    wallet.unlock()
    assert seat.unlock().get("MOVED").out == inside
