"""Row 9: what a shell's hook costs at a prompt where nothing changed, and where the directory did.

A shell loads the hook by its start-up file's line and runs a script that calls it as a prompt does, by the shell's own
clock. Beside it, in the same shell: fork and exec of true(1), and direnv's hook.
"""

import shlex

from tests.bench.figures import Findings, Skip, compare
from tests.bench.place import Missing, Place, need

BUDGET_UNCHANGED = 0.02
"""Over fork+exec, for a prompt where nothing changed."""

BUDGET_CHANGED = {"bash": 0.5, "zsh": 0.3}
"""Over direnv's first load, for a prompt in another repository."""

PROMPTS, FORKS, CHANGES = 1000, 20, 5
"""Of one round; its figure is their mean, since a single prompt is shorter than a clock's tick."""

SHELLS = {
    "bash": ("bash", "--noprofile", "--norc"),
    "zsh": ("zsh", "-f"),
}

NOW = {"bash": "${EPOCHREALTIME/[.,]/}", "zsh": "$EPOCHREALTIME"}
"""In microseconds, or where the shell has fractions, in seconds."""

SCRIPT = """
{modules}
eval "$(agentkeys hook {shell})"
eval "$({direnv} hook {shell})"
{alone}
cd {nowhere} || exit; __agentkeys_hook; _direnv_hook
timed() {{
    before={now}; "$@"; after={now}
    echo "$what $(( (after - before) {scale} ))"
}}
repeat_() {{ i=0; while [ $i -lt "$1" ]; do "$2"; i=$((i + 1)); done; }}
change() {{ cd {project} || exit; __agentkeys_hook; cd {nowhere} || exit; __agentkeys_hook; }}
round=0
while [ $round -lt {rounds} ]; do
    what=hook; timed repeat_ {prompts} __agentkeys_hook
    what=true; timed repeat_ {forks} /bin/true
    what=direnv; timed repeat_ {forks} _direnv_hook
    what=changed; timed repeat_ {changes} change
    cd {envrc} || exit; what=load; timed _direnv_hook 2>/dev/null
    cd {nowhere} || exit; _direnv_hook 2>/dev/null
    round=$((round + 1))
done
"""


def hook(place: Place, quick: bool) -> Findings:
    """bash and zsh, each beside its own fork+exec and direnv."""
    findings: Findings = []
    for shell in SHELLS:
        try:
            findings += _one(place, shell, 5 if quick else 20)
        except Missing as why:
            findings.append(Skip("9", f"the hook of {shell}", str(why)))
    return findings


def _one(place: Place, shell: str, rounds: int) -> Findings:
    need(shell)
    direnv = need("direnv")
    dirs = {name: place.home / f"{shell}-{name}" for name in ("nowhere", "project", "envrc")}
    for directory in dirs.values():
        directory.mkdir()
    (dirs["project"] / ".agentkeys.yml").write_text("org: acme\nenv.all: [API_KEY_00000]\n")
    (dirs["envrc"] / ".envrc").write_text("".join([f"export SECRET_{number}=value\n" for number in range(5)]))
    place.run(direnv, "allow", str(dirs["envrc"]))
    place.agentkeys("allow", str(dirs["project"]))
    text = SCRIPT.format(
        shell=shell,
        direnv=direnv,
        now=NOW[shell],
        scale="* 1000000" if shell == "zsh" else "",
        modules="zmodload zsh/datetime" if shell == "zsh" else "",
        alone="chpwd_functions=()" if shell == "zsh" else "",  # or `cd` would load what is timed behind it
        rounds=rounds,
        prompts=PROMPTS,
        forks=FORKS,
        changes=CHANGES,
        **{name: shlex.quote(str(path)) for name, path in dirs.items()},
    )
    env = {**place.env, "PATH": f"{place.directory}:{place.env['PATH']}", "AGENTKEYS_OWNER": place.owner}
    counts = {"hook": PROMPTS, "true": FORKS, "direnv": FORKS, "changed": 2 * CHANGES, "load": 1}
    times: dict[str, list[float]] = {name: [] for name in counts}
    for line in place.run(*SHELLS[shell], "-c", text, env=env).decode().splitlines():
        name, _, micros = line.partition(" ")
        if name in counts:
            times[name].append(float(micros) / counts[name])
    fork, load = f"{shell}: fork+exec true", "direnv's first load"
    return [
        compare("9", f"{shell}: unchanged prompt", times["hook"], times["true"], fork, "µs", BUDGET_UNCHANGED),
        compare("9", f"{shell}: beside: direnv's hook, unchanged", times["direnv"], times["true"], fork, "µs"),
        compare("9", f"{shell}: changed directory", times["changed"], times["load"], load, "µs", BUDGET_CHANGED[shell]),
    ]
