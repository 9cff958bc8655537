"""Typing a value at a real terminal: nothing is shown, nothing is left behind, and the terminal is as it was."""

import pexpect
import pytest

from tests.agent.seat import Seat
from tests.support.plugin import Plant

PROMPT = rb"GITHUB_TOKEN.*: ?"


def at_prompt(rack: Seat) -> "pexpect.spawn[bytes]":
    """`agentkeys set GITHUB_TOKEN` on a terminal, waiting for the value."""
    child = rack.cli.on_tty("set", "GITHUB_TOKEN")
    child.expect(PROMPT)
    assert child.waitnoecho(10)
    return child


def in_shell(rack: Seat) -> "pexpect.spawn[bytes]":
    """A bash with job control, at its prompt."""
    shell = rack.cli.with_prefix("bash", "--norc", "--noprofile", "-i").on_tty(env={"PS1": "ready> ", "TERM": "dumb"})
    shell.expect_exact(b"ready> ")
    return shell


def kept(rack: Seat) -> bytes:
    """What the rack holds now."""
    rack.start().unlock()
    return rack.get("GITHUB_TOKEN", check=True).out


def test_a_typed_value_is_not_shown(rack: Seat, canary: Plant) -> None:
    """Echo is off while it is typed, and the rack holds exactly what was typed."""
    value = canary("typed at the prompt")
    child = at_prompt(rack)
    child.sendline(value)
    child.expect_exact(b"replaced")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert kept(rack) == value


def test_the_prompt_comes_when_echo_is_off(rack: Seat, canary: Plant) -> None:
    """Whoever answers as soon as the prompt is there, a script or a paste, is neither echoed nor lost."""
    value = canary("typed at once")
    child = rack.cli.on_tty("set", "GITHUB_TOKEN")
    child.delaybeforesend = None
    child.expect(PROMPT)
    child.sendline(value)
    child.expect_exact(b"replaced")
    child.close()
    assert kept(rack) == value


def test_only_the_prompt_is_written_to_the_terminal(rack: Seat, canary: Plant) -> None:
    """With stdout in a pipe, the prompt still reaches the person, and the pipe gets only the result."""
    shell = in_shell(rack)
    program = " ".join(rack.cli.prefix)  # type: ignore[arg-type]  # words without blanks
    shell.sendline(f"{program} set GITHUB_TOKEN > out; echo code=$?".encode())
    shell.expect(PROMPT)
    assert shell.waitnoecho(10)
    shell.sendline(canary("typed with stdout elsewhere"))
    shell.expect_exact(b"code=0")
    assert (rack.home.path / "out").read_bytes() == b"replaced @all.all.GITHUB_TOKEN in os.secure of human\n"


def test_ctrl_c_stores_nothing_and_restores_echo(rack: Seat, canary: Plant) -> None:
    """Exit 130, the terminal echoes again, and the value that was half typed is in no file."""
    program = " ".join(rack.cli.prefix)  # type: ignore[arg-type]  # words without blanks
    shell = in_shell(rack)
    shell.sendline(f"{program} set GITHUB_TOKEN; echo code=$?".encode())
    shell.expect(PROMPT)
    assert shell.waitnoecho(10)
    shell.send(canary("half typed"))
    shell.sendintr()
    shell.expect(rb"code=(\d+)")
    assert shell.match.group(1) == b"130"
    shell.expect_exact(b"ready> ")
    shell.sendline(b"stty -a | tr ' ;' '\\n\\n' | grep -x -e echo -e icanon -e isig; stty -a | grep -o 'susp = ..'")
    shell.expect_exact(b"isig\r\nicanon\r\necho\r\nsusp = ^Z\r\n")
    assert kept(rack) == rack.values["GITHUB_TOKEN"]


def test_ctrl_z_at_the_prompt_is_inert(rack: Seat, canary: Plant) -> None:
    """It neither stops the program with echo off nor gets into the value."""
    value = canary("typed around Ctrl-Z")
    child = at_prompt(rack)
    child.send(value[:10])
    child.send(b"\x1a")
    child.sendline(value[10:])
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus in (0, 2)
    assert kept(rack) == (value if child.exitstatus == 0 else rack.values["GITHUB_TOKEN"])


@pytest.mark.parametrize("typed", [b"\n", b"\x04"], ids=["enter", "ctrl-d"])
def test_an_empty_answer_stores_nothing(typed: bytes, rack: Seat) -> None:
    """Exit 2, and the old value stays."""
    child = at_prompt(rack)
    child.send(typed)
    child.expect_exact(b"empty")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2
    assert kept(rack) == rack.values["GITHUB_TOKEN"]


@pytest.mark.parametrize("size", [1000, 4000, 4094, 4095, 6000, 20_000])
def test_a_long_typed_value_is_kept_whole_or_refused(size: int, rack: Seat, canary: Plant) -> None:
    """A terminal's line holds 4,095 bytes; what doesn't fit is never cut in silence."""
    value = canary("long").ljust(size, b"x")
    child = at_prompt(rack)
    for start in range(0, size, 500):
        child.send(value[start : start + 500])
    child.sendline()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus in (0, 2)
    assert size > 4000 or child.exitstatus == 0
    assert (kept(rack) == value) == (child.exitstatus == 0)


def test_a_pasted_multi_line_value_is_not_typed_into_the_shell(rack: Seat, canary: Plant) -> None:
    """The lines after the first are refused with the first; they don't become commands and history."""
    lines = [canary(f"line {number}") for number in range(3)]
    program = " ".join(rack.cli.prefix)  # type: ignore[arg-type]  # words without blanks
    shell = in_shell(rack)
    shell.sendline(f"{program} set GITHUB_TOKEN; echo code=$?".encode())
    shell.expect(PROMPT)
    assert shell.waitnoecho(10)
    shell.send(b"\n".join(lines) + b"\n")
    shell.expect(rb"code=(\d+)")
    assert shell.match.group(1) == b"2"
    shell.expect_exact(b"ready> ")
    shell.sendline(b"echo still alive; history")
    shell.expect_exact(b"still alive\r\n")
    shell.expect_exact(b"ready> ")
    assert b"canary" not in shell.before
    assert kept(rack) == rack.values["GITHUB_TOKEN"]


def test_without_a_terminal_nobody_is_asked(rack: Seat) -> None:
    """No value on stdin and no terminal: exit 2 at once instead of a prompt that nobody sees."""
    done = rack.cli("set", "GITHUB_TOKEN")
    assert done.code == 2
    assert b"hidden" not in done.out + done.err
