"""House rules that no linter has: what every source file and page owes its reader."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import agentkeys

REPO = Path(__file__).parents[2]
SOURCES = sorted(REPO.glob("agentkeys/**/*.py"))
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")  # this file is no source
BARE = re.compile(r"# type: ignore(?!\[)|# noqa(?!:)")
PRINTERS = ("agentkeys/cli/", "agentkeys/client/")


def name(path: Path) -> str:
    """A path as test reports show it."""
    return str(path.relative_to(REPO))


@pytest.fixture(params=SOURCES, ids=name)
def source(request: pytest.FixtureRequest) -> Path:
    """Each module of the package."""
    return Path(request.param)


def test_a_module_says_what_it_owns(source: Path) -> None:
    """It opens with a docstring, and that with a sentence."""
    doc = ast.get_docstring(ast.parse(source.read_text()))
    assert doc
    assert doc.partition("\n\n")[0].rstrip().endswith((".", ":"))


def test_nothing_is_left_unfinished(source: Path) -> None:
    """No note to self, no stub, and no suppression without its code."""
    lines = source.read_text().splitlines()
    assert [line for line in lines if UNFINISHED.search(line) or BARE.search(line)] == []


def test_only_the_printers_print(source: Path) -> None:
    """Elsewhere a print is a log line that nobody redacts, or corrupts output that a shell will eval."""
    if name(source).startswith(PRINTERS):
        return
    calls = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)]
    assert [call.lineno for call in calls if ast.unparse(call.func) == "print"] == []


def test_one_version() -> None:
    """The distribution, the package and the changelog speak of the same one."""
    assert agentkeys.__version__ == PROJECT["version"]
    headings = re.findall(r"^## \[(.+?)\]", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0] == PROJECT["version"]


def test_each_page_names_itself() -> None:
    """Its mdoc header is the file's name and section, and its NAME section begins with that name."""
    for page in REPO.glob("man/*.[1-9]"):
        title, _, section = page.name.rpartition(".")
        text = page.read_text()
        assert re.search(rf"^\.Dt {re.escape(title.upper())} {section}$", text, re.MULTILINE), name(page)
        assert re.search(rf"^\.Sh NAME\n\.Nm {re.escape(title)}\b", text, re.MULTILINE), name(page)


def test_pages_refer_to_pages_that_exist() -> None:
    """A lint of ours, since mandoc takes a page that is not installed for one that does not exist."""
    pages = {page.name for page in REPO.glob("man/*.[1-9]")}
    for page in REPO.glob("man/*.[1-9]"):
        references = re.findall(r"\.Xr (agentkeys\S*) (\d)", page.read_text())
        assert {f"{title}.{section}" for title, section in references} <= pages, name(page)


def test_text_files_are_clean() -> None:
    """No tab in sources, no space at a line's end, one newline at the end of a file."""
    suffixes = {".py", ".md", ".toml", ".sh", ".zsh", ".bash", ".fish"}
    roots = ("agentkeys", "tests", "shell", "hooks", "docs", ".ci", "demo")
    files = [path for root in roots for path in (REPO / root).rglob("*") if path.suffix in suffixes]
    for path in [*files, *REPO.glob("*.md")]:
        text = path.read_text()
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), f"{name(path)}: space at a line's end"
        assert re.search(r"[^\n]\n\Z", text), f"{name(path)}: end of file"
