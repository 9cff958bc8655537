"""config.toml read again: by `agentkeys agent --reload` and by each unlock; what can't be read changes nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.dialogue import Dialogue, code
from tests.agent.seat import Seat
from tests.support.plugin import Plant

ALLOWED = '[exec]\nallow_names = ["NODE_OPTIONS"]\n'


@pytest.fixture
def config(rack: Seat) -> Path:
    """Where the operator's settings are; the file isn't there yet."""
    path = rack.home.path / ".config" / "agentkeys" / "config.toml"
    path.parent.mkdir(mode=0o700)
    return path


@pytest.fixture
def loading(config: Path, rack: Seat, canary: Plant) -> Callable[[], int]:
    """What exec of a key that loads code answers: 6 while that isn't allowed, 0 when it is."""
    rack.set("NODE_OPTIONS", canary("node options"))
    rack.start().unlock()
    return lambda: rack.cli("exec", "--", "true").code


def write(config: Path, text: str) -> None:
    """Replace the settings."""
    config.write_text(text)
    config.chmod(0o600)


def test_a_reload_makes_a_change_count(config: Path, loading: Callable[[], int], rack: Seat) -> None:
    """Not before, and both ways; what is unlocked stays unlocked."""
    assert loading() == 6
    write(config, ALLOWED)
    assert loading() == 6
    done = rack.cli("agent", "--reload", check=True)
    assert (done.out, done.err) == (b"1 agent of human read config.toml again\n", b"")
    assert loading() == 0
    assert loading() == 0
    config.unlink()
    assert loading() == 0
    rack.cli("agent", "--reload", check=True)
    assert loading() == 6


def test_an_unlock_makes_a_change_count(config: Path, loading: Callable[[], int], rack: Seat) -> None:
    """The next unlock goes by the settings as they are then."""
    write(config, ALLOWED)
    rack.unlock()
    assert loading() == 0
    write(config, "")
    rack.unlock()
    assert loading() == 6


BROKEN = {
    "no TOML": ("nonsense = ", 0o600, 2),
    "no setting of ours": ('login_sesion = "strict"', 0o600, 2),
    "written by others": ("", 0o622, 6),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_config_that_can_not_be_read_changes_nothing(
    kind: str, config: Path, loading: Callable[[], int], rack: Seat
) -> None:
    """A reload and an unlock are refused with the start's own error; old settings and keys stay, the agent lives."""
    write(config, ALLOWED)
    rack.cli("agent", "--reload", check=True)
    text, mode, expected = BROKEN[kind]
    write(config, text)
    config.chmod(mode)
    pid = rack.pid
    done = rack.cli("agent", "--reload")
    assert (done.code, done.out) == (expected, b"")
    assert str(config).encode() in done.err
    done = rack.cli("unlock", "--duration", "1h")
    assert done.code == expected
    assert str(config).encode() in done.err
    assert loading() == 0
    left = {key["name"]: key["expires_in_seconds"] for key in rack.status()["keys"]}
    assert left["GITHUB_TOKEN"] > 3600
    assert rack.pid == pid
    write(config, ALLOWED)
    rack.unlock()


def test_an_unlock_that_was_refused_leaves_nothing_half_done(config: Path, rack: Seat) -> None:
    """On one connection: the refused one has begun nothing, and the connection is usable."""
    rack.start()
    write(config, "nonsense = ")
    with Dialogue(rack.socket).greet() as client:
        assert code(client.ask(b"unlock")) == 2
        assert code(client.ask(b"unlock-commit", b"state-key", bytes(32))) == 2
        assert code(client.ask(b"reload")) == 2
        write(config, "")
        assert client.ask(b"reload") == [b"ok"]
        assert client.ask(b"unlock")[0] == b"ok"


def test_a_reload_reaches_every_agent_of_the_owner(
    config: Path, loading: Callable[[], int], rack: Seat, short_path: Path
) -> None:
    """A private one too."""
    sock = short_path / "mine.sock"
    rack.cli("agent", "-a", sock, "--unlock", check=True)
    write(config, ALLOWED)
    assert rack.cli("agent", "--reload", check=True).out == b"2 agents of human read config.toml again\n"
    assert rack.cli("exec", "--sock", sock, "--", "true").code == 0
    assert loading() == 0


def test_without_an_agent_there_is_nobody_to_reload(rack: Seat) -> None:
    """3, with the command that starts one; no agent is started, and stdout is empty."""
    done = rack.cli("agent", "--reload")
    assert (done.code, done.out) == (3, b"")
    assert b'hint: eval "$(agentkeys agent --for human)"' in done.err
    assert rack.home.agents() == []


def test_strict_wants_an_agent_of_a_login_session(config: Path, seat: Seat) -> None:
    """An agent that tells no processes apart can't become strict: the reload says so and changes nothing."""
    if seat.status()["login_session"]:
        pytest.skip("this process is in a login session")
    write(config, 'login_session = "strict"')
    done = seat.cli("agent", "--reload")
    assert done.code == 2
    assert b"login_session is strict" in done.err
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]
