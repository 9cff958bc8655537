"""The agents that answer: their version, their memory, who traces them, and which login session they serve."""

from collections.abc import Iterator

from agentkeys import __version__, paths, wire
from agentkeys.setup.doctor.call import Call
from agentkeys.setup.doctor.findings import Finding, error, note, ok, quoted, warning
from agentkeys.setup.doctor.scene import Scene, Spot

LIMIT = "Max core file size"
"""The line of /proc/PID/limits (proc(5))."""


def check_agents(scene: Scene) -> Iterator[Finding]:
    """Each agent: whether it is this version, and how well its memory is kept."""
    for spot, made in scene.agents():
        findings = [*_version(spot, made), *_memory(spot, made), *_process(spot, made)]
        yield from findings
        if not findings:
            closed = ", memory closed to others" if made.fact("memory_protected") else ""
            yield ok("agent", f"agent {made.version}, protocol {_range(made)}, pid {made.pid}{closed}", spot.owner)


def _range(made: Call) -> str:
    return str(made.lowest) if made.lowest == made.highest else f"{made.lowest} to {made.highest}"


def _restart(spot: Spot) -> str:
    """A private agent is only ended: whoever wants one starts it as before."""
    if spot.is_private:
        return f"agentkeys agent -k --for {spot.owner} -a {quoted(spot.path)} >/dev/null"
    return f'agentkeys agent -k --for {spot.owner} >/dev/null; eval "$(agentkeys agent --for {spot.owner})"'


def _version(spot: Spot, made: Call) -> Iterator[Finding]:
    if not made.speaks_ours:
        theirs = f"the agent (pid {made.pid}, version {made.version}) speaks protocol {_range(made)}"
        what = f"{theirs}, and this program {wire.PROTOCOL}"
        # Every version leaves when its socket is gone; `stop` may be another verb there.
        start = "" if spot.is_private else f'; eval "$(agentkeys agent --for {spot.owner})"'
        fix = f"rm -f {quoted(spot.path)}{start}"
        yield error("agent-protocol", what, fix, spot.owner)
    elif made.version != __version__:
        what = f"the agent (pid {made.pid}) is version {made.version}, and this program is {__version__}"
        yield warning("agent-version", what, _restart(spot), spot.owner)


def _memory(spot: Spot, made: Call) -> Iterator[Finding]:
    if made.fact("memory_protected") is False:
        what = f"other processes of this user can read the memory of the agent (pid {made.pid})"
        yield warning("agent-memory", what, _restart(spot), spot.owner)
    if made.fact("memory_locked") is False:
        what = f"the agent (pid {made.pid}) holds values that may be swapped out: RLIMIT_MEMLOCK is too low"
        yield note("agent-swap", what, f'ulimit -l "$(ulimit -H -l)"; {_restart(spot)}', spot.owner)


def _process(spot: Spot, made: Call) -> Iterator[Finding]:
    """What /proc says of it; nothing on macOS, where there is none."""
    tracer = tracer_of(made.pid)
    if tracer:
        what = f"pid {tracer} traces the agent (pid {made.pid}), so it can read every key"
        yield error("agent-traced", what, f"kill {tracer}", spot.owner)
    core = core_limit(made.pid)
    if core not in ("", "0"):
        what = f"the agent (pid {made.pid}) may leave a core file with its keys in it"
        yield error("agent-core", what, f"prlimit --pid {made.pid} --core=0", spot.owner)


def tracer_of(pid: int) -> str:
    """The pid of whoever traces a process, or empty (proc(5), TracerPid)."""
    return next((value for value in _lines(f"/proc/{pid}/status", "TracerPid:") if value != "0"), "")


def core_limit(pid: int) -> str:
    """The soft limit of a process's core files: a number of bytes, `unlimited`, or empty when it can't be read."""
    return next((value for value in _lines(f"/proc/{pid}/limits", LIMIT)), "")


def _lines(path: str, label: str) -> "list[str]":
    """The first word after `label` at a line's beginning."""
    found = []
    for line in paths.read_small(path).decode("ascii", "replace").splitlines():
        words = line.removeprefix(label).split()
        if line.startswith(label) and words:
            found.append(words[0])
    return found


# --- login sessions ------------------------------------------------------------------------------------------


def check_session(scene: Scene) -> Iterator[Finding]:
    """This login session, and those that the agents serve."""
    ours = paths.login_session()
    here = ours != paths.UNSET_SESSION
    yield ok("session", f"this is login session {ours}" if here else "this process is in no login session")
    for spot, made in scene.agents():
        start = f'eval "$(agentkeys agent --for {spot.owner})"'
        if here and spot.session not in (paths.UNSET_SESSION, ours):
            if not _has_own(scene, spot.owner, ours):
                what = f"the agent (pid {made.pid}) serves login session {spot.session} only"
                yield note("session-other", what, start, spot.owner)
        elif here and spot.session == paths.UNSET_SESSION:
            what = (
                f"the agent (pid {made.pid}) was started outside a login session: it serves every process of this user"
            )
            yield note("session-all", what, "", spot.owner)
        elif not here and spot.session != paths.UNSET_SESSION:
            what = f"the agent (pid {made.pid}) serves login session {spot.session}, and callers of an unknown one"
            yield note("session-unknown", what, "", spot.owner)


def _has_own(scene: Scene, owner: str, session: int) -> bool:
    return any(spot.session in (session, paths.UNSET_SESSION) for spot, _made in scene.agents(owner))
