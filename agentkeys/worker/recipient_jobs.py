"""Jobs about who can open a rack: backup recipients, and restore when the owner's own identity is lost."""

import json
import os
import shlex

from agentkeys import paths
from agentkeys.client.near import no_owner
from agentkeys.core import manifest as manifests
from agentkeys.core import refs
from agentkeys.core.manifest import Manifest
from agentkeys.core.secret import Secret
from agentkeys.errors import AgentkeysError, UsageFault, VaultFault
from agentkeys.stores import age, atomic, identities, identity, inventory, succession
from agentkeys.stores.audit_log import AuditLog
from agentkeys.stores.card import Card, publish, read_card
from agentkeys.stores.identity import OpenIdentity
from agentkeys.stores.rack import Rack, seen_version
from agentkeys.vaults import open_vault
from agentkeys.vaults.base import Place
from agentkeys.worker.job import Job
from agentkeys.worker.rack_jobs import begin, place_of

Rows = list[tuple[str, bytes | str]]

MAX_BACKUPS = 20
"""Backup recipients of one rack: each costs every write a stanza, and every reader of this list a thought."""


def recipient_get(job: Job) -> Rows:
    """The rack's recipients, as rows of JSON."""
    manifest = begin(job).require()
    rows: Rows = [("row", json.dumps({"label": "owner", "recipient": manifest.recipients[0]}))]
    return rows + [("row", json.dumps({"label": k, "recipient": v})) for k, v in manifest.backups.items()]


def recipient_set(job: Job) -> Rows:
    """Seal manifest and values to one more recipient. Raises UsageFault for a label or key that can't be."""
    label, text = job.text("label"), job.text("recipient").strip()
    if not refs.is_env(label) or label == "owner":
        raise UsageFault(f"not a label: {refs.shown(label)}", "agentkeys recipient set --label backup --pubkey age1…")
    try:
        age.recipient(text)
    except VaultFault as fault:
        raise UsageFault(fault.message, fault.hint) from None
    rack = begin(job)
    with rack.lock:
        manifest = rack.require()
        for known, its in [("owner", manifest.recipients[0]), *manifest.backups.items()]:
            if its == text:
                raise UsageFault(f"that key is a recipient already, {known}", _see(rack.owner))
        if label in manifest.backups:
            raise UsageFault(
                f"{rack.owner} has a recipient {label} already",
                f"agentkeys recipient set --for {rack.owner} --label another --pubkey {shlex.quote(text)}",
            )
        if len(manifest.backups) >= MAX_BACKUPS:
            raise UsageFault(f"{rack.owner} has {MAX_BACKUPS} backup recipients, and no more fit", _see(rack.owner))
        manifest.backups[label] = text
        reseal(rack, manifest, "recipient-set", label)
    return [("label", label), ("effect", "added")]


def recipient_del(job: Job) -> Rows:
    """Seal manifest and values without a recipient. Raises UsageFault for a label that isn't there."""
    label = job.text("label")
    rack = begin(job)
    with rack.lock:
        manifest = rack.require()
        if label not in manifest.backups:
            raise UsageFault(f"{rack.owner} has no backup recipient {refs.shown(label)}", _see(rack.owner))
        del manifest.backups[label]
        reseal(rack, manifest, "recipient-del", label)
    return [("label", label), ("effect", "removed")]


def _see(owner: str) -> str:
    return f"agentkeys recipient get --for {owner}"


def reseal(rack: Rack, manifest: Manifest, verb: str, label: str, old: "Place | None" = None) -> None:
    """Write every value and the manifest anew, all or nothing: new generations, the manifest's rename, then clean-up.

    `old` reads the values when they are still sealed to another identity.
    """
    log = AuditLog(paths.audit_dir(rack.root, rack.owner), rack.owner)
    log.seal(Secret(rack.keys.state))
    log.append(verb, os.getuid(), os.getppid(), [], "intent", label)
    log.sync()
    place = place_of(rack, manifest)
    vaults = {name: open_vault(name, place) for name in manifest.vaults}
    for name, vault in vaults.items():
        if vault.protection == "reference":
            continue  # we sealed nothing of it, and where it leads may be out of reach now
        values = open_vault(name, old).read(manifest.vaults[name]) if old else vault.read(manifest.vaults[name])
        manifest.vaults[name] = vault.rewrite(manifest.vaults[name], values)
    rack.commit(manifest)
    for name, vault in vaults.items():
        vault.settle(manifest.vaults[name])
    log.append(verb, os.getuid(), os.getppid(), [], "done", label)


def restore(job: Job) -> Rows:
    """Open a rack with a backup identity, or an older copy with the owner's own, and make it the owner's again.

    The MACs of a rack whose identity is lost can't be checked: what a backup opens is *not verified*, and the person
    has agreed to that before this job began. Raises UsageFault, VaultFault, Locked.
    """
    root, owner = job.text("home"), refs.check_owner(job.text("owner"))
    source = job.text("identity-path", "")
    with atomic.FileLock(paths.rack_lock(root, owner)):
        succession.settle(root, owner)
        card = read_card(root, owner)
        if card is None:
            raise no_owner(root, owner)
        if not source:
            return _accept_older(Rack(root, owner, identities.open_identity(root, card, job.means())), job)
        return _from_backup(root, card, _open_backup(source, job), job)


