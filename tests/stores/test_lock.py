"""FileLock lets one process at a time through, whatever becomes of it."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys.errors import TimedOut, VaultFault
from agentkeys.stores import atomic
from tests.stores.conftest import Script
from tests.support.runner import Runner

SOON = 0.05
"""Seconds until a taken lock counts as taken, for a test that knows it is."""

HOLD = """
with atomic.FileLock({path!r}):
    os.write(1, b"held")
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the lock lies; its directory isn't there yet."""
    return str(tmp_path / "lock" / "ana.lock")


@pytest.fixture
def holder(program: Runner, script: Script, path: str) -> "subprocess.Popen[bytes]":
    """A process that holds it until its stdin ends."""
    child = program.start(*script(HOLD.format(path=path)), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.read(4) == b"held"
    return child


def test_a_taken_lock_times_out_and_names_its_holder(holder: "subprocess.Popen[bytes]", path: str) -> None:
    """Also when the holder is stopped and can't answer for itself; the hint looks at it."""
    for stop in (False, True):
        if stop:
            holder.send_signal(signal.SIGSTOP)
        with pytest.raises(TimedOut, match=rf"pid {holder.pid} has held {path} for 0\.05 s") as late:
            atomic.FileLock(path, SOON).__enter__()
        assert late.value.hint == f"ps -p {holder.pid}"
    holder.send_signal(signal.SIGCONT)
    holder.stdin.close()
    with atomic.FileLock(path):
        assert Path(path).read_text() == f"{os.getpid()}\n"


def test_a_killed_holder_frees_it_at_once(holder: "subprocess.Popen[bytes]", path: str) -> None:
    """The kernel does; nobody has to judge a pid."""
    holder.kill()
    holder.wait()
    with atomic.FileLock(path, SOON):
        assert Path(path).read_text() == f"{os.getpid()}\n"


def test_a_waiter_gets_it_when_the_holder_leaves(holder: "subprocess.Popen[bytes]", path: str) -> None:
    """Within the deadline it waits instead of failing."""
    holder.stdin.close()
    with atomic.FileLock(path):
        assert Path(path).read_text() == f"{os.getpid()}\n"


def test_a_child_of_the_holder_does_not_keep_it(program: Runner, script: Script, path: str) -> None:
    """The descriptor is closed at exec, so a daemon started under the lock doesn't hold it for ever."""
    text = f"""
import subprocess
lock = atomic.FileLock({path!r}).__enter__()
child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
os.write(1, b"%d" % child.pid)
os._exit(0)
"""
    sleeper = int(program(*script(text), check=True).out)
    try:
        with atomic.FileLock(path, SOON):
            os.kill(sleeper, 0)
    finally:
        os.kill(sleeper, signal.SIGKILL)


def test_a_process_does_not_pass_its_own_lock(path: str) -> None:
    """Two jobs in one process exclude each other as two processes do, and leaving frees it each time."""
    with atomic.FileLock(path), pytest.raises(TimedOut):
        atomic.FileLock(path, SOON).__enter__()
    with atomic.FileLock(path, SOON), pytest.raises(TimedOut):
        atomic.FileLock(path, SOON).__enter__()


def test_a_holder_that_did_not_say_its_pid_is_another_process(holder: "subprocess.Popen[bytes]", path: str) -> None:
    """Whatever stands in the file: nobody is sent to look at a pid that isn't one."""
    for text in (b"", b"no pid\n", b"-1\n", b"\xff\n"):
        Path(path).write_bytes(text)
        with pytest.raises(TimedOut, match="another process has held") as late:
            atomic.FileLock(path, SOON).__enter__()
        assert late.value.hint == ""


def test_a_lock_file_is_private_and_stays(path: str) -> None:
    """0600 in a 0700 directory under any umask, and never replaced: a new file would be another lock."""
    before = os.umask(0o777)
    try:
        with atomic.FileLock(path):
            inode = os.stat(path).st_ino
    finally:
        os.umask(before)
    assert os.stat(path).st_mode & 0o7777 == 0o600
    assert os.stat(os.path.dirname(path)).st_mode & 0o7777 == 0o700
    with atomic.FileLock(path):
        assert os.stat(path).st_ino == inode


def test_a_symlink_for_a_lock_is_refused(tmp_path: Path) -> None:
    """Else its holder's pid would be written into another file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"victim")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(VaultFault, match="can't be opened"):
        atomic.FileLock(str(tmp_path / "lock")).__enter__()
    assert victim.read_bytes() == b"victim"


def test_a_full_disk_hinders_no_lock(tiny_disk: Path, full_disk: Callable[[], None]) -> None:
    """Whoever wants to delete something to make room needs it; the pid in it is advice."""
    atomic.make_private_dir(str(tiny_disk / "lock"))
    full_disk()
    for name in ("one", "two"):
        with atomic.FileLock(str(tiny_disk / "lock" / name)), pytest.raises(TimedOut):
            atomic.FileLock(str(tiny_disk / "lock" / name), SOON).__enter__()


class Clock:
    """Time that passes in sleep() alone, four seconds at a time; each time `then` happens."""

    def __init__(self, then: Callable[[int], None]) -> None:
        self.sleeps = 0
        self.then = then

    def monotonic(self) -> float:
        """Seconds."""
        return self.sleeps * 4.0

    def sleep(self, _seconds: float) -> None:
        """Let it pass."""
        self.sleeps += 1
        self.then(self.sleeps)


@pytest.mark.parametrize(("last", "waited"), [(0, 3), (3, 6), (100, 103)])
def test_a_line_that_moves_is_waited_for(last: int, waited: int, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is one holder's: whoever waits counts anew with each, and gives up on the one that stays."""

    def next_holder(number: int) -> None:
        if number <= last:
            os.utime(path, ns=(0, number))  # as each who signs

    clock = Clock(next_holder)
    with atomic.FileLock(path):
        monkeypatch.setattr(atomic, "time", clock)
        with pytest.raises(TimedOut, match=f"pid {os.getpid()} has held {path} for 10 s"):
            atomic.FileLock(path).__enter__()
    assert clock.sleeps == waited


WRITERS, TURNS = 20, 50


def test_no_writer_s_change_is_lost(tmp_path: Path, program: Runner, script: Script) -> None:
    """20 processes that each read, add one and write, 50 times: 1,000."""
    path = str(tmp_path / "count")
    atomic.write_file(path, b"0")
    text = f"""
sys.stdin.read()
for _ in range({TURNS}):
    with atomic.FileLock({path + ".lock"!r}):
        atomic.write_file({path!r}, b"%d" % (int(atomic.read_file({path!r})) + 1))
"""
    children = [program.start(*script(text), stdin=subprocess.PIPE) for _ in range(WRITERS)]
    for child in children:
        child.stdin.close()
    assert [child.wait() for child in children] == [0] * WRITERS
    assert atomic.read_file(path) == b"%d" % (WRITERS * TURNS)
    assert sorted(os.listdir(tmp_path)) == ["count", "count.lock", "home"]
