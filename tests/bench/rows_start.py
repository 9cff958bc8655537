"""Rows 1 to 4: what a person or a script waits for when it starts `agentkeys`."""

import statistics

from tests.bench.clock import Command, race
from tests.bench.figures import Figure, Findings, Skip, compare, quartiles
from tests.bench.peers import peers
from tests.bench.place import Place

FLOOR = "python -IS -c pass"

BUDGET_SCRIPT, BUDGET_LAUNCHER = 1.5, 1.25

BUDGET_COMMAND, COMMAND_KEYS = 10.0, 1_000
"""Row 3: a whole agent for one command, over the bare interpreter, and how many keys it brings."""

BUDGET_VERB_MS = 60.0
"""What a verb's own modules, or typer for its help, may cost beside the interpreter and the worker."""


def fast_verbs(place: Place, quick: bool) -> Findings:
    """Row 1: the verbs of `client`, through pip's console script and through our launcher."""
    verbs = {
        "exec -- true": ("exec", "--for", place.owner, "--", "true"),
        "get": ("get", "--for", place.owner, "API_KEY_00000"),
        "source": ("source", "--for", place.owner, "--key", "API_KEY_00000"),
        "status": ("status", "--for", place.owner),
        "completion words": ("completion", "words", "--", "get", "--for", place.owner, "API_KEY_0000"),
        "direnv export": ("direnv", "export", "--for", place.owner),
        "agent, re-use": ("agent", "--for", place.owner),
        "relock": ("relock", "--for", place.idle_owner),
    }
    ways = {"console script": (place.script, BUDGET_SCRIPT), "launcher": (place.launcher, BUDGET_LAUNCHER)}
    commands = {FLOOR: floor(place)}
    for way, (program, _) in ways.items():
        for verb, words in verbs.items():
            commands[f"{verb}, {way}"] = Command([program, *words], place.env)
    times = race(commands, 15 if quick else 60)
    return [
        compare("1", f"{verb}, {way}", times[f"{verb}, {way}"].wall, times[FLOOR].wall, FLOOR, budget=budget)
        for way, (_, budget) in ways.items()
        for verb in verbs
    ]


def against_peers(place: Place, quick: bool) -> Findings:
    """Row 2: `exec` against what else puts secrets into a command's environment, and lookups beside.

    The budgets are the launcher's; what pip's console script adds to it is row 1's business, and shown beside.
    """
    found, missing = peers(place, quick)
    words = ("exec", "--for", place.owner, "--", "true")
    commands = {FLOOR: floor(place)}
    ours = {"launcher": place.launcher, "console script": place.script}
    for way, program in ours.items():
        commands[way] = Command([program, *words], place.env)
    for peer in found:
        commands[peer.name] = peer.command
    times = race(commands, 10 if quick else 30)
    findings: Findings = []
    for peer in found:
        label = f"{peer.name} {peer.version}"
        if peer.budget is None:
            findings.append(compare("2", f"beside: {peer.name}", times[peer.name].wall, times[FLOOR].wall, FLOOR))
            continue
        for way in ours:
            budget = peer.budget if way == "launcher" else None
            what = f"exec, {way} / {peer.name}"
            findings.append(compare("2", what, times[way].wall, times[peer.name].wall, label, budget=budget))
    return findings + [Skip("2", name, why) for name, why in missing.items()]


def command_agent(place: Place, quick: bool) -> Findings:
    """Row 3: start a private agent, unlock, run a command, which is the agent's end."""
    owner = "command"
    place.inside("init", owner)
    place.inside("fill", owner, str(COMMAND_KEYS))
    ways = {"console script": place.script, "launcher": place.launcher}
    commands = {FLOOR: floor(place)}
    for way, program in ways.items():
        commands[way] = Command([program, "agent", "--for", owner, "--unlock", "--", "true"], place.env)
    times = race(commands, 8 if quick else 30)
    what = f"agent --unlock ({COMMAND_KEYS:,} keys) -- true"
    return [
        compare("3", f"{what}, {way}", times[way].wall, times[FLOOR].wall, FLOOR, budget=BUDGET_COMMAND) for way in ways
    ]


def other_verbs(place: Place, quick: bool) -> Findings:
    """Row 4: verbs that aren't `client`'s, and help, less the interpreter and less their worker.

    Milliseconds of the processor: a difference is judged and no ratio, so another process's turn would count as ours.
    """
    requests = place.directory / "jobs"
    requests.mkdir()
    place.inside("jobs", place.owner, place.agent().socket, str(requests))
    value = requests / "value"
    value.write_bytes(b"value")
    verbs = {
        "--help": Command([place.script, "--help"], place.env),
        "lock": Command([place.script, "lock", "--for", place.idle_owner], place.env),
        "list --help": Command([place.script, "list", "--help"], place.env),
        "list": Command([place.script, "list", "--for", place.owner], place.env),
        "set": Command([place.script, "set", "CHANGED", "--for", place.owner], place.env, stdin=str(value)),
        "unlock": Command([place.script, "unlock", "--for", place.owner], place.env),
    }
    worker = place.package() / "worker" / "__main__.py"
    commands = {FLOOR: floor(place), **verbs}
    for name in ("list", "set", "unlock"):
        argv = [place.python, "-I", str(worker)]
        commands[f"{name}'s worker"] = Command(argv, place.env, stdin=str(requests / name))
    times = race(commands, 10 if quick else 30)
    floors = times[FLOOR].processor
    findings: Findings = []
    for name in verbs:
        worker_times = times.get(f"{name}'s worker")
        workers = worker_times.processor if worker_times else [0.0] * len(floors)
        rounds = zip(times[name].processor, floors, workers, strict=True)
        low, middle, high = quartiles([whole - interpreter - own for whole, interpreter, own in rounds])
        wall = f"{statistics.median(times[name].wall):.1f} ms"
        beside = f"{FLOOR} {statistics.median(floors):.1f} ms"
        if worker_times:
            beside += f", its worker {statistics.median(workers):.1f} ms"
        findings.append(Figure("4", f"{name}, added", middle, low, high, "ms", BUDGET_VERB_MS, False, wall, beside))
    return findings


def floor(place: Place) -> Command:
    """The bare interpreter of the measured venv."""
    return Command([place.python, "-IS", "-c", "pass"], place.env)
