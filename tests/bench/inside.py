"""Run by the measured venv's Python: makes racks, writes worker jobs and times one unlock, with the package in-process.

init OWNER…              owners with a file identity each
fill OWNER COUNT         a rack of COUNT keys, by one commit
unlock OWNER=SOCKET…     the unlock job, unmeasured
jobs OWNER SOCKET DIR    DIR/list, DIR/set, DIR/unlock: what the CLI would write to a worker
time-unlock OWNER SOCKET nanoseconds of the unlock job, from the request read to the answer ready; of it on a processor
time-open OWNER          nanoseconds to open and parse the bundle, and bundle and manifest; of both on a processor
"""

import gc
import json
import os
import sys
import time
from pathlib import Path

import pyrage

from agentkeys import paths
from agentkeys.core.manifest import KeyRecord
from agentkeys.stores import atomic
from agentkeys.stores.rack import open_rack
from agentkeys.vaults import open_vault, os_secure
from agentkeys.worker import job, owner_jobs, rack_jobs, unlock_job

Fields = list[tuple[str, bytes | str]]

ROOT = paths.home(dict(os.environb))
VAULT = os_secure.OsSecure.name
CREATED = "2026-01-01T00:00:00Z"
FAR_AWAY = str(7 * 24 * 3600)
"""Seconds: nothing expires during a benchmark."""


def read(request: bytes) -> job.Job:
    """A worker's request; nobody is here to be asked for a passphrase."""
    return job.Job(request, lambda _question: b"")


def init(*owners: str) -> None:
    """Make owners."""
    for owner in owners:
        owner_jobs.init(read(job.encode("init", [("home", ROOT), ("owner", owner), ("via", "file")])))


def fill(owner: str, count: str) -> None:
    """Put keys into a rack as `set` would, but all in one commit, and the markers without an fsync each."""
    rack = open_rack(ROOT, owner)
    with atomic.FileLock(paths.rack_lock(ROOT, owner)):
        manifest = rack.require()
        values = {f"@all.all.API_KEY_{number:05}": os.urandom(24).hex().encode() for number in range(int(count))}
        for slug in values:
            manifest.keys[slug] = KeyRecord(slug, VAULT, "copy", CREATED, CREATED)
        vault = open_vault(VAULT, rack_jobs.place_of(rack, manifest))
        manifest.vaults[VAULT] = vault.write(manifest.vaults.get(VAULT, {}), dict(values))
        rack.commit(manifest)
        vault.settle(manifest.vaults[VAULT])
    if not Path(paths.install_key(ROOT)).exists():
        atomic.write_file(paths.install_key(ROOT), os.urandom(32))
    atomic.make_private_dir(paths.inventory_dir(ROOT, owner))
    for slug in values:
        Path(paths.inventory_marker(ROOT, owner, slug)).touch()


def unlock_request(owner: str, socket: str) -> bytes:
    """What the CLI writes to the worker for `agentkeys unlock --for OWNER`."""
    where: Fields = [("home", ROOT), ("owner", owner), ("socket", socket), ("org", "@all"), ("env", "all")]
    return job.encode("unlock", [*where, ("duration", FAR_AWAY)])


def unlock(*pairs: str) -> None:
    """Unlock everything of each owner into its agent."""
    for pair in pairs:
        owner, _, socket = pair.partition("=")
        unlock_job.unlock(read(unlock_request(owner, socket)))


def jobs(owner: str, socket: str, directory: str) -> None:
    """Write the requests of the verbs that need a worker."""
    where: Fields = [("home", ROOT), ("owner", owner)]
    changed: Fields = [("slug", "@all.all.CHANGED"), ("value", b"value")]
    requests = {
        "list": job.encode("list", where),
        "set": job.encode("set", [*where, *changed]),
        "unlock": unlock_request(owner, socket),
    }
    for name, request in requests.items():
        Path(directory, name).write_bytes(request)


def time_unlock(owner: str, socket: str) -> None:
    """Time one unlock job as a worker runs it, modules loaded; print its nanoseconds, and this process's own."""
    request = unlock_request(owner, socket)
    gc.disable()  # as a worker does
    own, start = time.process_time_ns(), time.perf_counter_ns()
    job.encode("ok", unlock_job.unlock(read(request)))
    print(time.perf_counter_ns() - start, time.process_time_ns() - own)


def time_open(owner: str) -> None:
    """Time the least that any unlock must do: open the values' file and parse it; print its nanoseconds.

    A second number adds the same for the manifest, without which nobody knows what the values are, and a third is the
    processor's time of both.
    """
    text = Path(paths.identity(ROOT, owner)).read_text().splitlines()[-1]
    identity = pyrage.x25519.Identity.from_str(text)
    gc.disable()
    [bundle] = Path(paths.vault_dir(ROOT, owner)).glob("*.age")
    own, start = time.process_time_ns(), time.perf_counter_ns()
    json.loads(pyrage.decrypt(bundle.read_bytes(), [identity]))
    middle = time.perf_counter_ns()
    json.loads(pyrage.decrypt(Path(paths.manifest(ROOT, owner)).read_bytes(), [identity]))
    print(middle - start, time.perf_counter_ns() - start, time.process_time_ns() - own)


if __name__ == "__main__":
    verbs = (init, fill, unlock, jobs, time_unlock, time_open)
    {verb.__name__.replace("_", "-"): verb for verb in verbs}[sys.argv[1]](*sys.argv[2:])
