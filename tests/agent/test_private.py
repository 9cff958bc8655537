"""`agentkeys agent -a PATH`: a private agent at a socket of the user's choice, which no search finds. And `lock`."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.agent.seat import Seat, eventually, watched
from tests.agent.test_start import exported
from tests.support.plugin import Plant


@pytest.fixture
def path(short_path: Path) -> Path:
    """Where the private agent is to listen."""
    return short_path / "mine.sock"


def locks(seat: Seat) -> list[Path]:
    """The lock files of private agents."""
    return sorted(seat.home.root.glob("run/*/human/private-*.lock"))


def refused(seat: Seat, path: Path | str, word: str, cwd: Path | None = None) -> None:
    """The start fails with a reason; no agent is left, and no lock."""
    done = seat.cli("agent", "-a", path, cwd=cwd)
    assert (done.code, done.out) == (2, b"false;\n")
    assert word in done.err.decode()
    assert b"\nagentkeys: hint: " in done.err
    assert seat.home.agents() == []
    assert locks(seat) == []


def test_a_private_agent_is_at_its_path(rack: Seat, path: Path) -> None:
    """0600, exported, and it serves whoever names it; its lock file says where it is."""
    out = rack.cli("agent", "-a", path, check=True).out
    found, pid = exported(out)
    assert found == str(path)
    assert path.lstat().st_mode & 0o777 == 0o600
    (lock,) = locks(rack)
    assert lock.read_text() == f"{path}\n"
    env = {"AGENTKEYS_SOCK": found, "AGENTKEYS_OWNER": "human"}
    rack.cli("unlock", env=env, check=True)
    assert rack.cli("get", "GITHUB_TOKEN", env=env, reveals=True).out == rack.values["GITHUB_TOKEN"]
    assert rack.cli("status", "--sock", path, "--json", check=True).json()["pid"] == pid


def test_no_search_finds_it(rack: Seat, path: Path) -> None:
    """The owner has no agent without the variable, and a plain start makes the discoverable one beside it."""
    _, pid = exported(rack.cli("agent", "-a", path, check=True).out)
    assert rack.status() is None
    done = rack.cli("get", "GITHUB_TOKEN")
    assert done.code == 3
    assert f"there is another agent of human at {path}".encode() in done.err
    assert rack.start().pid != pid
    assert len(rack.home.agents()) == 2


def test_what_changes_reaches_it(rack: Seat, path: Path, canary: Plant) -> None:
    """set, del and relock speak to every agent of the owner, through its lock file."""
    rack.cli("agent", "-a", path, "--unlock", check=True)
    new = canary("new in private")
    rack.cli("set", "GITHUB_TOKEN", input=new, check=True)
    assert rack.cli("get", "GITHUB_TOKEN", "--sock", path, reveals=True).out == new
    rack.cli("del", "GITHUB_TOKEN", check=True)
    assert rack.cli("get", "GITHUB_TOKEN", "--sock", path).code == 5
    assert rack.cli("relock", "--json", check=True).json() == {"relocked": ["@all.all.OPENAI_API_KEY"]}
    assert rack.cli("get", "OPENAI_API_KEY", "--sock", path).code == 4


def test_a_relative_path_is_exported_whole(rack: Seat, short_path: Path) -> None:
    """The socket is where the caller stands, and the variable leads to it from anywhere."""
    out = rack.cli("agent", "-a", "mine.sock", cwd=short_path, check=True).out
    assert exported(out)[0] == f"{short_path}/mine.sock"


def test_its_own_dead_socket_is_replaced_row_16(rack: Seat, path: Path) -> None:
    """kill -9, then again at the same path: no hand is needed, and no lock is left over."""
    for _ in range(3):
        _, pid = exported(rack.cli("agent", "-a", path, check=True).out)
        with watched(pid) as gone:
            os.kill(pid, signal.SIGKILL)
            gone()
        assert path.is_socket()
    rack.cli("agent", "-a", path, check=True)
    assert len(locks(rack)) == 1


def test_a_live_one_is_refused_row_17(rack: Seat, path: Path, canary: Plant) -> None:
    """The same owner's or another owner's agent at that path stays; the hint stops it."""
    _, pid = exported(rack.cli("agent", "-a", path, check=True).out)
    done = rack.cli("agent", "-a", path)
    assert (done.code, done.out) == (2, b"false;\n")
    assert b"another agent of human listens on it" in done.err
    rack.cli("init", "--for", "crab", "--via", "file", check=True)
    done = rack.cli("agent", "--for", "crab", "-a", path)
    assert (done.code, done.out) == (2, b"false;\n")
    assert b"another program listens on it" in done.err
    assert rack.cli("status", "--sock", path, "--json", check=True).json()["pid"] == pid
    rack.cli("agent", "-k", "-a", path, check=True)
    assert not path.exists()
    rack.cli("agent", "--for", "crab", "-a", path, check=True)


def test_a_live_strangers_socket_is_left_alone_row_17(rack: Seat, path: Path) -> None:
    """Another program of this user listens there: refused, and it keeps its socket."""
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen()
        inode = path.lstat().st_ino
        refused(rack, path, "another program listens on it")
        assert path.lstat().st_ino == inode


def a_file(path: Path) -> None:
    """A file with something in it."""
    path.write_text("precious")


def a_directory(path: Path) -> None:
    """A directory."""
    path.mkdir()


def a_link_to_nothing(path: Path) -> None:
    """A symbolic link that leads nowhere."""
    path.symlink_to(path.with_name("nothing"))


def a_link_to_a_dead_socket(path: Path) -> None:
    """A symbolic link to what a socket left."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path.with_name("dead")))
    path.symlink_to(path.with_name("dead"))


