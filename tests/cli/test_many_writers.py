"""Many processes write one rack at once: nothing acknowledged is lost, nobody waits for ever, nothing is torn."""

import collections
import concurrent.futures

import pytest

from tests.agent.seat import Seat
from tests.support.runner import Runner

WRITERS = 20


def launched(rack: Seat) -> Runner:
    """The program as our launcher starts it, which spares each of so many starts its site-packages."""
    path = rack.home.path / "agentkeys"
    rack.cli("setup", "launcher", "--to", path, check=True)
    return rack.cli.with_prefix(path)


@pytest.mark.serial
@pytest.mark.parametrize("sets", [10, pytest.param(50, marks=pytest.mark.soak)])
def test_twenty_writers_at_once_lose_no_key(sets: int, locked: Seat) -> None:
    """Each `set` a process of its own: as many successes, keys and right values as sets. `make soak` makes 1,000."""
    program = launched(locked)
    both = [(writer, number) for writer in range(WRITERS) for number in range(sets)]
    wanted = {f"KEY_{writer}_{number}": b"value %d of %d" % (number, writer) for writer, number in both}

    def write(writer: int) -> list[int]:
        names = [f"KEY_{writer}_{number}" for number in range(sets)]
        return [program("set", name, input=wanted[name], timeout=120).code for name in names]

    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        codes = [code for found in pool.map(write, range(WRITERS)) for code in found]
    assert collections.Counter(codes) == {0: WRITERS * sets}
    listed = {row["name"] for row in locked.cli("list", "--json", check=True).json()}
    assert listed == {*wanted, *locked.values}
    locked.unlock()
    done = locked.cli("exec", "--", "env", "-0", reveals=True, check=True)
    env = dict(entry.partition(b"=")[::2] for entry in done.out.split(b"\0") if entry)
    assert {name: env.get(name.encode()) for name in wanted} == wanted
    assert {name: env[name.encode()] for name in locked.values} == locked.values
    vault = locked.home.root / "vault" / "human"
    assert len(list(vault.iterdir())) == 1
    assert list(locked.home.root.rglob("*.tmp")) == []
    assert len(list((locked.home.root / "inventory" / "human").iterdir())) == len(listed)


def test_writers_of_one_key_leave_one_of_their_values(seat: Seat) -> None:
    """Ten at once: ten successes, and rack and agent agree on a value that one of them wrote."""
    values = [b"value %d" % number for number in range(10)]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        done = list(pool.map(lambda value: seat.cli("set", "GITHUB_TOKEN", input=value), values))
    assert [result.code for result in done] == [0] * 10
    held = seat.get("GITHUB_TOKEN", check=True).out
    assert held in values
    seat.unlock()
    assert seat.get("GITHUB_TOKEN", check=True).out == held


def test_ten_inits_at_once_make_one_owner(rack: Seat) -> None:
    """One makes it, nine find it, and all name the same wallet."""
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        done = list(pool.map(lambda _: rack.cli("init", "--for", "crab", "--json"), range(10)))
    assert [result.code for result in done] == [0] * 10
    assert len({result.json()["wallet"] for result in done}) == 1
    assert sorted(result.json()["effect"] for result in done) == ["created"] + ["found"] * 9


def test_set_del_and_unlock_at_once_never_tear(seat: Seat) -> None:
    """Writers, deleters and unlocks mixed: each succeeds, and what is there afterwards can be read."""

    def change(number: int) -> int:
        name = f"KEY_{number % 4}"
        if number % 3 == 0:
            return seat.cli("unlock").code
        if number % 3 == 1:
            return seat.cli("set", name, input=b"value").code
        return seat.cli("del", name).code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(change, range(48))) == {0}
    seat.unlock()
    rows = {row["name"] for row in seat.cli("list", "--json", check=True).json()}
    assert set(seat.states()) == rows
    for name in rows - set(seat.values):
        assert seat.get(name, check=True).out == b"value"
