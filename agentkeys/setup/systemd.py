"""An owner's agent as a unit of the user's own service manager: systemd.unit(5), systemctl(1)."""

import os
import pwd

from agentkeys.setup.deeds import Deeds
from agentkeys.setup.service import Service
from agentkeys.setup.templates import fill

MARK = "# `agentkeys setup systemd"
"""In each unit of ours."""

SYSTEMCTL = ("systemctl", "--user")

WANTED_BY = ("default.target", "sockets.target")
"""What our units are enabled for."""

LINGER = "/var/lib/systemd/linger"
"""Has a file for each user whose manager runs from boot on: loginctl(1), enable-linger."""


def units_dir(user_home: str) -> str:
    """Where a user's own units are. $XDG_CONFIG_HOME isn't asked: the manager has its own environment."""
    return f"{user_home}/.config/systemd/user"


def service_text(service: Service) -> str:
    """The .service unit."""
    environment = [f"Environment={quoted(f'{name}={value}')}" for name, value in service.environment.items()]
    command = " ".join([quoted(word, command=True) for word in service.command])
    return fill(
        "systemd/agentkeys.service",
        {"OWNER": service.owner, "UNIT": service.name, "COMMAND": command, "ENVIRONMENT": "\n".join(environment)},
    )


def socket_text(service: Service) -> str:
    """The .socket unit; %t is the manager's XDG_RUNTIME_DIR."""
    return fill("systemd/agentkeys.socket", {"OWNER": service.owner, "SOCKET": f"%t{service.socket}"})


def quoted(word: str, command: bool = False) -> str:
    """A word as systemd.syntax(7) reads it back: no specifier, no variable, no escape, one word."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    escaped = escaped.replace("\n", "\\n").replace("\t", "\\t")
    if command:
        escaped = escaped.replace("$", "$$")
    plain = escaped and not any(c.isspace() or c in "\"'\\;" for c in escaped)
    return escaped if plain else f'"{escaped}"'


def program_of(unit: bytes) -> str:
    """The program that a unit of ours starts, unquoted again; empty for another's."""
    text = unit.decode("utf-8", "replace")
    _, _, line = text.partition("\nExecStart=")
    if MARK not in text or not line:
        return ""
    line = line.partition("\n")[0]
    word = line[1:].partition('" ')[0] if line.startswith('"') else line.partition(" ")[0]
    return word.replace('\\"', '"').replace("\\\\", "\\").replace("%%", "%").replace("$$", "$")


def install(service: Service, user_home: str, deeds: Deeds, by_socket: bool) -> None:
    """Have the units there, enabled, and running as they are written. Raises UsageFault, VaultFault."""
    directory = units_dir(user_home)
    wanted, other = ("socket", "service") if by_socket else ("service", "socket")
    changed = deeds.write(f"{directory}/{service.name}.service", service_text(service), MARK)
    if by_socket:
        changed |= deeds.write(f"{directory}/{service.name}.socket", socket_text(service), MARK)
    unit = f"{service.name}.{wanted}"
    if not changed and _is(deeds, "is-enabled", unit) and _is(deeds, "is-active", unit):
        return
    deeds.run(*SYSTEMCTL, "daemon-reload")
    if _is(deeds, "is-enabled", f"{service.name}.{other}"):
        deeds.run(*SYSTEMCTL, "disable", "--now", f"{service.name}.{other}")
    deeds.run(*SYSTEMCTL, "enable", unit)
    if by_socket and _is(deeds, "is-active", f"{service.name}.service"):
        deeds.run(*SYSTEMCTL, "stop", f"{service.name}.service")  # the next caller starts it as it is written now
    deeds.run(*SYSTEMCTL, "restart", unit)


def is_running(service: Service, deeds: Deeds) -> bool:
    """Whether the manager has this agent already, or would start it for a caller."""
    return any(_is(deeds, "is-active", f"{service.name}.{kind}") for kind in ("socket", "service"))


def answers(deeds: Deeds) -> bool:
    """Whether this user has a manager, and it can be reached from here."""
    return _is(deeds, "show-environment")


def remove(name: str, user_home: str, deeds: Deeds) -> bool:
    """Stop, disable and remove the units; whether there were any. Raises UsageFault, VaultFault."""
    directory = units_dir(user_home)
    there = [unit for unit in (f"{name}.socket", f"{name}.service") if os.path.lexists(f"{directory}/{unit}")]
    managed = bool(there) and answers(deeds)
    for unit in there:
        if managed and (_is(deeds, "is-enabled", unit) or _is(deeds, "is-active", unit)):
            deeds.run(*SYSTEMCTL, "disable", "--now", unit)
    for unit in there:
        deeds.remove(f"{directory}/{unit}", MARK)
        for target in WANTED_BY:
            deeds.unlink(f"{directory}/{target}.wants/{unit}")  # where no manager disabled it
    if managed:
        deeds.run(*SYSTEMCTL, "daemon-reload")
    return bool(there)


def lingers(uid: int) -> bool:
    """Whether this user's manager, and so the agent, runs while nobody is logged in."""
    try:
        return os.path.exists(f"{LINGER}/{pwd.getpwuid(uid).pw_name}")
    except KeyError:
        return False


def _is(deeds: Deeds, question: str, *unit: str) -> bool:
    return deeds.asks(*SYSTEMCTL, question, *unit)
