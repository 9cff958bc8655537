"""What somebody meant who made a typo, and who there is to be meant; only a call that fails asks."""

import posix

from agentkeys import paths
from agentkeys.errors import UsageFault

MAX_TYPO = 2
"""Letters that differ, at most, between a word and one that it can be a typo of."""


def near(word: str, words: "list[str]") -> "list[str]":
    """Those of `words` that a typo can have meant, the nearest first."""
    told = [(_distance(word, other), other) for other in words]
    return [other for distance, other in sorted(told) if distance <= MAX_TYPO and distance < len(other)]


def owners(root: str) -> "list[str]":
    """Every owner of this home, sorted."""
    try:
        names = posix.listdir(f"{root}/owners")
    except OSError:
        return []
    return sorted([name.removesuffix(".json") for name in names if name.endswith(".json")])


def no_owner(root: str, owner: str, asked: "str | None" = None) -> UsageFault:
    """The error for an owner that isn't there: the near ones, else all that are.

    `asked` is what --for said, "" when it said nothing; None where that isn't known. What the variables of this shell
    brought about is named, because nobody typed it.
    """
    there = owners(root)
    here, by = "here", ""
    if b"AGENTKEYS_HOME" in posix.environ and root != f"{paths.user_home(posix.environ)}/.agentkeys":
        here = f"in {root}"
    hint = f"agentkeys init --for {owner}"
    if asked == "" and posix.environ.get(b"AGENTKEYS_OWNER"):
        by, hint = ", which AGENTKEYS_OWNER names", "unset AGENTKEYS_OWNER"
    if close := near(owner, there):
        return UsageFault(f"no owner {owner} {here}{by}; near it: {', '.join(close)}", "agentkeys owner list")
    known = f"; there is {', '.join(there)}" if there else ""
    return UsageFault(f"no owner {owner} {here}{by}{known}", hint)


def _distance(one: str, other: str) -> int:
    """Levenshtein's: letters put in, left out or changed. Own lines, because difflib brings re and collections."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        diagonal, row[0] = row[0], at
        for to, its in enumerate(other, 1):
            diagonal, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, diagonal + (letter != its))
    return row[-1]
