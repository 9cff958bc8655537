"""Sockets and their directories: squatted, stale, silent, foreign or simply elsewhere, found and mended."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from agentkeys import paths
from tests.agent.dialogue import hello
from tests.agent.seat import Seat, eventually
from tests.doctor.clinic import Case, Clinic, Env
from tests.support.homes import Home, short_dir
from tests.support.plugin import Run
from tests.support.runner import Runner
from tests.support.uids import require

NOBODY = 12_345
"""A uid that is nobody's here."""

LISTENER = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o600)
if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))
listener.listen()
print("listening", flush=True)
while True:
    connection = listener.accept()[0]
    print(len(connection.recv(1000)), flush=True)
    try:
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\\r\\n" * 20)
    except OSError:
        pass
    connection.close()
"""
"""A program that listens and is no agent; with a uid, as that user."""

Listen = Callable[..., "subprocess.Popen[bytes]"]


def relative(_clinic: Clinic) -> Env:
    """It would be another directory in each directory."""
    return {"XDG_RUNTIME_DIR": "run"}


def missing(clinic: Clinic) -> Env:
    """Of a session that is over."""
    return {"XDG_RUNTIME_DIR": str(clinic.home.runtime / "gone")}


def no_directory(clinic: Clinic) -> Env:
    """A file."""
    path = clinic.home.runtime / "file"
    path.touch(mode=0o600)
    return {"XDG_RUNTIME_DIR": str(path)}


def wide(clinic: Clinic) -> None:
    """Others may look into it."""
    clinic.home.runtime.chmod(0o755)


def foreign(clinic: Clinic) -> Env:
    """Another user's, as `su` leaves it."""
    require(os.geteuid() == 0, "root, to give a directory away")
    path = clinic.home.runtime / "theirs"
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY, NOBODY)
    return {"XDG_RUNTIME_DIR": str(path)}


def ours(clinic: Clinic) -> Path:
    """The sockets' directory."""
    path = clinic.home.runtime / "agentkeys"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def foreign_sockets(clinic: Clinic) -> None:
    """Squatted."""
    require(os.geteuid() == 0, "root, to give a directory away")
    os.chown(ours(clinic), NOBODY, NOBODY)


def file_for_sockets(clinic: Clinic) -> None:
    """A file in its place."""
    (clinic.home.runtime / "agentkeys").touch()


def link_for_sockets(clinic: Clinic) -> None:
    """A link in its place."""
    (clinic.home.runtime / "agentkeys").symlink_to(clinic.home.path)


def long_runtime(clinic: Clinic) -> Env:
    """So deep that no socket's name has room."""
    path = clinic.home.path / ("deep" * 25)
    path.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(path)}


def squatting_file(clinic: Clinic) -> None:
    """A file where the socket goes."""
    (ours(clinic) / "human.sock").touch(mode=0o600)


def squatting_link(clinic: Clinic) -> None:
    """A link where the socket goes."""
    (ours(clinic) / "human.sock").symlink_to("/run/other.sock")


def dead_socket(path: Path) -> None:
    """What kill -9 leaves."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    path.chmod(0o600)


def foreign_dead_socket(clinic: Clinic) -> None:
    """Somebody else's in our directory."""
    require(os.geteuid() == 0, "root, to give a socket away")
    path = ours(clinic) / "human.sock"
    dead_socket(path)
    os.chown(path, NOBODY, NOBODY)


def stale_socket(clinic: Clinic) -> None:
    """Of an agent that was killed."""
    dead_socket(ours(clinic) / "human.sock")


def stale_socket_of_nobody(clinic: Clinic) -> None:
    """Of an owner who is gone."""
    dead_socket(ours(clinic) / "gone.sock")


def odd_name(clinic: Clinic) -> None:
    """Something else that ends like a socket."""
    (ours(clinic) / "other.sock").touch()


