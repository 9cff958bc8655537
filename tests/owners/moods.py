"""Puts an odd keychain on a test's bus, and changes its mood."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen

from tests.agent.seat import PATIENCE
from tests.owners import odd_keychain
from tests.owners.bus import Bus, running


class Mood:
    """`mood("refuses CreateItem")` changes it; a keychain that has left is started again, empty."""

    def __init__(self, bus: Bus, file: Path, stack: ExitStack) -> None:
        self._bus = bus
        self._stack = stack
        self._children: list[Popen[bytes]] = []
        self.file = file

    def __call__(self, text: str) -> None:
        """Put it into that one."""
        if self._children and "leaves " in self.file.read_text():
            self._children[-1].wait(PATIENCE)  # off the bus it may still be there for a moment
        self.file.write_text(text)
        if not self._children or self._children[-1].poll() is not None:
            command = [sys.executable, odd_keychain.__file__, self._bus.address, str(self.file)]
            self._children.append(self._stack.enter_context(running(command, {**os.environ})))
            stdout = self._children[-1].stdout
            assert stdout
            assert stdout.readline() == f"{odd_keychain.READY}\n".encode()


def asked(mood: Mood) -> int:
    """How many dialogs there were."""
    path = mood.file.with_name("asked")
    return len(path.read_text().splitlines()) if path.exists() else 0


@contextmanager
def odd_wallet(bus: Bus, place: Path) -> Iterator[Mood]:
    """A keychain in a good mood."""
    with ExitStack() as stack:
        mood = Mood(bus, place / "mood", stack)
        mood("")
        yield mood
