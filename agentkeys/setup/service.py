"""What systemd and launchd have to know of an owner's agent: its command line, and where things are.

The agent serves every process of its user (a manager's own login session is nobody else's), and unlocks by itself.
"""

import os
import sys

from agentkeys import paths, procs
from agentkeys.errors import UsageFault

HUMAN = {
    "passphrase": "its identity wants a passphrase",
    "env": "its identity comes from a variable, which nobody sets here",
}
"""Kinds of identities that no service can open, by `via`, and why."""


class Service:
    """One owner's agent as a service of this user."""

    def __init__(self, owner: str, root: str, environ: "dict[bytes, bytes]") -> None:
        self.owner = owner
        self.name = f"agentkeys-{owner}"
        self.command = [*program(), "agent", "-D", "--for", owner, "--login-session", "uid", "--auto-unlock"]
        self.environment: dict[str, str] = {}
        """Only what differs from the manager's own, which knows HOME and where sockets go."""
        if root != f"{paths.user_home(environ)}/.agentkeys":
            self.environment["AGENTKEYS_HOME"] = root
        config_home = paths.env_text(environ, b"XDG_CONFIG_HOME")
        if not paths.MACOS and config_home.startswith("/"):
            self.environment["XDG_CONFIG_HOME"] = config_home
        directory = paths.runtime_dir(environ)
        self.socket = f"{directory[directory.rindex('/agentkeys') :]}/{owner}.sock"
        """Where it listens, below the user's runtime directory: the manager's, which this process may not have."""


def program() -> "list[str]":
    """What starts this installation isolated from the caller's PYTHON* variables; else the program that was run."""
    isolated = [procs.interpreter(), "-I", "-m", "agentkeys"]
    if procs.run_tool([*isolated, "--version"]).code == 0:
        return isolated
    return [os.path.abspath(sys.argv[0])]  # installed for this user alone, where -I doesn't look


def require_unattended(owner: str, via: str, needs_person: bool) -> None:
    """Raise UsageFault for an owner whose identity needs a person each time; `needs_person` if a look at it said so."""
    why = HUMAN.get(via, "its ssh key has a passphrase" if needs_person and via == "ssh" else "")
    if why:
        raise UsageFault(
            f"{owner} can't be unlocked without a person: {why}",
            "agentkeys init --for robot --via file, or with a backup recipient's key: "
            f"agentkeys restore --for {owner} --identity backup.key --via file",
        )
