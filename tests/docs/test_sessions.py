"""The sessions in README and tutorial, and the demo, do what they show."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.pages import REPO, Session, Step, sessions
from tests.support.runner import Runner

Plant = Callable[..., bytes]

PROMPT = b"<ready>"
HIDDEN = b"(hidden): "

NO_SESSION = "agentkeys: no login session here, so every process of this user may ask this agent"
"""Said or not, depending on the machine; no page shows it in a session."""


class Terminal:
    """A shell on a terminal, in which a reader types."""

    def __init__(self, reader: Runner, canary: Plant) -> None:
        self.canary = canary
        self.words: dict[bytes, bytes] = {}
        """The word that the page shows, by the value that was typed in its place."""
        env = {"PS1": PROMPT.decode(), "PS2": "", "TERM": "dumb", "ENV": None}
        self.child = reader.on_tty("/bin/sh", env=env, reveals=True)
        self.child.expect_exact(PROMPT)
        self.child.sendline(b"stty -echo")
        self.child.expect_exact(PROMPT)

    def play(self, session: Session) -> None:
        """Type each command, and compare what is shown."""
        values = iter(session.values)
        for step in session.steps:
            shown = self.type(step.command, values)
            assert matches(step, shown), f"{step.command!r} printed\n{shown}"
        assert list(values) == [], "values that nothing asked for"

    def type(self, command: str, values: Iterator[str]) -> str:
        """What the terminal shows until the next prompt."""
        self.child.sendline(command.encode())
        shown = b""
        while self.child.expect_exact([PROMPT, HIDDEN]) == 1:
            shown += self.child.before + HIDDEN
            word = next(values)
            value = self.canary(word)
            self.words[value] = word.encode()
            self.child.sendline(value)
        shown += self.child.before
        for value, given in self.words.items():
            shown = shown.replace(value, given)
        lines = [line.rstrip() for line in shown.decode().replace("\r\n", "\n").splitlines()]
        return "".join(f"{line}\n" for line in lines if line not in (NO_SESSION, command))


def matches(step: Step, shown: str) -> bool:
    """Whether `shown` is what the page says; `…` is any characters, a line `...` any lines."""
    pattern = ""
    for line in step.expected:
        pattern += r"(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("…"))) + r"\n"
    return re.fullmatch(pattern, shown) is not None


PLAYED = [
    "README.md",
    "docs/how-to/where-sessions-are.md",
    "docs/tutorial/from-env-to-agentkeys.md",
    "docs/tutorial/two-robots-one-laptop.md",
]


@pytest.mark.parametrize("page", PLAYED)
def test_a_session_prints_what_the_page_shows(page: str, reader: Runner, canary: Plant) -> None:
    """Typed on a terminal in an empty home, one after the other, every command prints what stands below it."""
    found = sessions(REPO / page)
    assert found
    terminal = Terminal(reader, canary)
    for session in found:
        terminal.play(session)


def test_a_wrong_session_is_noticed() -> None:
    """Another line, a missing line and a line too many differ; the two signs stand for what they say."""
    assert matches(Step("", ["a …", "..."]), "a b\nc\nd\n")
    assert matches(Step("", []), "")
    assert not matches(Step("", ["a …"]), "a b\nc\n")
    assert not matches(Step("", ["a", "b"]), "a\n")
    assert not matches(Step("", []), "a\n")


def test_the_demo_shows_what_it_says(reader: Runner) -> None:
    """It ends well, shows each owner's value and each way to fail, and leaves no directory behind."""
    before = set(Path("/tmp").glob("ak-demo.*"))
    done = reader("/bin/sh", REPO / "demo" / "demo.sh", check=True)
    assert b"\ndemo-seaturtle-1f0e\n" in done.out
    assert b"\ndemo-mechanic-9c4b\n" in done.out
    for number in (2, 3, 4, 5):
        assert b"# exit code %d\n" % number in done.out
    assert set(Path("/tmp").glob("ak-demo.*")) == before


def test_the_demo_notices_what_differs(reader: Runner, tmp_path: Path) -> None:
    """A program that always succeeds and prints nothing is no agentkeys."""
    (tmp_path / "bin" / "agentkeys").write_text("#!/bin/sh\nexit 0\n")
    done = reader("/bin/sh", REPO / "demo" / "demo.sh")
    assert done.code == 1
    assert b"expected exit code 4, got 0" in done.err
