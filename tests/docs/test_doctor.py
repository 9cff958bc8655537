"""doctor.md and agentkeys-doctor(1) list what doctor says: names, severities, checks, members, exit codes."""

import re

from agentkeys.cli.doctor import EXIT_CODES
from agentkeys.setup.doctor import checks, settings
from tests.docs.pages import REPO, code, man, section
from tests.docs.test_reference import json_item, names
from tests.support.runner import Runner

PAGE = (REPO / "docs" / "reference" / "doctor.md").read_text()

USED = re.compile(r"\b(ok|note|warning|error)\(\s*\"([a-z][a-z-]*)\"")
"""How a check makes a finding."""


def test_each_name_has_a_row_with_its_severities() -> None:
    """And no row is made up."""
    used: dict[str, set[str]] = {}
    for path in (REPO / "agentkeys" / "setup" / "doctor").glob("*.py"):
        for severity, name in USED.findall(path.read_text()):
            used.setdefault(name, set()).add(severity)
    rows = re.findall(r"^\| `([a-z-]+)` \| ([a-z, ]+) \|", PAGE.partition("\n## ")[2], re.MULTILINE)
    assert {name: set(severities.split(", ")) for name, severities in rows} == used
    assert len(rows) == len(used)


def test_each_check_is_in_a_heading() -> None:
    """The word that stands in the report's second column."""
    headings = [word for heading in re.findall(r"^## (.+)$", PAGE, re.MULTILINE) for word in code(heading)]
    assert headings == list(dict.fromkeys(name for name, _check in checks.CHECKS))


def test_exit_codes_by_severity() -> None:
    """The page's first table, and the manual's list."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\d) \|$", PAGE.partition("\n## ")[0], re.MULTILINE)
    assert {severity: int(number) for severity, number in rows} == EXIT_CODES
    listed = re.findall(r"^\.It (\d)$", section(man("agentkeys-doctor.1"), "EXIT STATUS"), re.MULTILINE)
    assert {int(number) for number in listed} == set(EXIT_CODES.values())


def test_members_of_the_report(cli: Runner) -> None:
    """What --json prints is explained under --json."""
    assert set(names(cli("doctor", "--json").json())) <= set(re.findall(r"\w+", json_item(man("agentkeys-doctor.1"))))


def test_bounds_are_those_of_the_code() -> None:
    """Seconds for a keychain, a socket and everything."""
    from agentkeys.setup.doctor import call, scene
    from agentkeys.stores import keychain

    text = section(man("agentkeys-doctor.1"), "DESCRIPTION")
    assert f"{call.PATIENCE:g} seconds for a keychain and for each socket" in text
    assert f"{scene.BUDGET:g} seconds for everything" in " ".join(text.split())
    assert keychain.PROBE_SECONDS == call.PATIENCE
    assert settings.DIRECT in PAGE
