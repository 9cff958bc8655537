"""Grades: how a key rests and how long its credential lasts, compared on both axes at once."""

import itertools

import pytest

from agentkeys.core import grades
from agentkeys.errors import UsageFault


@pytest.mark.parametrize(
    ("protection", "expires", "in_memory", "grade"),
    [
        ("encrypted", False, False, "encrypted/permanent"),
        ("encrypted", True, False, "encrypted/ephemeral"),
        ("encrypted", False, True, "encrypted/transient"),
        ("encrypted", True, True, "encrypted/transient"),
        ("reference", False, False, "reference/permanent"),
        ("reference", True, False, "reference/ephemeral"),
        ("plaintext", False, False, "plaintext/permanent"),
        ("plaintext", True, False, "plaintext/ephemeral"),
    ],
)
def test_a_grade_is_protection_and_duration(protection: str, expires: bool, in_memory: bool, grade: str) -> None:
    """What rests nowhere is transient, whenever its issuer ends it."""
    assert grades.grade(protection, expires, in_memory) == grade
    assert grade in grades.GRADES


def test_there_are_nine() -> None:
    """Three by three, the best first in either list."""
    assert len(grades.GRADES) == 9
    assert (grades.PROTECTIONS[0], grades.PROTECTIONS[-1]) == ("reference", "plaintext")
    assert (grades.DURATIONS[0], grades.DURATIONS[-1]) == ("transient", "permanent")


@pytest.mark.parametrize(
    ("minimum", "meant"),
    [
        ("reference", ("reference", "permanent")),
        ("encrypted", ("encrypted", "permanent")),
        ("plaintext", ("plaintext", "permanent")),
        ("transient", ("plaintext", "transient")),
        ("ephemeral", ("plaintext", "ephemeral")),
        ("permanent", ("plaintext", "permanent")),
        ("encrypted/ephemeral", ("encrypted", "ephemeral")),
        ("ephemeral/encrypted", ("encrypted", "ephemeral")),
    ],
)
def test_an_axis_that_is_not_named_allows_all(minimum: str, meant: tuple[str, str]) -> None:
    """One word is a minimum, too; of two, the order is nobody's business."""
    assert grades.parse_minimum(minimum) == meant


@pytest.mark.parametrize(
    "minimum",
    [
        "", "/", "good", "Encrypted", " encrypted", "encrypted/", "/ephemeral", "encrypted/good", "encrypted,ephemeral",
        "encrypted/ephemeral/permanent", "encrypted/encrypted", "encrypted/ephemeral\n",
    ],
)  # fmt: skip
def test_anything_else_is_refused(minimum: str) -> None:
    """A typo in the operator's rule must not allow everything."""
    with pytest.raises(UsageFault) as refusal:
        grades.parse_minimum(minimum)
    assert "minimum_grade" in refusal.value.hint


@pytest.mark.parametrize("minimum", ["encrypted/plaintext", "ephemeral/permanent", "reference/encrypted"])
def test_two_words_of_one_axis_are_refused(minimum: str) -> None:
    """The later would silently undo the earlier: "encrypted/plaintext" would allow plain text."""
    with pytest.raises(UsageFault):
        grades.parse_minimum(minimum)


def test_a_minimum_holds_on_both_axes() -> None:
    """A grade meets it exactly when it is no worse in protection and no worse in duration."""
    for found, minimum in itertools.product(sorted(grades.GRADES), repeat=2):
        (kept, lasts), (least, longest) = found.split("/"), minimum.split("/")
        expected = grades.PROTECTIONS.index(kept) <= grades.PROTECTIONS.index(least)
        expected = expected and grades.DURATIONS.index(lasts) <= grades.DURATIONS.index(longest)
        assert grades.meets(found, minimum) == expected, (found, minimum)


def test_the_worst_minimum_allows_all() -> None:
    """What counts without a setting."""
    assert all(grades.meets(found, grades.WORST) for found in grades.GRADES)
