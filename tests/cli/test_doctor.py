"""`agentkeys doctor` as a verb: its report in both forms, its exit codes, and what it leaves alone."""

import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agentkeys.setup.doctor import checks, findings
from agentkeys.setup.doctor.scene import Scene
from tests.agent.seat import Seat, eventually
from tests.doctor.clinic import CODES, Clinic
from tests.support.homes import Home
from tests.support.runner import Runner

LINE = re.compile(r"(ok|note|warning|error) {1,8} (\w+) +(\S.*)")


def snapshot(*roots: Path) -> dict[str, tuple[object, ...]]:
    """Everything that a change would change: names, inodes, modes, owners, sizes, times, contents."""
    found: dict[str, tuple[object, ...]] = {}
    for root in roots:
        for path in (root, *root.rglob("*")):
            facts = path.lstat()
            data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            times = (facts.st_mtime_ns, facts.st_ctime_ns)
            found[str(path)] = (facts.st_ino, facts.st_mode, facts.st_uid, facts.st_nlink, facts.st_size, *times, data)
    return found


def test_it_changes_nothing(seat: Seat) -> None:
    """Not a byte, mode or time of home and sockets, the audit log included; what is unlocked stays, for as long."""
    seat.cli("init", "--for", "seaturtle", "--via", "file", check=True)
    roots = (seat.home.root, seat.home.runtime)
    before = snapshot(*roots)
    pids = {process.pid for process in seat.home.agents()}
    for arguments in ((), ("--json",), ("--for", "human"), ("--for", "nosuch")):
        seat.cli("doctor", *arguments)
    assert snapshot(*roots) == before
    assert {process.pid for process in seat.home.agents()} == pids
    assert set(seat.states().values()) == {"unlocked"}


def test_it_makes_nothing_where_nothing_is(home: Home, cli: Runner) -> None:
    """No home, no owner, no agent, no directory for sockets: a report, exit 0, and still nothing."""
    cli("doctor")
    assert not home.root.exists()
    assert list(home.runtime.iterdir()) == []


@pytest.mark.parametrize(
    "broken",
    ["no HOME", "HOME not there", "HOME no directory", "relative home", "home below a file", "long home", "odd home"],
)
def test_no_home_is_too_broken(broken: str, home: Home, cli: Runner, tmp_path: Path) -> None:
    """A report in form, whatever it says; no traceback, no bug."""
    env: dict[str, str | None] = {
        "no HOME": {"HOME": None},
        "HOME not there": {"HOME": "/nonexistent"},
        "HOME no directory": {"HOME": "/etc/passwd"},
        "relative home": {"AGENTKEYS_HOME": "x"},
        "home below a file": {"AGENTKEYS_HOME": "/etc/passwd/x"},
        "long home": {"AGENTKEYS_HOME": "/" + "x" * 5000},
        "odd home": {"AGENTKEYS_HOME": f"{tmp_path}/a 'b' \"c\" $(d)\n\x1b[31m"},
    }[broken]  # type: ignore[assignment]  # one type for all
    clinic = Clinic(Seat(home, cli, {}))
    clinic.look(env)
    done = cli("doctor", env=env)
    assert b"Traceback" not in done.out + done.err
    assert b"\x1b" not in done.out


def test_no_part_of_a_home_is_too_broken(rack: Seat) -> None:
    """Each entry of the root replaced by a file, a directory or a link to itself: a report in form."""
    clinic = Clinic(rack)
    for number, name in enumerate(sorted(path.name for path in rack.home.root.iterdir())):
        path, aside = rack.home.root / name, rack.home.path / "aside"
        path.rename(aside)
        if aside.is_file():
            path.mkdir()
        elif number % 2:
            path.touch()
        else:
            path.symlink_to(path)
        clinic.look()
        if aside.is_file():
            path.rmdir()
        else:
            path.unlink()
        aside.rename(path)


