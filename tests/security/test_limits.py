"""Where the system gives us no process, an error says so, and what was there goes on."""

from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.support.uids import User

pytestmark = pytest.mark.serial

NO_PROCESS = ("prlimit", "--nproc=0:0")
"""setrlimit(2): no further process for this user; it doesn't bind root."""

SAYS = b"agentkeys: error: no process can be started: Resource temporarily unavailable\nagentkeys: hint: ulimit -a\n"


def test_without_a_process_each_verb_says_so(users_agent: Seat, other_user: User) -> None:
    """What needs a worker or an agent is exit 1, and changes nothing; what asks the live agent works."""
    limited = other_user.cli.with_prefix(*other_user.run.prefix, *NO_PROCESS, *other_user.cli.prefix[-1:])
    for args in (
        ["set", "NEW"],
        ["del", "GITHUB_TOKEN"],
        ["list"],
        ["unlock"],
        ["agent", "--for", "human", "--", "id"],
    ):
        done = limited(*args, input=b"value")
        assert (done.code, done.out, done.err) == (1, b"", SAYS), args
    done = limited("agent", "-a", users_agent.home.runtime / "other.sock")
    assert (done.code, done.out, done.err) == (1, b"false;\n", SAYS)
    given = limited("get", "GITHUB_TOKEN", reveals=True)
    assert given.out == users_agent.values["GITHUB_TOKEN"]
    assert set(users_agent.states()) == {"GITHUB_TOKEN"}


def test_an_agent_that_can_not_fork_says_so(other_user: User) -> None:
    """Its one answer to whoever started it, and nothing is left behind."""
    (script,) = other_user.venv.glob("lib/python*/site-packages/agentkeys/agent/__main__.py")
    place = Path(other_user.home.runtime)
    options = {"for": "human", "home": place, "socket": place / "s", "lock": place / "l", "config": place / "c"}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    done = other_user.run(*NO_PROCESS, other_user.venv / "bin" / "python", "-IS", script, *words)
    assert done.code == 1
    assert done.out == b"error\n1\nno process can be started: Resource temporarily unavailable\nulimit -a\n"
    assert list(place.iterdir()) == []
