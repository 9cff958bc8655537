"""The shell around it: variables, tracers, limits; and what killed processes left. Found and mended."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentkeys import paths
from agentkeys.setup.doctor import holders, surroundings
from agentkeys.stores.atomic import FileLock
from tests.agent.seat import eventually
from tests.doctor.clinic import Case, Clinic, Env
from tests.owners.backups import backup_key
from tests.owners.tty import converse
from tests.support.uids import require

GONE_PID = 4_194_305
"""One more than Linux ever gives (PID_MAX_LIMIT, linux/threads.h)."""

IDENTITY = "AGE-SECRET-KEY-1"
"""How one begins; whatever follows is nobody's."""


def variables(**values: str) -> "Case":
    """A case of variables alone."""
    name, severity = values.pop("name"), values.pop("severity")
    return Case(name, severity, lambda _clinic: dict(values), next(iter(values)))


CASES = [
    *[
        variables(name="env-python", severity="warning", **{name: "/nonexistent"})
        for name in surroundings.LOADS_PYTHON
        if name not in ("PYTHONHOME", "PYTHONPLATLIBDIR")  # with a wrong one Python doesn't start
    ],
    variables(name="env-preload", severity="warning", LD_LIBRARY_PATH="/nonexistent"),
    variables(name="env-preload", severity="warning", LD_PRELOAD="libc.so.6"),
    variables(name="env-identity", severity="warning", AGENTKEYS_IDENTITY=IDENTITY),
    variables(name="env-session-store", severity="error", AGENTKEYS_SESSION_STORE="cloud"),
    variables(name="env-unknown", severity="note", AGENTKEYS_SOCKET="/run/x"),
    variables(name="env-owner", severity="warning", AGENTKEYS_OWNER="nosuch"),
    Case("env-owner", "warning", lambda _clinic: {"AGENTKEYS_OWNER": "no/such"}, "name"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_wrong_with_the_variables_is_found_and_mended(case: Case, clinic: Clinic) -> None:
    """By its name and with its severity; pasted, the fix leaves nothing of it."""
    clinic.treat(case.name, case.severity, case.provoke(clinic))


def test_what_is_right_with_the_variables_is_not_found(clinic: Clinic) -> None:
    """An owner that is there, a store that is one."""
    env: Env = {"AGENTKEYS_OWNER": "human", "AGENTKEYS_SESSION_STORE": "file", "AGENTKEYS_HOME": str(clinic.root)}
    assert clinic.find("environment", env)["severity"] == "ok"


def test_a_launcher_makes_pythons_variables_harmless(clinic: Clinic) -> None:
    """It is deaf to them, so they are no finding then."""
    clinic.cli("setup", "launcher", check=True)
    path = f"{clinic.home.path}/.local/bin:{clinic.cli.env['PATH']}"
    assert "env-python" not in clinic.names({"PYTHONPATH": "/nonexistent", "PATH": path})


def test_the_variables_called_ours_are_those_of_the_documentation() -> None:
    """Any other that begins like ours is called a mistake."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "environment.md").read_text()
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `AGENTKEYS_")]
    assert set(rows) == surroundings.KNOWN


def test_core_files_of_commands_are_a_note(clinic: Clinic) -> None:
    """A limit of the shell's; the fix sets it there."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    require(hard, "a hard limit of core files that isn't 0")

    def allow() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    done = clinic.cli("doctor", "--json", preexec_fn=allow)
    (found,) = [row for row in clinic.read(done) if row["name"] == "core-limit"]
    assert (found["severity"], found["fix"]) == ("note", "ulimit -c 0")
    script = f"{found['fix']}; exec agentkeys doctor --json"
    done = clinic.cli.with_prefix("/bin/sh", "-c", script)(preexec_fn=allow)
    assert "core-limit" not in [row["name"] for row in clinic.read(done)]


def test_a_traced_shell_is_found_and_freed(clinic: Clinic) -> None:
    """Whoever traces it sees what `get` prints; the fix ends the tracer, and the shell goes on."""
    require(shutil.which("strace"), "strace")
    shell = clinic.cli.with_prefix("/bin/sh").start(
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert shell.stdin
    assert shell.stdout
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", os.devnull, "-p", str(shell.pid)], stderr=subprocess.PIPE)
    with tracer:
        try:
            eventually(lambda: surroundings.tracer_of(shell.pid))
            shell.stdin.write(b"agentkeys doctor; echo END\n")
            shell.stdin.flush()
            report = b"".join(iter(shell.stdout.readline, b"END\n")).decode()
            assert "\nwarning  process" in report
            assert f"\n{' ' * 23}kill {tracer.pid}\n" in report
            shell.stdin.write(f"kill {tracer.pid}\n".encode())
            shell.stdin.flush()
            assert tracer.wait(20) is not None
        finally:
            tracer.kill()
    out, _err = shell.communicate(b"agentkeys doctor --json\n", 30)
    assert "traced" not in [row["name"] for row in json.loads(out)["findings"]]


def test_the_clock_is_named(clinic: Clinic) -> None:
    """It is the one that agents count by."""
    found = clinic.find("clock")
    assert found["severity"] == "ok"
    assert "CLOCK_" in found["what"]


# --- leftovers -----------------------------------------------------------------------------------------------


def temporary_files(clinic: Clinic) -> None:
    """Of writers that were killed."""
    for name in ("host.human.yml.age", "owners/human.json", "identity/human.key"):
        path = clinic.root / f"{name}.{GONE_PID}.tmp"
        path.write_text("")
        path.chmod(0o600)


def lock_of_a_killed_agent(clinic: Clinic) -> None:
    """With its socket."""
    process = clinic.seat.start().process
    process.kill()
    eventually(lambda: not process.is_running())


def lock_without_a_socket(clinic: Clinic) -> None:
    """Empty, since its agent was killed while it started."""
    directory = clinic.root / "run" / paths.machine_id() / "human"
    directory.mkdir(parents=True, mode=0o700)
    (directory / "private-0123.lock").touch(0o600)


LEFT = [
    Case("temp-left", "note", temporary_files),
    Case("lock-left", "note", lock_of_a_killed_agent),
    Case("lock-left", "note", lock_without_a_socket, "empty"),
]


@pytest.mark.parametrize("case", LEFT, ids=str)
def test_what_was_left_behind_is_found_and_removed(case: Case, clinic: Clinic) -> None:
    """By its name and with its severity; pasted, the fix leaves nothing of it."""
    clinic.treat(case.name, case.severity, case.provoke(clinic))


def test_what_is_in_use_is_not_left_behind(clinic: Clinic) -> None:
    """A live writer's temporary file, a live agent's lock, another user's process."""
    clinic.seat.start()
    for pid in (os.getpid(), 1):
        path = clinic.root / f"host.human.yml.age.{pid}.tmp"
        path.write_text("")
        path.chmod(0o600)
    assert clinic.find("leftovers")["severity"] == "ok"


def test_looking_at_a_lock_does_not_disturb_who_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free, held by this process, held by another; with the kernel's list and without it."""
    path = tmp_path / "x.lock"
    path.touch(0o600)
    assert holders.lock_holder(str(path)) == 0
    with FileLock(str(path)):
        assert holders.lock_holder(str(path)) == os.getpid()
        monkeypatch.setattr(holders, "lines", lambda _path: [])
        assert holders.lock_holder(str(path)) == -1
    assert holders.lock_holder(str(path)) == 0
    assert holders.lock_holder(str(tmp_path / "none")) == 0


WRITER = """
import fcntl, os, signal, sys
lock = open(sys.argv[1], "r+")
fcntl.flock(lock, fcntl.LOCK_EX)
os.kill(os.getpid(), signal.SIGSTOP)
"""
"""Takes a lock, and stops."""


def test_a_stopped_writer_is_found_and_continued(clinic: Clinic) -> None:
    """It holds the rack's lock, so every change fails after 10 s; the fix lets it finish."""
    command = [sys.executable, "-c", WRITER, str(clinic.root / "lock" / "human.lock")]
    with subprocess.Popen(command) as writer:
        try:
            assert os.WIFSTOPPED(os.waitpid(writer.pid, os.WUNTRACED)[1])
            found = clinic.find("lock-held")
            assert (found["severity"], found["fix"]) == ("warning", f"kill -CONT {writer.pid}")
            clinic.paste(found["fix"])
            assert writer.wait(20) == 0
        finally:
            writer.kill()
    assert "lock-held" not in clinic.names()


def test_a_replaced_identity_is_a_note_and_removed_only_when_it_is_not_needed(clinic: Clinic) -> None:
    """Where the rack opens with the new one, the fix removes the old; where it doesn't, none is offered."""
    key, public = backup_key(clinic.seat)
    clinic.cli("recipient", "set", "--pubkey", public, check=True)
    identity = clinic.root / "identity" / "human.key"
    identity.write_text("lost")
    code, shown = converse(clinic.cli, "restore", "--identity", str(key), replies=[(b"(yes/no)", b"yes")])
    assert code == 0, shown
    assert list(identity.parent.glob("human.key.lost-*"))
    identity.chmod(0o644)
    found = clinic.find("identity-lost")
    assert (found["severity"], found["fix"]) == ("note", "")
    identity.chmod(0o600)
    clinic.treat("identity-lost", "note")
    assert not list(identity.parent.glob("human.key.lost-*"))
    clinic.seat.start().unlock()
