"""Jobs that open the rack: set, del, list; unlock_job has the fourth."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from agentkeys import paths
from agentkeys.client.connection import Connection, agent_sockets
from agentkeys.core import environment, grades, refs, token_shapes
from agentkeys.core.manifest import KeyRecord, Manifest
from agentkeys.core.secret import Secret
from agentkeys.errors import (
    AgentkeysError,
    Denied,
    NoAgent,
    OutcomeUnknown,
    UsageFault,
)
from agentkeys.stores import age, config, inventory
from agentkeys.stores.audit_log import AuditLog
from agentkeys.stores.card import timestamp
from agentkeys.stores.rack import Rack, open_rack
from agentkeys.vaults import open_vault, vault_class
from agentkeys.vaults.base import Place, Vault
from agentkeys.wire import MAX_VALUE
from agentkeys.worker import expiry, push, times
from agentkeys.worker.job import Job

Rows = list[tuple[str, bytes | str]]


def place_of(rack: Rack, manifest: Manifest, job: Job | None = None) -> Place:
    """What a vault needs to know of this rack, and of who asks."""
    place = Place(
        rack.owner,
        paths.vault_dir(rack.root, rack.owner),
        rack.keys.manifest,
        lambda data: age.seal(data, manifest.sealed_to()),
        rack.unseal,
    )
    if job is not None and job.variable is not None and not job.text("alone", ""):
        place.variable = job.variable
    return place


class Change:
    """One key that is to be set: what the rack says of it now, and what it is to say."""

    def __init__(self, job: Job, manifest: Manifest, slug: str, value: bytes | None) -> None:
        """Hold the operator's rules and the vault's. Raises UsageFault, Denied, and leaves nothing behind."""
        refs.split_slug(slug)
        self.slug = slug
        self.old = manifest.keys.get(slug)
        self.record = _record(job, slug, self.old)
        self.kind = vault_class(self.record.vault)
        self.value = _value(job, self.record, self.kind, value)
        """The value, or where it is."""
        self.grade = grade_of(self.record, self.kind)
        self.warnings = _check(job, slug, self.value, self.grade, self.kind)

    @property
    def is_reference(self) -> bool:
        """Whether the value is elsewhere, and not known before the next unlock."""
        return self.kind.protection == "reference"

    def told(self) -> "tuple[bytes, ...]":
        """The request by which an agent that holds the old value learns of the new one."""
        named = (b"replace", b"slug", self.slug.encode())
        if self.is_reference:
            return named
        cap = max(1, times.time_to_live(self.record, refs.MAX_TTL))
        facts = (b"vault", self.record.vault.encode(), b"grade", self.grade.encode(), b"cap", b"%d" % cap)
        return (*named, *facts, b"value", self.value)

    def untold(self) -> "tuple[bytes, ...]":
        """The request that makes an agent forget, when nobody knows which of the two counts.

        A slug that is in the rack in either case is locked then; it was no person who relocked it.
        """
        return (*((b"relock", b"key") if self.old is None else (b"replace", b"slug")), self.slug.encode())


def set_key(job: Job) -> Rows:
    """Put a value into its vault and its key into the rack; live agents hold the new value before we answer."""
    rack = begin(job)
    with rack.lock:
        manifest = rack.require()
        change = Change(job, manifest, job.text("slug"), job.value())
        warnings = change.warnings + store(job, rack, manifest, [change], "set")
    rows: Rows = [("slug", change.slug), ("vault", change.record.vault), ("grade", change.grade)]
    rows.append(("effect", "replaced" if change.old else "added"))
    return rows + [("warning", text) for text in warnings]


def store(job: Job, rack: Rack, manifest: Manifest, changes: "list[Change]", verb: str) -> "list[str]":
    """Commit all of `changes` or none, under the rack's lock; live agents know before it returns.

    What the person should be told.
    """
    # An agent that refuses an unlock does it now, while nothing is stored.
    agent = _agent_for(job, rack) if any(change.kind.in_memory for change in changes) else None
    longest = push.begin(agent) if agent is not None else 0
    inventory.prepare(rack.root)
    inventory.add(rack.root, rack.owner, *[change.slug for change in changes])
    by_vault: dict[str, dict[str, bytes | None]] = {}
    for change in changes:
        by_vault.setdefault(change.record.vault, {})[change.slug] = change.value
        if change.old is not None and change.old.vault != change.record.vault:
            by_vault.setdefault(change.old.vault, {})[change.slug] = None
        manifest.keys[change.slug] = change.record
    with _nobody_serves_the_old(rack, [change.untold() for change in changes]):
        warnings = _commit(rack, manifest, by_vault, verb, [change.slug for change in changes])
    _tell_agents(rack, [change.told() for change in changes])
    if agent is not None:
        brought = [(change.record, change.grade, change.value) for change in changes if change.kind.in_memory]
        push.some(agent, longest, rack, manifest, brought)
    return warnings


def _record(job: Job, slug: str, old: KeyRecord | None) -> KeyRecord:
    """What the manifest is to say: cap and vault stay as they were unless asked, an expiry was the old value's."""
    vault = job.text("vault", old.vault if old else "os.secure")
    max_ttl = job.number("max-ttl") or (old.max_ttl if old else None)
    now = timestamp()
    expires = expiry.of_job(job)
    return KeyRecord(slug, vault, "copy", old.created if old else now, now, max_ttl, expires)


