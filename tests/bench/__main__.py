"""`python -m tests.bench [ROW …] [--quick] [--json FILE]`: runs the rows and prints a table; 1 when a budget breaks.

Rows go by the numbers of the design's table or by name. The wheel under test is in the venv AGENTKEYS_BENCH_VENV.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench import rows_agent, rows_fleet, rows_hook, rows_idle, rows_measures, rows_start, rows_unlock
from tests.bench.figures import SLACK, Figure, Findings
from tests.bench.place import Place

ROWS: dict[str, tuple[str, Callable[[Place, bool], Findings]]] = {
    "1": ("start", rows_start.fast_verbs),
    "2": ("peers", rows_start.against_peers),
    "3": ("command", rows_start.command_agent),
    "4": ("verbs", rows_start.other_verbs),
    "5": ("warm", rows_agent.warm_connection),
    "6": ("connect", rows_agent.new_connections),
    "7": ("memory", rows_idle.memory),
    "8": ("idle", rows_idle.wake_ups),
    "9": ("hook", rows_hook.hook),
    "10": ("unlock", rows_unlock.unlock),
    "11": ("measures", rows_measures.measures),
    "12": ("fleet", rows_fleet.fleet),
}


def main() -> int:
    """Measure; the exit code."""
    names = {name: row for row, (name, _) in ROWS.items()}
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the budgets.")
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=", ".join(f"{row} {name}" for name, row in names.items())
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a first look, not a figure to quote")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    options = parser.parse_args()
    venv = os.environ.get("AGENTKEYS_BENCH_VENV", "")
    if not Path(venv, "bin", "agentkeys").exists():
        parser.error("AGENTKEYS_BENCH_VENV names no venv with agentkeys in it: make bench")
    rows = [names.get(row, row) for row in options.rows] or list(ROWS)
    if not set(rows) <= set(ROWS):
        parser.error(f"no such row; there is {', '.join(ROWS)}")
    found: Findings = []
    with Place(Path(venv).absolute()) as place:
        facts = machine(place)
        print(*[f"{name}: {value}" for name, value in facts.items()], sep="\n", end="\n\n", flush=True)
        for row in rows:
            findings = ROWS[row][1](place, options.quick)
            print(*findings, sep="\n", flush=True)
            found += findings
    if options.json:
        text = json.dumps({"machine": facts, "findings": [finding.as_json() for finding in found]}, indent=1)
        options.json.write_text(text + "\n")
    broken = [finding.what for finding in found if isinstance(finding, Figure) and finding.verdict == "FAIL"]
    if broken:
        print(f"\nover budget x {SLACK}: " + "; ".join(broken))
    return 1 if broken else 0


def machine(place: Place) -> dict[str, str]:
    """What the absolute values depend on."""
    script = "import platform, pip, agentkeys; print(platform.python_version(), pip.__version__, agentkeys.__version__)"
    python, pip, ours = place.run(place.python, "-I", "-c", script).decode().split()
    model = "unknown"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), model)
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True)
    return {
        "agentkeys": f"{ours}, wheel installed by pip {pip}",
        "Python": f"{python} ({place.python})",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {model}",
        "kernel": f"{platform.system()} {platform.release()}",
        "ssh": ssh.stderr.strip(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


if __name__ == "__main__":
    sys.exit(main())
