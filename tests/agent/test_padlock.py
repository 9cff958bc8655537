"""`lock --passphrase` and `lock --open`, at a terminal and over the wire."""

import select
from collections.abc import Callable

import pexpect
import pytest

from tests.agent.dialogue import Dialogue, code, message
from tests.agent.seat import Seat

SALT = bytes(16)


@pytest.fixture
def at_terminal(seat: Seat) -> "Callable[..., pexpect.spawn[bytes]]":
    """Run a verb at a terminal, typing these lines as it asks for them."""

    def run(*arguments: str, typed: "tuple[str, ...]" = ()) -> "pexpect.spawn[bytes]":
        child = seat.cli.on_tty(*arguments)
        for line in typed:
            child.expect_exact(b": ")
            child.sendline(line.encode())
        child.expect(pexpect.EOF)
        child.close()
        return child

    return run


def test_a_locked_agent_keeps_and_serves_nothing_until_it_is_opened(
    seat: Seat, at_terminal: "Callable[..., pexpect.spawn[bytes]]"
) -> None:
    """get, exec and unlock fail with 4 and the way out; afterwards all is there without an unlock."""
    done = at_terminal("lock", "--passphrase", typed=("sesame", "sesame"))
    assert done.exitstatus == 0, done.before
    for verb in (("get", "GITHUB_TOKEN"), ("exec", "--", "true"), ("unlock",)):
        refused = seat.cli(*verb)
        assert refused.code == 4
        assert b"agentkeys lock --open --for human" in refused.err
    assert seat.cli("status", "--json", check=True).json()["locked"] is True
    assert at_terminal("lock", "--open", typed=("sesame",)).exitstatus == 0
    assert seat.cli("get", "GITHUB_TOKEN", reveals=True, check=True).out == seat.values["GITHUB_TOKEN"]


def test_a_wrong_passphrase_is_denied(seat: Seat, at_terminal: "Callable[..., pexpect.spawn[bytes]]") -> None:
    """6, and it stays locked."""
    at_terminal("lock", "--passphrase", typed=("sesame", "sesame"))
    done = at_terminal("lock", "--open", typed=("Sesame",))
    assert done.exitstatus == 6
    assert b"wrong passphrase" in done.before
    assert seat.cli("get", "GITHUB_TOKEN").code == 4


def test_a_forgotten_passphrase_is_no_end(seat: Seat, at_terminal: "Callable[..., pexpect.spawn[bytes]]") -> None:
    """The way out is said when it is locked; it costs an unlock, and no key."""
    locked = at_terminal("lock", "--passphrase", typed=("sesame", "sesame"))
    assert b"should you forget it: agentkeys agent -k --for human" in locked.before
    seat.cli("agent", "-k", "--for", "human", check=True)
    seat.start().unlock()
    assert seat.get("GITHUB_TOKEN", check=True).out == seat.values["GITHUB_TOKEN"]


@pytest.mark.parametrize(("typed", "said"), [(("a", "b"), b"differ"), (("",), b"locks nothing")])
def test_a_typo_locks_nothing(
    typed: "tuple[str, ...]", said: bytes, seat: Seat, at_terminal: "Callable[..., pexpect.spawn[bytes]]"
) -> None:
    """Two different passphrases, or none: 2, and the agent serves as before."""
    done = at_terminal("lock", "--passphrase", typed=typed)
    assert done.exitstatus == 2
    assert said in done.before
    seat.cli("get", "GITHUB_TOKEN", reveals=True, check=True)


def test_without_a_terminal_or_an_agent_it_is_said(seat: Seat) -> None:
    """A passphrase is only ever typed; and with nobody to lock the exit code is 3."""
    assert seat.cli("lock", "--passphrase").code == 2
    assert seat.cli("lock", "--passphrase", "--open").code == 2
    seat.cli("agent", "-k", check=True)
    child = seat.cli.on_tty("lock", "--open")
    child.expect_exact(b": ")
    child.sendline(b"x")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3


def test_a_wrong_passphrase_delays_its_own_connection_alone(seat: Seat) -> None:
    """What a guesser asks waits with its answer, in order; everybody else is served meanwhile."""
    with Dialogue(seat.socket).greet() as guesser, Dialogue(seat.socket).greet() as other:
        assert guesser.ask(b"lock", b"passphrase", b"sesame", b"salt", SALT) == [b"ok"]
        for _ in range(4):
            assert code(guesser.ask(b"open", b"passphrase", b"wrong")) == 6
        guesser.send(message(b"open", b"passphrase", b"wrong"))  # half a second from here
        guesser.send(message(b"ping", b"number", b"1"))
        for number in range(50):
            assert other.ask(b"ping", b"number", b"%d" % number) == [b"ok", b"number", b"%d" % number]
            assert not select.select([guesser.sock], [], [], 0)[0], "the guesser was answered first"
        assert code(other.ask(b"open", b"passphrase", b"sesame")) == 6, "one attempt at a time"
        assert code(guesser.receive()) == 6
        assert guesser.receive() == [b"ok", b"number", b"1"]
        assert other.ask(b"open", b"passphrase", b"sesame") == [b"ok"]


def test_a_guesser_that_hangs_up_leaves_nothing(seat: Seat) -> None:
    """Its held answer goes with it, and the agent goes on."""
    with Dialogue(seat.socket).greet() as guesser:
        guesser.ask(b"lock", b"passphrase", b"sesame", b"salt", SALT)
        guesser.send(message(b"open", b"passphrase", b"wrong"))
    with Dialogue(seat.socket).greet() as other:
        while (answer := other.ask(b"open", b"passphrase", b"sesame"))[0] == b"error":
            assert code(answer) == 6
        assert other.ask(b"get", b"key", b"GITHUB_TOKEN")[0] == b"ok"
