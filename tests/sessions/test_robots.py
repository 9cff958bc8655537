"""A robot's start by its session: with none, one and several on a machine, and what status says of it."""

import json
from typing import Any

import pytest

from tests.agent.seat import Seat
from tests.sessions.population import Populate, rows, tokens
from tests.support.homes import Home
from tests.support.runner import Runner


def started(cli: Runner, *args: str, **options: Any) -> str:
    """The owner whose agent a robot's start prints."""
    out = cli("agent", "--robot", *args, check=True, **options).out
    return out.partition(b"AGENTKEYS_OWNER=")[2].partition(b";")[0].decode()


def refused(cli: Runner, code: int, *args: str, env: "dict[str, str | None] | None" = None) -> str:
    """What a robot's start says when it is refused: nothing starts, and an eval fails."""
    done = cli("agent", "--robot", *args, env=env)
    assert (done.code, done.out) == (code, b"false;\n"), done.err
    assert b"agentkeys: hint: agentkeys " in done.err
    return done.err.decode()


def test_without_any_session_it_says_how_to_begin(cli: Runner, home: Home, populate: Populate) -> None:
    """An empty home: exit 5, nothing written, no agent. A master alone: likewise, and it isn't taken for a robot."""
    assert "agentkeys init --for seaturtle" in refused(cli, 5)
    assert not home.root.exists()
    populate("human")
    assert "agentkeys init --for seaturtle" in refused(cli, 5)
    assert home.agents() == []


def test_the_only_robot_resumes(cli: Runner, home: Home, populate: Populate) -> None:
    """Beside a master, with no name given: the robot's agent, its wallet in status, said on stderr."""
    made = populate("human", "seaturtle")["seaturtle"]
    done = cli("agent", "--robot", check=True)
    assert b"AGENTKEYS_OWNER=seaturtle;" in done.out
    assert made["wallet"].encode() in done.err
    status = cli("status", "--for", "seaturtle", "--json", check=True).json()
    assert status["wallet"] == made["wallet"]
    assert {status["session"][name] for name in ("id", "place", "state")} == {made["id"], "file", "ready"}
    assert started(cli) == "seaturtle"
    assert len(home.agents()) == 1


def test_a_restart_keeps_the_wallet_and_the_session(cli: Runner, home: Home, populate: Populate) -> None:
    """Stopped, and killed: the next start has the same wallet and the same token."""
    populate("seaturtle")
    before = tokens(home.root)
    seat = Seat(home, cli, {}, "seaturtle")
    started(cli)
    wallet = seat.status()["wallet"]
    cli("agent", "-k", "--for", "seaturtle", check=True)
    started(cli)
    seat.process.kill()
    started(cli)
    assert (seat.status()["wallet"], tokens(home.root)) == (wallet, before)


def test_several_robots_are_refused_and_listed(cli: Runner, home: Home, populate: Populate) -> None:
    """Exit 2 naming each with its wallet, sorted; by name, alias, wallet or variable one of them starts."""
    made = populate("seaturtle", "mechanic", "human")
    text = refused(cli, 2)
    assert text.index("mechanic") < text.index("seaturtle")
    assert "human" not in text
    assert made["mechanic"]["wallet"][-4:].lower() in text
    assert home.agents() == []
    cli("owner", "alias", "mechanic", "wrench", check=True)
    for args in (["--for", "mechanic"], ["--for", "wrench"], ["--for", made["mechanic"]["wallet"]]):
        assert started(cli, *args) == "mechanic"
    assert started(cli, env={"AGENTKEYS_OWNER": "seaturtle"}) == "seaturtle"
    assert len(home.agents()) == 2


def test_a_session_that_is_gone_doesnt_count(cli: Runner, home: Home, populate: Populate) -> None:
    """Its file was removed: the other one resumes. Both gone: how to begin, which names one of them."""
    made = populate("seaturtle", "mechanic")
    (home.root / made["mechanic"]["id"] / "session.json").unlink()
    assert started(cli) == "seaturtle"
    (home.root / made["seaturtle"]["id"] / "session.json").unlink()
    text = refused(cli, 5)
    assert "gone" in text
    assert "agentkeys init --for mechanic" in text


def test_a_session_that_is_damaged_counts(cli: Runner, home: Home, populate: Populate) -> None:
    """Nobody guesses that the other one was meant."""
    made = populate("seaturtle", "mechanic")
    (home.root / made["mechanic"]["id"] / "session.json").write_text("{")
    assert "(damaged)" in refused(cli, 2)


