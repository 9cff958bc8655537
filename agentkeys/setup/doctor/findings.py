"""What a check found: how bad, what, and the command that mends it."""

import shlex

OK = "ok"
NOTE = "note"
"""Worth knowing, and nothing has to be done."""
WARNING = "warning"
"""It works, but not as it should, or not for long, or with less protection."""
ERROR = "error"
"""Something doesn't work, or isn't protected."""

SEVERITIES = (OK, NOTE, WARNING, ERROR)
"""From the best to the worst."""


class Finding:
    """One line of the report."""

    __slots__ = ("check", "fix", "name", "owner", "severity", "what")

    def __init__(self, severity: str, name: str, what: str, fix: str, owner: str) -> None:
        self.severity = severity
        self.name = name
        """What kind of finding it is, such as `file-mode`: an interface, for scripts."""
        self.what = what
        """One line for people."""
        self.fix = fix
        """A shell command, or empty."""
        self.owner = owner
        """Whose, or empty where it is nobody's in particular."""
        self.check = ""
        """The check that found it, filled in by whoever runs the checks."""

    def as_json(self) -> "dict[str, str]":
        """Its members, as `doctor --json` prints them."""
        return {member: getattr(self, member) for member in ("check", "name", "severity", "owner", "what", "fix")}


def ok(name: str, what: str, owner: str = "") -> Finding:
    """Something that is as it should be."""
    return Finding(OK, name, what, "", owner)


def note(name: str, what: str, fix: str = "", owner: str = "") -> Finding:
    """Something worth knowing."""
    return Finding(NOTE, name, what, fix, owner)


def warning(name: str, what: str, fix: str, owner: str = "") -> Finding:
    """Something that should be mended."""
    return Finding(WARNING, name, what, fix, owner)


def error(name: str, what: str, fix: str, owner: str = "") -> Finding:
    """Something that must be mended."""
    return Finding(ERROR, name, what, fix, owner)


def worst(findings: "list[Finding]") -> str:
    """The worst severity among them."""
    return max([finding.severity for finding in findings], key=SEVERITIES.index, default=OK)


def quoted(path: str) -> str:
    """A path as a word of a shell command."""
    return shlex.quote(path)


def as_root(command: str, uid: int) -> str:
    """A command that only root may run, as `uid` types it."""
    return command if uid == 0 else f"sudo {command}"
