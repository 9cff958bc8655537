"""What a page points to is there."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import REPO, man_pages, markdown_files


def name(path: Path) -> str:
    """A path as test reports show it."""
    return str(path.relative_to(REPO))


def anchors(path: Path) -> set[str]:
    """The anchors that a renderer makes of a file's headings (GitHub's rule)."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", markdown_files(), ids=name)
def test_relative_links_resolve(path: Path) -> None:
    """To a file of the project, and to a heading in it where one is named."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        where = (path.parent / file).resolve() if file else path
        assert where.exists(), f"{name(path)}: {target}"
        assert where.is_relative_to(REPO), f"{name(path)}: {target} is outside"
        assert not anchor or anchor in anchors(where), f"{name(path)}: {target}"


@pytest.mark.parametrize("path", markdown_files(), ids=name)
def test_named_tests_exist(path: Path) -> None:
    """`tests/a/test_b.py` is a file; behind `::` stands one of its tests."""
    for file, test in re.findall(r"`(tests/[\w/.]+?\.py)(?:::(\w+))?`", path.read_text()):
        assert (REPO / file).is_file(), f"{name(path)}: {file}"
        assert not test or f"def {test}(" in (REPO / file).read_text(), f"{name(path)}: {file}::{test}"


def test_every_page_can_be_reached() -> None:
    """docs/README.md links to each page and each manual page."""
    index = REPO / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)\)", index.read_text())}
    pages = set((REPO / "docs").rglob("*.md")) - {index}
    assert pages | {REPO / "man" / page for page in man_pages()} <= linked
