"""`agentkeys status --all --watch` on a terminal: live, and afterwards the terminal is as it was."""

import os
import re
import signal
import termios
from typing import TypeAlias

import pexpect
import pytest

from tests.agent.seat import Seat, eventually

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
TERMINAL = {"TERM": "xterm"}

Child: TypeAlias = "pexpect.spawn[bytes]"


def watch(seat: Seat) -> Child:
    """Watch, and see the first drawing."""
    child = seat.cli.on_tty("status", "--all", "--watch", env=TERMINAL)
    child.expect_exact(ENTER)
    child.expect_exact("q quits")
    return child


def mode(child: Child) -> "list[object]":
    """The terminal's input mode."""
    return list(termios.tcgetattr(child.fileno()))


def end(child: Child) -> bytes:
    """Read to its end; what it showed."""
    child.expect_exact(LEAVE)
    shown = child.before + (child.after or b"")
    rest = child.read()
    child.wait()
    assert ENTER.encode() not in rest
    return bytes(shown)


@pytest.mark.parametrize(
    ("how", "code", "killed"), [("q", 0, None), ("\x03", 130, None), (signal.SIGTERM, None, signal.SIGTERM)]
)
def test_however_it_ends_the_terminal_is_as_it_was(
    how: "str | signal.Signals", code: "int | None", killed: "int | None", seat: Seat
) -> None:
    """q, Ctrl-C and a signal: the screen is given back, the cursor shown, and typing is echoed again."""
    before = seat.cli.on_tty("status", "--all", "--watch", env=TERMINAL)
    as_it_was = mode(before)
    before.expect_exact("q quits")
    eventually(lambda: not mode(before)[3] & termios.ECHO)  # type: ignore[operator]  # c_lflag, a number
    if isinstance(how, str):
        before.send(how)
    else:
        before.kill(how)
    before.expect_exact(LEAVE)
    eventually(lambda: mode(before) == as_it_was)
    before.read()
    before.wait()
    assert (before.exitstatus, before.signalstatus) == (code, killed)


def test_what_changes_is_seen(seat: Seat) -> None:
    """A use, and a relock, without a key being pressed."""
    child = watch(seat)
    child.expect(r"unlocked\S*\s+2/2\s+8h59m\s+-")
    seat.cli("exec", "--", "true", check=True)
    child.expect(r"unlocked\S*\s+2/2\s+8h59m\s+\d+s ago")
    seat.cli("relock", check=True)
    child.expect(r"locked\S*\s+0/2")
    child.send("q")
    end(child)


def test_a_window_that_changes_is_filled_again(seat: Seat) -> None:
    """At once, within its width, and with a count of what doesn't fit its height."""
    child = watch(seat)
    child.setwinsize(4, 40)
    child.expect_exact("agentkeys: 1 owner, 1 agent, 2 keys held")
    child.expect_exact("\x1b[J")
    lines = re.sub(r"\x1b\[\d*[Km]", "", child.before.decode()).split()
    assert lines[-1] == "8h…"
    child.setwinsize(3, 100)
    child.expect_exact("2 more: agentkeys status --all")
    child.send("q")
    end(child)


def test_an_agent_that_is_stopped_does_not_block_the_screen(seat: Seat) -> None:
    """It is shown not to answer, and q ends at once all the same; when it goes on it is shown again."""
    child = watch(seat)
    pid = seat.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        child.expect_exact("no answer")
    finally:
        os.kill(pid, signal.SIGCONT)
    child.expect_exact("unlocked")
    child.send("q")
    end(child)


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(seat: Seat) -> None:
    """As less(1) and top(1) do."""
    shell = seat.cli.with_prefix("bash", "--norc", "--noprofile", "-i").on_tty(env={**TERMINAL, "PS1": "ready> "})
    shell.expect_exact("ready> ")
    words = " ".join(os.fsdecode(word) for word in seat.cli.prefix)
    shell.sendline(f"{words} status --all --watch")
    shell.expect_exact(ENTER)
    shell.expect_exact("q quits")
    shell.send("\x1a")
    shell.expect_exact(LEAVE)
    shell.expect_exact("Stopped")
    shell.expect_exact("ready> ")
    shell.sendline("fg")
    shell.expect_exact(ENTER)
    shell.expect_exact("q quits")
    shell.send("q")
    shell.expect_exact(LEAVE)
    shell.expect_exact("ready> ")
    shell.sendline("exit")
    shell.read()


def test_a_terminal_that_knows_no_screens_gets_plain_text(seat: Seat) -> None:
    """TERM=dumb, as in an editor's shell."""
    child = seat.cli.on_tty("status", "--all", "--watch", env={"TERM": "dumb", "NO_COLOR": "1"})
    child.expect_exact("OWNER")
    child.expect_exact("OWNER")
    assert b"\x1b" not in child.before
    child.send("\x03")
    child.read()
    child.wait()
    assert child.exitstatus == 130


def test_it_sleeps_between_two_looks(seat: Seat) -> None:
    """It takes the processor for a few milliseconds of each two seconds."""
    child = watch(seat)
    with open(f"/proc/{child.pid}/stat", "rb") as file:
        before = sum(map(int, file.read().split()[13:15]))
    for _ in range(2):
        child.expect_exact("q quits")
    with open(f"/proc/{child.pid}/stat", "rb") as file:
        ticks = sum(map(int, file.read().split()[13:15])) - before
    assert ticks / os.sysconf("SC_CLK_TCK") < 0.5
    child.send("q")
    end(child)
