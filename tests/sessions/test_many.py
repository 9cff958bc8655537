"""One master and twenty robots on one host, at the same time: nobody's session, key or agent is anybody else's."""

import concurrent.futures
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentkeys.stores.sessions import SessionStore
from tests.agent.seat import Seat
from tests.owners.bus import Bus
from tests.sessions.population import rows
from tests.sessions.standin import NOW, A, B, id_of
from tests.support.homes import Home
from tests.support.plugin import Plant
from tests.support.runner import Runner
from tests.worker.office import Office

ROBOTS = [f"robot{number}" for number in range(20)]

AT_ONCE = 21

REPO = Path(__file__).parents[2]


def at_once(do: "Callable[[str], Any]", names: "list[str]") -> "list[Any]":
    """Each at the same time as the others."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(do, names))


def make(office: Office, canary: Plant, owners: "list[str]") -> "dict[str, bytes]":
    """Make these owners at once, each with a TOKEN of its own: the same jobs that `init` and `set` run."""
    values = {owner: canary(owner) for owner in owners}

    def one(owner: str) -> None:
        mine = office.of(owner)
        mine.do("init", ("via", "file"))
        mine.set("@all.all.TOKEN", values[owner])

    at_once(one, owners)
    return values


def check_the_fleet(cli: Runner, home: Home, values: "dict[str, bytes]", restarted: int = 20) -> None:
    """What must hold whatever the place: each its own, none named, the first robots restarted, one cleared."""
    made = rows(cli)
    owners = list(values)
    robots = [owner for owner in owners if owner != "human"]
    assert sorted(made) == sorted(owners)
    assert {row["state"] for row in made.values()} == {"ready"}
    assert len({row["wallet"] for row in made.values()}) == len({row["id"] for row in made.values()}) == len(owners)

    at_once(lambda owner: cli("agent", "--for", owner, "--unlock", check=True), owners)
    seats = {owner: Seat(home, cli, {}, owner) for owner in owners}
    for owner, seat in seats.items():
        assert seat.get("TOKEN", check=True).out == values[owner]
    facts = {owner: seat.status() for owner, seat in seats.items()}
    assert len({it["pid"] for it in facts.values()}) == len({it["socket"] for it in facts.values()}) == len(owners)
    assert {owner: it["wallet"] for owner, it in facts.items()} == {owner: made[owner]["wallet"] for owner in owners}
    assert {owner: it["session"]["id"] for owner, it in facts.items()} == {owner: made[owner]["id"] for owner in owners}

    refused = cli("agent", "--robot")
    assert (refused.code, refused.out) == (2, b"false;\n")
    assert all(robot.encode() in refused.err for robot in robots)

    first = robots[:restarted]
    at_once(lambda owner: cli("agent", "-k", "--for", owner, check=True), first)
    at_once(lambda owner: cli("agent", "--robot", "--for", owner, check=True), first)
    assert {owner: seats[owner].status()["wallet"] for owner in first} == {
        owner: made[owner]["wallet"] for owner in first
    }

    cli("session", "clear", robots[3], check=True)
    left = rows(cli)
    assert left == {owner: row for owner, row in made.items() if owner != robots[3]}
    assert cli("agent", "--robot", "--for", robots[3]).code == 5


@pytest.fixture
def office(cli: Runner, home: Home) -> Office:
    """Workers in the test's own home."""
    return Office(cli.with_prefix(), home.root)


@pytest.mark.serial
def test_a_master_and_twenty_robots_with_a_keychain(
    wallet: Bus, cli: Runner, home: Home, office: Office, canary: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty-one entries, one to a wallet and the master's, no session in a file."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", wallet.address)
    values = make(office, canary, ["human", *ROBOTS])
    accounts = [attributes["account"] for _label, attributes in wallet.items(service="agentkeys")]
    assert len(accounts) == len(set(accounts)) == 21
    tokens = {json.loads(wallet.secret(service="agentkeys", account=name))["token"] for name in accounts}
    assert len(tokens) == 21
    assert list(home.root.glob("*/session.json")) == []
    check_the_fleet(cli, home, values)
    assert len(wallet.items(service="agentkeys")) == 20


@pytest.mark.serial
def test_twenty_robots_on_a_headless_host(cli: Runner, home: Home, office: Office, canary: Plant) -> None:
    """No keychain, no master: twenty files, one to a wallet."""
    values = make(office, canary, ROBOTS)
    tokens = {json.loads(path.read_bytes())["token"] for path in home.root.glob("daemon-*/session.json")}
    assert len(tokens) == 20
    check_the_fleet(cli, home, values, restarted=5)
    assert len(list(home.root.glob("daemon-*/session.json"))) == 19


LOOP = f"""
import os, sys
sys.path.insert(0, {str(REPO)!r})
from agentkeys.core.session import Session
from agentkeys.errors import Absent
from agentkeys.stores.sessions import SessionStore
root, wallet, shared, times = sys.argv[1:]
store = SessionStore(root, "file", now={NOW})
for number in range(int(times)):
    token = os.urandom(32)
    mine = "daemon-" + wallet
    store.save_session(Session(wallet, token, {NOW}, {NOW} + 9), mine)
    assert store.load_session(mine).token == token, "another one's token"
    assert mine in [slot.id for slot in store.list_sessions()]
    assert store.clear_session(mine)
    if shared == "shared":
        store.save_session(Session({B!r}, token, {NOW}, {NOW} + 9), "daemon-" + {B!r})
        store.load_session("daemon-" + {B!r})
"""


@pytest.mark.parametrize("times", [10, pytest.param(100, marks=pytest.mark.soak)])
def test_ten_processes_save_load_and_clear_again_and_again(times: int, root: Path) -> None:
    """Each sees its own token every time; the one slot that three of them write is whole whenever it is read."""
    wallets = [f"0x{number:040x}" for number in range(10)]
    children = [
        subprocess.Popen(
            [sys.executable, "-IS", "-c", LOOP, str(root), wallet, "shared" if at < 3 else "", str(times)],
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
        )
        for at, wallet in enumerate(wallets)
    ]
    for child in children:
        _out, err = child.communicate(timeout=120)
        assert child.returncode == 0, err.decode()
    store = SessionStore(str(root), "file", now=NOW)
    assert [slot.id for slot in store.list_sessions()] == [id_of(B)]
    assert store.load_session(id_of(B)).serial == NOW + 3 * times - 1
    assert not (root / id_of(A)).exists()
