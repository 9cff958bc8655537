"""The chain's file: every line that was acknowledged is in it, in one order, whoever wrote and whoever died."""

import os
import random
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys.core import audit
from agentkeys.core.secret import Secret
from agentkeys.errors import VaultFault
from agentkeys.stores import audit_log
from agentkeys.stores.audit_log import CHAIN, UNSEALED, AuditLog
from tests.stores.chains import STATE_KEY, open_log, said, say, whole_chain
from tests.stores.conftest import Script
from tests.support.runner import Runner
from tests.support.sweeps import killed

WRITER = f"""
from agentkeys.core.secret import Secret
from agentkeys.stores.audit_log import AuditLog
log = AuditLog(sys.argv[1], "ana")
log.seal(Secret({STATE_KEY!r}))
for number in range(int(sys.argv[3])):
    log.append("get", 1000, os.getpid(), ["@all.all.%s_%d" % (sys.argv[2], number)], "allow")
    os.write(1, b"%d\\n" % number)
"""

LONGEST = [f"{'o' * 64}.{'e' * 64}.{number:0128}" for number in range(5000)]
"""More slugs than a line shows, of the longest names there are."""


def test_lines_follow_each_other(tmp_path: Path) -> None:
    """Numbered from 1, chained, and gone on with by whoever opens the log next."""
    log = open_log(tmp_path)
    say(log, "A")
    say(log, "B")
    say(open_log(tmp_path), "C")
    say(log, "D")
    assert [row["seq"] for row in whole_chain(tmp_path)] == [1, 2, 3, 4]
    assert said(tmp_path) == ["A", "B", "C", "D"]


