"""The list of checks, in the order of the report, and how one that fails is kept from stopping the others."""

from collections.abc import Callable, Iterable

from agentkeys import client
from agentkeys.errors import AgentkeysError
from agentkeys.setup.doctor import (
    agents,
    home,
    leftovers,
    program,
    racks,
    runtime,
    services,
    sessions,
    settings,
    shell,
    sockets,
    surroundings,
)
from agentkeys.setup.doctor.findings import Finding, error
from agentkeys.setup.doctor.scene import Scene

Check = Callable[[Scene], Iterable[Finding]]

CHECKS: "tuple[tuple[str, Check], ...]" = (
    ("versions", program.check_versions),
    ("program", program.check_program),
    ("installation", program.check_writable),
    ("environment", surroundings.check_environment),
    ("process", surroundings.check_process),
    ("clock", surroundings.check_clock),
    ("shell", shell.check_shell),
    ("direnv", shell.check_direnv),
    ("config", settings.check_config),
    ("home", home.check_home),
    ("files", home.check_files),
    ("names", racks.check_names),
    ("runtime", runtime.check_runtime_dir),
    ("sockets", runtime.check_socket_dir),
    ("sockets", sockets.check_sockets),
    ("sockets", sockets.check_other_sockets),
    ("sockets", sockets.check_named_socket),
    ("agents", agents.check_agents),
    ("session", agents.check_session),
    ("services", services.check_services),
    ("keychain", settings.check_keychain),
    ("sessions", sessions.check_sessions),
    ("racks", racks.check_owner),
    ("racks", racks.check_racks),
    ("audit", racks.check_audit),
    ("leftovers", leftovers.check_leftovers),
)
"""(what it is called in the report, the check). Leftovers come after the racks: they ask which of those opened."""


def examine(scene: Scene, only: str = "") -> "list[Finding]":
    """Run every check, or those `only` of that name; one that breaks down is a finding itself."""
    found = []
    for name, check in [row for row in CHECKS if only in ("", row[0])]:
        for finding in _run(check, scene):
            finding.check = name
            found.append(finding)
    return found


def _run(check: Check, scene: Scene) -> "list[Finding]":
    findings = []
    try:
        for finding in check(scene):
            findings.append(finding)  # noqa: PERF402 - what came before it broke down is kept
    except AgentkeysError as fault:
        findings.append(error("check-failed", fault.message, fault.hint))
    except Exception as fault:  # noqa: BLE001 - a bug in one check must not hide what the others find
        bug = client.bug(fault)
        findings.append(error("check-failed", bug.message, bug.hint))
    return findings
