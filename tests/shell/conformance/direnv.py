"""Where direnv's own hook stands, by rows of this suite: for information, and no test.

    .venvs/3.11/bin/python -m tests.shell.conformance.direnv

The tests of a row are run as they are, once with our hook in the start-up file and once with direnv's, whose user says
`use agentkeys` in an .envrc, so that both have the same to tell. What is printed is a table; the exit code says only
whether it could be made.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.shell.conformance import test_table
from tests.shell.conformance.terminals import KINDS
from tests.support.tables import TESTS, Row, rows_of

HOOKS = ("agentkeys", "direnv")

ROWS = "45 46 50 51 52 54 55 56 62 63 70 73".split()
"""Those that any hook can keep, whatever it is for."""

Outcomes = dict[tuple[str, str], list[bool | None]]
"""By row and shell, whether each test of it held; None where direnv has no hook."""


def tests_of(row: Row) -> list[str]:
    """The tests of a row, as pytest is given them."""
    return [str(TESTS / it) if it[0] != ":" else test_table.MANNERS.as_posix() + it for it in row.tests]


def shell_of(case: str) -> str:
    """The shell in a test's name, bash where there is none."""
    return next((word for word in re.split(r"[^a-z]", case.partition("[")[2]) if word in KINDS), "bash")


def outcomes(hook: str, rows: dict[str, Row]) -> Outcomes:
    """Run all of it with one hook."""
    tests = {test.rpartition("::")[2]: number for number, row in rows.items() for test in row.tests}
    found: Outcomes = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", f"--junitxml={report}"]
        words = [test for row in rows.values() for test in tests_of(row)]
        env = {**os.environ, "CONFORMANCE_HOOK": hook}
        subprocess.run([*command, *words], env=env, stdout=subprocess.DEVNULL)
        for case in ET.parse(report).iter("testcase"):
            name = case.get("name", "")
            held = None if case.find("skipped") is not None else len(case) == 0
            found[tests[name.partition("[")[0]], shell_of(name)].append(held)
    return found


def verdict(held: list[bool | None]) -> str:
    """A cell."""
    kept = sum(map(bool, held))
    return "kept" if kept == len(held) else "not kept" if not kept else f"{kept} of {len(held)} kept"


def main() -> None:
    """Print the table, for the shells that both know."""
    rows = {number: row for number, row in rows_of(test_table.__doc__ or "").items() if number in ROWS}
    ours, theirs = (outcomes(hook, rows) for hook in HOOKS)
    width = max([len(row.promise) for row in rows.values()])
    lines = [("row", "", "shell", *HOOKS)]
    lines += [
        (number, rows[number].promise, shell, verdict(ours[number, shell]), verdict(theirs[number, shell]))
        for number, shell in ours
        if None not in theirs[number, shell]
    ]
    for number, promise, shell, mine, direnvs in lines:
        sys.stdout.write(f"{number:<3} {promise:<{width}}  {shell:<5}  {mine:<9}  {direnvs}\n")


if __name__ == "__main__":
    main()
