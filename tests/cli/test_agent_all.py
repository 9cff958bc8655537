"""`agentkeys agent --all`: every owner's agent, side by side; nobody is asked, and one that fails stops no other."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.agent.seat import Seat, eventually
from tests.cli.test_status_all import files, seen
from tests.support.homes import Home
from tests.support.runner import Runner

__all__ = ["files"]


@pytest.fixture
def fleet(files: Path, home: Home, cli: Runner, template: tuple[Path, dict[str, bytes]]) -> Seat:
    """Owners human, with two keys, crab, mechanic and seaturtle, and no agent."""
    shutil.copytree(files, home.root, symlinks=True)
    return Seat(home, cli, dict(template[1]))


def told(out: bytes) -> dict[str, tuple[str, str]]:
    """(word, what else) by owner, in the order printed."""
    rows = [line.split(None, 2) for line in out.decode().splitlines()]
    return {owner: (word, re.sub(r"pid \d+", "pid N", rest)) for owner, word, rest in rows}


def test_all_are_started_and_then_found(fleet: Seat) -> None:
    """In the order of names, with their pids; the second time the same agents run already."""
    first = fleet.cli("agent", "--all", check=True)
    assert told(first.out) == dict.fromkeys(("crab", "human", "mechanic", "seaturtle"), ("started", "pid N"))
    again = fleet.cli("agent", "--all", check=True)
    assert again.out == first.out.replace(b"started", b"runs   ")
    assert {row["state"] for row in seen(fleet).values()} == {"locked"}


def test_they_unlock_and_go_on_doing_so(fleet: Seat) -> None:
    """--unlock once; --auto-unlock again by themselves. It is said once whom they serve."""
    done = fleet.cli("agent", "--all", "--unlock", check=True)
    assert told(done.out)["human"] == ("started", "pid N, 2 keys unlocked")
    assert told(done.out)["crab"] == ("started", "pid N, 0 keys unlocked")
    assert done.err.count(b"may ask these agents") == done.err.count(b"agentkeys: ") <= 1
    assert fleet.get("GITHUB_TOKEN", check=True).out == fleet.values["GITHUB_TOKEN"]
    assert seen(fleet)["human"]["auto_unlock_in_seconds"] is None
    fleet.cli("agent", "--all", "--auto-unlock", check=True)
    assert {row["auto_unlock_in_seconds"] is None for row in seen(fleet).values()} == {False}


def test_one_that_fails_stops_no_other(fleet: Seat) -> None:
    """Its line says why, a hint follows, and its exit code is the command's."""
    (fleet.home.root / "host.mechanic.yml.age").write_bytes(b"damaged")
    (fleet.home.root / "identity" / "crab.key").unlink()
    done = fleet.cli("agent", "--all", "--auto-unlock")
    rows = told(done.out)
    assert rows["human"] == ("started", "pid N, 2 keys unlocked")
    assert rows["seaturtle"][0] == rows["mechanic"][0] == rows["crab"][0] == "started"
    assert "host.mechanic.yml.age" in rows["mechanic"][1]
    assert done.code == 7
    assert b"agentkeys: hint: " in done.err


def test_what_needs_a_person_is_left_locked_and_is_no_failure(fleet: Seat) -> None:
    """Nobody is asked, on a terminal either: a person's own passphrase owner lives beside twenty robots."""
    card = fleet.home.root / "owners" / "human.json"
    card.write_text(card.read_text().replace('"via": "file"', '"via": "passphrase"'))
    child = fleet.cli.on_tty("agent", "--all", "--unlock")
    shown = child.read().decode()
    child.wait()
    assert child.exitstatus == 0
    assert re.search(r"human +started +pid \d+, left as it is: its identity wants a passphrase", shown)
    assert "(hidden)" not in shown
    assert re.search(r"seaturtle +started +pid \d+, 0 keys unlocked", shown)


def test_a_stopped_agent_is_a_line_too(fleet: Seat) -> None:
    """It doesn't answer within the client's patience; the others are started meanwhile."""
    fleet.cli("agent", "--for", "crab", check=True)
    pid = int(fleet.cli("status", "--for", "crab", "--json", check=True).json()["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        done = fleet.cli("agent", "--all")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.code == 124
    assert told(done.out)["crab"][0] == "failed"
    assert told(done.out)["human"] == ("started", "pid N")
    eventually(lambda: seen(fleet)["crab"]["state"] == "locked")


@pytest.mark.parametrize("words", ["-k --for human", "-k --unlock", "-D", "--for human", "-a /tmp/x", "-- true"])
def test_what_only_one_agent_can_do_is_refused(words: str, rack: Seat) -> None:
    """With what --all does take."""
    done = rack.cli("agent", "--all", *words.split())
    assert (done.code, done.out) == (2, b"")
    assert b"goes with" in done.err


def test_without_owners_it_says_how_to_begin(cli: Runner) -> None:
    """Exit code 2."""
    done = cli("agent", "--all")
    assert done.code == 2
    assert b"hint: agentkeys init" in done.err


def test_all_are_stopped(fleet: Seat) -> None:
    """A line for each; sockets and locks are gone; a second time there are none, which is no failure."""
    fleet.cli("agent", "--for", "crab", check=True)
    fleet.cli("agent", "--for", "human", "--unlock", check=True)
    done = fleet.cli("agent", "--all", "-k", check=True)
    words = {owner: word for owner, (word, _pid) in told(done.out.replace(b"none", b"none -")).items()}
    assert words == {"crab": "stopped", "human": "stopped", "mechanic": "none", "seaturtle": "none"}
    assert done.err == b""
    assert {row["state"] for row in seen(fleet).values()} == {"no-agent"}
    assert not fleet.socket.exists()
    again = fleet.cli("agent", "--all", "-k", check=True)
    assert again.out.split() == b"crab none human none mechanic none seaturtle none".split()


def test_private_agents_are_left_to_who_started_them(fleet: Seat) -> None:
    """`agent -a`: it isn't what --all starts, nor what it stops."""
    path = fleet.home.runtime / "private.sock"
    fleet.cli("agent", "-a", path, check=True)
    assert b"human      none" in fleet.cli("agent", "--all", "-k", check=True).out
    fleet.cli("status", "--sock", path, check=True)
    fleet.cli("agent", "-k", "-a", path, check=True)


def test_one_that_cant_be_stopped_is_said(fleet: Seat) -> None:
    """It stands still: exit 124 and its line; the others are gone meanwhile."""
    fleet.cli("agent", "--all", check=True)
    pid = fleet.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        done = fleet.cli("agent", "--all", "-k")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (done.code, told(done.out)["human"][0], told(done.out)["crab"][0]) == (124, "failed", "stopped")
