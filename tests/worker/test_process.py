"""The worker's process: closed to others, bounded, told nothing it needn't know, and harmless when it fails."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys import procs, wire
from agentkeys.cli import work
from agentkeys.errors import MALFUNCTION, OK, USAGE, AgentkeysError, TimedOut
from agentkeys.worker.job import Answer, encode, gather
from tests.stores.racks import write_private
from tests.stores.syscalls import Tracer
from tests.support.homes import Home
from tests.support.plugin import Plant
from tests.support.runner import Result, Runner
from tests.worker.office import WORKER, Office, error_in

SLUG = "@all.all.A"
PATIENCE = 20.0
"""Seconds for a process to get to where it waits."""


def eventually(what: Callable[[], object]) -> None:
    """Look until it is so."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "it never is"


class Waiting:
    """A worker as the CLI starts it, which waits for its job."""

    def __init__(self) -> None:
        self.worker = procs.Worker(work.SCRIPT)
        self.pid = self.worker._child.pid
        eventually(lambda: "\nUmask:\t0077" in self.read("status"))  # the last of its preparations

    def read(self, name: str) -> str:
        """A file of its /proc entry."""
        return Path(f"/proc/{self.pid}/{name}").read_text()

    def link(self, name: str) -> str:
        """A link of its /proc entry."""
        return os.readlink(f"/proc/{self.pid}/{name}")


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch, home: Home, canary: Plant) -> Waiting:
    """A worker of a caller whose environment is full of what it must not see."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    for name in ("GITHUB_TOKEN", "AGENTKEYS_SOCK", "PYTHONPATH", "PYTHONSTARTUP", "LD_LIBRARY_PATH", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, f"/tmp/{canary(name).decode()}")
    found = Waiting()
    with found.worker:
        yield found


def test_a_worker_sees_nothing_of_its_caller_s_environment(waiting: Waiting) -> None:
    """Where things are, and a fixed PATH: no value, no socket, no name that loads code."""
    environ = dict(pair.split("=", 1) for pair in waiting.read("environ").split("\0") if pair)
    assert set(environ) <= {name.decode() for name in procs.PASSED_ON} | {"PATH"}
    assert environ["PATH"] == "/usr/local/bin:/usr/bin:/bin"
    assert environ["HOME"] == os.environ["HOME"]
    assert "canary" not in str(environ)


def test_a_worker_is_started_by_itself_and_from_nowhere(waiting: Waiting) -> None:
    """Isolated Python by its absolute path, in the root directory, in a session of its own; argv holds no secret."""
    line = waiting.read("cmdline").split("\0")[:-1]
    assert os.path.isabs(line[0])
    assert line[1:] == ["-I", work.SCRIPT]
    assert waiting.link("cwd") == "/"
    assert os.getsid(waiting.pid) == waiting.pid


def test_a_worker_has_its_pipes_and_no_other_descriptor(waiting: Waiting) -> None:
    """Whatever its caller had open."""
    names = sorted(os.listdir(f"/proc/{waiting.pid}/fd"))
    assert names == ["0", "1", "2"]
    assert all(waiting.link(f"fd/{name}").startswith("pipe:") for name in names)


def test_a_worker_can_leave_no_core_and_gain_nothing(waiting: Waiting) -> None:
    """No core file, no new privileges; memory and time have an end."""
    limits = {line[:26].strip(): line[26:].split()[:2] for line in waiting.read("limits").splitlines()}
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max address space"] == [str(2 * 1024**3)] * 2
    assert limits["Max cpu time"] == ["60", "61"]
    assert "\nNoNewPrivs:\t1\n" in waiting.read("status")


def test_a_worker_closes_its_memory_before_it_reads_its_job(program: Runner, office: Office, tmp_path: Path) -> None:
    """PR_SET_DUMPABLE 0 comes before the first byte of stdin, so a value is never in memory that others may read."""
    tracer = Tracer(program, tmp_path / "strace", *WORKER, stdin=office.request("list"))
    assert tracer.run("-e", "trace=prctl,read").code == 0
    calls = re.findall(
        r"^\d+ +(prctl\(PR_SET_DUMPABLE, SUID_DUMP_DISABLE|read\(0,)", tracer.log.read_text(), re.MULTILINE
    )
    assert calls[0].startswith("prctl")
    assert "read(0," in calls


def test_a_caller_that_goes_takes_its_worker_along(program: Runner) -> None:
    """Its stdin ends without a job: it doesn't wait for ever."""
    child = program.with_prefix(*WORKER).start(stdin=-1)
    child.stdin.close()
    assert child.wait(PATIENCE) == OK