def test_the_report_for_people_says_the_same(rack: Seat) -> None:
    """Severity, check and text in columns, the fix under the text, and a count at the end."""
    (rack.home.root / "host.human.yml.age").chmod(0o644)
    rows = Clinic(rack).look()
    done = rack.cli("doctor")
    assert done.code == 2
    assert done.err == b""
    lines = done.out.decode().splitlines()
    column = lines[0].index("agentkeys")
    shown = []
    for line in lines[:-1]:
        found = LINE.fullmatch(line)
        if found:
            assert line.index(found[3], 8) == column
            shown.append([found[1], found[2], found[3], ""])
        else:
            assert line[:column].strip() == ""
            shown[-1][3] = line[column:]
    whose = [f"{row['owner']}: {row['what']}" if row["owner"] else row["what"] for row in rows]
    assert shown == [[row["severity"], row["check"], what, row["fix"]] for row, what in zip(rows, whose, strict=True)]
    assert re.fullmatch(r"\d+ errors?, 1 warning, \d+ notes?", lines[-1])


def test_colour_is_for_terminals_alone(rack: Seat) -> None:
    """On a terminal, unless NO_COLOR says otherwise; never in a pipe, never in JSON."""
    shown = {}
    for label, arguments, env in (
        ("plain", ["doctor"], None),
        ("no colour", ["doctor"], {"NO_COLOR": "1"}),
        ("json", ["doctor", "--json"], None),
    ):
        child = rack.cli.on_tty(*arguments, env=env)
        shown[label] = child.read()
        child.wait()
    assert b"\x1b[32mok     \x1b[0m  versions" in shown["plain"]
    assert b"\x1b" not in shown["no colour"] + shown["json"] + rack.cli("doctor").out


def test_it_asks_nothing(rack: Seat) -> None:
    """Owners whose identities want a person, on a terminal: no question, and not a byte of stdin is read."""
    card = rack.home.root / "owners" / "human.json"
    for via in ("passphrase", "env", "plugin:yubikey", "keychain"):
        text = json.loads(card.read_text())
        card.write_text(json.dumps({**text, "via": via}))
        child = rack.cli.on_tty("doctor")
        shown = child.read()
        child.wait()
        assert b"?" not in shown, shown
        assert b"(hidden)" not in shown
    with open(rack.home.path / "typed", "wb") as typed:
        typed.write(b"hunter2\n")
    with open(rack.home.path / "typed", "rb") as typed:
        child = rack.cli.start("doctor", stdin=typed)
        child.wait(30)
        assert os.lseek(typed.fileno(), 0, os.SEEK_CUR) == 0


def test_no_key_is_named(seat: Seat, canary: Callable[..., bytes]) -> None:
    """Neither a name, nor an org, nor an env, nor a value: in any state of the rack."""
    seat.set("acme.staging.STRIPE_KEY", canary("a value"))
    outputs = [seat.cli("doctor").out, seat.cli("doctor", "--json").out]
    seat.cli("relock", check=True)
    outputs.append(seat.cli("doctor", "--json").out)
    (seat.home.root / "identity" / "human.key").unlink()
    outputs.append(seat.cli("doctor").out)
    for output in outputs:
        for word in (b"STRIPE_KEY", b"GITHUB_TOKEN", b"OPENAI", b"acme", b"staging", *seat.values.values()):
            assert word not in output


def test_the_owner_may_be_given_by_any_name(rack: Seat) -> None:
    """By alias and by wallet; the report is about that owner alone. A name that none can have is a usage error."""
    rack.cli("init", "--for", "seaturtle", "--via", "file", check=True)
    rack.cli("owner", "alias", "seaturtle", "turtle", check=True)
    wallet = rack.cli("owner", "show", "seaturtle", "--json", check=True).json()["wallet"]
    for name in ("turtle", wallet):
        report = rack.cli("doctor", "--json", "--for", name).json()
        assert report["owner"] == "seaturtle"
        assert {row["owner"] for row in report["findings"]} == {"", "seaturtle"}
    report = rack.cli("doctor", "--json").json()
    assert report["owner"] is None
    assert {row["owner"] for row in report["findings"]} == {"", "human", "seaturtle"}
    for name in ("no/such", "0x" + "12" * 20):
        done = rack.cli("doctor", "--for", name)
        assert done.code == 2
        assert done.err.startswith(b"agentkeys: error: ")


