"""Agents that answer: another version, open memory, a tracer, core files, another login session; found and mended."""

import os
import resource
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agentkeys import __version__
from agentkeys.setup.doctor import agents, call
from agentkeys.setup.doctor.scene import Scene, Spot
from tests.agent.seat import eventually
from tests.doctor.clinic import Clinic
from tests.doctor.editions import edition
from tests.support.runner import Result
from tests.support.uids import require


def start(clinic: Clinic, place: Path) -> psutil.Process:
    """Have another edition of the program start human's agent."""
    clinic.cli("agent", env={"PYTHONPATH": str(place)}, check=True)
    return clinic.seat.process


def test_an_agent_of_this_version_is_all_right(clinic: Clinic) -> None:
    """One line: version, protocol, pid; its memory is closed."""
    clinic.seat.start()
    (row,) = [row for row in clinic.look() if row["check"] == "agents"]
    assert (row["name"], row["severity"], row["owner"]) == ("agent", "ok", "human")
    assert row["what"].startswith(f"agent {__version__}, protocol 1, pid {clinic.seat.pid},")


def test_an_agent_of_another_version_is_found_and_replaced(clinic: Clinic, tmp_path: Path) -> None:
    """A warning, since it still answers; its fix starts this version's."""
    old = start(clinic, edition(tmp_path / "old", "__init__.py", f'"{__version__}"', '"0.0.1"'))
    found = clinic.treat("agent-version", "warning")
    assert "0.0.1" in found["what"]
    old.wait(20)
    assert clinic.seat.status()["version"] == __version__


def test_an_agent_of_another_protocol_is_found_and_replaced(clinic: Clinic, tmp_path: Path) -> None:
    """No verb can be asked of it, so its socket is taken away, and it leaves."""
    clinic.cli("agent", env={"PYTHONPATH": str(edition(tmp_path / "new", "wire.py", "PROTOCOL = 1", "PROTOCOL = 7"))})
    (old,) = [process for process in clinic.home.agents() if "--for" in process.cmdline()]
    found = clinic.treat("agent-protocol", "error")
    assert "speaks protocol 7" in found["what"]
    old.wait(20)
    assert clinic.seat.status()["version"] == __version__


def test_an_agent_whose_memory_is_open_is_found_and_replaced(clinic: Clinic, tmp_path: Path) -> None:
    """As where the kernel refuses to close it."""
    place = edition(tmp_path / "open", "hardening.py", "lib.prctl(PR_SET_DUMPABLE, 0,", "lib.prctl(PR_SET_DUMPABLE, 1,")
    start(clinic, place)
    clinic.treat("agent-memory", "warning")
    assert clinic.seat.status()["memory_protected"] is True


def test_an_agent_that_may_leave_a_core_file_is_found_and_mended(clinic: Clinic, tmp_path: Path) -> None:
    """The fix lowers the limit in the running agent."""
    require(shutil.which("prlimit"), "prlimit (util-linux)")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    require(hard, "a hard limit of core files that isn't 0")
    process = start(
        clinic, edition(tmp_path / "open", "hardening.py", "RLIMIT_CORE, (0, 0)", f"RLIMIT_CORE, ({hard},) * 2")
    )
    found = clinic.treat("agent-core", "error")
    assert found["fix"] == f"prlimit --pid {process.pid} --core=0"
    assert process.is_running()


def test_a_traced_agent_is_found_and_freed(clinic: Clinic) -> None:
    """Whoever traces it reads every key; the fix ends the tracer, and the agent lives on."""
    require(os.geteuid() == 0 and shutil.which("strace"), "root and strace")
    process = clinic.seat.start().process
    tracer = subprocess.Popen(["strace", "-qq", "-o", os.devnull, "-p", str(process.pid)])
    with tracer:
        try:
            eventually(lambda: agents.tracer_of(process.pid))
            found = clinic.find("agent-traced")
            assert found["severity"] == "error"
            assert found["fix"] == f"kill {tracer.pid}"
            clinic.paste(found["fix"])
            assert tracer.wait(20) is not None
        finally:
            tracer.kill()
    assert "agent-traced" not in clinic.names()
    assert clinic.seat.pid == process.pid


def test_memory_that_may_be_swapped_is_a_note(clinic: Clinic) -> None:
    """What an agent says of mlock(2) is passed on, with the limit that stood in its way."""
    scene = Scene({}, lambda *_: {})
    spot = Spot("human", "/nonexistent", "")
    spot.call = call.Call(spot.path)
    spot.call.state, spot.call.version = call.AGENT, __version__
    spot.call.lowest = spot.call.highest = 1
    scene._spots = [spot]
    for said, name in ((False, "agent-swap"), (True, "agent"), (None, "agent")):
        spot.call.status = {"memory_locked": said}
        assert [row.name for row in agents.check_agents(scene)] == [name]


