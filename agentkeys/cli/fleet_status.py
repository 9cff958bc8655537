"""`status --all`, once or for as long as somebody watches: on a terminal's own screen, else as plain text."""

import os
import posix
import time

from agentkeys import client
from agentkeys.cli import fleet_table, screen
from agentkeys.cli.fleet import Fleet, Sighting
from agentkeys.cli.grammar import Leave

EVERY = 2.0
"""Seconds between two looks, as watch(1) has it; each costs an agent well under a millisecond."""

GLANCE = 0.2
"""Seconds that a drawing waits for agents that are slow; the rest is known from the look before."""

NOBODY = "no owner here yet: agentkeys init"


def show(root: str, watch: bool, as_json: bool) -> int:
    """Print the fleet; the exit code. Raises AgentkeysError when stdout is full."""
    fleet = Fleet(root)
    if not watch:
        _print(fleet.look(), as_json)
        return 0
    if screen.is_there(posix.environ) and not as_json:
        view = _View(fleet)
        return screen.show(view.draw, view.refresh, EVERY)
    return screen.repeat(lambda: _print(fleet.look(), as_json, then="" if as_json else "\n"), EVERY)


def _print(sightings: "list[Sighting]", as_json: bool, then: str = "") -> None:
    """Print them, and `then` what parts them from the next ones."""
    if as_json:
        lines = [fleet_table.as_json(sightings)]
    else:
        lines = fleet_table.as_lines(sightings, colourful=_is_colourful()) if sightings else [NOBODY]
    code = client.write_out(("".join([f"{line}\n" for line in lines]) + then).encode("utf-8", "replace"))
    if code:
        raise Leave(code)  # nobody reads any more


def _is_colourful() -> bool:
    return os.isatty(1) and not posix.environ.get(b"NO_COLOR")


class _View:
    """The live table."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.seen: list[Sighting] | None = None

    def refresh(self) -> None:
        """Look again. The first look is patient, so that nobody is shown as silent who only was slow to begin."""
        self.seen = self.fleet.look() if self.seen is None else self.fleet.look(GLANCE)

    def draw(self, columns: int, lines: int) -> "list[str]":
        """What fits: a line about all, then a line for each agent; those that don't fit are counted."""
        sightings = self.seen or []
        left = f"agentkeys: {fleet_table.summary(sightings)}"
        right = f"{time.strftime('%H:%M:%S')}  q quits"
        head = f"{left}  {right:>{max(0, columns - len(left) - 2)}}"[:columns]
        table = fleet_table.as_lines(sightings, columns, _is_colourful()) if sightings else [NOBODY[:columns]]
        room = max(1, lines - 2)
        if len(table) > room:
            table = [*table[: room - 1], f"… {len(table) - room + 1} more: agentkeys status --all"[:columns]]
        return [head, "", *table][:lines]
