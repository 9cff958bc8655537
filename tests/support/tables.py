"""Tables of promises, and the tests that hold them, in the docstring of a test file.

    1 init twice changes nothing
        cli/test_init.py::test_init_twice_changes_nothing
        ::test_another_one_in_this_very_file
    5 something for later
        left out: it needs what isn't there yet

A row is its number (a letter may stand before it) and its promise; each line below, indented once more, is a test that
holds it, or says why there is none. `check_table` keeps it from rotting.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]

ROW = re.compile(r"^ {4}([A-Z]?\d+) (\S.*)$")
UNDER = re.compile(r"^ {8}(\S.*)$")
LEFT_OUT = "left out: "


@dataclass
class Row:
    """One promise."""

    promise: str
    tests: list[str] = field(default_factory=list)
    """path::name, the path below tests/; without one it is the table's own file."""
    left_out: str = ""
    """Why no test holds it."""


def rows_of(text: str) -> dict[str, Row]:
    """The table in a docstring; AssertionError when a number stands there twice."""
    rows: dict[str, Row] = {}
    last: Row | None = None
    for line in text.splitlines():
        if found := ROW.match(line):
            assert found[1] not in rows, f"row {found[1]} twice"
            last = rows[found[1]] = Row(found[2])
        elif (found := UNDER.match(line)) and last:
            if found[1].startswith(LEFT_OUT):
                last.left_out = found[1].removeprefix(LEFT_OUT)
            else:
                last.tests.append(found[1])
        else:
            last = None
    return rows


@cache
def tests_in(path: Path) -> frozenset[str]:
    """The names of the tests of a file."""
    tree = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return frozenset(name for name in names if name.startswith("test_"))


def check_table(file: str, text: str | None, numbers: Iterable[int | str]) -> None:
    """AssertionError unless each number has a row, and each row tests that there are, or else a reason."""
    rows = rows_of(text or "")
    assert sorted(rows) == sorted(map(str, numbers))
    missing = []
    for number, row in rows.items():
        assert row.tests or row.left_out, f"row {number} says nothing"
        for test in row.tests:
            path, _, name = test.partition("::")
            if name not in tests_in(TESTS / path if path else Path(file)):
                missing.append(f"{number}: {test}")
    assert missing == []