def _accept_older(rack: Rack, job: Job) -> Rows:
    if not job.text("accept-older", ""):
        raise UsageFault(
            "nothing to restore from", f"agentkeys restore --for {rack.owner} --identity backup.key, or --accept-older"
        )
    found = rack.read_verified()
    place = place_of(rack, found)
    for name, state in found.vaults.items():
        vault = open_vault(name, place)
        if vault.protection != "reference":
            vault.read(state)  # an older manifest without its older values is no rack
    seen = rack.seen_version()
    rack.forget_version()
    found.version = max(found.version, seen)
    log = AuditLog(paths.audit_dir(rack.root, rack.owner), rack.owner)
    log.seal(Secret(rack.keys.state))
    log.append("restore", os.getuid(), os.getppid(), [], "done", f"an older copy was accepted; {seen} was seen")
    rack.commit(found)
    inventory.reconcile(rack.root, rack.owner, list(found.keys))
    return [("owner", rack.owner), ("keys", str(len(found.keys))), ("effect", "accepted")]


def _from_backup(root: str, card: Card, backup: OpenIdentity, job: Job) -> Rows:
    owner = card.owner
    path = paths.manifest(root, owner)
    data = atomic.read_file(path)
    if data is None:
        raise VaultFault(f"{path} is not there", f"ls -l {root}")
    found = manifests.from_unverified(age.open_sealed(data, backup.decryptor, path), owner)
    seen = seen_version(root, owner)
    if found.version < seen and not job.text("accept-older", ""):
        raise UsageFault(
            f"{path} is version {found.version}, and this machine has seen {seen}",
            f"agentkeys restore --for {owner} --identity {job.text('identity-path')} --accept-older",
        )
    own = None if job.text("via", "") else _kept(root, card, job)
    if own is not None:
        rows = _seal_to(root, card, own, found, backup)
        publish(root, card)
        return rows
    making = _making(root, card, job)
    with succession.succeeding(root, card, data, making.via) as succeeding:
        made, own = succession.make_next(making)
        made.wallet, made.aliases, made.created = card.wallet, card.aliases, card.created
        succeeding.announce(made)
        return _seal_to(root, made, own, found, backup, making.notes)


def _seal_to(
    root: str, card: Card, own: OpenIdentity, found: Manifest, backup: OpenIdentity, notes: "list[str] | None" = None
) -> Rows:
    """Seal an unverified rack, which `backup` opened, to its owner as `card` says."""
    owner = card.owner
    lost = Place(
        owner,
        paths.vault_dir(root, owner),
        b"",
        lambda _data: b"",
        lambda sealed, what: age.open_sealed(sealed, backup.decryptor, what),
    )
    found.version = max(found.version, seen_version(root, owner))
    found.recipients, found.via = card.recipients, card.via
    # Not verified, so only the backup that the person holds is sealed to again; others may be the writer's own.
    dropped = [label for label, text in found.backups.items() if text != backup.recipient]
    found.backups = {label: text for label, text in found.backups.items() if text == backup.recipient}
    reseal(Rack(root, owner, own), found, "restore", "not verified", lost)
    inventory.reconcile(root, owner, list(found.keys))
    return [
        ("owner", owner),
        ("keys", str(len(found.keys))),
        ("effect", "restored"),
        ("via", card.via),
        *[("dropped", name) for name in dropped],
        *[("note", note) for note in notes or []],
    ]


def _kept(root: str, card: Card, job: Job) -> OpenIdentity | None:
    """The owner's own identity, or None when it doesn't open what is sealed to it any more.

    Raises Locked when only a person could tell, and nobody can be asked.
    """
    try:
        opened = identities.open_identity(root, card, job.means())
    except AgentkeysError:
        return None
    return opened if succession.opens_its_own(opened) else None


def _making(root: str, card: Card, job: Job) -> identities.Making:
    """What is asked for: a new identity of the same kind, or as --via says. Raises UsageFault."""
    making = identities.Making(root, card.owner, job.means())
    making.via, making.pubkey = job.text("via", "") or card.via, job.text("pubkey", "")
    making.identity_file, making.file_option = job.text("plugin-identity", ""), "--plugin-identity"
    making.command = f"agentkeys restore --for {card.owner} --identity {job.text('identity-path')}"
    if making.via == "ssh" and not making.pubkey:
        raise UsageFault(
            "name the ssh key to seal to from now on", f"{making.command} --via ssh --pubkey ~/.ssh/id_ed25519.pub"
        )
    return making


def _open_backup(source: str, job: Job) -> OpenIdentity:
    """A backup identity in a file: an age identity, or an ssh key. Raises UsageFault, VaultFault, Locked."""
    data = atomic.read_file(source, identity.MAX_KEY_FILE)
    if data is None:
        raise UsageFault(f"{source} is not there", f"ls -l {source}")
    if b"OPENSSH PRIVATE KEY" in data:
        return identity.open_ssh(source, "", job.ask)
    return identity.parse_file(data, source)


JOBS = {
    "recipient-get": recipient_get,
    "recipient-set": recipient_set,
    "recipient-del": recipient_del,
    "restore": restore,
}
