"""A process of the same uid can't casually read what an agent or a worker holds: every usual channel is closed."""

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agentkeys.setup.doctor.agents import tracer_of
from tests.agent.seat import Seat, eventually, watched
from tests.support.plugin import Plant
from tests.support.uids import SYSTEM_PYTHON, User

CHANNELS = (
    "mem environ maps smaps fd cwd exe auxv syscall stack io "
    "ptrace-attach ptrace-seize process_vm_readv process_vm_writev pidfd_getfd"
).split()

READER = r"""
import ctypes, os, signal, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)

class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]

def file(name):
    with open(f"/proc/{pid}/{name}", "rb") as opened:
        if name == "mem":
            return True
        opened.read(64)

def somewhere():
    # an address that is mapped in this process and, without -R, hardly elsewhere: permission is judged before it
    return ctypes.addressof(ctypes.create_string_buffer(8))

def vm(call):
    local, remote = ctypes.create_string_buffer(8), somewhere()
    ours, theirs = Iovec(ctypes.addressof(local), 8), Iovec(remote, 8)
    if call(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) < 0 and ctypes.get_errno() in (1, 13):
        raise PermissionError

def ptrace(request):
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(request, pid, None, None) < 0:
        raise PermissionError
    if request == 16:
        os.waitpid(pid, 0x40000000)
    libc.ptrace(17, pid, None, None)

def getfd():
    if libc.syscall(438, os.pidfd_open(pid), 0, 0) < 0:
        raise PermissionError

tries = {name: (lambda name=name: file(name)) for name in "mem environ maps smaps auxv syscall stack io".split()}
tries["fd"] = lambda: os.readlink(f"/proc/{pid}/fd/0")
tries["cwd"] = lambda: os.readlink(f"/proc/{pid}/cwd")
tries["exe"] = lambda: os.readlink(f"/proc/{pid}/exe")
tries["ptrace-attach"] = lambda: ptrace(16)
tries["ptrace-seize"] = lambda: ptrace(0x4206)
tries["process_vm_readv"] = lambda: vm(libc.process_vm_readv)
tries["process_vm_writev"] = lambda: vm(libc.process_vm_writev)
tries["pidfd_getfd"] = getfd
for name, attempt in tries.items():
    try:
        attempt()
        print(name, "open")
    except PermissionError:
        print(name, "closed")
    except OSError as error:
        print(name, "closed" if error.errno in (1, 13) else error)
"""


def channels(user: User, pid: int) -> dict[str, str]:
    """How each channel to process `pid` answers another process of the same user."""
    out = user.run(SYSTEM_PYTHON, "-c", READER, str(pid), check=True).out.decode()
    found = dict(line.split(" ", 1) for line in out.splitlines())
    assert set(found) == set(CHANNELS)
    return found


@pytest.mark.serial
def test_no_channel_leads_into_an_agent(users_agent: Seat, other_user: User) -> None:
    """Each is open into an ordinary process of that user (the control), and closed into the user's agent."""
    ordinary = other_user.run.start("/bin/sleep", "60")
    eventually(lambda: psutil.Process(ordinary.pid).name() == "sleep")
    opened = channels(other_user, ordinary.pid)
    kernels_own = {"stack"}  # root's alone on every process
    assert {name for name, state in opened.items() if state == "open"} >= set(CHANNELS) - kernels_own
    assert channels(other_user, users_agent.pid) == dict.fromkeys(CHANNELS, "closed")
    assert users_agent.status()["memory_protected"] is True
    assert users_agent.get("GITHUB_TOKEN").out == users_agent.values["GITHUB_TOKEN"]


@pytest.mark.serial
def test_no_channel_leads_into_a_worker(other_user: User) -> None:
    """The process that opens identities closes its memory before it reads its job."""
    (script,) = other_user.venv.glob("lib/python*/site-packages/agentkeys/worker/__main__.py")
    worker = other_user.run.start(other_user.venv / "bin" / "python", "-I", script, stdin=subprocess.PIPE)
    eventually(lambda: _dumpable(worker.pid) == 0)
    eventually(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_SLEEPING)
    assert channels(other_user, worker.pid) == dict.fromkeys(CHANNELS, "closed")
    worker.kill()
    worker.wait()


def _dumpable(pid: int) -> int:
    """0 when its /proc files are root's, which is how the kernel shows a process that isn't dumpable."""
    return 1 if os.stat(f"/proc/{pid}/environ").st_uid else 0