def _value(job: Job, record: KeyRecord, kind: type[Vault], value: bytes | None) -> bytes:
    """The value, or where it is; by default a reference is the key's own name. Raises UsageFault."""
    reference = job.text("ref", "")
    if kind.protection == "reference":
        if value is not None:
            raise UsageFault(
                f"{record.vault} keeps where a value is, not the value",
                f"agentkeys set {record.slug} --vault {record.vault} --ref VARIABLE",
            )
        return (reference or record.slug.rpartition(".")[2]).encode("utf-8", "surrogateescape")
    if reference or value is None:
        raise UsageFault(f"{record.vault} keeps values, not references", f"agentkeys set {record.slug}")
    if len(value) > MAX_VALUE:
        raise UsageFault("the value is over 1 MiB", "keep files elsewhere and their key here")
    return value


def grade_of(record: KeyRecord, kind: type[Vault]) -> str:
    """A key's grade, as agentkeys.core.grades has it."""
    return grades.grade(kind.protection, record.expires is not None, kind.in_memory)


def _check(job: Job, slug: str, value: bytes, grade: str, kind: type[Vault]) -> "list[str]":
    """Hold the operator's rules; what the person should be told. Raises Denied."""
    settings = config.load(job.text("config", ""))
    if not grades.meets(grade, settings.minimum):
        raise Denied(
            f"{slug} would be {grade}, and minimum_grade is {settings.minimum}",
            f"agentkeys set {slug} --vault os.secure --expires-in 30d",
        )
    name = slug.rpartition(".")[2]
    warnings = []
    if environment.loads_code(name) and name not in settings.allow_names:
        warnings.append(f"{name} changes how programs load or run code: exec gives it only as another, --key {name}=AS")
    try:
        environment.check_value(name, slug, Secret(value))
    except UsageFault as fault:
        warnings.append(f"{fault.message}: get gives it; exec without --key gives nothing while it is unlocked")
    shape = None if kind.protection == "reference" else token_shapes.long_lived(value)
    if shape is None:
        return warnings
    what, instead = shape
    if settings.block_dangerous:
        raise Denied(
            f"the value of {slug} looks like {what}, and dangerous_tokens is block",
            f"use {instead}" if instead else "use a credential that ends by itself",
        )
    return [*warnings, f"this looks like {what}, which lives long" + (f"; better: {instead}" if instead else "")]


def _agent_for(job: Job, rack: Rack) -> Connection:
    """The agent that is to hold a value which rests nowhere. Raises NoAgent."""
    socket = job.text("socket", "")
    if not socket:
        raise NoAgent(
            f"os.daemon keeps values in an agent, and none of {rack.owner} runs",
            f'eval "$(agentkeys agent --for {rack.owner})"',
        )
    return Connection(socket, rack.owner, paths.home_id(rack.root))


