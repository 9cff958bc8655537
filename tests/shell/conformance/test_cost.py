"""What the hook costs at a prompt where nothing changed, by the kernel's word: no process, and hardly a system call."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.agent.seat import PATIENCE, Seat, eventually
from tests.shell.conformance.terminals import AT_PROMPT, Terminal, count, counting
from tests.support.uids import require

ENTERS = 100
"""Empty lines; row 70's thousand is `make soak`'s."""

BATCH = 20
"""Of them typed at a time."""

PLAIN_PROMPT = {"fish": "function fish_prompt; echo -n '> '; end"}
"""fish's own prompt runs git."""

SETTLED = 3
"""Prompts until a shell's own line editor and completion have read what they read once."""


def begun(trace: Path) -> int:
    """How many processes the shell began; fish has threads besides."""
    return len(
        re.findall(r"^(?:\d+ +)?(?:clone|fork|vfork|execve)3?\((?!.*CLONE_THREAD)", trace.read_text(), re.MULTILINE)
    )


@pytest.mark.parametrize("enters", [ENTERS, pytest.param(1000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", AT_PROMPT)
def test_prompts_start_no_process_row_70(name: str, enters: int, shared: Seat, tmp_path: Path) -> None:
    """Nor do changes of directory from nowhere to nowhere, but in tcsh, which can't tell."""
    strace = shutil.which("strace")
    require(strace, "strace")
    shell = Terminal(shared, name, before=PLAIN_PROMPT.get(name, ""))
    shell.run(*[""] * SETTLED)
    trace = tmp_path / "trace"
    command = [str(strace), "-f", "-qq", "-e", "trace=clone,clone3,fork,vfork,execve", "-o", str(trace)]
    with subprocess.Popen([*command, "-p", str(shell.child.pid)], stderr=subprocess.DEVNULL) as tracer:
        try:
            eventually(lambda: tracer_of(shell.child.pid))
            for _ in range(enters // BATCH):
                shell.run(*[""] * BATCH)
                shell.screen()  # a terminal that nobody reads holds only so many prompts
            if name != "tcsh":
                shell.run("cd /usr", "cd /usr/bin", "cd /")
        finally:
            tracer.send_signal(signal.SIGINT)
            try:
                tracer.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                tracer.kill()  # it can wait for ever for a vfork that it let go of half way
    assert begun(trace) == 0, trace.read_text()
    assert shell.state() == "unlocked"
    shell.close()


def tracer_of(pid: int) -> bool:
    """Whether somebody traces a process by now."""
    return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.parametrize("name", AT_PROMPT)
def test_a_change_is_asked_for_once(name: str, shared: Seat) -> None:
    """One start of the program for each relock or unlock, however many prompts follow."""
    path, calls = counting(shared)
    shell = Terminal(shared, name, env={"PATH": path})
    before = count(calls)
    shared.cli("agent", "--reload", check=True)
    shell.run(*[""] * 5)
    assert count(calls) == before + 1
    shell.close()


def test_a_copy_of_the_hook_is_as_good(shared: Seat, tmp_path: Path) -> None:
    """What is printed is the file that lies in the package, byte for byte, for every shell that has one."""
    folder = Path(__file__).parents[3] / "shell"
    for file in folder.glob("hook.*"):
        printed = shared.cli("hook", file.suffix[1:], check=True).out
        assert printed == file.read_bytes()
    assert shared.cli("hook", "csh", check=True).out == (folder / "hook.tcsh").read_bytes()
