"""relock reaches every agent of an owner and takes exactly what was named; other owners keep theirs."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.agent.seat import Seat
from tests.support.plugin import Plant
from tests.support.runner import Result


def test_relock_forgets_everything(seat: Seat) -> None:
    """As text and as JSON; a second one has nothing to forget and succeeds."""
    done = seat.cli("relock", "--json", check=True)
    assert done.json() == {"relocked": ["@all.all.GITHUB_TOKEN", "@all.all.OPENAI_API_KEY"]}
    assert set(seat.states().values()) == {"locked"}
    assert seat.cli("relock", check=True).out == b"nothing was unlocked\n"


def test_relock_takes_one_key_or_one_env(seat: Seat, canary: Plant) -> None:
    """By name, by slug, by env; the rest stays."""
    seat.cli("set", "GITHUB_TOKEN", "--env", "prod", input=canary("prod"), check=True)
    seat.unlock("--env", "prod")
    seat.cli("relock", "--env", "prod", check=True)
    slugs = {key["slug"]: key["state"] for key in seat.status()["keys"]}
    assert slugs["@all.prod.GITHUB_TOKEN"] == "locked"
    assert slugs["@all.all.GITHUB_TOKEN"] == "unlocked"
    seat.cli("relock", "@all.all.GITHUB_TOKEN", check=True)
    assert seat.get("GITHUB_TOKEN").code == 4
    seat.cli("relock", "--key", "OPENAI_API_KEY", check=True)
    assert seat.get("OPENAI_API_KEY").code == 4


def test_relock_of_what_is_not_unlocked_says_what_still_is(seat: Seat) -> None:
    """A mistyped name or env isn't taken for everything being locked; exit 0 and the JSON stay as they are."""
    still = b"still unlocked: @all.all.GITHUB_TOKEN, @all.all.OPENAI_API_KEY\n"
    assert seat.cli("relock", "GITHUB_TOKN", check=True).out == b"no unlocked key GITHUB_TOKN here; " + still
    assert seat.cli("relock", "--env", "al", check=True).out == b"no unlocked key of env al here; " + still
    assert seat.cli("relock", "--key", "GITHUB_TOKN", "--json", check=True).json() == {"relocked": []}
    assert set(seat.states().values()) == {"unlocked"}
    seat.cli("relock", check=True)
    assert seat.cli("relock", "GITHUB_TOKN", check=True).out == b"nothing was unlocked\n"


def test_relock_counts_what_still_is_unlocked_where_that_is_long(seat: Seat) -> None:
    """A robot with many keys gets one line."""
    for number in range(4):
        seat.set(f"KEY_{number}", b"x%d" % number)
    seat.unlock()
    said = b"no unlocked key NOPE here; 6 others are unlocked: agentkeys status\n"
    assert seat.cli("relock", "NOPE", check=True).out == said


def test_relock_leaves_other_owners_alone(seat: Seat, canary: Plant) -> None:
    """Named or by default, it is one owner's."""
    seat.cli("init", "--for", "crab", check=True)
    crab = Seat(seat.home, seat.cli, {"TOKEN": canary("crab's")}, "crab")
    crab.set("TOKEN", crab.values["TOKEN"])
    crab.start().unlock()
    seat.cli("relock", check=True)
    assert crab.get("TOKEN").out == crab.values["TOKEN"]
    seat.unlock()
    seat.cli("relock", "--for", "crab", check=True)
    assert crab.get("TOKEN").code == 4
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]


def test_relock_works_from_anywhere(seat: Seat) -> None:
    """Another runtime directory, a dead AGENTKEYS_SOCK: the agent is found by its lock file."""
    seat.cli("relock", env={"XDG_RUNTIME_DIR": None, "AGENTKEYS_SOCK": "/nonexistent"}, check=True)
    assert set(seat.states().values()) == {"locked"}


@pytest.fixture
def sessions(rack: Seat, in_session: Callable[..., Result]) -> list[Path]:
    """The sockets of two login sessions' agents, both unlocked."""
    found = []
    for _ in range(2):
        done = in_session("ak agent >/dev/null && ak unlock >/dev/null && ak get GITHUB_TOKEN").check()
        number, _, value = done.out.partition(b"\n")
        assert value == rack.values["GITHUB_TOKEN"]
        found.append(rack.socket.parent / f"human.{int(number)}.sock")
    return found


def test_each_login_session_has_its_own_agent(
    rack: Seat, sessions: list[Path], in_session: Callable[..., Result]
) -> None:
    """Two sessions, two agents; a third session is served by neither and has none until it starts its own."""
    assert len(rack.home.agents()) == 2
    for path in sessions:
        done = in_session(f"ak get GITHUB_TOKEN --sock {path}")
        assert done.code == 6
        assert rack.values["GITHUB_TOKEN"] not in done.out
        assert b"session" in done.err
    assert in_session("ak get GITHUB_TOKEN").code == 3
    denied = [line for line in rack.chain() if line["decision"] == "deny"]
    assert len(denied) == 2
    assert {line["uid"] for line in denied} == {0}


def test_relock_reaches_every_login_sessions_agent(rack: Seat, sessions: list[Path]) -> None:
    """One relock, from no session at all, and both have forgotten."""
    assert len(rack.cli("relock", "--json", check=True).json()["relocked"]) == 2
    for path in sessions:
        assert rack.cli("get", "GITHUB_TOKEN", "--sock", path).code == 4


def test_set_and_del_reach_every_login_sessions_agent(rack: Seat, sessions: list[Path], canary: Plant) -> None:
    """The new value in both; then gone from both."""
    new = canary("new everywhere")
    rack.cli("set", "GITHUB_TOKEN", input=new, check=True)
    for path in sessions:
        assert rack.cli("get", "GITHUB_TOKEN", "--sock", path, reveals=True, check=True).out == new
    rack.cli("del", "GITHUB_TOKEN", check=True)
    for path in sessions:
        assert rack.cli("get", "GITHUB_TOKEN", "--sock", path).code == 5


def test_a_stopped_agent_does_not_shield_the_others(rack: Seat, sessions: list[Path]) -> None:
    """The one asked first is frozen: the other forgets all the same, and the failure names the frozen one."""
    frozen, lively = sorted(sessions)
    process = psutil.Process(rack.cli("status", "--json", "--sock", frozen, check=True).json()["pid"])
    process.suspend()
    try:
        done = rack.cli("relock")
        assert done.code not in (0, 1)
        assert str(frozen).encode() in done.err
        assert rack.cli("get", "GITHUB_TOKEN", "--sock", lively).code == 4
    finally:
        process.resume()
