"""`agentkeys status --all`: a line for each agent of each owner, whatever state it is in; nobody is waited for."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentkeys import paths
from agentkeys.cli.fleet import Fleet
from tests.agent.dialogue import Dialogue
from tests.agent.seat import Seat, eventually
from tests.support.homes import Home, short_dir
from tests.support.plugin import Run
from tests.support.runner import Logs, Runner, agentkeys_command

OWNERS = ("crab", "mechanic", "seaturtle")

MEMBERS = ["owner", "wallet", "state", "pid", "socket", "private", "keys_held", "keys_known", "next_expiry_in_seconds",
           "last_given_seconds_ago", "denied", "auto_unlock_in_seconds", "fault"]  # fmt: skip
"""An interface: added to, never renamed."""


@pytest.fixture(scope="module")
def files(
    run: Run, logs: Logs, template: tuple[Path, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A home's files with four owners."""
    home = Home(tmp_path_factory.mktemp("files"), run.keep_track_of(short_dir()))
    shutil.copytree(template[0], home.root, symlinks=True)
    cli = Runner(logs, agentkeys_command(), home.env, home.path)
    for owner in OWNERS:
        cli("init", "--for", owner, "--via", "file", check=True)
    return home.root


@pytest.fixture(scope="module")
def fleet(files: Path, run: Run, logs: Logs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    """Owner human, unlocked; seaturtle and mechanic with empty agents; crab without one. For all tests here."""
    home = Home(tmp_path_factory.mktemp("fleet"), run.keep_track_of(short_dir()))
    shutil.copytree(files, home.root, symlinks=True)
    cli = Runner(logs, agentkeys_command(), home.env, home.path)
    seat = Seat(home, cli, {}).start().unlock()
    for owner in ("mechanic", "seaturtle"):
        cli("agent", "--for", owner, check=True)
    yield seat
    cli.end()
    assert not home.end_agents(), "an agent outlived SIGKILL"


def seen(seat: Seat) -> dict[str, dict[str, Any]]:
    """What --json says, by owner."""
    return {row["owner"]: row for row in seat.cli("status", "--all", "--json", check=True).json()}


def agent_of(seat: Seat, owner: str) -> int:
    """The pid of an owner's agent."""
    return int(seat.cli("status", "--for", owner, "--json", check=True).json()["pid"])


def test_each_owner_has_a_line(fleet: Seat) -> None:
    """Owner, wallet, state, keys, the next expiry, the last use and what was denied; in the order of names."""
    before = seen(fleet)
    fleet.cli("exec", "--", "true", check=True)
    fleet.cli("get", "NO_SUCH_KEY")
    fleet.cli("get", "GITHUB_TOKEN", "--for", "mechanic")
    rows = fleet.cli("status", "--all", "--json", check=True).json()
    assert [(row["owner"], row["state"]) for row in rows] == [
        ("crab", "no-agent"),
        ("human", "unlocked"),
        ("mechanic", "locked"),
        ("seaturtle", "locked"),
    ]
    assert [list(row) for row in rows] == [MEMBERS] * 4
    crab, human, mechanic, seaturtle = rows
    assert (human["keys_held"], human["keys_known"]) == (2, 2)
    assert [rows[at]["denied"] - before[rows[at]["owner"]]["denied"] for at in (1, 2, 3)] == [1, 1, 0]
    assert 0 <= human["last_given_seconds_ago"] < 60
    assert 9 * 3600 - 60 < human["next_expiry_in_seconds"] <= 9 * 3600
    assert human["pid"] == fleet.pid
    assert human["socket"] == str(fleet.socket)
    assert (mechanic["last_given_seconds_ago"], mechanic["keys_known"], seaturtle["keys_held"]) == (None, None, 0)
    assert (crab["denied"], crab["pid"], crab["socket"]) == (None, None, None)
    shown = fleet.cli("owner", "list", "--json", check=True).json()
    assert {row["owner"]: row["wallet"] for row in rows} == {card["owner"]: card["wallet"] for card in shown}


def test_people_get_a_table(fleet: Seat) -> None:
    """No colour and no escape in a pipe; a wallet is cut to what tells it from others; values are never shown."""
    fleet.cli("exec", "--", "true", check=True)
    out = fleet.cli("status", "--all", check=True).out.decode()
    lines = [line.split() for line in out.splitlines()]
    wallet = seen(fleet)["human"]["wallet"]
    assert lines[0] == ["OWNER", "WALLET", "STATE", "KEYS", "EXPIRES", "LAST", "USE", "DENIED", "NOTES"]
    assert lines[1][0] == "crab"
    assert lines[1][2:] == ["no", "agent"]
    assert lines[2][:4] == ["human", f"{wallet[:6]}…{wallet[-5:]}", "unlocked", "2/2"]
    assert lines[2][4].startswith("8h")
    assert "ago" in lines[2]
    assert lines[3][2:6] == ["locked", "-", "-", "-"]
    assert "\x1b" not in out


def test_colour_is_for_terminals(fleet: Seat) -> None:
    """And NO_COLOR takes it away."""
    child = fleet.cli.on_tty("status", "--all")
    child.expect_exact("\x1b[32munlocked\x1b[0m")
    child.expect_exact("\x1b[33mlocked\x1b[0m")
    plain = fleet.cli.on_tty("status", "--all", env={"NO_COLOR": "1"})
    assert b"\x1b[3" not in plain.read()


def test_a_stopped_agent_keeps_nobody_waiting(fleet: Seat) -> None:
    """The others are shown, and it is shown not to answer, long before a caller of its own would give up."""
    pid = agent_of(fleet, "mechanic")
    os.kill(pid, signal.SIGSTOP)
    try:
        found = seen(fleet)
        assert found["mechanic"]["state"] == "no-answer"
        assert found["mechanic"]["fault"] == "", "it was waited for until the client's own patience ended"
        assert found["human"]["state"] == "unlocked"
        assert "no answer" in fleet.cli("status", "--all", check=True).out.decode()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert seen(fleet)["mechanic"]["state"] == "locked"


def test_each_state_has_its_word(fleet: Seat) -> None:
    """Expired, however often somebody looked; closed by a passphrase; gone by kill -9, with lock and socket left."""
    fleet.unlock("--duration", "1s")
    eventually(lambda: seen(fleet)["human"]["state"] == "expired")
    fleet.unlock()
    with Dialogue(fleet.socket).greet() as client:
        assert client.ask(b"lock", b"passphrase", b"shut", b"salt", b"s" * 16) == [b"ok"]
        assert seen(fleet)["human"]["state"] == "closed"
        assert client.ask(b"open", b"passphrase", b"shut") == [b"ok"]
    os.kill(agent_of(fleet, "seaturtle"), signal.SIGKILL)
    eventually(lambda: seen(fleet)["seaturtle"]["state"] == "no-agent")
    assert list(fleet.home.root.glob("run/*/seaturtle/agent.lock"))
    fleet.cli("agent", "--for", "seaturtle", check=True)


def test_private_agents_are_shown_as_such(fleet: Seat, short_path: Path) -> None:
    """Beside the owner's own: whoever looks for what holds keys must find them too."""
    path = short_path / "mine.sock"
    fleet.cli("agent", "-a", path, check=True)
    everything = fleet.cli("status", "--all", "--json", check=True).json()
    rows = [row for row in everything if row["owner"] == "human"]
    assert [(row["private"], row["socket"]) for row in rows] == [(False, str(fleet.socket)), (True, str(path))]
    assert b"private" in fleet.cli("status", "--all", check=True).out
    fleet.cli("agent", "-k", "-a", path, check=True)


def test_what_an_automatic_unlock_does_is_told(fleet: Seat) -> None:
    """When the next one is, and why the last one failed."""
    fleet.cli("agent", "--auto-unlock", check=True)
    assert seen(fleet)["human"]["auto_unlock_in_seconds"] > 3600
    assert "unlocks again in 8h" in fleet.cli("status", "--all", check=True).out.decode()
    fleet.cli("set", "BRIEF", "--max-duration", "2s", input=b"brief", check=True)
    fleet.cli("agent", "--auto-unlock", check=True)
    manifest = fleet.home.root / "host.human.yml.age"
    whole = manifest.read_bytes()
    manifest.write_bytes(b"damaged")
    assert "host.human.yml.age" in eventually(lambda: seen(fleet)["human"]["fault"])
    assert "automatic unlock failed: " in fleet.cli("status", "--all", check=True).out.decode()
    manifest.write_bytes(whole)
    fleet.cli("relock", check=True)
    fleet.cli("del", "BRIEF", check=True)
    fleet.unlock()


def test_without_owners_there_is_nothing_to_show(cli: Runner) -> None:
    """An empty list, and how to begin."""
    assert cli("status", "--all", "--json", check=True).out == b"[]\n"
    assert b"agentkeys init" in cli("status", "--all", check=True).out


def test_a_damaged_card_hides_no_agent(fleet: Seat) -> None:
    """The agent knows its wallet by itself."""
    cards = {name: fleet.home.root / "owners" / f"{name}.json" for name in ("human", "crab")}
    whole = {name: card.read_bytes() for name, card in cards.items()}
    for card in cards.values():
        card.write_text("damaged")
    found = seen(fleet)
    for name, card in cards.items():
        card.write_bytes(whole[name])
    assert found["human"]["state"] == "unlocked"
    assert found["human"]["wallet"].startswith("0x")
    assert (found["crab"]["state"], found["crab"]["wallet"]) == ("no-agent", "")


def test_an_agent_of_another_login_is_seen_and_not_asked(
    fleet: Seat, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would refuse, and log that: a screen that is watched all day must not fill its log."""
    alias = short_path / "other.sock"
    alias.symlink_to(fleet.socket)
    (run_dir,) = fleet.home.root.glob("run/*/human")
    lock = run_dir / "session-9.lock"
    lock.write_text(f"{alias}\n")
    monkeypatch.setattr(paths, "login_session", lambda: 7)
    before = len(fleet.chain())
    rows = {row.socket: row for row in Fleet(str(fleet.home.root)).look()}
    lock.unlink()
    assert (rows[str(alias)].state, rows[str(alias)].fault) == ("refused", "it serves another login session")
    assert rows[str(fleet.socket)].state == "unlocked"
    assert len(fleet.chain()) == before


@pytest.mark.parametrize("words", [("--all", "--for", "human"), ("--all", "--sock", "/s"), ("--watch", "--json")])
def test_what_contradicts_itself_is_refused(words: tuple[str, ...], fleet: Seat) -> None:
    """With the command that was meant."""
    done = fleet.cli("status", *words)
    assert (done.code, done.out) == (2, b"")
    assert b"hint: agentkeys status --all" in done.err


# --- watched through a pipe


def test_a_pipe_gets_plain_text_again_and_again(fleet: Seat) -> None:
    """A table, an empty line, the next table; no escape sequence; Ctrl-C ends it with 130."""
    child = fleet.cli.start("status", "--all", "--watch", stdout=subprocess.PIPE)
    assert child.stdout
    blocks: list[list[bytes]] = [[]]
    while len(blocks) < 3:
        line = child.stdout.readline()
        blocks[-1].append(line)
        if line == b"\n":
            blocks.append([])
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130
    assert [len(block) for block in blocks[:2]] == [6, 6]
    assert b"\x1b" not in b"".join(blocks[0] + blocks[1])


def test_a_program_gets_a_line_of_json_each_time(fleet: Seat) -> None:
    """And sees what changed between two."""
    child = fleet.cli.start("status", "--all", "--watch", "--json", stdout=subprocess.PIPE)
    assert child.stdout
    assert {row["state"] for row in json.loads(child.stdout.readline())} == {"no-agent", "locked", "unlocked"}
    fleet.cli("relock", check=True)
    states: set[str] = {"unlocked"}
    while "unlocked" in states:
        states = {row["state"] for row in json.loads(child.stdout.readline())}
    assert states == {"no-agent", "locked"}
    fleet.unlock()
    child.terminate()
    assert child.wait(30) == -signal.SIGTERM


def test_it_ends_when_nobody_reads_any_more(fleet: Seat) -> None:
    """As `… | head -1` makes it."""
    child = fleet.cli.start("status", "--all", "--watch", stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline()
    child.stdout.close()
    assert child.wait(30) == 1
