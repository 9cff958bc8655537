"""Sessions in a real gnome-keyring that locks, hangs, loses entries and disappears: what the user sees each time."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.agent.seat import Seat
from tests.owners.bus import Bus, mute
from tests.sessions.population import rows
from tests.support.homes import Home
from tests.support.runner import Runner

FILES = {"AGENTKEYS_SESSION_STORE": "file"}


@pytest.fixture
def robot(wallet: Bus, cli: Runner) -> "dict[str, Any]":
    """Owner seaturtle, whose identity is in a file and whose session is in the keychain; its row."""
    cli("init", "--for", "seaturtle", "--via", "file", check=True)
    return dict(rows(cli)["seaturtle"])


def entry(wallet: Bus, session_id: str) -> bytes:
    """The record in the keychain."""
    return wallet.secret(service="agentkeys", account=session_id)


def test_a_session_is_an_entry_by_wallet(wallet: Bus, robot: "dict[str, Any]", home: Home, cli: Runner) -> None:
    """service=agentkeys, account=daemon-<wallet>; no file holds it, the index lists it, a robot's start finds it."""
    assert (robot["place"], robot["path"], robot["state"]) == ("keychain", None, "ready")
    assert robot["id"] == "daemon-" + robot["wallet"].lower()
    assert robot["wallet"].lower().encode() in entry(wallet, robot["id"])
    assert [path.name for path in (home.root / robot["id"]).iterdir()] == ["slot.json"]
    assert b"AGENTKEYS_OWNER=seaturtle;" in cli("agent", "--robot", check=True).out
    assert Seat(home, cli, {}, "seaturtle").status()["session"]["place"] == "keychain"


def test_a_locked_keychain_is_exit_4_and_nothing_is_made(
    wallet: Bus, robot: "dict[str, Any]", home: Home, cli: Runner
) -> None:
    """A robot's start, move, clear, list and doctor say so; `init` makes no second one; unlocked, all is as before."""
    before = entry(wallet, robot["id"])
    wallet.lock()
    files = sorted(str(path) for path in home.root.rglob("*") if path.suffix != ".lock")
    for verb in ("agent --robot", "session move seaturtle --to file", "session clear seaturtle"):
        done = cli(*verb.split())
        assert (done.code, b"locked" in done.err) == (4, True), verb
        assert robot["id"].encode() in done.err
    assert rows(cli)["seaturtle"]["state"] == "locked"
    assert cli("session", "doctor").code == 2
    assert b"no session was made" in cli("init", "--for", "seaturtle", check=True).err
    assert sorted(str(path) for path in home.root.rglob("*") if path.suffix != ".lock") == files
    assert home.agents() == []
    wallet.unlock()
    assert entry(wallet, robot["id"]) == before
    cli("agent", "--robot", check=True)


def test_a_locked_robot_counts_among_several(wallet: Bus, robot: "dict[str, Any]", cli: Runner) -> None:
    """One in a file, one locked away: nobody guesses, exit 2, and both are listed."""
    cli("init", "--for", "mechanic", "--via", "file", env=FILES, check=True)
    wallet.lock()
    done = cli("agent", "--robot")
    assert done.code == 2
    assert b"mechanic" in done.err
    assert b"(locked)" in done.err
    cli("agent", "--robot", "--for", "mechanic", check=True)


def test_a_frozen_keychain_is_given_up(wallet: Bus, robot: "dict[str, Any]", home: Home, cli: Runner) -> None:
    """Its process stands still: exit 124 naming the session, nothing in a file; then it goes on, and all works."""
    os.kill(wallet.keyring_pid, signal.SIGSTOP)
    try:
        done = cli("agent", "--robot", "--for", "seaturtle")
        assert (done.code, b"didn't answer" in done.err, robot["id"].encode() in done.err) == (124, True, True)
        assert rows(cli)["seaturtle"]["state"] == "unreachable"
    finally:
        os.kill(wallet.keyring_pid, signal.SIGCONT)
    assert not (home.root / robot["id"] / "session.json").exists()
    cli("agent", "--robot", check=True)


def test_a_keychain_that_went_away_is_exit_7(wallet: Bus, robot: "dict[str, Any]", home: Home, cli: Runner) -> None:
    """Its process is killed while the agent runs: the agent goes on; a new start says where the session was.

    Given up by `clear --leave`, another one is issued, in a file.
    """
    seat = Seat(home, cli, {}, "seaturtle").start()
    os.kill(wallet.keyring_pid, signal.SIGKILL)
    assert seat.status()["session"]["state"] == "ready"
    done = cli("agent", "--robot", "--for", "seaturtle")
    assert (done.code, b"in the keychain" in done.err) == (7, True)
    assert cli("session", "clear", "seaturtle").code == 7
    cli("session", "clear", "seaturtle", "--leave", check=True)
    assert seat.status()["session"] is None
    cli("init", "--for", "seaturtle", check=True)
    assert seat.status()["session"]["place"] == "file"
    cli("agent", "--robot", check=True)


