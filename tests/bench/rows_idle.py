"""Rows 7 and 8: what an agent costs while nobody asks it anything: memory, and the processor's sleep."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import Figure, Findings, Skip, compare
from tests.bench.place import KEYS, Daemon, Place
from tests.bench.rows_agent import exec_server, load, ssh_server

SLEEPER = "import time; time.sleep(3600)"

MANY = (1, 10, 50)
"""Owners on one machine; the budget is that of the last."""

BUDGET_MANY = 8.0

REQUESTS = 200
"""Asked of each agent before its memory is read: a fresh one would look better than it stays."""

SETTLE = 2.5
"""Seconds after the last request: the agent makes its audit log durable within one."""


def memory(place: Place, quick: bool) -> Findings:
    """Row 7: one agent against a sleeping interpreter; 1, 10 and 50 against as many ssh-agents."""
    if not Path("/proc/self/smaps_rollup").exists():
        return [Skip("7", "memory", "no /proc/PID/smaps_rollup on this system")]
    sleeper = place.start([place.python, "-IS", "-c", SLEEPER])
    try:
        smaps(place.agent().pid)
    except PermissionError:
        return [Skip("7", "memory", "an agent shows its memory map to root alone")]
    ours: dict[str, list[float]] = {"Rss": [], "Uss": []}
    floor: dict[str, list[float]] = {"Rss": [], "Uss": []}
    for _ in range(3):
        place.end_agent(place.owner)
        agent = place.start_agent(place.owner)
        place.agentkeys("unlock", "--for", place.owner)
        _ask(place, [exec_server(place.owner, agent)], [agent])
        time.sleep(SETTLE)
        for side, pid in ((ours, agent.pid), (floor, sleeper.pid)):
            for name, size in smaps(pid).items():
                if name in side:
                    side[name].append(size)
    place.end_child(sleeper)
    what, beside = f"one agent, {KEYS} keys, idle", "sleeping python -IS"
    return [
        compare("7", f"{what}: USS", ours["Uss"], floor["Uss"], beside, "MiB", 3.5),
        compare("7", f"{what}: RSS", ours["Rss"], floor["Rss"], beside, "MiB"),
        *_many(place, MANY[:-1] if quick else MANY),
    ]


def _many(place: Place, counts: Sequence[int]) -> Findings:
    """What each agent costs when there are so many, beside as many ssh-agents: what is shared is paid once."""
    agents: dict[str, Daemon] = {}
    sshs: list[Daemon] = []
    findings: Findings = []
    for count in counts:
        added = [f"owner{number}" for number in range(len(agents), count)]
        place.inside("init", *added)
        for owner in added:
            place.inside("fill", owner, str(KEYS))
            agents[owner] = place.start_agent(owner)
            sshs.append(place.start_ssh_agent(f"ssh-{owner}"))
        place.inside("unlock", *[f"{owner}={agents[owner].socket}" for owner in added])
        for owner, ssh in zip(added, sshs[-len(added) :], strict=True):
            _ask(place, [exec_server(owner, agents[owner]), ssh_server(ssh)], [agents[owner], ssh])
        time.sleep(SETTLE)
        ours, theirs = ([smaps(daemon.pid) for daemon in side] for side in (agents.values(), sshs))
        for name in ("Pss", "Uss"):
            each, other = (sum(one[name] for one in side) / count for side in (ours, theirs))
            budget = BUDGET_MANY if name == "Pss" and count == MANY[-1] else None
            what = f"{count} agent{'s' * (count > 1)}: {name.upper()} of each"
            beside = f"ssh-agents, {count} of them," if count > 1 else "ssh-agent"
            findings.append(compare("7", what, [each], [other], beside, "MiB", budget))
    for owner in agents:
        place.end_agent(owner)
    return findings


def wake_ups(place: Place, quick: bool) -> Findings:
    """Row 8: context switches of an idle agent that holds keys."""
    if sys.platform != "linux":
        return [Skip("8", "idle wake-ups", "no /proc/PID/status on this system")]
    agent, ssh = place.agent(), place.start_ssh_agent()
    _ask(place, [exec_server(place.owner, agent), ssh_server(ssh)], [agent, ssh])
    time.sleep(SETTLE)
    seconds = 10 if quick else 60
    before = [_switches(daemon.pid) for daemon in (agent, ssh)]
    time.sleep(seconds)
    ours, theirs = (_switches(daemon.pid) - old for daemon, old in zip((agent, ssh), before, strict=True))
    what = f"wake-ups in {seconds} idle seconds"
    return [Figure("8", what, ours, ours, ours, "", 0.0, False, f"{ours}", f"ssh-agent {theirs}")]


def _ask(place: Place, servers: list[dict[str, object]], daemons: list[Daemon]) -> None:
    load(place, "warm", servers, daemons, 1, REQUESTS)


def smaps(pid: int) -> dict[str, float]:
    """MiB of a process, by the names of /proc/PID/smaps_rollup (proc(5)), and Uss: what nobody shares."""
    rows = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    found = {row[0].rstrip(":"): int(row[1]) / 1024 for row in rows}
    found["Uss"] = found["Private_Clean"] + found["Private_Dirty"]
    return found


def _switches(pid: int) -> int:
    """Context switches of all threads so far, wanted and forced."""
    lines = [
        line for task in Path(f"/proc/{pid}/task").iterdir() for line in (task / "status").read_text().splitlines()
    ]
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
