"""A terminal's alternate screen, for something that is drawn again and again until somebody has seen enough.

Rule 1: however it ends (q, Ctrl-C, a signal, an error), the terminal is as it was: screen, cursor and input mode.
Rule 2: Ctrl-Z gives the terminal back too, and fg takes it again.
Rule 3: between two drawings the process sleeps; a key, a signal or the next drawing's time wakes it.
"""

import contextlib
import os
import posix
import select
import signal
import termios
import time
from collections.abc import Callable
from types import FrameType
from typing import Self

from agentkeys.errors import INTERRUPTED, OK

ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"
"""Switch to the alternate screen without a cursor, and back (xterm's DECSET 1049 and DECTCEM, ctlseqs(ms))."""

HOME, CLEAR_LINE, CLEAR_REST = b"\x1b[H", b"\x1b[K", b"\x1b[J"

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SIGNALS = (*ENDING, signal.SIGTSTP, signal.SIGWINCH)

QUIT = b"qQ\x03\x04"
"""Keys that end it, as in less(1) and top(1); Ctrl-C where the terminal sends it as a byte, and Ctrl-D."""


def is_there(environ: "dict[bytes, bytes]") -> bool:
    """Whether stdout is a terminal that knows an alternate screen."""
    return os.isatty(1) and environ.get(b"TERM", b"dumb") != b"dumb"


class Wakeup:
    """Sleep that a signal of SIGNALS or a key ends. A context manager: outside the signals do what they did."""

    def __init__(self, keys: bool) -> None:
        self.keys = keys and os.isatty(0)
        """Whether keys of the terminal on stdin end it too."""
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        os.set_blocking(self._reader, False)
        self._old = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in SIGNALS:
            self._before[number] = signal.signal(number, _ignore)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() returned
        signal.set_wakeup_fd(self._old)
        os.close(self._reader)
        os.close(self._writer)

    def sleep(self, until: float) -> "tuple[list[int], bytes]":
        """Sleep until that time.monotonic(); the signals and keys that came."""
        watched = [self._reader, 0] if self.keys else [self._reader]
        ready, _, _ = select.select(watched, [], [], max(0.0, until - time.monotonic()))
        numbers = list(os.read(self._reader, 64)) if self._reader in ready else []
        typed = b""
        if 0 in ready:
            with contextlib.suppress(OSError):
                typed = os.read(0, 64)
            self.keys = bool(typed)  # at its end it would be ready for ever
        return numbers, typed


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor says it."""


class Screen:
    """A context manager: inside, the alternate screen is ours."""

    def __enter__(self) -> Self:
        self._mode = None
        if os.isatty(0):
            with contextlib.suppress(termios.error):
                self._mode = termios.tcgetattr(0)
        self.enter()
        return self

    def __exit__(self, *exc: object) -> None:
        self.leave()

    def enter(self) -> None:
        """Take the terminal: keys come one by one and aren't shown; Ctrl-C and Ctrl-Z stay signals."""
        if self._mode is not None:
            quiet = [*self._mode]
            quiet[3] &= ~(termios.ICANON | termios.ECHO)
            self._set_mode(quiet)
        _write(ENTER)

    def leave(self) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            _write(LEAVE)
        if self._mode is not None:
            self._set_mode(self._mode)

    @staticmethod
    def _set_mode(mode: "list[object]") -> None:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(0, termios.TCSADRAIN, mode)  # type: ignore[arg-type]  # what tcgetattr() returned

    @staticmethod
    def size() -> "tuple[int, int]":
        """Columns and lines."""
        try:
            found = os.get_terminal_size(1)
        except OSError:
            return 80, 24
        return max(found.columns, 1), max(found.lines, 1)

    @staticmethod
    def draw(lines: "list[str]") -> None:
        """Show these lines, each over the one before it, so that nothing flickers."""
        text = (CLEAR_LINE + b"\r\n").join([line.encode("utf-8", "replace") for line in lines])
        _write(HOME + text + CLEAR_LINE + CLEAR_REST)

    def stop(self) -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again when we go on."""
        self.leave()
        before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        posix.kill(posix.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, before)
        self.enter()


def show(draw: "Callable[[int, int], list[str]]", refresh: "Callable[[], None]", seconds: float) -> int:
    """Draw on the alternate screen, after a refresh every `seconds`, until somebody ends it; the exit code.

    `draw` is given columns and lines, and is called again when they change.
    """
    with Wakeup(keys=True) as wakeup, Screen() as screen:
        due = time.monotonic()
        while True:
            if due <= time.monotonic():
                refresh()
                due = time.monotonic() + seconds
            screen.draw(draw(*screen.size()))
            numbers, typed = wakeup.sleep(due)
            ending = [number for number in numbers if number in ENDING]
            if ending or any(key in QUIT for key in typed):
                break
            if signal.SIGTSTP in numbers:
                screen.stop()
                due = time.monotonic()
    return ended_by(ending[0]) if ending else OK


def repeat(print_: "Callable[[], None]", seconds: float) -> int:
    """Call `print_` every `seconds` until a signal ends it; the exit code. For output that is no terminal."""
    with Wakeup(keys=False) as wakeup:
        while True:
            print_()
            due = time.monotonic() + seconds
            ending: list[int] = []
            while not ending and due > time.monotonic():
                numbers, _ = wakeup.sleep(due)
                ending = [number for number in numbers if number in ENDING]
                if signal.SIGTSTP in numbers:
                    posix.kill(posix.getpid(), signal.SIGSTOP)
            if ending:
                break
    return ended_by(ending[0])


def ended_by(number: int) -> int:
    """What a signal makes of us: Ctrl-C is an exit code, of the others we die."""
    if number != signal.SIGINT:
        signal.signal(number, signal.SIG_DFL)
        posix.kill(posix.getpid(), number)
    return INTERRUPTED


def _write(data: bytes) -> None:
    """Write all of it to the terminal. Raises OSError when that is gone."""
    left = memoryview(data)
    while left:
        try:
            left = left[posix.write(1, left) :]
        except BlockingIOError:  # whoever shares the terminal made it so
            select.select([], [1], [])