def test_an_entry_that_was_removed_is_gone(wallet: Bus, robot: "dict[str, Any]", cli: Runner) -> None:
    """Exit 5 with the way to another one, which then is an entry again."""
    wallet.delete(service="agentkeys", account=robot["id"])
    done = cli("agent", "--robot", "--for", "seaturtle")
    assert (done.code, b"gone from the keychain" in done.err) == (5, True)
    cli("init", "--for", "seaturtle", check=True)
    assert rows(cli)["seaturtle"]["place"] == "keychain"
    assert entry(wallet, robot["id"])


def test_an_entry_of_before_is_refused(wallet: Bus, robot: "dict[str, Any]", cli: Runner) -> None:
    """A keyring's file out of a backup: older than the last one saved, exit 7."""
    old = entry(wallet, robot["id"])
    for place in ("file", "keychain"):
        cli("session", "move", "seaturtle", "--to", place, check=True)
    with wallet.collection() as collection:
        (item,) = collection.search_items({"service": "agentkeys", "account": robot["id"]})
        item.set_secret(old)
    done = cli("agent", "--robot", "--for", "seaturtle")
    assert (done.code, b"older than the last one saved" in done.err) == (7, True)


def test_a_damaged_entry_is_written_over(wallet: Bus, robot: "dict[str, Any]", cli: Runner) -> None:
    """Exit 7 until `init`, which makes another in its place; one entry, and none beside it that nobody would find."""
    with wallet.collection() as collection:
        (item,) = collection.search_items({"service": "agentkeys", "account": robot["id"]})
        item.set_secret(b"something else")
    done = cli("agent", "--robot", "--for", "seaturtle")
    assert (done.code, b"is damaged" in done.err) == (7, True)
    cli("init", "--for", "seaturtle", check=True)
    assert robot["wallet"].lower().encode() in entry(wallet, robot["id"])
    assert len(wallet.items(service="agentkeys")) == 1
    cli("agent", "--robot", check=True)


def test_why_is_it_in_a_file_and_not_in_the_keychain(wallet: Bus, cli: Runner) -> None:
    """It was locked when the session was made: doctor says so, and its command moves the session there."""
    wallet.lock()
    cli("init", "--for", "robot3", check=True)
    wallet.unlock()
    report = cli("session", "doctor", "--for", "robot3", "--json").json()
    (found,) = report["findings"]
    assert (found["name"], found["severity"]) == ("session-file", "note")
    assert "the keychain was locked" in found["what"]
    cli(*found["fix"].split()[1:], check=True)
    assert rows(cli)["robot3"]["place"] == "keychain"
    assert cli("session", "doctor", "--for", "robot3", "--json").json()["worst"] == "ok"


def test_a_silent_service_costs_two_seconds_once(bus: Bus, cli: Runner, home: Home) -> None:
    """It takes every call and answers none: the identity's wait is the session's too, and both are in files."""
    with mute(bus):
        done = cli("init", "--for", "seaturtle", "--json", check=True)
    assert (done.json()["via"], done.json()["session"]) == ("file", "file")
    assert "didn't answer" in rows(cli)["seaturtle"]["why"]


def test_file_mode_doesnt_ask_a_keychain_that_is_there(wallet: Bus, cli: Runner) -> None:
    """AGENTKEYS_SESSION_STORE=file with a frozen keychain: everything works, and nothing is in it afterwards."""
    cli.env.update(FILES)
    os.kill(wallet.keyring_pid, signal.SIGSTOP)
    try:
        cli("init", "--for", "seaturtle", check=True)
        cli("agent", "--robot", check=True)
        cli("session", "clear", "seaturtle", check=True)
    finally:
        os.kill(wallet.keyring_pid, signal.SIGCONT)
    assert wallet.items(service="agentkeys") == []


def test_a_second_home_leaves_the_firsts_entry(wallet: Bus, cli: Runner, home: Home, tmp_path: Path) -> None:
    """Both have a master; the second one's session is in a file, says why, and the first one's is as it was."""
    cli("init", "--via", "file", check=True)
    before = entry(wallet, "master")
    other = {"AGENTKEYS_HOME": str(tmp_path / "second")}
    cli("init", "--via", "file", env=other, check=True)
    (row,) = cli("session", "list", "--json", env=other, check=True).json()
    assert (row["place"], "isn't of this home" in row["why"]) == ("file", True)
    assert entry(wallet, "master") == before
    shutil.rmtree(tmp_path / "second")