CASES = [
    Case("runtime-relative", "warning", relative),
    Case("runtime-missing", "warning", missing),
    Case("runtime-kind", "warning", no_directory),
    Case("runtime-mode", "warning", wide),
    Case("runtime-foreign", "warning", foreign),
    Case("socket-dir-foreign", "error", foreign_sockets),
    Case("socket-dir-kind", "error", file_for_sockets),
    Case("socket-dir-kind", "error", link_for_sockets, "link"),
    Case("socket-dir-mode", "error", lambda clinic: ours(clinic).chmod(0o750)),
    Case("socket-dir-mode", "error", lambda clinic: ours(clinic).chmod(0o500), "closed"),
    Case("socket-squatted", "error", squatting_file),
    Case("socket-squatted", "error", squatting_link, "link"),
    Case("socket-squatted", "error", foreign_dead_socket, "foreign"),
    Case("socket-stale", "note", stale_socket),
    Case("socket-stale", "note", stale_socket_of_nobody, "nobody"),
    Case("socket-odd", "warning", odd_name),
    Case("agent-none", "note", lambda _clinic: None),
    Case("sock-relative", "warning", lambda _clinic: {"AGENTKEYS_SOCK": "human.sock"}),
    Case("sock-long", "error", lambda _clinic: {"AGENTKEYS_SOCK": "/" + "x" * 103}),
    Case("sock-dead", "error", lambda _clinic: {"AGENTKEYS_SOCK": "/nonexistent/human.sock"}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_wrong_with_sockets_is_found_and_mended(case: Case, clinic: Clinic) -> None:
    """By its name and with its severity; pasted, the fix leaves nothing of it."""
    env = case.provoke(clinic)
    clinic.treat(case.name, case.severity, env)


def test_a_path_without_room_is_a_note(clinic: Clinic) -> None:
    """socket-short: its fix is a directory in HOME, which here is as long itself."""
    assert "socket-short" in clinic.names(long_runtime(clinic))


def test_an_unset_runtime_directory_is_a_note_where_nothing_takes_its_place(clinic: Clinic) -> None:
    """Sockets are in /tmp then. Where the system made one all the same, that is used, and all is well."""
    env: Env = {"XDG_RUNTIME_DIR": None}
    if paths.is_private_dir(f"/run/user/{os.geteuid()}"):
        assert "runtime-unset" not in clinic.names(env)
    else:
        clinic.treat("runtime-unset", "note", env)


@pytest.fixture
def listening() -> "Iterator[Listen]":
    """Have a program that is no agent listen at a path; it prints how much each caller sent."""
    children = []

    def listen(path: Path, *uid: str) -> "subprocess.Popen[bytes]":
        child = subprocess.Popen([sys.executable, "-c", LISTENER, str(path), *uid], stdout=subprocess.PIPE)
        children.append(child)
        assert child.stdout
        assert child.stdout.readline() == b"listening\n"
        return child

    yield listen
    for child in children:
        with child:
            child.kill()


def test_a_stranger_at_the_socket_is_found_and_moved_away(clinic: Clinic, listening: Listen) -> None:
    """A program of ours that speaks something else; as AGENTKEYS_SOCK as well."""
    path = ours(clinic) / "human.sock"
    listening(path)
    clinic.treat("sock-stranger", "error", {"AGENTKEYS_SOCK": str(path)})
    clinic.treat("socket-stranger", "error")
    assert not path.exists()


def test_another_users_server_is_sent_nothing(clinic: Clinic, listening: Listen) -> None:
    """It is told by the kernel; the report says whose it is. At our place, at another's, and as AGENTKEYS_SOCK."""
    require(os.geteuid() == 0, "root, to become another user")
    path = ours(clinic) / "human.sock"
    child = listening(path, str(NOBODY))
    found = clinic.treat("sock-foreign", "error", {"AGENTKEYS_SOCK": str(path)})
    assert str(NOBODY) in found["what"]
    clinic.treat("socket-foreign", "error")
    other = listening(ours(clinic) / "gone.sock", str(NOBODY))
    clinic.treat("socket-foreign", "error")
    for server in (child, other):
        server.kill()
        assert server.stdout
        assert set(server.stdout.read().split()) == {b"0"}


def test_a_stopped_agent_is_found_and_continued(clinic: Clinic) -> None:
    """It takes connections and answers nothing; the report comes all the same, and its fix wakes the agent."""
    process = clinic.seat.start().process
    process.suspend()
    try:
        eventually(lambda: process.status() == psutil.STATUS_STOPPED)
        clinic.treat("sock-silent", "error", {"AGENTKEYS_SOCK": str(clinic.seat.socket), "AGENTKEYS_OWNER": "human"})
        clinic.treat("socket-silent", "error")
    finally:
        process.resume()
    assert clinic.seat.pid == process.pid


def test_a_live_socket_that_others_could_reach_is_found_and_closed(clinic: Clinic) -> None:
    """Its mode is ours again; the agent lives on."""
    clinic.seat.start()
    clinic.seat.socket.chmod(0o666)
    clinic.treat("socket-mode", "warning")
    assert clinic.seat.socket.stat().st_mode & 0o777 == 0o600
    assert clinic.seat.status()


@pytest.fixture
def another_home(clinic: Clinic, run: Run, tmp_path: Path, make_cli: Callable[[Home], Runner]) -> Iterator[Seat]:
    """A second home with an owner human, in the same runtime directory."""
    home = Home(tmp_path / "another", run.keep_track_of(short_dir()))
    shutil.copytree(clinic.root, home.root, symlinks=True)
    home.runtime = clinic.home.runtime
    yield Seat(home, make_cli(home), {})
    assert not home.end_agents()


def test_two_homes_in_one_runtime_directory_are_told_apart(clinic: Clinic, another_home: Seat) -> None:
    """The other home's agent sits where ours would: an error, and a directory of our own mends it."""
    another_home.start()
    clinic.treat("agent-other-home", "error")
    names = {"AGENTKEYS_SOCK": str(another_home.socket), "AGENTKEYS_OWNER": "human"}
    clinic.treat("sock-other-home", "error", names)


def test_a_socket_with_another_owners_agent_is_found_and_freed(clinic: Clinic) -> None:
    """Somebody moved sockets about."""
    clinic.cli("init", "--for", "seaturtle", "--via", "file", check=True)
    clinic.cli("agent", "--for", "seaturtle", check=True)
    clinic.seat.socket.unlink(missing_ok=True)
    os.link(clinic.seat.socket.with_name("seaturtle.sock"), clinic.seat.socket)
    clinic.arguments = ["--for", "human"]
    clinic.treat("agent-other-owner", "error")


def test_an_agent_of_an_owner_who_is_gone_is_found_and_ended(clinic: Clinic) -> None:
    """Its socket is what keeps it alive."""
    clinic.cli("init", "--for", "seaturtle", "--via", "file", check=True)
    clinic.cli("agent", "--for", "seaturtle", check=True)
    process = psutil.Process(clinic.cli("status", "--for", "seaturtle", "--json", check=True).json()["pid"])
    (clinic.root / "owners" / "seaturtle.json").unlink()
    clinic.treat("agent-no-owner", "warning")
    process.wait(20)


@pytest.mark.parametrize("owner", ["seaturtle", None])
def test_a_named_socket_of_another_owner_is_found_and_mended(owner: str | None, clinic: Clinic) -> None:
    """AGENTKEYS_OWNER says somebody else, or nothing, which means human."""
    clinic.cli("init", "--for", "seaturtle", "--via", "file", check=True)
    wrong, right = ("seaturtle", "human") if owner else ("human", "seaturtle")
    clinic.cli("agent", "--for", right, check=True)
    sock = str(clinic.seat.socket.with_name(f"{right}.sock"))
    found = clinic.treat("sock-owner", "error", {"AGENTKEYS_SOCK": sock, "AGENTKEYS_OWNER": owner})
    assert wrong in found["what"]
    assert found["fix"] == f"export AGENTKEYS_OWNER={right}"


def test_a_stale_pid_is_found_and_mended(clinic: Clinic) -> None:
    """Beside a socket it is corrected, alone it is unset."""
    clinic.treat("agent-pid-stale", "note", {"AGENTKEYS_AGENT_PID": "1"})
    clinic.seat.start()
    names = {"AGENTKEYS_SOCK": str(clinic.seat.socket), "AGENTKEYS_OWNER": "human", "AGENTKEYS_AGENT_PID": "1"}
    found = clinic.treat("agent-pid-stale", "note", names)
    assert found["fix"] == f"export AGENTKEYS_AGENT_PID={clinic.seat.pid}"


def test_the_variables_that_agent_prints_are_all_right(clinic: Clinic) -> None:
    """eval "$(agentkeys agent)", then doctor: socket and owner fit."""
    rows = clinic.paste('eval "$(agentkeys agent)"')
    (sock,) = [
        row for row in rows if row["check"] == "sockets" and row["name"].startswith("sock") and "SOCK" in row["what"]
    ]
    assert (sock["name"], sock["severity"], sock["owner"]) == ("sock", "ok", "human")


def test_more_sockets_than_are_called_are_admitted(clinic: Clinic) -> None:
    """A directory full of leftovers doesn't make doctor run for ever."""
    directory = clinic.root / "run" / paths.machine_id() / "human"
    directory.mkdir(parents=True, mode=0o700)
    sockets = clinic.home.runtime / "agentkeys"
    sockets.mkdir(mode=0o700)
    for number in range(66):
        path = sockets / f"human.{number}.sock"
        dead_socket(path)
        (directory / f"session-{number}.lock").write_text(f"{path}\n")
    found = clinic.find("sockets-many")
    assert found["what"].startswith("there are 66 sockets; 2 ")


def test_a_greeting_is_all_that_another_login_sessions_agent_gets(clinic: Clinic, short_path: Path) -> None:
    """A status would be refused and put on its record, so it isn't asked for one."""
    from agentkeys.setup.doctor import call

    path = short_path / "agent.sock"
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection = listener.accept()[0]
            with connection:
                asked.append(connection.recv(1000))
                connection.sendall(hello())
                asked.append(connection.recv(1000))

        server = threading.Thread(target=answer)
        server.start()
        made = call.call(str(path), curious=False)
        server.join()
    assert b"ping" in asked[1]
    assert b"status" not in b"".join(asked)
    assert (made.state, made.owner, made.version) == (call.AGENT, "human", "0.0.0-test")


MANAGER = """
import ctypes, os, select, socket, sys
ctypes.CDLL(None).prctl(15, b"systemd", 0, 0, 0)
listeners = [socket.socket(socket.AF_UNIX) for _ in sys.argv[1:]]
for listener, path in zip(listeners, sys.argv[1:]):
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen()
print("listening", flush=True)
select.select(listeners, [], [])
print("called", flush=True)
"""
"""Listens as systemd does for a socket unit, under its name (prctl(2), PR_SET_NAME)."""


def test_a_service_managers_socket_is_not_called(clinic: Clinic) -> None:
    """That would start an agent. It is said to be there; as AGENTKEYS_SOCK, and under a name of nobody's, as well."""
    path = ours(clinic) / "human.sock"
    command = [sys.executable, "-c", MANAGER, str(path), str(path.with_name("gone.sock"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as manager:
        try:
            assert manager.stdout
            assert manager.stdout.readline() == b"listening\n"
            rows = {row["name"]: row for row in clinic.look({"AGENTKEYS_SOCK": str(path)})}
            assert rows["socket-managed"]["severity"] == rows["sock"]["severity"] == "ok"
            assert "agent-none" not in rows
        finally:
            manager.kill()
        assert manager.stdout.read() == b""


def test_an_agent_behind_a_service_managers_socket_is_called(clinic: Clinic) -> None:
    """Once it runs, it holds its lock, and is looked at like any other."""
    path = ours(clinic) / "human.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        program = shlex.join(os.fsdecode(word) for word in clinic.cli.prefix)
        script = f"exec 3<&{listener.fileno()} && LISTEN_PID=$$ LISTEN_FDS=1 exec {program} agent -D"
        child = clinic.cli.with_prefix("bash", "-c", script).start(
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=(listener.fileno(),)
        )
        assert child.stdout
        assert child.stdout.readline().startswith(b"AGENTKEYS_SOCK=")
        names = {row["name"] for row in clinic.look()}
    assert {"socket", "agent"} <= names


def test_private_agents_are_looked_at_and_are_not_the_owners_agent(clinic: Clinic) -> None:
    """`agent -- command` has one that its owner's other shells don't find: they are still told that there is none."""
    path = clinic.home.runtime / "mine.sock"
    clinic.cli("agent", "-a", path, check=True)
    path.chmod(0o640)
    rows = clinic.look()
    assert "agent-none" in [row["name"] for row in rows]
    assert [row["owner"] for row in rows if row["name"] == "agent"] == ["human"]
    clinic.treat("socket-mode", "warning")
    done = clinic.cli("agent", "--", "agentkeys", "doctor", "--json")
    assert [row["severity"] for row in clinic.read(done) if row["name"] == "sock"] == ["ok"]
