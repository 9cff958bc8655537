"""This process and its shell: variables that are wrong, left over or dangerous, limits, tracers, clocks."""

import os
import resource
import sys
import time
from collections.abc import Iterator

from agentkeys.client import owner_of
from agentkeys.core import refs
from agentkeys.setup.doctor.agents import tracer_of
from agentkeys.setup.doctor.findings import Finding, error, note, ok, warning
from agentkeys.setup.doctor.program import is_deaf
from agentkeys.setup.doctor.scene import Scene

LOADS_PYTHON = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "PYTHONPLATLIBDIR",
    "PYTHONPYCACHEPREFIX",
)
"""Variables by which Python itself loads other code (python(1))."""

LOADS_ANY = ("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "DYLD_LIBRARY_PATH")
"""Variables by which every program loads other code (ld.so(8), dyld(1))."""

KNOWN = frozenset(
    (
        "AGENTKEYS_HOME",
        "AGENTKEYS_IDENTITY",
        "AGENTKEYS_OWNER",
        "AGENTKEYS_SOCK",
        "AGENTKEYS_SESSION_STORE",
        "AGENTKEYS_AGENT_PID",
        "AGENTKEYS_PROJECT",
        "AGENTKEYS_LOADED",
        "AGENTKEYS_STATE",
    )
)
"""Our own variables; any other of that beginning is a slip of the finger."""

SUSPEND_LEAST = 1.0
"""Seconds of suspend worth a word: CLOCK_BOOTTIME and CLOCK_MONOTONIC are read one after the other."""


def check_environment(scene: Scene) -> Iterator[Finding]:
    """Variables that load code, and variables of ours that are wrong or left over."""
    findings = [*_loading(scene), *_ours(scene), *_owner(scene)]
    yield from findings
    if not findings:
        yield ok("environment", "no variable is in the way")


def _loading(scene: Scene) -> Iterator[Finding]:
    python = [name for name in LOADS_PYTHON if scene.env(name)]
    if python and not is_deaf(scene):
        what = f"{', '.join(python)}: code from there can run in agentkeys, before its own"
        yield warning("env-python", what, f"unset {' '.join(python)}")
    loaded = [name for name in LOADS_ANY if scene.env(name)]
    if loaded:
        what = f"{', '.join(loaded)}: code from there runs in every program of this shell, agentkeys included"
        yield warning("env-preload", what, f"unset {' '.join(loaded)}")


def _ours(scene: Scene) -> Iterator[Finding]:
    if b"AGENTKEYS_IDENTITY" in scene.environ:
        what = (
            "AGENTKEYS_IDENTITY is exported, so every program of this shell can open the rack; set it for one command"
        )
        yield warning("env-identity", what, "unset AGENTKEYS_IDENTITY")
    store = scene.env("AGENTKEYS_SESSION_STORE")
    if store not in ("", "file", "keychain"):
        what = "AGENTKEYS_SESSION_STORE is neither file nor keychain, so verbs that open a rack fail"
        yield error("env-session-store", what, "unset AGENTKEYS_SESSION_STORE")
    names = [name.decode("utf-8", "surrogateescape") for name in scene.environ if name.startswith(b"AGENTKEYS_")]
    for name in sorted(set(names) - KNOWN)[:5]:
        yield note(
            "env-unknown",
            f"{refs.shown(name)} is no variable of agentkeys",
            f"unset {name}" if name.isidentifier() else "",
        )


def _owner(scene: Scene) -> Iterator[Finding]:
    text = scene.env("AGENTKEYS_OWNER")
    if text and scene.is_ours and scene.there:
        owner = owner_of(scene.root, text)
        if owner is not None and owner not in scene.there:
            what = f"AGENTKEYS_OWNER is {refs.shown(text)}; there is {', '.join(scene.there)}"
            yield warning("env-owner", what, "unset AGENTKEYS_OWNER")
        elif owner is None and not text.lower().startswith("0x"):
            yield warning(
                "env-owner", f"AGENTKEYS_OWNER is no owner's name: {refs.shown(text)}", "unset AGENTKEYS_OWNER"
            )
    pid = scene.env("AGENTKEYS_AGENT_PID")
    if pid and not scene.env("AGENTKEYS_SOCK"):
        pids = {str(made.pid) for _spot, made in scene.agents()}
        if pid not in pids:
            what = f"AGENTKEYS_AGENT_PID is {refs.shown(pid)}, and no agent has it"
            yield note("agent-pid-stale", what, "unset AGENTKEYS_AGENT_PID")


def check_process(scene: Scene) -> Iterator[Finding]:
    """What the shell hands down to each program: who traces it, and whether it leaves core files."""
    del scene
    tracer = tracer_of(os.getpid())
    if tracer:
        what = f"pid {tracer} traces this shell's programs: it can read what `get` and `exec` give, and no agent starts"
        yield warning("traced", what, f"kill {tracer}")
    soft, _hard = resource.getrlimit(resource.RLIMIT_CORE)
    if soft:
        what = "programs that `exec` starts may leave a core file with their keys in it; agents and workers never do"
        yield note("core-limit", what, "ulimit -c 0")
    if not tracer and not soft:
        yield ok("process", "not traced, and no core files")


def check_clock(scene: Scene) -> Iterator[Finding]:
    """Which clock the agents' times are of."""
    del scene
    if sys.platform != "linux":
        yield ok("clock", "times are CLOCK_MONOTONIC's, which goes on during sleep on macOS")
        return
    try:
        slept = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    except (AttributeError, OSError):
        yield error("clock", "there is no CLOCK_BOOTTIME (Linux 2.6.39), so no agent can run", "uname -r")
        return
    asleep = f"; this machine slept {int(slept)} s since it started" if slept > SUSPEND_LEAST else ""
    yield ok("clock", f"times are CLOCK_BOOTTIME's, which goes on during sleep{asleep}")
