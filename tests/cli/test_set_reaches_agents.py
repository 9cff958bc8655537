"""What changes in the rack changes in the agents that live: at once, and only where the key was unlocked."""

import concurrent.futures

import psutil

from tests.agent.seat import Seat
from tests.support.plugin import Plant


def test_set_gives_a_live_agent_the_new_value(seat: Seat, canary: Plant) -> None:
    """When set has answered, get and exec have the new value; the time it may stay isn't changed."""
    seat.unlock("--duration", "1h")
    (before,) = [key for key in seat.status()["keys"] if key["name"] == "GITHUB_TOKEN"]
    new = canary("the new one")
    seat.cli("set", "GITHUB_TOKEN", input=new, check=True)
    assert seat.get("GITHUB_TOKEN").out == new
    shown = seat.cli("exec", "--", "printenv", "GITHUB_TOKEN", reveals=True, check=True).out
    assert shown == new + b"\n"
    (after,) = [key for key in seat.status()["keys"] if key["name"] == "GITHUB_TOKEN"]
    assert 3500 < after["expires_in_seconds"] <= before["expires_in_seconds"]
    assert seat.get("OPENAI_API_KEY").out == seat.values["OPENAI_API_KEY"]


def test_set_does_not_unlock(seat: Seat, canary: Plant) -> None:
    """A key that was relocked stays locked, and a new key is locked until an unlock brings it."""
    seat.cli("relock", "GITHUB_TOKEN", check=True)
    seat.cli("set", "GITHUB_TOKEN", input=canary("locked"), check=True)
    new = canary("new")
    seat.cli("set", "NEW_KEY", input=new, check=True)
    assert seat.get("GITHUB_TOKEN").code == 4
    assert seat.get("NEW_KEY").code == 4
    assert seat.states() == {"GITHUB_TOKEN": "locked", "NEW_KEY": "locked", "OPENAI_API_KEY": "unlocked"}
    seat.unlock("NEW_KEY")
    assert seat.get("NEW_KEY").out == new
    assert seat.get("GITHUB_TOKEN").code == 4


def test_set_into_an_agent_that_holds_nothing_brings_nothing(locked: Seat, canary: Plant) -> None:
    """Before the first unlock an agent learns no value."""
    locked.cli("set", "GITHUB_TOKEN", input=canary("unseen"), check=True)
    assert locked.get("GITHUB_TOKEN").code == 4
    assert locked.status()["unlocked"] is False


def test_set_reaches_every_env_by_its_own_slug(seat: Seat, canary: Plant) -> None:
    """The key of one env says nothing about that of another; the most specific one that exists is meant."""
    prod = canary("prod")
    seat.cli("set", "GITHUB_TOKEN", "--env", "prod", input=prod, check=True)
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]
    assert seat.cli("get", "GITHUB_TOKEN", "--env", "prod").code == 4
    seat.unlock("--env", "prod")
    assert seat.cli("get", "GITHUB_TOKEN", "--env", "prod", reveals=True).out == prod
    assert seat.cli("get", "@all.prod.GITHUB_TOKEN", reveals=True).out == prod


def test_a_cap_shortens_what_is_unlocked(seat: Seat, canary: Plant) -> None:
    """--max-duration given at set holds for the agent too, from that moment."""
    seat.cli("set", "GITHUB_TOKEN", "--max-duration", "5m", input=canary("capped"), check=True)
    left = {key["name"]: key["expires_in_seconds"] for key in seat.status()["keys"]}
    assert left["GITHUB_TOKEN"] <= 300
    assert left["OPENAI_API_KEY"] > 30_000


def test_del_is_forgotten_at_once(seat: Seat) -> None:
    """Rack, agent and listing agree that it is gone; the others stay."""
    done = seat.cli("del", "GITHUB_TOKEN", check=True)
    assert done.out == b"deleted @all.all.GITHUB_TOKEN from os.secure of human\n"
    assert seat.get("GITHUB_TOKEN").code == 5
    assert seat.states() == {"OPENAI_API_KEY": "unlocked"}
    assert [row["name"] for row in seat.cli("list", "--json", check=True).json()] == ["OPENAI_API_KEY"]
    assert seat.get("OPENAI_API_KEY").out == seat.values["OPENAI_API_KEY"]


def test_a_deleted_value_leaves_its_vault(seat: Seat, canary: Plant) -> None:
    """The generation that held it is gone from the disk, and so is the file of a large value."""
    vault = seat.home.root / "vault" / "human"
    seat.set("CERTIFICATE", canary("large") + b"\n" * 20_000)
    (large,) = [path for path in vault.iterdir() if "-" in path.name]
    before = set(vault.iterdir())
    seat.cli("del", "CERTIFICATE", check=True)
    assert not large.exists()
    assert len(list(vault.iterdir())) == 1
    assert before.isdisjoint(vault.iterdir())


def test_a_stopped_agent_costs_a_bounded_wait(seat: Seat, canary: Plant) -> None:
    """set says that it may hold the old value (8); get and exec give up (124), run nothing, and name what wakes it."""
    marker = seat.home.path / "ran"
    process = psutil.Process(seat.pid)
    process.suspend()
    commands = (["set", "GITHUB_TOKEN"], ["get", "GITHUB_TOKEN"], ["exec", "--", "touch", str(marker)])
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            value = canary("untold")
            told, read, run = pool.map(lambda args: seat.cli(*args, input=value), commands)
    finally:
        process.resume()
    assert told.code == 8
    assert str(seat.socket).encode() in told.err
    assert b"may hold the old value" in told.err
    for done in (read, run):
        assert (done.code, done.out) == (124, b"")
        assert f"kill -CONT {process.pid}".encode() in done.err
    assert not marker.exists()