def test_values_that_may_be_swapped_out_are_a_note(clinic: Clinic) -> None:
    """A limit on locked memory, and no right to pass it: said once values are held, with what raises it."""
    require(shutil.which("setpriv"), "setpriv (util-linux)")
    able = "" if os.geteuid() else "setpriv --bounding-set=-ipc_lock -- "
    program = shlex.join(os.fsdecode(word) for word in clinic.cli.prefix)
    clinic.cli.with_prefix("bash", "-c", f"ulimit -l 0 && exec {able}{program} agent")(check=True)
    clinic.seat.unlock()
    assert clinic.seat.status()["memory_locked"] is False
    clinic.treat("agent-swap", "note")


def test_a_private_agent_of_another_version_is_ended(clinic: Clinic, tmp_path: Path) -> None:
    """By its own socket; the fix starts none in its place."""
    place = edition(tmp_path / "old", "__init__.py", f'"{__version__}"', '"0.0.1"')
    path = clinic.home.runtime / "mine.sock"
    clinic.cli("agent", "-a", path, env={"PYTHONPATH": str(place)}, check=True)
    clinic.treat("agent-version", "warning")
    assert clinic.home.agents() == []


# --- login sessions ------------------------------------------------------------------------------------------

Run = Callable[[str], Result]


@pytest.fixture
def in_session(clinic: Clinic) -> Run:
    """Run shell lines in a fresh login session; `ak` is the program under test."""
    program = shlex.join(os.fsdecode(word) for word in clinic.cli.prefix)

    def run(script: str) -> Result:
        whole = f'echo 0 >/proc/self/loginuid && ak() {{ {program} "$@"; }} && {script}'
        return clinic.cli.with_prefix("bash", "-c", whole)()

    probe = run("cat /proc/self/sessionid && echo")
    if probe.code or probe.out == b"4294967295\n":
        pytest.skip("needs a kernel with audit session ids, root, and a loginuid that isn't set yet")
    return run


def about(clinic: Clinic, done: Result) -> dict[str, dict[str, str]]:
    """What a report says of login sessions, by name."""
    return {row["name"]: row for row in clinic.read(done) if row["check"] == "session"}


def test_agents_of_other_login_sessions_are_told_apart(clinic: Clinic, in_session: Run) -> None:
    """In the agent's own session, in another one, and in none; in another a fix starts one. Nothing is logged."""
    rows = about(clinic, in_session("ak agent >/dev/null && ak doctor --json"))
    assert set(rows) == {"session"}
    assert rows["session"]["what"].startswith("this is login session ")
    assert set(about(clinic, clinic.run())) == {"session", "session-unknown"}
    rows = about(clinic, in_session("ak doctor --json"))
    assert set(rows) == {"session", "session-other"}
    fix = rows["session-other"]["fix"].replace("$(agentkeys ", "$(ak ")
    assert set(about(clinic, in_session(f"{fix}; ak doctor --json"))) == {"session"}
    assert not list(clinic.root.glob("audit/*/human/unsealed.jsonl"))


def test_an_agent_without_a_session_is_a_note_inside_of_one(clinic: Clinic, in_session: Run) -> None:
    """It serves every process of the user, which somebody with sessions may not expect."""
    clinic.seat.start()
    rows = about(clinic, in_session("ak doctor --json"))
    assert set(rows) == {"session", "session-all"}
    assert rows["session-all"]["severity"] == "note"


# --- the call ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\0",
        b"\0\0\0\0",
        b"\xff" * 64,
        b"\0\0\0\5\1\0\0\0\0",
        b"\0\0\0\2\2\0",
        bytes(100),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    ids=str,
)
def test_whatever_is_said_at_a_socket_is_survived(said: bytes, short_path: Path) -> None:
    """A stranger, and no exception; memory and time are bounded by the frame limit and the patience."""
    path = short_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection = listener.accept()[0]
            with connection:
                connection.sendall(said)

        server = threading.Thread(target=answer)
        server.start()
        made = call.call(str(path))
        server.join()
    assert made.state == call.STRANGER
    assert made.pid
    assert made.uid == os.geteuid()


def test_a_full_queue_is_silence(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that takes nobody out of its queue is called silent, not absent."""
    monkeypatch.setattr(call, "PATIENCE", 0.1)
    path = short_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))
        made = call.call(str(path))
    assert made.state == call.SILENT
