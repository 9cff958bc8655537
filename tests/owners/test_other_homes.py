"""Two homes that share a runtime directory: the keys of one never reach the other's agent of the same owner."""

from collections.abc import Callable

import pytest

from tests.agent.seat import Seat
from tests.support.homes import Home
from tests.support.plugin import Plant
from tests.support.runner import Runner


@pytest.fixture
def other(seat: Seat, make_home: Callable[[str], Home], make_cli: Callable[[Home], Runner], canary: Plant) -> Seat:
    """Another home's owner human, whose clients find the agent of `seat`."""
    home = make_home("other")
    cli = make_cli(home)
    cli.env["XDG_RUNTIME_DIR"] = str(seat.home.runtime)
    cli("init", "--via", "file", check=True)
    made = Seat(home, cli, {"GITHUB_TOKEN": canary("of the other home")})
    made.set("GITHUB_TOKEN", made.values["GITHUB_TOKEN"])
    return made


@pytest.mark.parametrize("explicit", [False, True])
def test_an_unlock_brings_nothing_into_another_homes_agent(seat: Seat, other: Seat, explicit: bool) -> None:
    """Exit 2 with what differs, whether the agent was found or named; it goes on with its own keys and log."""
    lines = len(seat.chain())
    done = other.cli("unlock", *(["--sock", str(seat.socket)] if explicit else []))
    assert done.code == 2
    assert b"serves another home's human" in done.err
    assert seat.get("GITHUB_TOKEN", check=True).out == seat.values["GITHUB_TOKEN"]
    assert len(seat.chain()) == lines + 1, "the get, and nothing of another's unlock"


def test_no_value_that_rests_nowhere_is_given_to_it(seat: Seat, other: Seat) -> None:
    """And none is stored."""
    before = (other.home.root / "host.human.yml.age").read_bytes()
    done = other.cli("set", "SESSION", "--vault", "os.daemon", input=b"value")
    assert done.code == 2
    assert b"serves another home's human" in done.err
    assert seat.get("SESSION").code == 5
    assert (other.home.root / "host.human.yml.age").read_bytes() == before


def test_its_end_is_not_ours_to_ask_for(seat: Seat, other: Seat) -> None:
    """`agent -k` that finds another home's agent, or is given its socket: exit 2, and it goes on."""
    for words in ([], ["-a", str(seat.socket)]):
        done = other.cli("agent", "-k", *words)
        assert (done.code, done.out) == (2, b"false;\n")
        assert b"serves another home's human" in done.err
    assert seat.get("GITHUB_TOKEN", check=True).out == seat.values["GITHUB_TOKEN"]
