"""Vaults are found by name: ours at once, another package's by its entry point, and nothing else."""

import importlib.metadata
from pathlib import Path

import pytest

from agentkeys import vaults
from agentkeys.errors import UsageFault
from agentkeys.vaults import open_vault
from agentkeys.vaults.base import Place, State, Vault
from tests.vaults.suite import place_at


class Elsewhere(Vault):
    """A vault of another package."""

    name = "elsewhere"
    protection = "reference"

    def read(self, state: State) -> "dict[str, bytes]":
        """See Vault."""
        return {}

    def write(self, state: State, changes: "dict[str, bytes | None]") -> State:
        """See Vault."""
        return {}

    def settle(self, state: State) -> None:
        """See Vault."""


class Points(list):
    """Stands for what other packages declare."""

    asked = 0

    def __call__(self, group: str) -> "Points":
        """As importlib.metadata.entry_points."""
        assert group == "agentkeys.vaults"
        self.asked += 1
        return self


class Point:
    """One declaration."""

    value = "package:It"

    def __init__(self, name: str, found: object) -> None:
        self.name = name
        self.found = found

    def load(self) -> object:
        """What the declaration leads to."""
        return self.found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Any owner's."""
    return place_at(tmp_path / "ana")


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Points:
    """The declarations of other packages."""
    made = Points()
    monkeypatch.setattr(importlib.metadata, "entry_points", made)
    return made


@pytest.mark.parametrize("name", vaults.OURS)
def test_ours_are_found_without_looking_elsewhere(name: str, place: Place, points: Points) -> None:
    """No other package can take their names, and nobody waits 35 ms for the search."""
    points.append(Point(name, Elsewhere))
    assert open_vault(name, place).name == name
    assert points.asked == 0


def test_another_package_s_vault_is_found(place: Place, points: Points) -> None:
    """By the name it declared."""
    points += [Point("other", Elsewhere), Point("elsewhere", Elsewhere)]
    assert isinstance(open_vault("elsewhere", place), Elsewhere)


@pytest.mark.parametrize("found", [object(), dict, "text"])
def test_a_declaration_of_something_else_is_refused(found: object, place: Place, points: Points) -> None:
    """The error names what was declared."""
    points.append(Point("named", found))
    with pytest.raises(UsageFault, match=r"package:It is no vault") as refusal:
        open_vault("named", place)
    assert refusal.value.hint


class Sealed(Elsewhere):
    """Says of itself what no grade knows."""

    protection = "sealed"


def test_a_protection_that_no_grade_knows_is_refused(place: Place, points: Points) -> None:
    """An agent would refuse the whole unlock for that one key."""
    points.append(Point("named", Sealed))
    with pytest.raises(UsageFault, match=r"none of reference, encrypted, plaintext") as refusal:
        open_vault("named", place)
    assert refusal.value.hint


@pytest.mark.parametrize("error", [ImportError("secret"), AttributeError("secret"), ZeroDivisionError(), KeyError(1)])
def test_a_package_that_can_t_be_loaded_is_refused(error: Exception, place: Place, points: Points) -> None:
    """Whatever its import raises: what failed is named, its text, which is foreign, isn't shown."""

    class Broken(Point):
        """A package whose dependency is missing."""

        def load(self) -> object:
            """Fails."""
            raise error

    points.append(Broken("named", None))
    with pytest.raises(UsageFault, match=rf"package:It can't be loaded: {type(error).__name__}$") as refusal:
        open_vault("named", place)
    assert refusal.value.hint


def test_every_vault_is_named_once(points: Points) -> None:
    """Ours first, and no other under a name of ours."""
    points += [Point("other", Elsewhere), Point("os.secure", Elsewhere), Point("another", Elsewhere)]
    assert vaults.names() == [*vaults.OURS, "another", "other"]


def test_an_unknown_name_is_refused_with_those_there_are(place: Place, points: Points) -> None:
    """Ours and other packages'."""
    points.append(Point("other", Elsewhere))
    known = r"no vault 'named'; there is os\.secure, os\.direct, os\.envvar, os\.daemon, keychain, other"
    with pytest.raises(UsageFault, match=known) as refusal:
        open_vault("named", place)
    assert refusal.value.hint


def test_a_vault_that_does_not_keep_the_contract_cannot_be_made(place: Place) -> None:
    """Each of its three methods is asked for when it is made, not when a value is lost."""

    class Half(Vault):
        """Reads only."""

        def read(self, state: State) -> "dict[str, bytes]":
            """See Vault."""
            return {}

    with pytest.raises(TypeError, match="abstract"):
        Half(place)
