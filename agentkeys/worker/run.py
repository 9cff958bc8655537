"""The worker process: close its memory, bound it, do one job, answer."""

import gc
import os
import resource
import sys

from agentkeys import hardening, wire
from agentkeys.errors import AgentkeysError, Locked
from agentkeys.worker import job as jobs

MAX_MEMORY = 2 * 1024 * 1024 * 1024
"""Bytes of address space: several times the largest rack; a decompression or key-stretching bomb ends here."""

CHUNK = 64 * 1024
"""Bytes read at once: a pipe's capacity on Linux (pipe(7))."""

MAX_CPU = 60
"""Seconds of processor time: a job takes milliseconds, an RSA-16384 key a second."""

CPU_GRACE = 1
"""Seconds from SIGXCPU, which says why a worker died, to SIGKILL, which doesn't."""


def main() -> int:
    """Do the job on stdin; exit 0 when an answer was written, be it an error."""
    hardening.quieten()
    hardening.close_memory()
    hardening.bound(resource.RLIMIT_CPU, MAX_CPU, CPU_GRACE)
    if sys.platform == "linux":
        hardening.bound(resource.RLIMIT_AS, MAX_MEMORY)
    os.umask(0o077)
    gc.disable()  # one job and gone: a fifth of a large unlock would go into looking for cycles
    try:
        answer = _work(jobs.gather(_receive))
    except AgentkeysError as fault:
        answer = jobs.encode_fault(fault)
    except MemoryError:
        answer = jobs.encode_fault(AgentkeysError("the worker gave up: its memory is used up", "free -h; ulimit -v"))
    except wire.WireError as fault:
        answer = jobs.encode_fault(AgentkeysError(f"the worker gave up: {type(fault).__name__}"))
    _send(answer)
    return 0


def _receive() -> bytes:
    return os.read(0, CHUNK)


def _send(message: bytes) -> None:
    left = memoryview(message)
    while left:
        left = left[os.write(1, left) :]


def _ask(text: str) -> bytes:
    """Put a question to the CLI, which has the terminal. Raises AgentkeysError when it can't ask."""
    return _put("text", text) or b""


def _variable(name: str) -> bytes | None:
    """Ask the CLI for a variable of its environment. Raises AgentkeysError when nobody is there."""
    return _put("variable", name)


def _put(kind: str, text: str) -> bytes | None:
    _send(jobs.encode("ask", [(kind, text)]))
    try:
        return jobs.read_reply(jobs.gather(_receive))
    except wire.WireError:  # an agent that unlocks again has closed its end
        raise Locked(f"{text.rstrip(': ')} is wanted, and nobody can be asked", "agentkeys unlock") from None


def _announce() -> None:
    """Have the CLI tell the person of the keychain's dialog. Raises AgentkeysError when it can't."""
    _put("dialog", "the keychain")


def _work(message: bytes) -> bytes:
    job = jobs.Job(message, _ask, _variable)
    if job.text("person", ""):
        from agentkeys.stores import keychain_dialog, keychain_here

        keychain_here.DIALOG.set(keychain_dialog.Dialog(_announce))
    if job.name in ("init", "resolve", "alias", "remove"):
        from agentkeys.worker import owner_jobs

        about = {
            "init": owner_jobs.init,
            "resolve": owner_jobs.resolve,
            "alias": owner_jobs.alias,
            "remove": owner_jobs.remove,
        }
        return jobs.encode("ok", about[job.name](job))
    if job.name in ("recipient-set", "recipient-del", "recipient-get", "restore"):
        from agentkeys.worker import recipient_jobs

        return jobs.encode("ok", recipient_jobs.JOBS[job.name](job))
    if job.name == "unlock":
        from agentkeys.worker import unlock_job

        return jobs.encode("ok", unlock_job.unlock(job))
    if job.name.startswith("session-"):
        from agentkeys.worker import session_jobs

        return jobs.encode("ok", session_jobs.JOBS[job.name](job))
    if job.name in ("probe", "inspect"):
        from agentkeys.worker import probe_jobs

        return jobs.encode("ok", {"probe": probe_jobs.probe, "inspect": probe_jobs.inspect}[job.name](job))
    if job.name == "import":
        from agentkeys.worker import import_job

        return jobs.encode("ok", import_job.import_keys(job))
    from agentkeys.worker import rack_jobs

    run = {
        "set": rack_jobs.set_key,
        "del": rack_jobs.delete_key,
        "list": rack_jobs.list_keys,
    }
    return jobs.encode("ok", run[job.name](job))