@pytest.fixture(params=["file", "pipe"])
def core_files(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where this machine puts core files during the test: written by the kernel, or piped to a program.

    A pipe is fed whatever RLIMIT_CORE says (core(5)), so there it is the process's own protection that counts.
    """
    pattern = Path("/proc/sys/kernel/core_pattern")
    if os.geteuid() or not os.access(pattern, os.W_OK):
        pytest.skip("needs root, and a core_pattern that it may change")
    before = pattern.read_text()
    place = Path("/tmp") / f"ak-cores-{os.getpid()}"
    place.mkdir()
    place.chmod(0o777)
    try:
        pattern.write_text(f"{'|/usr/bin/tee ' if request.param == 'pipe' else ''}{place}/core.%p")
        yield place
    finally:
        pattern.write_text(before)
        for path in place.iterdir():
            path.unlink()
        place.rmdir()


def _unlimited() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


@pytest.mark.serial
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_an_agent_that_crashes_leaves_no_core(number: signal.Signals, locked: Seat, core_files: Path) -> None:
    """Although core files were allowed where it was started; an ordinary process, the control, leaves one."""
    control = locked.cli.with_prefix("sleep", "60").start(preexec_fn=_unlimited)
    with watched(control.pid) as gone:
        control.send_signal(number)
        gone()
    eventually(lambda: [path.name for path in core_files.iterdir()] == [f"core.{control.pid}"])
    locked.cli("agent", "-k", check=True)
    locked.cli("agent", preexec_fn=_unlimited, check=True)
    locked.unlock()
    pid = locked.pid
    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
    with watched(pid) as gone:
        os.kill(pid, number)
        gone()
    second = locked.cli.with_prefix("sleep", "60").start(preexec_fn=_unlimited)
    second.send_signal(number)
    cores = {f"core.{control.pid}", f"core.{second.pid}"}
    eventually(lambda: {path.name for path in core_files.iterdir()} >= cores)
    assert {path.name for path in core_files.iterdir()} == cores


def test_an_agent_does_not_start_under_a_tracer(rack: Seat) -> None:
    """strace -f: exit 6 naming the tracer, `false;` for eval, and no agent left; without it, the same start works."""
    traced = rack.cli.with_prefix("strace", "-f", "-o", "/dev/null", "-e", "trace=none", *rack.cli.prefix)
    done = traced("agent")
    assert (done.code, done.out) == (6, b"false;\n")
    assert b"traces this process" in done.err
    assert rack.home.agents() == []
    assert rack.start().status()


def test_a_traced_agent_takes_no_more_values(seat: Seat, canary: Plant) -> None:
    """Root attached a debugger to a live one: unlock is refused with 6 and the tracer's pid, and so on record."""
    if os.geteuid():
        pytest.skip("needs root, to trace a protected process")
    seat.set("LATER", canary("not to be unlocked"))
    pid = seat.pid
    tracer = seat.cli.with_prefix("strace", "-qq", "-o", "/dev/null", "-e", "trace=none").start("-p", str(pid))
    eventually(lambda: tracer_of(pid) == str(tracer.pid))
    done = seat.cli("unlock")
    assert done.code == 6
    assert f"pid {tracer.pid} traces this process".encode() in done.err
    assert (seat.chain()[-1]["verb"], seat.chain()[-1]["decision"]) == ("unlock", "deny")
    assert seat.states()["LATER"] == "locked"
    tracer.terminate()
    tracer.wait()
    assert seat.unlock().states()["LATER"] == "unlocked"


def test_a_agent_gains_no_privileges(seat: Seat) -> None:
    """NO_NEW_PRIVS, no core limit, and no debugger in sight."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{seat.pid}/status").read_text().splitlines())
    assert status["NoNewPrivs"] == "1"
    assert status["TracerPid"] == "0"
    limits = Path(f"/proc/{seat.pid}/limits").read_text()
    (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]


def _locked_bytes(pid: int) -> int:
    """VmLck of proc(5)."""
    (line,) = [row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmLck")]
    return int(line.split()[1]) * 1024


def test_values_are_kept_out_of_swap(users_agent: Seat) -> None:
    """An ordinary user's agent, within the usual limit: what holds a value is locked, and `status` says so."""
    assert users_agent.status()["memory_locked"] is True
    assert _locked_bytes(users_agent.pid) >= 64 * 1024
    assert b"not locked" not in users_agent.cli("status", check=True).out


def test_an_agent_that_may_lock_nothing_works_and_says_so(other_user: User, canary: Plant) -> None:
    """RLIMIT_MEMLOCK 0: everything is served, and `status` warns in words and in JSON."""
    limited = other_user.cli.with_prefix("prlimit", "--memlock=0:0", *other_user.cli.prefix)
    found = Seat(other_user.home, limited, {"GITHUB_TOKEN": canary("unlocked memory")})
    limited("init", "--via", "file", check=True)
    limited("set", "GITHUB_TOKEN", input=found.values["GITHUB_TOKEN"], check=True)
    found.start().unlock()
    assert found.status()["memory_locked"] is False
    assert b"memory   not locked" in found.cli("status", check=True).out
    assert _locked_bytes(found.pid) == 0
    assert found.get("GITHUB_TOKEN").out == found.values["GITHUB_TOKEN"]


def _copies(pid: int, value: bytes) -> int:
    """How often `value` is in the memory of a process, as root sees it."""
    count = 0
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            ends, rights = line.split()[:2]
            if "r" not in rights or "[v" in line:
                continue
            start, end = (int(text, 16) for text in ends.split("-"))
            memory.seek(start)
            try:
                count += memory.read(end - start).count(value)
            except OSError:
                continue  # a guard page
    return count


FORGETTING = {
    "relock": ("relock",),
    "relock of the key": ("relock", "GITHUB_TOKEN"),
    "lock": ("lock",),
    "del": ("del", "GITHUB_TOKEN"),
}


@pytest.mark.serial
@pytest.mark.parametrize("verb", FORGETTING.values(), ids=FORGETTING)
def test_what_is_forgotten_is_nowhere_in_memory(verb: "tuple[str, ...]", seat: Seat) -> None:
    """After reads of both kinds, root finds the value while it is held, and not a single copy afterwards (X05)."""
    if os.geteuid():
        pytest.skip("needs root, to read a protected process's memory")
    value = seat.values["GITHUB_TOKEN"]
    for _ in range(3):
        seat.get("GITHUB_TOKEN")
        seat.cli("exec", "--", "true", check=True)
    seat.unlock()
    assert _copies(seat.pid, value) >= 1
    seat.cli(*verb, check=True)
    assert _copies(seat.pid, value) == 0


@pytest.mark.serial
def test_what_expired_is_nowhere_in_memory(seat: Seat) -> None:
    """Likewise when time takes it away."""
    if os.geteuid():
        pytest.skip("needs root, to read a protected process's memory")
    seat.cli("unlock", "--duration", "1s", check=True)
    eventually(lambda: seat.get("GITHUB_TOKEN").code == 4)
    assert _copies(seat.pid, seat.values["GITHUB_TOKEN"]) == 0