def test_a_worker_that_does_not_answer_is_timed_out_and_killed() -> None:
    """A hung keychain must not hang the CLI."""
    with pytest.raises(TimedOut), procs.Worker(work.SCRIPT) as worker:
        worker.receive(0.01)
    assert worker._child.returncode == -signal.SIGKILL


def test_a_worker_that_dies_is_said(home: Home) -> None:
    """As a malfunction, not as an empty answer."""
    worker = procs.Worker(work.SCRIPT)
    worker._child.kill()
    with worker, pytest.raises(AgentkeysError, match="the worker died") as died:
        worker.receive(PATIENCE)
    assert died.value.exit_code == MALFUNCTION


ENDS = {
    "processor": ("hardening.bound(resource.RLIMIT_CPU, 1, 1)\nwhile True: pass", "it used up its processor time"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "it was killed, as where memory runs out"),
    "other": ("sys.exit('a reason')", "a reason"),
    "silent": ("os.close(1)\ntime.sleep(60)", "it said nothing"),
}
"""What a worker does, and what is said of it."""


@pytest.mark.parametrize("end", ENDS)
def test_what_ended_a_worker_is_said(end: str, tmp_path: Path) -> None:
    """Its limit of processor time, a kill, its own last line, or nothing; a limit with what shows it."""
    does, said = ENDS[end]
    script = tmp_path / "worker.py"
    package = str(Path(procs.__file__).parent.parent)
    script.write_text(
        f"import os, resource, signal, sys, time\nsys.path.insert(0, {package!r})\n"
        f"from agentkeys import hardening\n{does}\n"
    )
    with procs.Worker(str(script)) as worker, pytest.raises(AgentkeysError) as died:
        worker.receive(PATIENCE)
    assert (died.value.message, died.value.exit_code) == (f"the worker died: {said}", MALFUNCTION)
    assert bool(died.value.hint) == (end in ("processor", "killed"))


def test_a_worker_without_memory_says_so(tmp_path: Path) -> None:
    """As an answer, with what shows the limits."""
    script = tmp_path / "worker.py"
    package = str(Path(procs.__file__).parent.parent)
    script.write_text(
        f"import sys\nsys.path.insert(0, {package!r})\nfrom agentkeys.worker import run\n"
        "def gather(receive):\n    raise MemoryError\n"
        "run.jobs.gather = gather\nsys.exit(run.main())\n"
    )
    with procs.Worker(str(script)) as worker, pytest.raises(AgentkeysError) as gave_up:
        Answer(gather(lambda: worker.receive(PATIENCE)))
    assert (gave_up.value.message, gave_up.value.hint) == (
        "the worker gave up: its memory is used up",
        "free -h; ulimit -v",
    )


def test_the_cli_s_own_way_to_a_worker_works(office: Office) -> None:
    """Job in, answer out; and a fault is raised as the worker meant it."""
    fields = [("home", str(office.root)), ("owner", "ana")]
    assert work.work("list", fields).rows == []
    with pytest.raises(AgentkeysError) as refused:
        work.work("set", [*fields, ("slug", "nonsense"), ("value", b"x")])
    assert (refused.value.exit_code, bool(refused.value.hint)) == (USAGE, True)


def harmless(done: Result) -> None:
    """An error that says something, or a death that says where and nothing else."""
    if done.out:
        assert (done.code, done.err) == (OK, b"")
        assert error_in(done)["message"]
    else:
        assert done.code != OK
        assert re.fullmatch(rb"agentkeys: error: internal fault, \w+ at [\w.]+:\d+ in \w+\n", done.err)


def bytes_of(*fields: bytes) -> bytes:
    """A message whose fields need not be a job's."""
    return wire.encode(*fields)