def test_the_log_is_this_user_s_alone(tmp_path: Path) -> None:
    """It says when which key was used."""
    for sealed, name in ((False, UNSEALED), (True, CHAIN)):
        place = tmp_path / name / "ana"
        say(open_log(place, sealed), "A")
        assert stat.S_IMODE((place / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


@killed
def test_a_line_is_on_the_disk_before_append_returns(
    kills: int, tmp_path: Path, program: Runner, script: Script
) -> None:
    """Writers killed at any instant: what they acknowledged is in the chain, and the chain goes on."""
    chance = random.Random(11)
    expected = []
    for name in range(kills):
        child = program.start(*script(WRITER), str(tmp_path), str(name), "100000", stdout=subprocess.PIPE)
        acknowledged = [child.stdout.readline() for _ in range(chance.randint(1, 40))]
        child.send_signal(signal.SIGKILL)
        acknowledged += child.stdout.readlines()
        expected += [f"{name}_{int(number)}" for number in acknowledged]
    say(open_log(tmp_path), "LAST")
    found = said(tmp_path)
    assert set(expected) <= set(found)
    assert len(found) <= len(expected) + 1 + kills


def test_many_writers_make_one_chain(tmp_path: Path, program: Runner, script: Script) -> None:
    """6 processes of 100 lines each: every line once, in each one's order, and the chain holds."""
    children = [program.start(*script(WRITER), str(tmp_path), f"W{number}", "100") for number in range(6)]
    assert [child.wait() for child in children] == [0] * 6
    found = said(tmp_path)
    for number in range(6):
        assert [it for it in found if it.startswith(f"W{number}_")] == [f"W{number}_{turn}" for turn in range(100)]
    assert len(found) == 600


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_torn_line_is_cut_and_recorded(before: int, tmp_path: Path) -> None:
    """At any length, also as the very first: the next line follows a record of how many bytes went."""
    log = open_log(tmp_path)
    for number in range(before):
        say(log, f"K{number}")
    whole = (tmp_path / CHAIN).read_bytes()
    say(log, "TORN")
    line = (tmp_path / CHAIN).read_bytes()[len(whole) :]
    for length in (*range(1, len(line), 7), len(line) - 1):
        (tmp_path / CHAIN).write_bytes(whole + line[:length])
        say(open_log(tmp_path), "NEXT")
        rows = whole_chain(tmp_path)
        assert said(tmp_path) == [*[f"K{number}" for number in range(before)], "NEXT"]
        assert (rows[before]["verb"], rows[before]["cut_bytes"]) == ("recover", length)


def test_a_torn_line_is_found_by_a_writer_that_was_there_before(tmp_path: Path) -> None:
    """Another process may tear it while ours waits."""
    log = open_log(tmp_path)
    say(log, "A")
    with (tmp_path / CHAIN).open("ab") as file:
        file.write(b'{"seq":2,"time":')
    say(log, "B")
    assert said(tmp_path) == ["A", "B"]
    assert [row["verb"] for row in whole_chain(tmp_path)] == ["get", "recover", "get"]


def test_the_longest_line_is_read_back(tmp_path: Path) -> None:
    """By the next writer, also when the same line was torn behind it."""
    for _ in range(2):
        open_log(tmp_path).append("unlock", 2**32 - 1, 2**22, LONGEST, "allow", "\N{SNOWMAN}" * 1000)
    whole = (tmp_path / CHAIN).read_bytes()
    (tmp_path / CHAIN).write_bytes(whole + whole.splitlines()[-1])
    say(open_log(tmp_path), "NEXT")
    assert [row["verb"] for row in whole_chain(tmp_path)] == ["unlock", "unlock", "recover", "get"]
    assert whole_chain(tmp_path)[0]["more"] == len(LONGEST) - audit.MAX_KEYS_SHOWN


@pytest.mark.parametrize("last", [b"garbage\n", b"\n", b'{"seq":1}\n', b'{"seq":' + b"9" * 5000 + b"\n", b"\xff\0\n"])
def test_a_last_line_that_is_none_of_ours_stops_everything(last: bytes, tmp_path: Path) -> None:
    """Not torn but foreign: nothing is written behind it, and once it is mended all goes on."""
    log = open_log(tmp_path)
    say(log, "A")
    whole = (tmp_path / CHAIN).read_bytes()
    (tmp_path / CHAIN).write_bytes(whole + last)
    newcomer = AuditLog(str(tmp_path), "ana")
    for write in (lambda: say(log, "B"), lambda: newcomer.seal(Secret(STATE_KEY))):
        with pytest.raises(VaultFault, match="last line"):
            write()
    assert (tmp_path / CHAIN).read_bytes() == whole + last
    (tmp_path / CHAIN).write_bytes(whole)
    say(open_log(tmp_path), "C")
    say(log, "D")
    assert said(tmp_path) == ["A", "C", "D"]


def test_a_full_disk_is_said_and_nothing_is_half_written(tiny_disk: Path, full_disk: Callable[[], None]) -> None:
    """VaultFault, so that the agent does nothing; with room again any writer goes on."""
    log = open_log(tiny_disk / "log")
    while (tiny_disk / "log" / CHAIN).stat().st_size % 4096 < 3900:
        say(log, "A")
    full_disk()
    before = (tiny_disk / "log" / CHAIN).read_bytes()
    for writer in (log, open_log(tiny_disk / "log")):
        with pytest.raises(VaultFault, match=r"No space|no room"):
            say(writer, "B" * 128, "C" * 128)
    assert (tiny_disk / "log" / CHAIN).read_bytes() == before
    (tiny_disk / "ballast").unlink()
    say(open_log(tiny_disk / "log"), "D")
    say(log, "E")
    assert said(tiny_disk / "log")[-2:] == ["D", "E"]


def test_a_writer_that_met_a_fault_keeps_nobody_waiting(tiny_disk: Path, full_disk: Callable[[], None]) -> None:
    """A record of a torn line that found no room leaves the lock free."""
    place = tiny_disk / "log"
    say(open_log(place), "A")
    with (place / CHAIN).open("ab") as file:
        file.write(b"x" * (4096 - file.tell()))
    log = AuditLog(str(place), "ana")
    full_disk()
    for _ in range(2):
        try:
            log.seal(Secret(STATE_KEY))
        except VaultFault as fault:
            assert "holds it" not in fault.message  # noqa: PT017 - it may find room where it cut
    (tiny_disk / "ballast").unlink()
    say(open_log(place), "B")
    assert said(place) == ["A", "B"]


def test_a_writer_that_is_stopped_is_not_waited_for(tmp_path: Path, program: Runner, script: Script) -> None:
    """An agent has one thread: it refuses after a moment, and goes on once the lock is free."""
    log = open_log(tmp_path)
    hold = "import fcntl; file = open(sys.argv[1], 'ab'); fcntl.flock(file, 2); os.write(1, b'held'); sys.stdin.read()"
    child = program.start(*script(hold), str(tmp_path / CHAIN), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.read(4) == b"held"
    child.send_signal(signal.SIGSTOP)
    with pytest.raises(VaultFault, match="another process holds it"):
        say(log, "A")
    child.kill()
    child.wait()
    say(log, "B")
    assert said(tmp_path) == ["B"]


def victims(path: Path) -> "dict[str, Callable[[], object]]":
    """What could lie in a log's place."""
    return {
        "symlink": lambda: path.symlink_to(path.with_name("victim")),
        "FIFO": lambda: os.mkfifo(path),
        "directory": path.mkdir,
    }


@pytest.mark.parametrize("kind", ["symlink", "FIFO", "directory"])
@pytest.mark.parametrize(("name", "sealed"), [(CHAIN, True), (UNSEALED, True), (UNSEALED, False)])
def test_a_log_that_is_no_file_is_refused(kind: str, name: str, sealed: bool, tmp_path: Path) -> None:
    """Neither followed nor waited for, be it the chain or the lines from before; the audit that fails is said."""
    (tmp_path / "victim").write_bytes(b"victim\n")
    victims(tmp_path / name)[kind]()
    with pytest.raises(VaultFault, match="audit log can't be written"):
        say(open_log(tmp_path, sealed), "A")
    assert (tmp_path / "victim").read_bytes() == b"victim\n"
    assert "victim" in os.listdir(tmp_path)


def test_a_log_that_was_taken_away_is_not_written_into_the_void(tmp_path: Path) -> None:
    """After somebody removed it, a line is refused, or is in the file that is there now."""
    log = open_log(tmp_path)
    say(log, "A")
    (tmp_path / CHAIN).unlink()
    try:
        say(log, "B")
    except VaultFault:
        return
    assert said(tmp_path) == ["B"]


def test_sync_makes_durable_what_is_not_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for any number of lines, and not at all for none; a disk that can't is said, and asked again."""
    synced: list[int] = []
    monkeypatch.setattr(audit_log, "_sync", synced.append)
    log = open_log(tmp_path)
    log.sync()
    assert synced == []
    say(log, "A")
    say(log, "B")
    log.sync()
    log.sync()
    assert len(synced) == 1

    def fail(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    say(log, "C")
    with monkeypatch.context() as failing:
        failing.setattr(audit_log, "_sync", fail)
        with pytest.raises(VaultFault, match="can't be synced"):
            log.sync()
    log.sync()
    assert len(synced) == 2
