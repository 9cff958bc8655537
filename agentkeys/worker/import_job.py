"""The job `import`: many keys into the rack in one commit, all or nothing."""

import json

from agentkeys.core.manifest import Manifest
from agentkeys.errors import UsageFault
from agentkeys.stores.rack import Rack
from agentkeys.vaults import open_vault
from agentkeys.worker.job import Job
from agentkeys.worker.rack_jobs import Change, Rows, begin, place_of, store

NAMED_AT_MOST = 5
"""Keys that an error names; the rest is a number."""


def import_keys(job: Job) -> Rows:
    """Each `slug` with its `value`; what the rack holds already, to the byte, stays as it is.

    Without `overwrite` a key that has another value is a UsageFault, for nobody knows which of the two is older. With
    `dry-run` nothing is changed. A row of JSON for each key, in their order: slug, vault, grade, effect, warnings.
    """
    rack = begin(job)
    with rack.lock:
        manifest = rack.require()
        pairs = zip(job.texts("slug"), job.values(), strict=True)
        changes = [Change(job, manifest, slug, value) for slug, value in pairs]
        same = _unchanged(job, rack, manifest, changes)
        _require_overwrite(job, [change for change in changes if change.old and change.slug not in same])
        wanted = [change for change in changes if change.slug not in same]
        dry = bool(job.text("dry-run", ""))
        warnings = store(job, rack, manifest, wanted, "import") if wanted and not dry else []
    rows: Rows = []
    for change in changes:
        effect = "unchanged" if change.slug in same else "replaced" if change.old else "added"
        facts = {"slug": change.slug, "vault": change.record.vault, "grade": change.grade, "effect": effect}
        rows.append(("key", json.dumps({**facts, "warnings": change.warnings})))
    return rows + [("warning", text) for text in warnings]


def _unchanged(job: Job, rack: Rack, manifest: Manifest, changes: "list[Change]") -> "set[str]":
    """The slugs whose vault holds that very value. Raises VaultFault, Locked, TimedOut."""
    by_vault: dict[str, list[str]] = {}
    for change in changes:
        if change.old is not None and change.old.vault == change.record.vault and not job.number("max-ttl"):
            by_vault.setdefault(change.old.vault, []).append(change.slug)
    held = {}
    for name, slugs in by_vault.items():
        held.update(open_vault(name, place_of(rack, manifest)).fetch(manifest.vaults.get(name, {}), slugs))
    return {change.slug for change in changes if held.get(change.slug) == change.value}


def _require_overwrite(job: Job, others: "list[Change]") -> None:
    if not others or job.text("overwrite", ""):
        return
    names = [change.slug for change in others]
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    shown = ", ".join(names[:NAMED_AT_MOST]) + more
    raise UsageFault(
        f"the rack has another value of {shown}, so nothing is imported", f"{job.text('again')} --overwrite"
    )
