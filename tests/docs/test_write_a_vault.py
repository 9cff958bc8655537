"""The page about vaults shows the example that the tests install, and the contract as it is."""

import ast
import inspect
import re

import pytest

from agentkeys.core.grades import PROTECTIONS
from agentkeys.vaults.base import Place, Vault
from tests.docs.pages import REPO, code, table

PAGE = (REPO / "docs" / "how-to" / "write-a-vault.md").read_text()
PACKAGE = REPO / "tests" / "vaults" / "example_package"

SHOWN = dict(re.findall(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
"""The files that the page shows whole, by name."""


def first_words(heading: str) -> set[str]:
    """What the first column of a table names, without arguments."""
    return {re.match(r"\w+", text)[0] for row in table(PAGE, heading) for text in code(row[0])}  # type: ignore[index]


def test_the_files_are_those_of_the_package() -> None:
    """All of it, byte for byte: who copies the page has what the tests install."""
    files = {path.name: path.read_text() for path in PACKAGE.iterdir() if path.suffix in (".py", ".toml")}
    assert files == SHOWN


def test_every_member_of_a_place_is_explained() -> None:
    """And none that isn't there."""
    assert first_words("member") == set(inspect.signature(Place).parameters)


def test_every_method_is_explained() -> None:
    """Each public one of the contract."""
    methods = {name for name, it in vars(Vault).items() if inspect.isfunction(it) and not name.startswith("_")}
    assert first_words("method") == methods


def test_every_attribute_is_explained() -> None:
    """What a vault says of itself, with the words for its protection."""
    members = ast.parse(inspect.getsource(Vault)).body[0]
    assert isinstance(members, ast.ClassDef)
    names = {it.target.id for it in members.body if isinstance(it, ast.AnnAssign) and isinstance(it.target, ast.Name)}
    names |= {it.targets[0].id for it in members.body if isinstance(it, ast.Assign)}  # type: ignore[attr-defined]
    assert first_words("attribute") == names
    (row,) = [row for row in table(PAGE, "attribute") if row[0] == "`protection`"]
    assert set(PROTECTIONS) <= set(code(row[1]))


@pytest.mark.parametrize("name", ["VaultFault", "Locked", "TimedOut", "Absent"])
def test_the_errors_it_names_are_errors(name: str) -> None:
    """Of agentkeys.errors, and the page names each."""
    from agentkeys import errors

    assert issubclass(getattr(errors, name), errors.AgentkeysError)
    assert f"`{name}`" in PAGE
