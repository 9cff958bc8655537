"""Lines from before the first unlock: kept apart, tied into the chain once its key is known, and never lost."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys.core.secret import Secret
from agentkeys.errors import VaultFault
from agentkeys.stores.audit_log import CHAIN, MAX_UNSEALED, UNSEALED, AuditLog
from tests.stores.chains import STATE_KEY, open_log, said, say, whole_chain
from tests.stores.conftest import Script
from tests.stores.syscalls import Tracer
from tests.support.runner import Runner


def test_before_the_unlock_lines_are_kept_apart(tmp_path: Path) -> None:
    """As JSON without a MAC; no chain is begun without its key."""
    log = open_log(tmp_path, sealed=False)
    say(log, "A")
    say(log, "B")
    lines = [json.loads(line) for line in (tmp_path / UNSEALED).read_text().splitlines()]
    assert [line["keys"] for line in lines] == [["@all.all.A"], ["@all.all.B"]]
    assert all("mac" not in line for line in lines)
    assert not (tmp_path / CHAIN).exists()


def test_the_unlock_ties_them_in(tmp_path: Path) -> None:
    """One link line with count and hash of their file, and then the chain goes on; without any there is no link."""
    log = open_log(tmp_path, sealed=False)
    say(log, "A")
    say(log, "B")
    log.seal(Secret(STATE_KEY))
    say(log, "C")
    assert said(tmp_path) == ["A", "B", "C"]
    assert [row["verb"] for row in whole_chain(tmp_path)] == ["link", "get"]
    assert not (tmp_path / UNSEALED).exists()
    log.seal(Secret(STATE_KEY))
    say(log, "D")
    assert [row["verb"] for row in whole_chain(tmp_path)] == ["link", "get", "get"]


def test_a_linked_file_is_never_written_again(tmp_path: Path) -> None:
    """An agent that isn't unlocked yet may have it open when another links it; its next line goes elsewhere."""
    one, other = open_log(tmp_path, sealed=False), open_log(tmp_path, sealed=False)
    say(one, "A")
    say(other, "B")
    one.seal(Secret(STATE_KEY))
    say(other, "C")
    assert said(tmp_path) == ["A", "B"]
    other.seal(Secret(STATE_KEY))
    say(one, "D")
    assert said(tmp_path) == ["A", "B", "C", "D"]


def test_a_key_that_comes_again_replaces_the_former(tmp_path: Path) -> None:
    """The former is wiped."""
    first = Secret(STATE_KEY)
    log = open_log(tmp_path, sealed=False)
    log.seal(first)
    log.seal(Secret(STATE_KEY))
    assert not any(first.view())
    say(log, "A")
    assert said(tmp_path) == ["A"]


def test_a_flood_of_denials_does_not_fill_the_disk(tmp_path: Path) -> None:
    """Lines beyond 1 MiB are dropped; those before stay, and all of them are linked in."""
    log = open_log(tmp_path, sealed=False)
    names = [f"K{number:0120}" for number in range(1000)]
    for number in range(12):
        log.append("exec", 1000, 42, [f"@all.all.{name}" for name in names], "deny", str(number))
    assert MAX_UNSEALED <= (tmp_path / UNSEALED).stat().st_size < MAX_UNSEALED + 200_000
    log.seal(Secret(STATE_KEY))
    assert said(tmp_path)[:1000] == names


def test_no_room_for_the_link_loses_no_line(tiny_disk: Path, full_disk: Callable[[], None]) -> None:
    """The unlock fails, and the next one with room ties in everything, in order."""
    place = tiny_disk / "log"
    early = open_log(place, sealed=False)
    say(early, "A")
    full_disk()
    with pytest.raises(VaultFault, match=r"No space|no room"):
        AuditLog(str(place), "ana").seal(Secret(STATE_KEY))
    (tiny_disk / "ballast").unlink()
    say(early, "B")
    say(open_log(place), "C")
    assert said(place) == ["A", "B", "C"]


SEAL = f"""
from agentkeys.core.secret import Secret
from agentkeys.stores.audit_log import AuditLog
early = AuditLog(sys.argv[1], "ana")
early.append("get", 1000, 42, ["@all.all.EARLY"], "deny")
early.seal(Secret({STATE_KEY!r}))
early.append("get", 1000, 42, ["@all.all.LATE"], "allow")
os.write(1, b"acknowledged")
"""


def test_a_kill_at_each_system_call_of_an_unlock_loses_no_line(tmp_path: Path, program: Runner, script: Script) -> None:
    """Whatever was written before the unlock is in the chain after the next one, once, and the chain holds."""
    place = tmp_path / "log"
    say(open_log(place, sealed=False), "FIRST")
    tracer = Tracer(program, tmp_path / "strace", *script(SEAL), str(place))
    counts = []
    for point in tracer.points():
        for path in place.iterdir():
            path.unlink()
        say(open_log(place, sealed=False), "FIRST")
        done = tracer.kill_at(point)
        say(open_log(place), "AFTER")
        found = said(place)
        assert found[0] == "FIRST"
        assert found[-1] == "AFTER"
        assert len(found) == len(set(found))
        assert not done.out or found == ["FIRST", "EARLY", "LATE", "AFTER"]
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] == 4
