"""An owner's agent as a launch agent of the user: launchd.plist(5), launchctl(1).

Written from Apple's manuals and not run on a Mac yet; what is written is compared with golden files, and read back by
plistlib.
"""

import os
import time
from xml.sax.saxutils import escape

from agentkeys.errors import UsageFault
from agentkeys.setup.deeds import Deeds
from agentkeys.setup.service import Service
from agentkeys.setup.templates import fill

MARK = "`agentkeys setup launchd`"
"""In each plist of ours."""

BOOTSTRAP_TRIES, BOOTSTRAP_PAUSE = 10, 0.5
"""How often a bootstrap is tried after a bootout, which returns before launchd has let go, and seconds between."""


def plist_path(owner: str, user_home: str) -> str:
    """Where the plist is."""
    return f"{user_home}/Library/LaunchAgents/{label(owner)}.plist"


def label(owner: str) -> str:
    """What launchd calls the job."""
    return f"agentkeys.{owner}"


def log_path(owner: str, user_home: str) -> str:
    """What the agent says on stderr: notes, and errors of its start."""
    return f"{user_home}/Library/Logs/agentkeys-{owner}.log"


def plist_text(service: Service, user_home: str) -> str:
    """The plist."""
    arguments = [f"    <string>{escape(word)}</string>" for word in service.command]
    environment = [
        f"    <key>{name}</key>\n    <string>{escape(value)}</string>" for name, value in service.environment.items()
    ]
    return fill(
        "launchd/agentkeys.plist",
        {
            "LABEL": label(service.owner),
            "ARGUMENTS": "\n".join(arguments),
            "ENVIRONMENT": "\n".join(environment),
            "LOG": escape(log_path(service.owner, user_home)),
        },
    )


def install(service: Service, user_home: str, uid: int, deeds: Deeds) -> None:
    """Have the plist there, and launchd run it as it is written. Raises UsageFault, VaultFault."""
    path = plist_path(service.owner, user_home)
    changed = deeds.write(path, plist_text(service, user_home), MARK)
    target = f"gui/{uid}/{label(service.owner)}"
    if is_loaded(service.owner, uid, deeds):
        if not changed:
            return
        deeds.run("launchctl", "bootout", target)
    for left in range(BOOTSTRAP_TRIES, 0, -1):
        try:
            deeds.run("launchctl", "bootstrap", f"gui/{uid}", path)
        except UsageFault:
            if left == 1:
                raise
            time.sleep(BOOTSTRAP_PAUSE)
        else:
            break


def is_loaded(owner: str, uid: int, deeds: Deeds) -> bool:
    """Whether launchd knows the job."""
    return deeds.asks("launchctl", "print", f"gui/{uid}/{label(owner)}")


def remove(owner: str, user_home: str, uid: int, deeds: Deeds) -> bool:
    """Stop the job and remove its plist; whether there was one. Raises UsageFault, VaultFault."""
    path = plist_path(owner, user_home)
    if not os.path.lexists(path):
        return False
    if is_loaded(owner, uid, deeds):
        deeds.run("launchctl", "bootout", f"gui/{uid}/{label(owner)}")
    return deeds.remove(path, MARK)
