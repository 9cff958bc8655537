"""docs/explanation/threat-model.md promises nothing that no test holds; that the tests exist, test_links.py sees to."""

import re

import pytest

from tests.docs.pages import REPO

PAGE = REPO / "docs" / "explanation" / "threat-model.md"


def promises() -> list[list[str]]:
    """The cells of each row of the tables whose last column is `test`."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", PAGE.read_text(), re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()]
        if rows[0][-1] == "test":
            found += rows[2:]
    return found


PROMISES = promises()


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: row[0][:60])
def test_a_promise_names_its_tests(row: list[str]) -> None:
    """A file of tests or one of them, at least one, and nothing else in that cell."""
    for test in row[-1].split("<br>"):
        assert re.fullmatch(r"`tests/[\w/]+\.py(::test_\w+)?`", test), row[0]


def test_there_are_promises() -> None:
    """The page's tables are read at all, and each table of promises has that column."""
    assert len(PROMISES) > 40
    headers = re.findall(r"^\| promise \|.*$", PAGE.read_text(), re.MULTILINE)
    assert headers
    assert all(header.endswith("| test |") for header in headers)
