"""One person and twenty robots on one host, without a keychain: apart, all at once, and one at a time."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentkeys.worker import owner_jobs, rack_jobs
from agentkeys.worker.job import Job, encode
from tests.agent.seat import Seat, eventually
from tests.support.plugin import Plant

ROBOTS = [f"robot{number:02}" for number in range(1, 21)]
EVERYONE = ["human", *ROBOTS]

Fleet = tuple[Seat, dict[str, bytes]]


@pytest.fixture(scope="module")
def fleet(shared: Seat, canary: Plant) -> Fleet:
    """Twenty-one owners, each with a TOKEN of its own and an agent that unlocked it; and the values."""
    values = {owner: canary(f"TOKEN of {owner}") for owner in EVERYONE}
    for owner, value in values.items():  # the worker's own jobs, without a process for each
        whose: list[tuple[str, bytes | str]] = [("home", str(shared.home.root)), ("owner", owner)]
        owner_jobs.init(Job(encode("init", [*whose, ("via", "file")]), _nobody))
        rack_jobs.set_key(Job(encode("set", [*whose, ("slug", "@all.all.TOKEN"), ("value", value)]), _nobody))
    done = shared.cli("agent", "--all", "--auto-unlock", check=True, timeout=120)
    assert [line.split()[0] for line in done.out.decode().splitlines()] == EVERYONE
    return shared, values


def _nobody(_question: str) -> bytes:
    raise AssertionError("a file needs nobody")


def seen(seat: Seat) -> dict[str, dict[str, object]]:
    """What `status --all` says, by owner."""
    return {row["owner"]: row for row in seat.cli("status", "--all", "--json", check=True).json()}


def test_nobody_was_overwritten(fleet: Fleet) -> None:
    """As many wallets, processes, sockets and racks as owners; all unlocked, each to be unlocked again by itself."""
    seat, _values = fleet
    rows = seen(seat)
    assert sorted(rows) == EVERYONE
    for what in ("wallet", "pid", "socket"):
        assert len({row[what] for row in rows.values()}) == len(EVERYONE), what
    assert {row["state"] for row in rows.values()} == {"unlocked"}
    assert None not in {row["auto_unlock_in_seconds"] for row in rows.values()}


def test_each_reads_its_own_and_no_others(fleet: Fleet) -> None:
    """By name and by wallet, all at the same time; a robot's list names no other's keys."""
    seat, values = fleet
    wallets = {owner: str(row["wallet"]) for owner, row in seen(seat).items()}

    def read(owner: str) -> bytes:
        by = owner if owner < "robot11" else wallets[owner]
        return seat.cli("exec", "--for", by, "--key", "TOKEN", "--", "printenv", "TOKEN", reveals=True, check=True).out

    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(EVERYONE, pool.map(read, EVERYONE), strict=True))
    assert found == {owner: value + b"\n" for owner, value in values.items()}
    assert [row["name"] for row in seat.cli("list", "--for", "robot07", "--json", check=True).json()] == ["TOKEN"]


def test_one_that_dies_is_one(fleet: Fleet) -> None:
    """The other twenty keep their keys; the next `agent --all` brings it back, with its wallet and its keys."""
    seat, values = fleet
    before = seen(seat)
    os.kill(int(str(before["robot13"]["pid"])), signal.SIGKILL)
    eventually(lambda: seen(seat)["robot13"]["state"] == "no-agent")
    rest = seen(seat)
    assert {row["state"] for owner, row in rest.items() if owner != "robot13"} == {"unlocked"}
    done = seat.cli("agent", "--all", "--auto-unlock", check=True, timeout=120)
    words = [line.split()[1] for line in done.out.decode().splitlines()]
    assert words.count("started") == 1
    after = seen(seat)
    assert {owner: row["wallet"] for owner, row in after.items()} == {
        owner: row["wallet"] for owner, row in before.items()
    }
    value = seat.cli("get", "TOKEN", "--for", "robot13", reveals=True, check=True).out
    assert value == values["robot13"]


def test_one_that_is_locked_is_one(fleet: Fleet) -> None:
    """And is refused from then on, while its neighbour is served."""
    seat, values = fleet
    seat.cli("lock", "--for", "robot04", check=True)
    assert seat.cli("get", "TOKEN", "--for", "robot04").code == 4
    assert seat.cli("get", "TOKEN", "--for", "robot05", reveals=True, check=True).out == values["robot05"]
    rows = seen(seat)
    assert (rows["robot04"]["state"], rows["robot04"]["denied"]) == ("locked", 1)
    seat.cli("agent", "--for", "robot04", "--auto-unlock", check=True)


def test_twenty_are_on_one_screen(fleet: Fleet) -> None:
    """A line for each, and none that a terminal would break."""
    seat, _values = fleet
    child = seat.cli.on_tty("status", "--all", "--watch", env={"TERM": "xterm", "NO_COLOR": "1"})
    child.expect_exact("21 owners, 21 agents, ")
    child.expect_exact("robot20")
    child.send("q")
    child.read()
    lines = seat.cli("status", "--all", check=True).out.decode().splitlines()
    assert len(lines) == 1 + len(EVERYONE)
    assert max(map(len, lines)) <= 110
