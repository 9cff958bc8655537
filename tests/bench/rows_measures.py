"""Row 11: what each protective measure takes, beside the least system call and a request that has them all."""

import json
from pathlib import Path

from tests.bench.figures import Findings, compare
from tests.bench.place import Place
from tests.bench.rows_agent import get_server, load

SCRIPT = Path(__file__).with_name("measures.py")


def measures(place: Place, quick: bool) -> Findings:
    """Each measure's median; it is judged by nobody, since the rows before have all of them in."""
    agent = place.agent()
    found = json.loads(place.run(place.python, "-I", str(SCRIPT), str(Path(agent.socket).parent)))
    least = found.pop(next(iter(found)))
    rounds = len(least)
    servers = [get_server(place.owner, agent)]
    for mode in ("warm", "fresh"):
        (times,) = load(place, mode, servers, [agent], rounds, 200 if quick else 1000)
        found[f"beside: get, {mode}"] = [one["p50"] * 1e3 for one in times]
    return [
        compare("11", what, [one / 1e3 for one in times], [one / 1e3 for one in least], "getppid(2)", "µs")
        for what, times in found.items()
    ]
