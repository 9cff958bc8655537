"""Reads manual pages (mdoc) and markdown, as far as tests compare them with the code."""

import re
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).parents[2]

MACROS = frozenset("Ar Cm Dv Ev Fl Li Nm No Ns Op Oo Oc Pa Pc Po Pq Ql Ta Xo Xc Xr".split())
"""The macros that end a flag's name on its line (mdoc(7))."""


def man(name: str) -> str:
    """The source of a manual page, such as `agentkeys.1`."""
    return (REPO / "man" / name).read_text()


def man_pages() -> list[str]:
    """The names of all manual pages."""
    return sorted(path.name for path in (REPO / "man").glob("*.[1-9]"))


def section(page: str, title: str, macro: str = "Sh") -> str:
    """The source of a section (Sh) or subsection (Ss) of a page, up to the next; "" when there is none."""
    stop = r"^\.Sh " if macro == "Sh" else r"^\.S[hs] "
    found = re.search(rf'^\.{macro} "?{re.escape(title)}"?\n(.*?)(?={stop}|\Z)', page, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def flags(text: str) -> set[str]:
    """The options that `Fl` names in mdoc source, as typed: `Fl -for` is --for, `Fl k` is -k."""
    found = set()
    for line in text.splitlines():
        words = line.removeprefix(".").split() if line.startswith(".") else []
        inside = False
        for word in words:
            if word in MACROS:
                inside = word == "Fl"
            elif inside and word not in ("|", ",", "...", "-"):
                found.add("-" + word)
    return found


def synopsis(page: str) -> dict[str, set[str]]:
    """The options of each verb in a page's SYNOPSIS; the verb is what `.Nm agentkeys Cm` names."""
    verbs: dict[str, set[str]] = {}
    for block in re.split(r"^\.Nm agentkeys Cm ", section(page, "SYNOPSIS"), flags=re.MULTILINE)[1:]:
        verb, _, rest = block.partition("\n")
        verbs.setdefault(verb, set()).update(flags(rest))
    return verbs


def items(text: str, macro: str) -> list[str]:
    """What stands behind `.It MACRO` on each such line."""
    return re.findall(rf"^\.It {macro} (.+)$", text, re.MULTILINE)


def plain(line: str) -> str:
    """A line of mdoc without its macros; what `Ns` joins is joined."""
    line = re.sub(r" Ns (Ar|Pa|No) ", "", line.replace("\\&", ""))
    return re.sub(r"\b(Ar|Pa) ", "", line)


def markdown_files() -> list[Path]:
    """Every markdown file of the project's own."""
    deeper = [path for folder in ("docs", "hooks", "shell") for path in (REPO / folder).rglob("*.md")]
    return sorted([*REPO.glob("*.md"), *deeper])


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the first markdown table whose header begins with `heading`, cells stripped."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            break
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def code(text: str) -> list[str]:
    """Everything between single backticks."""
    return re.findall(r"`([^`\n]+)`", text)


@dataclass
class Step:
    """One command of a session and what it should print."""

    command: str
    expected: list[str] = field(default_factory=list)
    """Lines; `…` in one stands for any characters, a line `...` for any lines."""


@dataclass
class Session:
    """A console block that is marked with `<!-- run -->` or `<!-- run: value value -->`."""

    values: list[str]
    """What is typed at its hidden prompts, in this order."""
    steps: list[Step]


def sessions(path: Path) -> list[Session]:
    """The runnable sessions of a markdown file."""
    found = []
    pattern = r"^<!-- run(?:: (.+?))? -->\n```console\n(.*?)^```$"
    for values, body in re.findall(pattern, path.read_text(), re.MULTILINE | re.DOTALL):
        steps: list[Step] = []
        for line in body.splitlines():
            if line.startswith("$ "):
                steps.append(Step(line[2:]))
            else:
                steps[-1].expected.append(line)
        found.append(Session(values.split(), steps))
    return found
