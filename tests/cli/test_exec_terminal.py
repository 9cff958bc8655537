"""exec at a real terminal in a real bash: the command owns the keyboard, and the terminal is sane afterwards."""

import os
import shlex
import sys
from collections.abc import Iterator

import pexpect
import pytest

from tests.agent.seat import Seat

COUNTER = """
import os, signal, sys
got = []
signal.signal(signal.SIGINT, lambda *_: got.append("INT"))
signal.signal(signal.SIGWINCH, lambda *_: os.write(1, b"resized\\n"))
print("started", flush=True)
line = sys.stdin.readline()
print("got", got, "line", line.strip(), flush=True)
"""


@pytest.fixture
def bash(seat: Seat) -> Iterator["pexpect.spawn[bytes]"]:
    """An interactive bash with `ak` for the program under test."""
    shell = seat.cli.with_prefix("bash", "--norc", "--noprofile", "-i").on_tty(env={"PS1": "ready> ", "TERM": "dumb"})
    shell.expect_exact(b"ready> ")
    program = shlex.join(os.fsdecode(word) for word in seat.cli.prefix)
    shell.sendline(f'ak() {{ {program} "$@"; }}'.encode())
    shell.expect_exact(b"ready> ")
    yield shell
    shell.close(force=True)


def code(shell: "pexpect.spawn[bytes]") -> int:
    """The exit code of the command before."""
    shell.expect_exact(b"ready> ")
    shell.sendline(b"echo code=$?")
    shell.expect(rb"code=(\d+)\r\n")
    found = int(shell.match.group(1))
    shell.expect_exact(b"ready> ")
    return found


def counting(seat: Seat) -> bytes:
    """A command that counts its interrupts."""
    path = seat.home.path / "counter.py"
    path.write_text(COUNTER)
    return f"ak exec -- {sys.executable} -IS {path}".encode()


def test_ctrl_c_reaches_the_command_once(seat: Seat, bash: "pexpect.spawn[bytes]") -> None:
    """One key, one SIGINT; the command goes on if it likes, and its line is read by nobody else."""
    bash.sendline(counting(seat))
    bash.expect_exact(b"started")
    bash.sendintr()
    bash.expect_exact(b"^C")
    bash.sendline(b"hello")
    bash.expect_exact(b"got ['INT'] line hello")
    assert code(bash) == 0


def test_ctrl_c_ends_a_command_that_does_not_mind(seat: Seat, bash: "pexpect.spawn[bytes]") -> None:
    """130, and the shell goes on."""
    bash.sendline(b"ak exec -- sh -c 'echo started; exec sleep 60'")
    bash.expect_exact(b"started\r\n")
    bash.sendintr()
    assert code(bash) == 130


def test_ctrl_z_and_fg_are_the_shells(seat: Seat, bash: "pexpect.spawn[bytes]") -> None:
    """The command stops, the shell says so, fg brings it back with its keys and its input."""
    bash.sendline(counting(seat))
    bash.expect_exact(b"started")
    bash.sendcontrol("z")
    bash.expect_exact(b"Stopped")
    bash.expect_exact(b"ready> ")
    bash.sendline(b"fg")
    bash.expect_exact(b"agentkeys")
    bash.sendline(b"hello")
    bash.expect_exact(b"got [] line hello")
    assert code(bash) == 0


def test_a_resized_window_reaches_the_command(seat: Seat, bash: "pexpect.spawn[bytes]") -> None:
    """SIGWINCH, and the new size."""
    bash.sendline(counting(seat))
    bash.expect_exact(b"started")
    bash.setwinsize(40, 100)
    bash.expect_exact(b"resized")
    bash.sendline(b"hello")
    bash.expect_exact(b"line hello")
    bash.expect_exact(b"ready> ")
    bash.sendline(b"ak exec -- stty size")
    bash.expect_exact(b"40 100\r\n")


def test_the_terminal_is_as_it_was(seat: Seat, bash: "pexpect.spawn[bytes]") -> None:
    """Modes before and after are the same, after success, Ctrl-C and a refusal."""
    states = []
    for command in (b":", b"ak exec -- true", b"ak exec -- sh -c 'kill -INT $$'", b"ak exec --key NOPE -- true"):
        bash.sendline(command)
        bash.expect_exact(b"ready> ")
        bash.sendline(b"stty -g")
        bash.expect(rb"([0-9a-f]+:[0-9a-f:]+)\r\n")
        states.append(bash.match.group(1))
        bash.expect_exact(b"ready> ")
    assert len(set(states)) == 1


def test_a_person_is_told_how_many_keys_went_along(seat: Seat, bash: "pexpect.spawn[bytes]") -> None:
    """One line on the terminal when none was named; none when they were."""
    bash.sendline(b"ak exec -- echo done")
    bash.expect_exact(b"2 keys injected")
    bash.expect_exact(b"done\r\n")
    bash.expect_exact(b"ready> ")
    bash.sendline(b"ak exec --key GITHUB_TOKEN -- echo 'd'one")
    bash.expect(rb"'one\r\n(.*)done\r\n")
    assert b"injected" not in bash.match.group(1)
