"""--login-session and who is served: an agent of one login, or of the whole user, as it was started."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.dialogue import Dialogue
from tests.agent.seat import Seat, watched
from tests.support.runner import Result

NOTE = b"every process of this user may ask this agent"

InSession = Callable[..., Result]


def by_uid(seat: Seat) -> Path:
    """The socket of an agent that is bound to no login."""
    return seat.socket


def strict(seat: Seat) -> None:
    """The operator wants login sessions."""
    config = seat.home.path / ".config" / "agentkeys" / "config.toml"
    config.parent.mkdir(mode=0o700, exist_ok=True)
    config.write_text('login_session = "strict"\n')
    config.chmod(0o600)


def test_an_agent_of_a_login_is_bound_to_it(rack: Seat, in_session: InSession) -> None:
    """By default and when asked for: its socket has the session's number, and status says so; nothing is noted."""
    for flag in ("", "--login-session bound"):
        done = in_session(f"ak agent {flag} >/dev/null && ak status --json && ak agent -k >/dev/null").check()
        number, status = done.out.decode().split("\n", 1)
        assert f'"login_session":"{number}"' in status
        assert f"/human.{number}.sock" in status
        assert NOTE not in done.err


def test_an_agent_of_the_user_serves_every_login(rack: Seat, in_session: InSession) -> None:
    """--login-session uid: OWNER.sock, said once at its start, and another login finds and uses it."""
    first = in_session("ak agent --login-session uid --print-socket").check()
    assert first.out.splitlines()[1] == bytes(by_uid(rack))
    assert NOTE in first.err
    again = in_session("ak agent --login-session uid --print-socket && ak unlock >/dev/null && ak get GITHUB_TOKEN")
    lines = again.check().out.split(b"\n", 2)
    assert lines[1] == bytes(by_uid(rack))
    assert lines[2] == rack.values["GITHUB_TOKEN"]
    assert NOTE not in again.err
    assert rack.status()["login_session"] == ""
    assert len(rack.home.agents()) == 1


def test_a_start_in_a_login_uses_the_users_agent(rack: Seat, in_session: InSession) -> None:
    """Unless it asks for one bound to this login: then that is started beside it."""
    rack.start()
    assert in_session("ak agent --print-socket").check().out.splitlines()[1] == bytes(by_uid(rack))
    script = "ak agent --login-session bound --print-socket && ak agent --login-session bound --print-socket"
    number, *paths = in_session(script).check().out.decode().split()
    assert paths == [str(rack.socket.with_name(f"human.{number}.sock"))] * 2
    assert len(rack.home.agents()) == 2


def test_uid_asked_for_in_a_login_is_not_that_logins_agent(rack: Seat, in_session: InSession) -> None:
    """A running agent of the login doesn't stand in for it."""
    script = "ak agent >/dev/null && ak agent --login-session uid --print-socket"
    assert in_session(script).check().out.splitlines()[1] == bytes(by_uid(rack))
    assert len(rack.home.agents()) == 2


@pytest.mark.skipif(
    Path("/proc/self/sessionid").exists() and Path("/proc/self/sessionid").read_text() != "4294967295",
    reason="this run is in a login session itself",
)
def test_bound_without_a_login_is_refused(rack: Seat) -> None:
    """There is nothing to bind to: 2, and no agent."""
    done = rack.cli("agent", "--login-session", "bound")
    assert (done.code, done.out) == (2, b"false;\n")
    assert b"there is no login session here to bind the agent to" in done.err
    assert rack.home.agents() == []


def test_strict_refuses_an_agent_of_the_user(rack: Seat, in_session: InSession) -> None:
    """Flags can only tighten: --login-session uid does not get around login_session = "strict"."""
    strict(rack)
    done = in_session("ak agent --login-session uid")
    assert done.code == 2
    assert b"login_session is strict" in done.err
    assert in_session("ak agent >/dev/null && ak unlock >/dev/null && ak get GITHUB_TOKEN >/dev/null").code == 0


def test_an_unknown_session_is_served_unless_strict(rack: Seat, in_session: InSession) -> None:
    """A caller without a session id is unknown, never equal: by uid alone, or limited to taking away when strict."""
    first = in_session("ak agent --print-socket && ak unlock >/dev/null").check().out.decode().split()[1]
    assert rack.cli("get", "GITHUB_TOKEN", "--sock", first, reveals=True).out == rack.values["GITHUB_TOKEN"]
    strict(rack)
    done = in_session("ak agent --print-socket && ak unlock >/dev/null").check()
    second = done.out.decode().split()[1]
    answer = rack.cli("get", "GITHUB_TOKEN", "--sock", second)
    assert (answer.code, answer.out) == (6, b"")
    assert b"a process of no known login session may only make this agent forget" in answer.err


def test_a_reload_tightens_what_is_connected(rack: Seat, in_session: InSession) -> None:
    """Strict from now on: a connection of an unknown session that was served in full is limited at once."""
    path = in_session("ak agent --print-socket && ak unlock >/dev/null").check().out.decode().split()[1]
    with Dialogue(Path(path)).greet() as client:
        assert client.ask(b"get", b"key", b"GITHUB_TOKEN")[0] == b"ok"
        strict(rack)
        rack.cli("agent", "--reload", check=True)
        assert client.ask(b"get", b"key", b"GITHUB_TOKEN")[0] == b"error"
        assert client.ask(b"ping") == [b"ok"]


def test_lock_and_reload_reach_every_login(rack: Seat, in_session: InSession) -> None:
    """From a third session: they give nothing away."""
    for _ in range(2):
        in_session("ak agent >/dev/null && ak unlock >/dev/null").check()
    assert b"2 agents of human read config.toml again" in in_session("ak agent --reload").check().out
    assert b"locked 2 agents of human: 2 keys forgotten" in in_session("ak lock").check().out


def test_a_private_agent_of_a_login_is_bound_as_well(rack: Seat, in_session: InSession, short_path: Path) -> None:
    """-a and `-- command` go by the same rule, and by the same flag."""
    sock = short_path / "mine.sock"
    in_session(f"ak agent -a {sock} --unlock >/dev/null").check()
    assert in_session(f"ak get GITHUB_TOKEN --sock {sock}").code == 6
    rack.cli("agent", "-k", "-a", sock, check=True)
    in_session(f"ak agent -a {sock} --login-session uid --unlock >/dev/null").check()
    assert in_session(f"ak get GITHUB_TOKEN --sock {sock}").code == 0
    done = in_session("ak agent --unlock -- true").check()
    assert NOTE not in done.err


def test_a_dead_sessions_files_are_swept(rack: Seat, in_session: InSession) -> None:
    """kill -9, and nobody will ever have that session again: the next start removes its lock and its socket."""
    number, path = in_session("ak agent --print-socket").check().out.decode().split()
    (agent,) = rack.home.agents()
    with watched(agent.pid) as gone:
        agent.kill()
        gone()
    (lock,) = rack.home.root.glob(f"run/*/human/session-{number}.lock")
    rack.start()
    assert not lock.exists()
    assert not Path(path).exists()
