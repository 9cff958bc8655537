"""The fleet as a table for people and as JSON for programs.

OWNER      WALLET         STATE      KEYS  EXPIRES  LAST USE  DENIED  NOTES
mechanic   0x7F5E…95Bdf   locked     -     -        -         2
seaturtle  0x1bF6…81d0A   unlocked   2/5   1h59m    3m ago    -
"""

import json

from agentkeys.cli import fleet
from agentkeys.cli.fleet import Sighting
from agentkeys.client import printable
from agentkeys.core.refs import show_duration

HEADINGS = ("OWNER", "WALLET", "STATE", "KEYS", "EXPIRES", "LAST USE", "DENIED", "NOTES")

COLOURS = {
    fleet.UNLOCKED: "32",
    fleet.LOCKED: "33",
    fleet.EXPIRED: "33",
    fleet.CLOSED: "36",
    fleet.NO_ANSWER: "31",
    fleet.REFUSED: "31",
}
"""SGR parameters (ECMA-48) of the states that somebody should notice: green, yellow, cyan, red."""

STATE = HEADINGS.index("STATE")


def as_json(sightings: "list[Sighting]") -> str:
    """One line of JSON: a list, empty without owners."""
    return json.dumps([sighting.as_json() for sighting in sightings])


def as_lines(sightings: "list[Sighting]", width: int = 0, colourful: bool = False) -> "list[str]":
    """A heading and a line for each; with a `width`, none is longer."""
    rows = [HEADINGS, *[_cells(sighting) for sighting in sightings]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = []
    for row, sighting in zip(rows, [None, *sightings], strict=True):
        cells = [f"{cell:<{widths[column]}}" for column, cell in enumerate(row)]
        line = _cut("  ".join(cells).rstrip(), width)
        colour = COLOURS.get(sighting.state) if sighting is not None and colourful else None
        lines.append(_coloured(line, colour, sum(widths[:STATE]) + 2 * STATE, len(row[STATE])) if colour else line)
    return lines


def summary(sightings: "list[Sighting]") -> str:
    """All of them in a line: how many owners, agents that answer, and keys held."""
    answering = [it for it in sightings if it.state not in (fleet.NO_AGENT, fleet.NO_ANSWER, fleet.REFUSED)]
    return ", ".join(
        [
            _count(len({it.owner for it in sightings}), "owner"),
            _count(len(answering), "agent"),
            f"{_count(sum(it.held for it in answering), 'key')} held",
        ]
    )


def _cells(seen: Sighting) -> "tuple[str, ...]":
    silent = seen.state in (fleet.NO_AGENT, fleet.NO_ANSWER, fleet.REFUSED)
    expires = "-" if seen.next_expiry is None else show_duration(seen.next_expiry)
    last = "-" if seen.last_given is None else f"{show_duration(seen.last_given)} ago"
    return (
        seen.owner,
        _short(seen.wallet),
        seen.state.replace("-", " "),
        "" if silent else "-" if seen.known is None else f"{seen.held}/{seen.known}",
        "" if silent else expires,
        "" if silent else last,
        "" if silent else str(seen.denied or "-"),
        printable(_note(seen)),
    )


def _note(seen: Sighting) -> str:
    """What else is to be said of it."""
    notes = ["private"] if seen.private else []
    if seen.state == fleet.REFUSED:
        notes.append(seen.fault)
    elif seen.fault and seen.state != fleet.NO_ANSWER:
        notes.append(f"automatic unlock failed: {seen.fault}")
    elif seen.renewal is not None:
        notes.append(f"unlocks again in {show_duration(seen.renewal)}")
    return ", ".join(notes)


def _short(wallet: str) -> str:
    """Enough of a wallet for a person to know it by; --json has the whole."""
    return f"{wallet[:6]}…{wallet[-5:]}" if len(wallet) == 42 else "-"


def _cut(line: str, width: int) -> str:
    return line if not width or len(line) <= width else line[: width - 1] + "…"


def _coloured(line: str, colour: str, at: int, size: int) -> str:
    """`size` characters of the line, from `at`, in a colour."""
    return f"{line[:at]}\x1b[{colour}m{line[at : at + size]}\x1b[0m{line[at + size :]}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