def test_the_exit_code_is_that_of_the_worst_finding(rack: Seat) -> None:
    """0 for notes, 2 for a warning, 1 for an error beside it; an interface."""
    clinic = Clinic(rack)
    report = json.loads(clinic.run().out)
    elsewhere = [row for row in report["findings"] if row["check"] == "installation" and row["severity"] != "ok"]
    if not elsewhere:
        assert (clinic.run().code, report["worst"]) == (0, "note")
    (rack.home.root / "host.human.yml.age").chmod(0o644)
    if not elsewhere:
        assert clinic.run().code == 2
    (rack.home.root / "identity" / "human.key").chmod(0o644)
    assert clinic.run().code == 1
    assert CODES == {"ok": 0, "note": 0, "warning": 2, "error": 1}


def test_many_that_hang_are_waited_for_together(rack: Seat) -> None:
    """Stopped agents of three owners, and a session bus that says nothing: a whole report all the same."""
    processes = []
    for number in range(3):
        rack.cli("init", "--for", f"robot{number}", "--via", "file", check=True)
        rack.cli("agent", "--for", f"robot{number}", check=True)
        pid = rack.cli("status", "--for", f"robot{number}", "--json", check=True).json()["pid"]
        processes.append(psutil.Process(pid))
    try:
        for process in processes:
            process.suspend()
            eventually(lambda: process.status() == psutil.STATUS_STOPPED)  # noqa: B023 - called at once
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(rack.home.runtime / "bus"))
            listener.listen()
            rows = Clinic(rack).look({"DBUS_SESSION_BUS_ADDRESS": f"unix:path={rack.home.runtime}/bus"})
    finally:
        for process in processes:
            process.resume()
    found = {(row["name"], row["owner"]) for row in rows}
    assert {("socket-silent", f"robot{number}") for number in range(3)} <= found
    assert ("keychain-silent", "") in found
    assert {("rack", f"robot{number}") for number in range(3)} <= found


def test_when_time_is_up_the_rest_is_admitted(rack: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Racks that weren't looked at are named as such."""
    from agentkeys.cli import doctor

    environ = {os.fsencode(name): os.fsencode(value) for name, value in rack.cli.env.items()}
    scene = Scene(environ, doctor._look)
    scene.there = scene.owners = ["human"]
    scene.end = 0
    rows = checks.examine(scene)
    assert [row.severity for row in rows if row.name == "rack-late"] == ["note"]


def test_a_check_that_breaks_down_is_a_finding(rack: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it found before is kept, and the others go on; the line says where, and not what was in a variable."""

    def broken(_scene: Scene) -> "list[findings.Finding]":
        raise ValueError("hunter2")

    first, *others = checks.CHECKS
    monkeypatch.setattr(checks, "CHECKS", (("broken", broken), first))
    rows = checks.examine(Scene({}, lambda *_: {}))
    assert [(row.check, row.name) for row in rows] == [("broken", "check-failed"), ("versions", "version")]
    assert "ValueError" in rows[0].what
    assert "hunter2" not in rows[0].what
    assert rows[0].severity == "error"
    assert others


def test_a_full_or_closed_stdout_is_a_failure(rack: Seat) -> None:
    """Exit 1 with a message for a full disk, and quietly for a pipe whose reader has gone."""
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "wb") as full:
        child = rack.cli.start("doctor", stdout=full)
        assert child.wait(30) == 1
    for arguments in ("doctor", "doctor --json"):
        script = f'agentkeys {arguments} | : ; echo "${{PIPESTATUS[0]}}"'
        assert shutil.which("bash")
        done = rack.cli.with_prefix("bash", "-c", script)()
        assert done.out.strip() in (b"0", b"1", b"2")
        assert b"Traceback" not in done.err


def test_it_runs_without_any_standard_stream(rack: Seat) -> None:
    """As from cron or a broken supervisor."""
    done = rack.cli.with_prefix("/bin/sh", "-c", "exec agentkeys doctor --json <&- 2>&-")()
    assert json.loads(done.out)["findings"]


def test_each_finding_is_provoked_by_a_test() -> None:
    """A finding that no test has seen may not exist; one that is only ok needs no provoking."""
    source = Path(checks.__file__).parent
    pattern = re.compile(r"\b(?:note|warning|error)\(\s*\"([a-z][a-z-]*)\"")
    used = {name for path in source.glob("*.py") for name in pattern.findall(path.read_text())}
    tests = "\n".join(path.read_text() for path in (Path(__file__).parents[1] / "doctor").glob("*.py"))
    tests += Path(__file__).read_text()
    assert [name for name in sorted(used) if f'"{name}"' not in tests] == []
