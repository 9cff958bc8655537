"""The pages of promises promise nothing that no test holds; that the tests exist, test_links.py sees to."""

import re

import pytest

from tests.docs.pages import REPO

PAGES = {"threat-model": 40, "reliability": 40}
"""By name, and fewer promises than each has: so that a table that isn't read any more is noticed."""

SAYS_SO = ("promise", "accident", "store", "trial", "what", "it")
"""The first column's heading of a table of promises; where it is another, there may be a table without tests."""


def tables(page: str) -> list[list[list[str]]]:
    """Each table of a page: its rows, and their cells."""
    text = (REPO / "docs" / "explanation" / f"{page}.md").read_text()
    return [
        [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()]
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    ]


ROWS = [(page, row) for page in PAGES for table in tables(page) if table[0][-1] == "test" for row in table[2:]]


@pytest.mark.parametrize(("page", "row"), ROWS, ids=lambda it: it if isinstance(it, str) else it[0][:60])
def test_a_promise_names_its_tests(page: str, row: list[str]) -> None:
    """A file of tests or one of them, at least one, and nothing else in that cell."""
    for test in row[-1].split("<br>"):
        assert re.fullmatch(r"`tests/[\w/]+\.py(::test_\w+)?`", test), row[0]


@pytest.mark.parametrize("page", PAGES)
def test_there_are_promises(page: str) -> None:
    """The page's tables are read at all, and each table of promises has that column."""
    assert sum(found == page for found, _ in ROWS) > PAGES[page]
    headers = [table[0] for table in tables(page) if table[0][0] in SAYS_SO]
    assert headers
    assert all(header[-1] == "test" for header in headers)
