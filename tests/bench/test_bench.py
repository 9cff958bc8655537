"""The benchmark itself, on the checkout that is tested: it measures what it says, and says what it couldn't."""

import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import load, peers_daemon, rows_agent
from tests.bench.figures import Figure, compare
from tests.bench.place import Missing, Place
from tests.support.uids import require

REPLY = b"D 4711\nOK\n"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A place with the checkout's own venv in it: no figure of it is quoted."""
    with Place(Path(sys.prefix)) as made:
        yield made


def test_an_unlock_and_its_floor_can_be_timed(place: Place) -> None:
    """The helper that runs inside the measured package does the real jobs, so it must know where they live."""
    took, own = map(int, place.inside("time-unlock", place.owner, place.agent().socket).split())
    bundle, both, own_both = map(int, place.inside("time-open", place.owner).split())
    assert took > 0 < own
    assert 0 < bundle < both
    assert own_both > 0


def test_three_protocols_are_asked_by_one_loop(place: Place) -> None:
    """An agent of ours, an ssh-agent and a gpg-agent each answer every request of a round."""
    for program in ("ssh-agent", "ssh-add", "ssh-keygen", "gpg", "gpgconf", "gpg-connect-agent"):
        require(shutil.which(program), program)
    daemons = [place.agent(), place.start_ssh_agent(), place.start_gpg_agent()]
    servers = [
        rows_agent.exec_server(place.owner, daemons[0]),
        rows_agent.ssh_server(daemons[1]),
        rows_agent.gpg_server(daemons[2]),
    ]
    for mode in ("warm", "fresh"):
        found = rows_agent.load(place, mode, servers, daemons, rounds=2, requests=5)
        assert [len(rounds) for rounds in found] == [2, 2, 2]


def test_an_assuan_reply_ends_with_its_ok() -> None:
    """`OK` in the middle of a line, or of the data, doesn't end a gpg-agent's reply."""
    facts = {"path": "/nowhere", "hello": "", "request": "", "skip": 1, "lines": True}
    one, other = socket.socketpair()
    with one, other:
        other.sendall(b"D OK\nD not OK\n" + REPLY + b"OK bye\n")
        assert load.read_message(load.Server(facts), one) == b"D OK\nD not OK\n" + REPLY
        assert load.read_message(load.Server(facts), one) == b"OK bye\n"


def test_a_peer_that_cannot_be_had_says_why(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no registry has is reported with the reason instead of left out."""
    monkeypatch.setattr(peers_daemon, "need", _nothing)
    with pytest.raises(Missing, match="Debian, PyPI and npm have no envchain"):
        peers_daemon.MAKERS["envchain"](place, True)


def _nothing(program: str) -> str:
    raise Missing(f"no {program} here")


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [(1.0, False, "ok"), (1.2, False, "over"), (1.3, False, "FAIL"), (0.9, True, "over"), (0.7, True, "FAIL")],
)
def test_a_budget_warns_before_it_fails(value: float, at_least: bool, verdict: str) -> None:
    """A shared machine moves a median by a quarter, so only more than that is a failure."""
    assert Figure("0", "", value, value, value, budget=1.0, at_least=at_least).verdict == verdict


def test_a_ratio_is_the_median_of_its_rounds() -> None:
    """A machine that slows down in the middle of a run slows both halves of a round."""
    figure = compare("0", "", [1.0, 10.0, 100.0], [1.0, 5.0, 100.0], "floor")
    assert (figure.value, figure.low, figure.high) == (1.0, 1.0, 1.5)