def delete_key(job: Job) -> Rows:
    """Take a key out of the rack and its value out of its vault; live agents have forgotten it before we answer."""
    rack = begin(job)
    with rack.lock:
        manifest = rack.require()
        slug = job.text("slug")
        old = manifest.keys.pop(slug, None)
        if old is None:
            namesakes = [other for other in sorted(manifest.keys) if other.endswith(slug[slug.rindex(".") :])]
            return [("slug", slug), ("effect", "absent"), *[("namesake", other) for other in namesakes]]
        with _nobody_serves_the_old(rack, [(b"replace", b"slug", slug.encode())]):
            warnings = _commit(rack, manifest, {old.vault: {slug: None}}, "del", [slug])
        _tell_agents(rack, [(b"forget", b"slug", slug.encode())])
        inventory.remove(rack.root, rack.owner, slug)
    return [("slug", slug), ("vault", old.vault), ("effect", "deleted"), *[("warning", text) for text in warnings]]


def begin(job: Job) -> Rack:
    """The rack that a job is about, opened. Raises UsageFault for no such owner, VaultFault, Locked."""
    return open_rack(job.text("home"), refs.check_owner(job.text("owner")), job.means())


def _commit(
    rack: Rack, manifest: Manifest, changes: "dict[str, dict[str, bytes | None]]", verb: str, slugs: "list[str]"
) -> "list[str]":
    """Vaults first, then the manifest's rename, then what the old state alone needed; audited before and after.

    What of the old state could not be removed now is no failure, for the change counts; the person is told.
    """
    log = AuditLog(paths.audit_dir(rack.root, rack.owner), rack.owner)
    log.seal(Secret(rack.keys.state))
    who = (os.getuid(), os.getppid(), slugs)
    log.append(verb, *who, "intent")
    log.sync()
    touched: list[tuple[Vault, str]] = []
    place = place_of(rack, manifest)
    for name, values in changes.items():
        vault = open_vault(name, place)
        manifest.vaults[name] = vault.write(manifest.vaults.get(name, {}), values)
        touched.append((vault, name))
    rack.commit(manifest)
    left = []
    for vault, name in touched:
        try:
            vault.settle(manifest.vaults[name])
        except AgentkeysError as fault:
            old = f"the old value of {slugs[0]} stays" if len(slugs) == 1 else "old values stay"
            left.append(f"{old} in {name} until the next change there: {fault.message}")
    try:
        if not left:
            log.append(verb, *who, "done")
    except AgentkeysError:
        pass  # it is committed; an intent without a result says what happened
    return left


@contextmanager
def _nobody_serves_the_old(rack: Rack, requests: "list[tuple[bytes, ...]]") -> Iterator[None]:
    """When a change fails somewhere in its commit, old or new may count: then no agent may hold either.

    `requests` make it so.
    """
    try:
        yield
    except BaseException:
        _tell_agents(rack, requests)
        raise


def _tell_agents(rack: Rack, requests: "list[tuple[bytes, ...]]") -> None:
    """Tell every live agent of the owner, still under the rack's lock, so that they hear of changes in their order.

    Raises OutcomeUnknown when one may still hold what it shouldn't, after all the others were told.
    """
    untold: list[str] = []
    for path in agent_sockets(rack.root, rack.owner):
        try:
            connection = Connection(path, rack.owner)
            for verb, *pairs in requests:
                connection.ask(verb, *pairs, waits=True)
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
        record = manifest.keys[slug]
        facts = {"slug": slug, "org": org, "env": env, "name": name, **record.as_json(), "grade": _grade(record)}
        rows.append(("key", json.dumps(facts)))
    return rows


def _grade(record: KeyRecord) -> str | None:
    """A key's grade, or None when its vault is no longer installed."""
    try:
        return grade_of(record, vault_class(record.vault))
    except UsageFault:
        return None