def a_pipe(path: Path) -> None:
    """A FIFO."""
    os.mkfifo(path)


@pytest.mark.parametrize("thing", [a_file, a_directory, a_link_to_nothing, a_link_to_a_dead_socket, a_pipe])
def test_what_is_in_the_way_is_left_alone_row_18(thing: Callable[[Path], None], rack: Seat, path: Path) -> None:
    """Named and not removed, not followed, not bound."""
    thing(path)
    before = {it: it.lstat().st_ino for it in path.parent.iterdir()}
    refused(rack, path, f"{path} is in the way: it is not a socket of ours")
    assert {it: it.lstat().st_ino for it in path.parent.iterdir()} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to another user")
def test_what_another_user_left_there_is_left_alone_row_18(rack: Seat, path: Path) -> None:
    """A squatter's dead socket, and a squatter's directory."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    os.chown(path, 12345, 12345)
    refused(rack, path, "it is not a socket of ours")
    path.unlink()
    os.chown(path.parent, 12345, 12345)
    refused(rack, path, "can be written by others")


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_directory_that_others_can_write_is_refused_row_22(mode: int, rack: Seat, path: Path) -> None:
    """They could put another socket in the place of ours; the hint mends it, unasked nothing is mended."""
    path.parent.chmod(mode)
    refused(rack, path, "can be written by others, who could replace the socket")
    assert path.parent.stat().st_mode & 0o777 == mode
    path.parent.chmod(0o755)
    rack.cli("agent", "-a", path, check=True)


def test_a_sticky_directory_is_good_enough(rack: Seat, path: Path) -> None:
    """/tmp is such: others may add names there, and take away none of ours."""
    path.parent.chmod(0o1777)
    rack.cli("agent", "-a", path, "--unlock", check=True)
    rack.cli("agent", "-k", "-a", path, check=True)


def test_a_directory_that_is_not_there_is_not_made(rack: Seat, short_path: Path) -> None:
    """The user named it; a typo should not become a directory."""
    refused(rack, short_path / "nosuch" / "mine.sock", "can't hold a socket: No such file")
    (short_path / "file").write_text("")
    refused(rack, short_path / "file" / "mine.sock", "can't hold a socket: ")
    assert not (short_path / "nosuch").exists()


def test_a_path_too_long_for_a_socket_row_25(rack: Seat, short_path: Path) -> None:
    """103 bytes do, 104 are refused before anything is started: what was named is not replaced by another path."""
    name = "x" * (103 - len(f"{short_path}/"))
    rack.cli("agent", "-a", short_path / name, check=True)
    rack.cli("agent", "-k", "-a", short_path / name, check=True)
    refused(rack, short_path / (name + "x"), "is over 103 bytes")
    refused(rack, name + "x", "is over 103 bytes", cwd=short_path)


@pytest.mark.parametrize("name", ["a\nb", "", "dir/"])
def test_a_path_that_can_not_be_a_sockets(name: str, rack: Seat, short_path: Path) -> None:
    """A newline, nothing, a directory's name."""
    (short_path / "dir").mkdir()
    done = rack.cli("agent", "-a", name, cwd=short_path)
    assert (done.code, done.out) == (2, b"false;\n")
    assert rack.home.agents() == []


def test_its_directory_gone_it_leaves(rack: Seat, path: Path) -> None:
    """As the discoverable agent does; socket removed, or the whole directory."""
    for remove in (Path.unlink, lambda it: shutil.rmtree(it.parent)):
        _, pid = exported(rack.cli("agent", "-a", path, check=True).out)
        with watched(pid) as gone:
            remove(path)
            gone()
        assert locks(rack) == []


def test_what_dead_agents_left_is_swept(rack: Seat, path: Path) -> None:
    """The next agent of the owner removes the lock; a socket that the user named stays for the user to see."""
    _, pid = exported(rack.cli("agent", "-a", path, check=True).out)
    os.kill(pid, signal.SIGKILL)
    assert len(locks(rack)) == 1
    rack.start()
    eventually(lambda: not locks(rack))
    assert path.is_socket()


def test_a_sweep_spares_the_living_and_those_that_begin(rack: Seat, path: Path) -> None:
    """A held lock and a fresh empty one are nobody's leftovers; one that is neither goes, other files stay."""
    rack.cli("agent", "-a", path, check=True)
    (live,) = locks(rack)
    young, old, other = (live.with_name(name) for name in ("private-young.lock", "private-old.lock", "note"))
    for file in (young, old, other):
        file.write_text("")
    os.utime(old, (1, 1))
    rack.start()
    eventually(lambda: not old.exists())
    assert live.exists()
    assert young.exists()
    assert other.exists()


