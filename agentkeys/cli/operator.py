"""setup: files and commands for whoever runs the machine."""

import os
import posix
from typing import Annotated

from agentkeys import client, paths
from agentkeys.cli import options as o
from agentkeys.cli import start
from agentkeys.cli.grammar import Family, Option
from agentkeys.cli.work import home, owner_here, owner_named, work
from agentkeys.client.near import no_owner
from agentkeys.errors import UsageFault
from agentkeys.setup import launchd as launchd_jobs
from agentkeys.setup import launcher as launchers
from agentkeys.setup import systemd as systemd_units
from agentkeys.setup.deeds import Deeds
from agentkeys.setup.service import Service, require_unattended
from agentkeys.stores.card import read_card

app = Family()
setup = app.group("setup", "Write files for whoever runs this machine.")

DryRun = Annotated[bool, Option("--dry-run", help="Say what would be done, and do nothing.")]
Print = Annotated[bool, Option("--print", help="Print the files, and do nothing.")]


@setup.command()
def launcher(
    to: Annotated[str, Option("--to", metavar="PATH", help="Where to write it.")] = launchers.DEFAULT,
    force: Annotated[bool, Option("--force", help="Replace a file that isn't a launcher of ours.")] = False,
) -> None:
    """Write a launcher that starts Python isolated (-IS): faster, and deaf to PYTHON* variables and .pth files.

    \b
    agentkeys setup launcher
    agentkeys setup launcher --to /usr/local/bin/agentkeys
    """
    path, note = launchers.write(to, force)
    o.say(f"wrote {path}")
    if note:
        o.say(note)


@setup.command()
def systemd(
    owner: o.Owner = "",
    by_socket: Annotated[bool, Option("--socket", help="Start the agent for its first caller.")] = False,
    dry: DryRun = False,
    show: Print = False,
) -> None:
    """Have the owner's agent run as a unit of your own service manager, from login or boot on. Linux.

    \b
    agentkeys setup systemd --for seaturtle
    agentkeys setup systemd --for seaturtle --socket
    agentkeys setup systemd --for seaturtle --dry-run
    """
    root, name = _owner(owner)
    service = Service(name, root, posix.environ)
    if show:
        o.say(systemd_units.service_text(service) + (systemd_units.socket_text(service) if by_socket else ""))
        return
    locked = _require_unattended(root, name)
    deeds = Deeds(o.say, dry)
    if not dry:
        _require_manager(deeds, name)
        if not systemd_units.is_running(service, deeds):
            _require_no_agent(root, name)
    systemd_units.install(service, paths.user_home(posix.environ), deeds, by_socket)
    if not systemd_units.lingers(os.getuid()):
        o.say("next: loginctl enable-linger, or it ends when you log out and waits for a login after a reboot")
    _say_locked(name, locked)


@setup.command()
def launchd(owner: o.Owner = "", dry: DryRun = False, show: Print = False) -> None:
    """Have launchd run the owner's agent from login on. macOS; written from Apple's manuals, not run on a Mac yet.

    \b
    agentkeys setup launchd --for seaturtle
    agentkeys setup launchd --for seaturtle --print
    """
    root, name = _owner(owner)
    service, user_home = Service(name, root, posix.environ), paths.user_home(posix.environ)
    if show:
        o.say(launchd_jobs.plist_text(service, user_home))
        return
    if not paths.MACOS and not dry:
        raise UsageFault("launchd is macOS's", f"agentkeys setup systemd --for {name}")
    locked = _require_unattended(root, name)
    deeds = Deeds(o.say, dry)
    if not dry and not launchd_jobs.is_loaded(name, os.getuid(), deeds):
        _require_no_agent(root, name)
    launchd_jobs.install(service, user_home, os.getuid(), deeds)
    _say_locked(name, locked)


@setup.command()
def remove(owner: o.Owner = "", dry: DryRun = False) -> None:
    """Stop the owner's service, and remove what `setup systemd` or `setup launchd` wrote. Rack and keys stay.

    \b
    agentkeys setup remove --for seaturtle
    """
    root, name = _owner(owner, must_exist=False)
    deeds, user_home = Deeds(o.say, dry), paths.user_home(posix.environ)
    there = systemd_units.remove(f"agentkeys-{name}", user_home, deeds)
    there |= launchd_jobs.remove(name, user_home, os.getuid(), deeds)
    if not there:
        o.say(f"no service of {name} here")
    elif paths.exists(paths.owner_card(root, name)):
        o.say(f"the owner {name} and its rack stay: agentkeys owner remove {name}")


def _owner(text: str, must_exist: bool = True) -> "tuple[str, str]":
    """(home, owner). Raises Denied in another user's home, UsageFault for an owner that isn't there."""
    root = home()
    return root, owner_here(root, text) if must_exist else owner_named(root, text)


def _require_unattended(root: str, owner: str) -> bool:
    """Whether the identity is locked just now. Raises UsageFault when no service could ever open it."""
    card = read_card(root, owner)
    if card is None:
        raise no_owner(root, owner)
    state = work("inspect", [("home", root), ("owner", owner)]).text("state")
    require_unattended(owner, card.via, needs_person=state == "person")
    return state == "locked"


def _require_manager(deeds: Deeds, owner: str) -> None:
    """Raise UsageFault when systemctl --user can't reach a manager of this user."""
    if systemd_units.answers(deeds):
        return
    usual = f"/run/user/{os.getuid()}"
    again = f"agentkeys setup systemd --for {owner}"
    unset = paths.env_text(posix.environ, b"XDG_RUNTIME_DIR") != usual and os.path.isdir(usual)
    hint = f"XDG_RUNTIME_DIR={usual} {again}" if unset else f"loginctl enable-linger, then {again}"
    raise UsageFault("no systemd of this user answers here", hint)


def _require_no_agent(root: str, owner: str) -> None:
    """Raise UsageFault when an agent runs in the place that the service wants, by other hands."""
    if start.running(start.discoverable(root, owner, "uid")) is not None:
        raise UsageFault(f"an agent of {owner} runs already", f"agentkeys agent -k --for {owner}")


def _say_locked(owner: str, locked: bool) -> None:
    if locked:
        client.note(
            f"the keychain with {owner}'s identity is locked now: the agent tries again by itself, or: "
            f"agentkeys agent --for {owner} --auto-unlock"
        )