def test_a_strange_session_is_named(cli: Runner, home: Home, populate: Populate) -> None:
    """A directory of another name, and a session of a wallet that no owner here has, are not resumed but said."""
    made = populate("seaturtle")
    (home.root / made["seaturtle"]["id"]).rename(home.root / "robot7")
    assert "robot7/session.json" in refused(cli, 5)
    (home.root / "robot7").rename(home.root / made["seaturtle"]["id"])
    (home.root / "names" / made["seaturtle"]["wallet"].lower()).unlink()
    assert "without an owner" in refused(cli, 5)


def test_a_start_that_found_nothing_leaves_nothing_to_resume(cli: Runner, home: Home, populate: Populate) -> None:
    """Twice the same refusal: no provisional session makes the second start believe in one."""
    populate("human")
    before = sorted(path.name for path in home.root.iterdir())
    assert refused(cli, 5) == refused(cli, 5)
    assert sorted(path.name for path in home.root.iterdir()) == before


def test_a_robot_by_name_needs_its_session(cli: Runner, home: Home, populate: Populate) -> None:
    """Cleared: exit 5 with --robot; a plain start needs none. An owner that isn't there: exit 2."""
    populate("seaturtle")
    cli("session", "clear", "seaturtle", check=True)
    assert "agentkeys init --for seaturtle" in refused(cli, 5, "--for", "seaturtle")
    cli("agent", "--for", "seaturtle", check=True)
    refused(cli, 2, "--for", "nobody")


def test_init_replaces_what_is_damaged_gone_or_expired(cli: Runner, home: Home, populate: Populate) -> None:
    """Exit 7, 5 and 4 at the robot's start, and then ready; the damaged file stays beside the new one."""
    path = home.root / populate("seaturtle")["seaturtle"]["id"] / "session.json"
    whole = json.loads(path.read_bytes())
    late = json.dumps({**whole, "serial": 2**40, "expires_at": 9}).encode()
    for data, code, state in ((b"{", 7, "damaged"), (None, 5, "gone"), (late, 4, "expired")):
        path.unlink()
        if data is not None:
            path.write_bytes(data)
            path.chmod(0o600)
        refused(cli, code, "--for", "seaturtle")
        assert rows(cli)["seaturtle"]["state"] == state
        cli("init", "--for", "seaturtle", check=True)
        assert rows(cli)["seaturtle"]["state"] == "ready"
    assert started(cli) == "seaturtle"
    assert [it.read_bytes() for it in path.parent.glob("session.json.damaged-*")] == [b"{"]


def test_a_start_renews_a_session_that_is_half_over(cli: Runner, home: Home, populate: Populate) -> None:
    """Another token and a new end; before half of its time the start leaves it alone."""
    path = home.root / populate("seaturtle")["seaturtle"]["id"] / "session.json"
    young = tokens(home.root)
    cli("agent", "--for", "seaturtle", check=True)
    assert tokens(home.root) == young
    cli("agent", "-k", "--for", "seaturtle", check=True)
    for file in (path, path.with_name("slot.json")):
        found = json.loads(file.read_bytes())
        aged = {name: found[name] - 200 * 86400 for name in ("issued_at", "expires_at")}
        file.write_text(json.dumps({**found, **aged}))
    cli("agent", "--for", "seaturtle", check=True)
    assert tokens(home.root) != young
    assert Seat(home, cli, {}, "seaturtle").status()["session"]["expires_in_seconds"] > 364 * 86400


def test_status_follows_the_session(cli: Runner, home: Home, populate: Populate) -> None:
    """Cleared, the running agent shows none; issued again, it shows that one; a plain status says it in words."""
    populate("seaturtle")
    seat = Seat(home, cli, {}, "seaturtle").start()
    assert b"session  in a file, issued by itself" in cli("status", "--for", "seaturtle", check=True).out
    cli("session", "clear", "seaturtle", check=True)
    assert seat.status()["session"] is None
    cli("init", "--for", "seaturtle", check=True)
    assert seat.status()["session"]["state"] == "ready"


@pytest.mark.parametrize("flags", [["-k"], ["--reload"]])
def test_robot_only_goes_with_a_start(flags: "list[str]", cli: Runner) -> None:
    """-k and --reload name their owner."""
    assert cli("agent", "--robot", *flags).code == 2


def test_a_robots_start_in_the_foreground(cli: Runner, home: Home, populate: Populate) -> None:
    """As a unit has it: -D with --robot serves that robot, and its pid is the start's own."""
    populate("seaturtle")
    child = cli.start("agent", "--robot", "-D", stdout=-1, stderr=-1)
    assert child.stdout
    assert b"seaturtle" in child.stdout.readline()
    assert Seat(home, cli, {}, "seaturtle").pid == child.pid
    cli("agent", "-k", "--for", "seaturtle", check=True)
    assert child.wait(20) == 0