def test_another_machines_agents_are_not_ours_row_26(rack: Seat) -> None:
    """A home on a network disk: the other host's lock and the socket it names are neither used nor removed."""
    rack.start()
    (run,) = (rack.home.root / "run").iterdir()
    theirs = run.with_name("0123456789abcdef") / "human"
    theirs.mkdir(mode=0o700, parents=True)
    sock = rack.home.runtime / "theirs.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(sock))
    for name in ("agent.lock", "session-7.lock", "private-1.lock"):
        (theirs / name).write_text(f"{sock}\n")
    rack.cli("agent", "-k", check=True)
    rack.start().unlock()
    assert rack.cli("lock", "--json", check=True).json()["agents"] == 1
    assert sock.is_socket()
    assert len(list(theirs.iterdir())) == 3


# --- lock ----------------------------------------------------------------------------------------------------


def test_lock_makes_every_agent_of_the_owner_forget(rack: Seat, path: Path) -> None:
    """The discoverable one, a private one and one of a command, at once; it says how many agents and keys."""
    rack.start().unlock()
    rack.cli("agent", "-a", path, "--unlock", check=True)
    child = rack.cli.start(
        "agent", "--unlock", "--", "sh", "-c", 'echo "$AGENTKEYS_SOCK"; exec sleep 60', stdout=subprocess.PIPE
    )
    assert child.stdout
    third = child.stdout.readline().decode().strip()
    assert rack.cli("lock", check=True).out == b"locked 3 agents of human: 2 keys forgotten\n"
    for sock in (rack.socket, path, third):
        for name in rack.values:
            assert rack.cli("get", name, "--sock", sock).code == 4
    done = rack.cli("lock", "--json", check=True)
    assert done.json() == {"agents": 3, "locked": []}
    assert rack.cli("lock", check=True).out == b"locked 3 agents of human: nothing was unlocked\n"
    rack.unlock()
    assert rack.cli("lock", "--json", check=True).json()["locked"] == [
        "@all.all.GITHUB_TOKEN",
        "@all.all.OPENAI_API_KEY",
    ]


def test_lock_leaves_other_owners_alone(seat: Seat, canary: Plant) -> None:
    """Named or by default, it is one owner's."""
    seat.cli("init", "--for", "crab", "--via", "file", check=True)
    crab = Seat(seat.home, seat.cli, {"TOKEN": canary("crab's")}, "crab")
    crab.set("TOKEN", crab.values["TOKEN"])
    crab.start().unlock()
    assert b"1 agent of crab: 1 key forgotten" in seat.cli("lock", "--for", "crab", check=True).out
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]


def test_lock_without_an_agent_has_nothing_to_do(rack: Seat) -> None:
    """0, as relock; a dead agent's lock file counts for nothing, and no agent is started."""
    assert rack.cli("lock", check=True).out == b"no agent for human, so nothing was unlocked\n"
    assert rack.cli("lock", "--json", check=True).json() == {"agents": 0, "locked": []}
    os.kill(rack.start().pid, signal.SIGKILL)
    assert rack.cli("lock", "--json", check=True).json() == {"agents": 0, "locked": []}
    assert rack.cli("lock", "--for", "nosuch").code == 2
    assert rack.home.agents() == []


def test_an_agent_that_is_stopped_holds_up_no_other(rack: Seat, short_path: Path) -> None:
    """All are told at the same time: the others have forgotten while it still waits; then it fails, naming that one."""
    paths = [short_path / name for name in ("a.sock", "b.sock", "c.sock")]
    for sock in paths:
        rack.cli("agent", "-a", sock, "--unlock", check=True)
    stopped = [psutil.Process(rack.cli("status", "--sock", sock, "--json").json()["pid"]) for sock in paths[:2]]
    for process in stopped:
        process.suspend()
    try:
        child = rack.cli.start("lock", stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        eventually(lambda: rack.cli("get", "GITHUB_TOKEN", "--sock", paths[2], reveals=True).code == 4)
        assert child.poll() is None
        out, err = child.communicate(timeout=30)
    finally:
        for process in stopped:
            process.resume()
    assert (child.returncode, out) == (124, b"locked 1 agent of human: 2 keys forgotten\n")
    assert any(str(sock).encode() in err for sock in paths[:2])
    # What it was sent waits in its socket: it forgets as soon as it goes on.
    for sock in paths[:2]:
        assert rack.cli("get", "GITHUB_TOKEN", "--sock", sock).code == 4


def test_lock_works_from_anywhere(seat: Seat) -> None:
    """Another runtime directory, a dead AGENTKEYS_SOCK: agents are found by their lock files."""
    done = seat.cli("lock", "--json", env={"XDG_RUNTIME_DIR": None, "AGENTKEYS_SOCK": "/nonexistent"}, check=True)
    assert json.loads(done.out)["agents"] == 1
    assert set(seat.states().values()) == {"locked"}