CANARY = b"{canary}"
GARBAGE = {
    "nothing": b"",
    "text": b"hello {canary}\n",
    "zeros": bytes(100),
    "half a length": b"\0\0",
    "an endless frame": b"\xff\xff\xff\xff{canary}",
    "a frame cut short": b"\0\0\1\0\1{canary}",
    "no field": b"\0\0\0\1\1",
    "a name without a value": bytes_of(b"list", CANARY),
    "an empty job": bytes_of(b""),
    "an unknown job": bytes_of(b"explode", b"home", CANARY),
    "a job that isn't ASCII": bytes_of(b"\xff\xfe", b"home", CANARY),
    "a field that isn't ASCII": bytes_of(b"list", b"\xff" + CANARY, b"x"),
    "no home": bytes_of(b"list", b"owner", b"ana", b"value", CANARY),
    "no owner": bytes_of(b"list", b"home", b"/nowhere", b"value", CANARY),
    "a home that isn't text": bytes_of(b"list", b"home", b"\xff\0" + CANARY, b"owner", b"ana"),
    "an owner that isn't text": bytes_of(b"list", b"home", b"/nowhere", b"owner", b"\xff" + CANARY),
    "a set of nothing": bytes_of(b"set", b"home", b"/nowhere", b"owner", b"ana", b"value", CANARY),
    "values for slugs": bytes_of(
        b"set", b"home", b"/nowhere", b"owner", b"ana", b"slug", b"\0" + CANARY, b"value", b""
    ),
    "an answer": bytes_of(b"ok", b"text", CANARY),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_gets_an_error_or_a_quiet_death(data: bytes, empty: Office, canary: Plant) -> None:
    """Never a traceback, and never a byte of what was sent."""
    value = canary("GARBAGE")
    # A canary is longer than its stand-in: lengths that no longer fit are garbage as well.
    done = empty.send(data.replace(CANARY, value))
    harmless(done)
    assert value not in done.out + done.err


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_job_gets_an_error_or_a_quiet_death(seed: int, office: Office, canary: Plant) -> None:
    """A `set` with one byte changed: refused, quietly dead, or another honest job; the value is not repeated."""
    value = canary("DAMAGED_JOB")
    whole = bytearray(office.request("set", ("slug", SLUG), ("value", value)))
    at = (0, 4, 5, 9, len(whole) // 3, len(whole) - len(value) - 1)[seed]
    whole[at] ^= 0x10
    done = office.send(bytes(whole))
    assert value not in done.out + done.err
    if not done.out.startswith(encode("ok", [])[5:11]) and b"\2ok" not in done.out[:16]:
        harmless(done)


def spoil_manifest(root: Path) -> None:
    """Bytes of nobody."""
    (root / "host.ana.yml.age").write_bytes(b"age-encryption.org/v1\n" + bytes(100))


def spoil_bundle(root: Path) -> None:
    """Cut the values short."""
    for path in (root / "vault" / "ana").iterdir():
        os.truncate(path, 30)


def spoil_audit(root: Path) -> None:
    """A directory where the chain belongs."""
    [chain] = root.glob("audit/*/ana/chain.jsonl")
    chain.unlink()
    chain.mkdir()


def spoil_identity(root: Path) -> None:
    """Open it to others."""
    (root / "identity" / "ana.key").chmod(0o644)


def spoil_card(root: Path) -> None:
    """No JSON any more."""
    write_private(root / "owners" / "ana.json", b"{")


def spoil_vault_place(root: Path) -> None:
    """A file where the directory of values belongs."""
    (root / "vault" / "ana").rename(root / "elsewhere")
    write_private(root / "vault" / "ana", b"")


SPOILERS = (spoil_manifest, spoil_bundle, spoil_audit, spoil_identity, spoil_card, spoil_vault_place)


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("size", [1, 1000], ids=["small", "large"])
def test_no_fault_repeats_a_value(spoil: Callable[[Path], None], size: int, office: Office, canary: Plant) -> None:
    """Neither the one that was to be set nor the one that was there, whatever is broken; the fault is typed."""
    old, new = canary("THERE"), canary("SENT")
    office.set(SLUG, old * size)
    spoil(office.root)
    for name, fields in (("set", [("slug", SLUG), ("value", new * size)]), ("list", []), ("del", [("slug", SLUG)])):
        done = office.send(office.request(name, *fields))
        assert done.out, f"{name} died: {done.err!r}"
        assert done.err == b""
        assert old not in done.out
        assert new not in done.out
        if name == "set":
            with pytest.raises(AgentkeysError) as refused:
                Answer(done.out)
            assert "internal" not in refused.value.message
