"""Where a secret value comes from: a hidden prompt, a pipe, a file, a variable. Never an argument."""

import os
import select
import termios

from agentkeys import client
from agentkeys.errors import UsageFault
from agentkeys.wire import MAX_VALUE

MAX_LINE = 4095
"""Bytes: a terminal in line mode keeps no more of one line and drops the rest silently (termios(3), MAX_CANON)."""


def read_value(name: str, from_file: str, from_env: str) -> bytes:
    """The value for key `name`. Raises UsageFault when it is missing, empty or over 1 MiB, or two sources are named."""
    if from_file and from_env:
        raise UsageFault(
            "--from-file and --from-env are two sources for one value", f"agentkeys set {name} --from-file FILE"
        )
    if from_file:
        value = read_file(from_file, f"agentkeys set {name} --from-file FILE")
    elif from_env:
        value = os.environb.get(from_env.encode("utf-8", "surrogateescape"), b"")
        if not value:
            raise UsageFault(f"the variable {from_env!a} is unset or empty", f"agentkeys set {name} --from-file FILE")
    elif os.isatty(0):
        value = prompt_hidden(f"value of {name} (hidden): ")
    else:
        value = _without_echo_newline(name, _read_all(0))
    if not value:
        raise UsageFault("the value is empty, so nothing is stored", f"agentkeys set {name}")
    if len(value) > MAX_VALUE:
        raise UsageFault(
            "the value is over 1 MiB, so nothing is stored; keep the file elsewhere, and its key here",
            f"agentkeys set {name}",
        )
    return value


def read_file(path: str, hint: str) -> bytes:
    """A file of the caller's, or a pipe's all; no more of it than tells that it is over 1 MiB. Raises UsageFault."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _read_all(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise UsageFault(f"{path!a} can't be read: {error.strerror}", hint) from None


def _read_all(fd: int) -> bytes:
    """Everything there is, but no more than tells that it is too much."""
    data = b""
    while len(data) <= MAX_VALUE:
        piece = os.read(fd, MAX_VALUE + 2 - len(data))
        if not piece:
            break
        data += piece
    return data


def _without_echo_newline(name: str, value: bytes) -> bytes:
    """Drop the newline that `echo` and heredocs add to a one-line value, and say so; keep everything else as it is."""
    if value.endswith(b"\n") and value.count(b"\n") == 1:
        bare = value[:-2] if value.endswith(b"\r\n") else value[:-1]
        if bare:
            client.note(f"the newline at the end of {name} is dropped; --from-file keeps every byte")
        return bare
    return value


def prompt(text: str) -> str:
    """Ask for a line that is no secret, on the terminal. Raises UsageFault without one."""
    try:
        tty = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise UsageFault("there is no terminal to ask on; --yes goes without") from None
    try:
        os.write(tty, text.encode())
        return _read_line(tty).decode("utf-8", "replace").strip()
    finally:
        os.close(tty)


def prompt_hidden(text: str) -> bytes:
    """Ask on the terminal without echo, which comes back on Enter and on Ctrl-C.

    Ctrl-Z is off meanwhile, because it would leave the shell without echo. Raises KeyboardInterrupt; UsageFault
    without a terminal, and for what a hidden line can't hold: 4 KiB, several lines, control characters.
    """
    try:
        tty = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise UsageFault("there is no terminal to ask on", "agentkeys set NAME --from-file FILE") from None
    try:
        before = termios.tcgetattr(tty)
        hidden = termios.tcgetattr(tty)
        hidden[3] &= ~(termios.ECHO | termios.ECHONL)
        hidden[6][termios.VSUSP] = b"\0"  # _POSIX_VDISABLE on Linux; macOS takes 0 as a character nobody types
        try:
            termios.tcsetattr(tty, termios.TCSANOW, hidden)
            os.write(tty, text.encode())
            line = _read_line(tty)
            more = bool(select.select([tty], [], [], 0)[0])
        finally:
            # What is left of a paste is dropped: in the shell it would run, and stay in the history.
            termios.tcsetattr(tty, termios.TCSAFLUSH, before)
            os.write(tty, b"\n")
    finally:
        os.close(tty)
    if more or len(line) >= MAX_LINE:
        raise UsageFault(
            "more was pasted than one line of 4 KiB, so nothing is taken", "agentkeys set NAME --from-file FILE"
        )
    if any(byte < 32 or byte == 127 for byte in line.replace(b"\t", b"")):
        raise UsageFault("a control character was typed, so nothing is taken", "agentkeys set NAME --from-file FILE")
    return line


def _read_line(tty: int) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_LINE:
        piece = os.read(tty, 2 * MAX_LINE)
        if not piece:
            break
        line += piece
    return line.removesuffix(b"\n")
