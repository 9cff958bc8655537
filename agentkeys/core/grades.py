"""How well a key is kept: protection at rest and how long the credential itself lasts, as `encrypted/permanent`.

protection   reference (only where it is, not what)  <  encrypted  <  plaintext
duration     transient (in memory only)  <  ephemeral (it ends by itself)  <  permanent

Less is better on both axes; a minimum names the worst that is allowed.
"""

from agentkeys.errors import UsageFault

PROTECTIONS = ("reference", "encrypted", "plaintext")
DURATIONS = ("transient", "ephemeral", "permanent")
"""Best first."""

WORST = "plaintext"
"""The minimum that allows every grade."""

GRADES = frozenset([f"{protection}/{duration}" for protection in PROTECTIONS for duration in DURATIONS])

TRANSIENT = "/transient"
"""How the grade of a value ends that rests nowhere: forgotten is gone."""


def grade(protection: str, expires: bool, in_memory: bool) -> str:
    """The grade of a key whose vault protects it so; `expires` says that its issuer ends it."""
    duration = "transient" if in_memory else "ephemeral" if expires else "permanent"
    return f"{protection}/{duration}"


def parse_minimum(text: str) -> "tuple[str, str]":
    """(protection, duration) of `encrypted`, `ephemeral` or `encrypted/ephemeral`; an axis not named allows all.

    Raises UsageFault.
    """
    words = text.split("/")
    protections = [word for word in words if word in PROTECTIONS]
    durations = [word for word in words if word in DURATIONS]
    if len(protections) > 1 or len(durations) > 1 or len(protections) + len(durations) < len(words):
        raise UsageFault(
            "not a grade: it is a protection (reference, encrypted, plaintext), a duration (transient, ephemeral, "
            "permanent), or both with a / between",
            'minimum_grade = "encrypted"',
        )
    return (*protections, WORST)[0], (*durations, DURATIONS[-1])[0]


def meets(found: str, minimum: str) -> bool:
    """Whether a grade is as good as `minimum` on both axes. Raises UsageFault when that is no minimum."""
    protection, _, duration = found.partition("/")
    least, longest = parse_minimum(minimum)
    kept = PROTECTIONS.index(protection) <= PROTECTIONS.index(least)
    return kept and DURATIONS.index(duration) <= DURATIONS.index(longest)
