"""Jobs that open the rack: set, del, list, unlock."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from agentkeys import client, paths
from agentkeys.core import refs
from agentkeys.core.manifest import KeyRecord, Manifest
from agentkeys.core.secret import Secret
from agentkeys.errors import (
    Absent,
    AgentkeysError,
    NoAgent,
    OutcomeUnknown,
    UsageFault,
    VaultFault,
)
from agentkeys.stores import age, inventory
from agentkeys.stores.audit_log import AuditLog
from agentkeys.stores.card import timestamp
from agentkeys.stores.rack import Rack, open_rack
from agentkeys.vaults import open_vault
from agentkeys.vaults.base import Place, Vault
from agentkeys.wire import MAX_VALUE
from agentkeys.worker.job import Job

Rows = list[tuple[str, bytes | str]]

Groups = dict[tuple[str, int], list[str]]
"""Slugs by their vault and seconds to live."""

SUDO_PART = f".{refs.SUDO_ENV}."

BATCH = 192 * 1024
"""Bytes of values in one unlock-add: below a frame's 256 KiB, so that the agent handles it in place."""

MAX_DIRECTORY = 1900 * 1024
"""Bytes of all slugs of a rack, which one unlock-commit carries: 40,000 usual ones, and below wire.MAX_REQUEST."""


def place_of(rack: Rack, manifest: Manifest) -> Place:
    """What a vault needs to know of this rack."""
    return Place(
        rack.owner,
        paths.vault_dir(rack.root, rack.owner),
        rack.keys.manifest,
        lambda data: age.seal(data, manifest.sealed_to()),
        rack.unseal,
    )


def set_key(job: Job) -> Rows:
    """Put a value into its vault and its key into the rack; live agents hold the new value before we answer."""
    slug, value = job.text("slug"), job.value()
    refs.split_slug(slug)
    if len(value) > MAX_VALUE:
        raise UsageFault("the value is over 1 MiB", "keep files elsewhere and their key here")
    rack = begin(job)
    with rack.lock:
        manifest = rack.require()
        old = manifest.keys.get(slug)
        vault_name = job.text("vault", old.vault if old else "os.secure")
        max_ttl = _number(job, "max-ttl") or (old.max_ttl if old else None)
        now = timestamp()
        record = KeyRecord(slug, vault_name, "copy", old.created if old else now, now, max_ttl)
        changes: dict[str, dict[str, bytes | None]] = {vault_name: {slug: value}}
        if old is not None and old.vault != vault_name:
            changes[old.vault] = {slug: None}
        open_vault(vault_name, place_of(rack, manifest))  # a typo leaves nothing behind
        inventory.prepare(rack.root)
        inventory.add(rack.root, rack.owner, slug)
        manifest.keys[slug] = record
        with _nobody_serves_the_old(rack, slug):
            _change(rack, manifest, changes, "set", slug)
        _tell_agents(rack, b"replace", b"slug", slug.encode(), b"cap", b"%d" % (max_ttl or 0), b"value", value)
    return [("slug", slug), ("vault", vault_name), ("effect", "replaced" if old else "added")]


def delete_key(job: Job) -> Rows:
    """Take a key out of the rack and its value out of its vault; live agents have forgotten it before we answer."""
    rack = begin(job)
    with rack.lock:
        manifest = rack.require()
        slug = job.text("slug")
        old = manifest.keys.pop(slug, None)
        if old is None:
            return [("slug", slug), ("effect", "absent")]
        with _nobody_serves_the_old(rack, slug):
            _change(rack, manifest, {old.vault: {slug: None}}, "del", slug)
        _tell_agents(rack, b"forget", b"slug", slug.encode())
        inventory.remove(rack.root, rack.owner, slug)
    return [("slug", slug), ("vault", old.vault), ("effect", "deleted")]


def begin(job: Job) -> Rack:
    """The rack that a job is about, opened. Raises UsageFault for no such owner, VaultFault, Locked."""
    return open_rack(job.text("home"), refs.check_owner(job.text("owner")), job.means())


def _change(
    rack: Rack, manifest: Manifest, changes: "dict[str, dict[str, bytes | None]]", verb: str, slug: str
) -> None:
    """Vaults first, then the manifest's rename, then what the old state alone needed; audited before and after."""
    log = AuditLog(paths.audit_dir(rack.root, rack.owner), rack.owner)
    log.seal(Secret(rack.keys.state))
    who = (os.getuid(), os.getppid(), [slug])
    log.append(verb, *who, "intent")
    log.sync()
    touched: list[tuple[Vault, str]] = []
    place = place_of(rack, manifest)
    for name, values in changes.items():
        vault = open_vault(name, place)
        manifest.vaults[name] = vault.write(manifest.vaults.get(name, {}), values)
        touched.append((vault, name))
    rack.commit(manifest)
    try:
        for vault, name in touched:
            vault.settle(manifest.vaults[name])
        log.append(verb, *who, "done")
    except VaultFault:
        pass  # it is committed; the next write sweeps, and an intent without a result says what happened


@contextmanager
def _nobody_serves_the_old(rack: Rack, slug: str) -> Iterator[None]:
    """When a change fails somewhere in its commit, old or new may count: then no agent may hold either."""
    try:
        yield
    except BaseException:
        _tell_agents(rack, b"relock", b"key", slug.encode())
        raise


