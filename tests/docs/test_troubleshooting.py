"""The messages that head the sections of troubleshooting.md are the program's own words."""

import ast
import re

import pytest

from agentkeys import errors
from agentkeys.core.holdings import Held, Holdings, Staged
from agentkeys.core.secret import Secret
from agentkeys.errors import Locked
from tests.docs.pages import REPO

HEADINGS = re.findall(
    r"^### `(.+)`(?: \((\d+)\))?$", (REPO / "docs/how-to/troubleshooting.md").read_text(), re.MULTILINE
)

SHORTEST = 9
"""Characters of constant text that tell a message from any other string."""


def patterns() -> list[re.Pattern[str]]:
    """A pattern for each string of the package: what is put in while it runs may be anything."""
    found = []
    for path in (REPO / "agentkeys").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts: list[ast.expr] = [node]
            elif isinstance(node, ast.JoinedStr):
                parts = node.values
            else:
                continue
            constant = [part.value if isinstance(part, ast.Constant) else None for part in parts]
            if sum(len(str(text)) for text in constant if text is not None) >= SHORTEST:
                found.append(re.compile("".join(".+" if text is None else re.escape(str(text)) for text in constant)))
    return found


PATTERNS = patterns()


SHORT = ("SLUG is locked", "SLUG is expired")
"""Too short to be found as a pattern."""


@pytest.mark.parametrize("message", [message for message, _ in HEADINGS if message not in SHORT])
def test_the_program_says_so(message: str) -> None:
    """Word for word; capitals stand for what differs."""
    assert any(pattern.fullmatch(message) for pattern in PATTERNS)


def test_the_program_says_the_short_ones() -> None:
    """A key that is in the rack and not held is locked; one whose time is over is expired."""
    held = Holdings("human")
    staged = Staged()
    staged.brought["@all.all.A"] = Held(Secret(b""), 1, "", "")
    staged.directory = ["@all.all.A", "@all.all.B"]
    held.bring(staged)
    held.expire(2)
    said = []
    for name in ("B", "A"):
        with pytest.raises(Locked) as fault:
            held.resolve("@all", "all", name)
        said.append(fault.value.message.replace(f"@all.all.{name}", "SLUG"))
    assert tuple(said) == SHORT
    assert set(SHORT) <= {message for message, _ in HEADINGS}


def test_codes_exist() -> None:
    """Each heading's number is an exit code."""
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert {int(number) for _, number in HEADINGS if number} <= codes


def test_each_has_a_solution() -> None:
    """A message without a way out is not help."""
    text = (REPO / "docs/how-to/troubleshooting.md").read_text()
    sections = re.split(r"^#{2,3} ", text, flags=re.MULTILINE)[1:]
    assert [part.partition("\n")[0] for part in sections if part.startswith("`") and "**Solution.**" not in part] == []
