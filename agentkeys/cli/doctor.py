"""doctor: what is wrong between you and your keys, each with the command that mends it."""

import json
import os
import posix
import sys
import time

from agentkeys import __version__, client, errors, paths, procs
from agentkeys.cli import options as o
from agentkeys.cli.grammar import Family, Leave
from agentkeys.cli.work import SCRIPT
from agentkeys.client.near import owners
from agentkeys.errors import AgentkeysError
from agentkeys.setup.doctor.checks import examine
from agentkeys.setup.doctor.findings import ERROR, NOTE, OK, SEVERITIES, WARNING, Finding, worst
from agentkeys.setup.doctor.scene import Scene
from agentkeys.wire import WireError
from agentkeys.worker.job import Answer, encode, gather

app = Family()

EXIT_CODES = {OK: errors.OK, NOTE: errors.OK, WARNING: errors.USAGE, ERROR: errors.MALFUNCTION}
"""By the worst finding: a warning is the caller's to mend, with an error something doesn't work or isn't protected."""

COLOURS = {OK: "32", NOTE: "36", WARNING: "33", ERROR: "31"}
"""SGR parameters (ECMA-48): green, cyan, yellow, red."""


@app.command()
def doctor(owner: o.Owner = "", as_json: o.Json = False) -> int:
    """Look for what is wrong, and say what mends it. Changes nothing, asks nothing, starts nothing.

    \b
    agentkeys doctor
    agentkeys doctor --for seaturtle --json
    """
    return report(owner, as_json)


def report(owner: str, as_json: bool, only: str = "") -> int:
    """Print what all checks find, or those `only` of one name; the exit code. Raises UsageFault for no such owner."""
    scene = Scene(posix.environ, _look, _started_as())
    if scene.is_ours:
        scene.there = owners(scene.root)
    scene.owners = [_owner(scene, owner)] if owner else scene.there
    findings = examine(scene, only)
    if as_json:
        o.say(json.dumps(_as_json(scene, owner, findings), indent=1))
    else:
        _print(findings)
    return EXIT_CODES[worst(findings)]


def _started_as() -> str:
    """The path of the program that was run; the shell finds it in PATH, and Python is told the whole of it."""
    return os.path.abspath(sys.argv[0]) if sys.argv[0] else ""


def _owner(scene: Scene, text: str) -> str:
    """The owner that --for means. Raises UsageFault for a name that nobody can have."""
    owner = client.owner_of(scene.root, text)
    if owner is None:
        owner = _look("resolve", [("home", scene.root), ("text", text)], 10.0)["owner"]
    return owner


def _look(name: str, fields: "list[tuple[str, bytes | str]]", seconds: float) -> "dict[str, str]":
    """Run a worker's job that asks nobody. Raises what it answered, TimedOut, or AgentkeysError when it died."""
    identity = posix.environ.get(b"AGENTKEYS_IDENTITY")
    given: list[tuple[str, bytes | str]] = [("identity", identity)] if identity else []
    end = time.monotonic() + seconds
    with procs.Worker(SCRIPT) as worker:
        worker.send(encode(name, [*fields, *given]))
        try:
            answer = Answer(gather(lambda: worker.receive(max(0.0, end - time.monotonic()))))
        except WireError:
            raise AgentkeysError("the worker's answer is no message") from None
    return {field: value.decode(paths.FS_ENCODING, "surrogateescape") for field, value in answer.rows}


# --- the report ----------------------------------------------------------------------------------------------


def _as_json(scene: Scene, owner: str, findings: "list[Finding]") -> "dict[str, object]":
    return {
        "version": __version__,
        "home": scene.root or None,
        "owner": scene.owners[0] if owner else None,
        "worst": worst(findings),
        "findings": [finding.as_json() for finding in findings],
    }


def _print(findings: "list[Finding]") -> None:
    """A line for each finding and one for its fix, and how many there are of each kind."""
    colourful = os.isatty(1) and not posix.environ.get(b"NO_COLOR")
    name_width = max([len(finding.check) for finding in findings], default=0)
    width = max(map(len, SEVERITIES))
    lines = []
    for finding in findings:
        word = f"{finding.severity:<{width}}"
        shown = f"\x1b[{COLOURS[finding.severity]}m{word}\x1b[0m" if colourful else word
        whose = f"{finding.owner}: " if finding.owner else ""
        lines.append(f"{shown}  {finding.check:<{name_width}}  {client.printable(whose + finding.what)}")
        if finding.fix:
            lines.append(" " * (width + name_width + 4) + client.printable(finding.fix))
    counts = {severity: sum(1 for it in findings if it.severity == severity) for severity in reversed(SEVERITIES)}
    said = [f"{count} {severity}{'s' if count != 1 else ''}" for severity, count in counts.items() if severity != OK]
    lines.append(", ".join(said))
    code = client.write_out("".join([f"{line}\n" for line in lines]).encode("utf-8", "replace"))
    if code:
        raise Leave(code)