def _tell_agents(rack: Rack, verb: bytes, *pairs: bytes) -> None:
    """Tell every live agent of the owner, still under the rack's lock, so that they hear of changes in their order.

    Raises OutcomeUnknown when one may still hold what it shouldn't, after all the others were told.
    """
    untold: list[str] = []
    for path in client.agent_sockets(rack.root, rack.owner):
        try:
            connection = client.Connection(path, rack.owner)
            connection.ask(verb, *pairs, secret=True)
            connection.close()
        except (NoAgent, OutcomeUnknown):
            continue  # it died, and what it held died with it
        except AgentkeysError as fault:
            untold.append(f"{path} ({fault.message})")
    if untold:
        raise OutcomeUnknown(
            f"the rack is changed, but an agent may hold the old value: {', '.join(untold)}",
            f"agentkeys relock --for {rack.owner}",
        )


def list_keys(job: Job) -> Rows:
    """Every key of the rack, as rows of JSON; names and places, no values."""
    rack = begin(job)
    manifest = rack.require()
    rows: Rows = []
    for slug in sorted(manifest.keys):
        org, env, name = refs.split_slug(slug)
        record = manifest.keys[slug].as_json()
        rows.append(("key", json.dumps({"slug": slug, "org": org, "env": env, "name": name, **record})))
    return rows


def unlock(job: Job) -> Rows:
    """Bring values from their vaults into the agent, as one transaction."""
    rack = begin(job)
    connection = client.Connection(job.text("socket"), rack.owner)
    with rack.lock:  # a `set` that commits meanwhile would be overtaken by the value before it
        manifest = rack.require()
        slugs = choose(manifest, job.text("org", refs.ANY_ORG), job.text("env", refs.ANY_ENV), job.texts("key"))
        inventory.reconcile(rack.root, rack.owner, list(manifest.keys))
        asked = _number(job, "duration") or 0
        values = _read_values(rack, manifest, slugs)
        groups = _groups(manifest, slugs, asked)
        _push(connection, groups, values)
        directory = "\n".join(sorted(manifest.keys)).encode("ascii")
        if len(directory) > MAX_DIRECTORY:
            raise VaultFault("the names in this rack are over 1.9 MiB together", f"agentkeys list --for {rack.owner}")
        pairs = [b"directory", directory] if directory else []
        connection.ask(b"unlock-commit", b"state-key", rack.keys.state, *pairs, secret=True)
    return [
        ("capped" if asked > ttl else "unlocked", "\n".join([str(ttl), *brought]))
        for (_vault, ttl), brought in groups.items()
    ]


def _groups(manifest: Manifest, slugs: "list[str]", asked: int) -> Groups:
    """`slugs` by their vault and time to live, which nearly all have in common."""
    usual = min(asked or refs.DEFAULT_TTL, refs.MAX_TTL)
    groups: Groups = {}
    for slug in slugs:
        record = manifest.keys[slug]
        ttl = usual if record.max_ttl is None and SUDO_PART not in slug else time_to_live(record, asked)
        groups.setdefault((record.vault, ttl), []).append(slug)
    return groups


def _number(job: Job, name: str) -> int | None:
    """A field that is a number, or None when it is empty or not there. Raises UsageFault."""
    text = job.text(name, "")
    if text and not (text.isdigit() and len(text) < 10):
        raise UsageFault(f"{name} is not a number")
    return int(text) if text else None


def choose(manifest: Manifest, org: str, env: str, keys: "list[str]") -> "list[str]":
    """The slugs an unlock brings: those named, else all of org ∪ @all in env ∪ all, never sudo.

    Raises Absent for a name that isn't there, UsageFault for sudo without a name.
    """
    refs.check_org(org)
    refs.check_env(env)
    if not keys:
        if env == refs.SUDO_ENV:
            raise UsageFault("sudo keys are only unlocked by name", "agentkeys unlock --env sudo --key NAME")
        wanted = tuple([f"{o}.{e}." for o in (org, refs.ANY_ORG) for e in (env, refs.ANY_ENV)])
        return [slug for slug in sorted(manifest.keys) if slug.startswith(wanted)]
    chosen: dict[str, None] = {}
    for key in keys:
        found = [slug for slug in refs.candidates(org, env, key) if slug in manifest.keys]
        if not found:
            raise Absent(
                f"{manifest.owner} has no key {refs.shown(key)} in env {env}",
                f"agentkeys list --for {manifest.owner}",
            )
        chosen[found[0]] = None
    return list(chosen)


def time_to_live(record: KeyRecord, asked: int) -> int:
    """Seconds: what was asked or the default, within the key's own cap and the absolute one."""
    usual = refs.SUDO_TTL if record.slug.split(".")[1] == refs.SUDO_ENV else refs.DEFAULT_TTL
    return min(asked or usual, record.max_ttl or refs.MAX_TTL, refs.MAX_TTL)


def _read_values(rack: Rack, manifest: Manifest, slugs: "list[str]") -> "dict[str, bytes]":
    place = place_of(rack, manifest)
    values: dict[str, bytes] = {}
    for name in sorted({manifest.keys[slug].vault for slug in slugs}):
        values.update(open_vault(name, place).read(manifest.vaults.get(name, {})))
    for slug in set(slugs) - values.keys():
        raise VaultFault(f"{manifest.keys[slug].vault} has lost {slug}", f"agentkeys set {slug}")
    return values


def _push(connection: client.Connection, groups: Groups, values: "dict[str, bytes]") -> None:
    """Send each group's slugs and values, BATCH bytes at a time."""
    connection.ask(b"unlock", secret=True)
    for (vault, ttl), slugs in groups.items():
        facts = (b"vault", vault.encode("ascii"), b"ttl", b"%d" % ttl)
        pairs: list[bytes] = []
        size = 0
        for slug in slugs:
            value = values[slug]
            if size and size + len(value) > BATCH:
                connection.ask(b"unlock-add", *facts, *pairs, secret=True)
                pairs, size = [], 0
            pairs += (slug.encode("ascii"), value)
            size += len(slug) + len(value) + 8
        connection.ask(b"unlock-add", *facts, *pairs, secret=True)
