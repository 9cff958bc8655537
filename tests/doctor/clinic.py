"""Provokes what `agentkeys doctor` finds, and pastes its fixes into a shell."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.agent.seat import Seat
from tests.owners.tty import converse
from tests.support.runner import Result

Row = dict[str, str]
Env = dict[str, str | None]

CODES = {"ok": 0, "note": 0, "warning": 2, "error": 1}
"""The exit code by the worst finding."""

MEMBERS = ["check", "name", "severity", "owner", "what", "fix"]

PASTE = """
{{ {fix}
}} >&2
agentkeys doctor --json {arguments}
"""
"""The fix on a line of its own, as it is pasted; what it prints isn't the report."""


class Clinic:
    """An owner whose surroundings are broken, looked at, and mended."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.home = seat.home
        self.root = seat.home.root
        self.cli = seat.cli
        self.arguments: list[str] = []
        """Of `doctor`, beside --json."""

    def run(self, env: Env | None = None) -> Result:
        """Look; stdout is the JSON."""
        return self.cli("doctor", "--json", *self.arguments, env=env)

    def look(self, env: Env | None = None) -> list[Row]:
        """What is found."""
        return self.read(self.run(env))

    def read(self, done: Result) -> list[Row]:
        """The findings of a report, which is in form."""
        assert done.err == b"", done.err
        report: dict[str, Any] = json.loads(done.out)
        rows: list[Row] = report["findings"]
        severities = list(CODES)
        assert report["worst"] == max([row["severity"] for row in rows], key=severities.index)
        assert done.code == CODES[report["worst"]], report
        for row in rows:
            assert list(row) == MEMBERS
            assert row["severity"] in severities
            assert row["fix"] or row["severity"] in ("ok", "note"), row
            assert row["name"] != "check-failed", row
        return rows

    def find(self, name: str, env: Env | None = None) -> Row:
        """The one finding of that name; AssertionError with all of them when there isn't one."""
        rows = self.look(env)
        found = [row for row in rows if row["name"] == name]
        assert found, [(row["name"], row["what"]) for row in rows if row["severity"] != "ok"]
        return found[0]

    def names(self, env: Env | None = None) -> set[str]:
        """What is found that is not as it should be."""
        return {row["name"] for row in self.look(env) if row["severity"] != "ok"}

    def paste(self, fix: str, env: Env | None = None) -> list[Row]:
        """Type a fix into a shell, and look again in the same shell."""
        script = PASTE.format(fix=fix, arguments=" ".join(self.arguments))
        done = self.cli.with_prefix("/bin/sh", "-c", script)(env=env)
        rows: list[Row] = json.loads(done.out)["findings"]
        return rows

    def mend(self, row: Row, env: Env | None = None, answer: bytes = b"") -> None:
        """Paste its fix, answering what it asks on a terminal if it asks, and find it no more."""
        if answer:
            replies = [(b"(yes/no)", answer)]
            code, shown = converse(self.cli.with_prefix("/bin/sh", "-c", row["fix"]), replies=replies, env=env)
            assert code == 0, shown
            after = self.look(env)
        else:
            after = self.paste(row["fix"], env)
        left = [it for it in after if it["name"] == row["name"] and it["severity"] != "ok"]
        assert not left, (row, after)

    def treat(self, name: str, severity: str, env: Env | None = None, answer: bytes = b"") -> Row:
        """Find it, paste its fix, and find it no more."""
        found = self.find(name, env)
        assert found["severity"] == severity, found
        assert found["fix"], found
        self.mend(found, env, answer)
        return found


@dataclass
class Case:
    """One thing that can be wrong."""

    name: str
    """As the finding is called."""
    severity: str
    provoke: Callable[[Clinic], Env | None]
    """Makes it so; the variables that belong to it."""
    label: str = ""
    """Tells cases of one name apart."""

    answer: bytes = b""
    """What the fix asks for on a terminal."""

    def __str__(self) -> str:
        return f"{self.name}-{self.label}" if self.label else self.name
