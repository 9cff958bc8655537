"""Each owner's card, names, identity, rack (against the version this machine has seen) and audit log."""

import glob
import os
from collections.abc import Iterator

from agentkeys import paths
from agentkeys.client.near import no_owner
from agentkeys.errors import AgentkeysError, TimedOut
from agentkeys.setup.doctor.findings import Finding, as_root, error, note, ok, quoted, warning
from agentkeys.setup.doctor.scene import Scene

INSPECT_SECONDS = 6.0
"""For one rack: a worker needs 0.1 s, a keychain that hangs is given up after 2."""

AUDIT_LARGE = 100 * 1024 * 1024
"""Bytes of an audit log worth a word: a million lines and more."""

ROOM_LOW = 16 * 1024 * 1024
"""Bytes of free disk below which the next change, a whole new generation, may not fit."""

MAX_NAMES = 10_000
"""Aliases and wallets that are looked at."""

LOST = ".lost-"
"""In the name of an identity that a restore put aside."""


def check_owner(scene: Scene) -> Iterator[Finding]:
    """The cards: every owner that is asked for has one that can be read, and no rack is without."""
    if not scene.is_ours:
        return
    for owner in scene.owners:
        path = paths.owner_card(scene.root, owner)
        if owner not in scene.there:
            fault = no_owner(scene.root, owner)
            yield error("owner-unknown", fault.message, _init(scene, owner), owner)
        elif scene.card(owner) is None:
            fix = f"mv {quoted(path)} {quoted(path + '.damaged')} && {_init(scene, owner)}"
            yield error("card-damaged", f"{path} can't be read, and says how the identity is kept", fix, owner)
    for path in sorted(glob.glob(f"{glob.escape(scene.root)}/host.*.yml.age")):
        owner = path.rpartition("/host.")[2].removesuffix(".yml.age")
        if owner not in scene.there and owner not in scene.owners:
            what = f"{path} is there, and no card says how its identity is kept"
            yield warning("card-missing", what, _init(scene, owner), owner)


def _init(scene: Scene, owner: str) -> str:
    """What makes a card again, as far as the files tell how it was made."""
    kept = " --via file" if paths.exists(paths.identity(scene.root, owner)) else ""
    return f"agentkeys init --for {owner}{kept}"


def check_names(scene: Scene) -> Iterator[Finding]:
    """The names that stand for owners: each a symlink whose text is an owner of this home."""
    if not scene.is_ours:
        return
    directory = f"{scene.root}/names"
    try:
        listed = sorted(os.listdir(directory))
    except OSError:
        return
    for name in listed[:MAX_NAMES]:
        path = paths.name_link(scene.root, name)
        try:
            text = os.readlink(path)
        except OSError:
            yield warning("name-kind", f"{path} is no symlink to an owner", f"rm -r {quoted(path)}")
            continue
        if text not in scene.there:
            yield warning("name-dangling", f"{path} stands for {text}, who is no owner here", f"rm {quoted(path)}")


def check_racks(scene: Scene) -> Iterator[Finding]:
    """Each rack, opened in a worker where that needs nobody: whether it opens, and whether it is the newest seen."""
    for owner in scene.owners:
        if not scene.is_ours or owner not in scene.there or scene.card(owner) is None:
            continue
        try:
            fields: list[tuple[str, bytes | str]] = [("home", scene.root), ("owner", owner)]
            found = scene.work("inspect", fields, min(INSPECT_SECONDS, scene.left))
        except TimedOut:
            yield note("rack-late", "the rack was not looked at: a worker didn't end in time", "", owner)
        except AgentkeysError as fault:
            yield error("worker", f"no worker could look at the rack: {fault.message}", "agentkeys --version", owner)
        else:
            scene.opened[owner] = found["state"] == "opened"
            yield from _judge(scene, owner, found)


def _judge(scene: Scene, owner: str, found: "dict[str, str]") -> Iterator[Finding]:
    state, message = found["state"], found.get("message", "")
    if "seen-fault" in found:
        fix = f"rm {quoted(paths.state_file(scene.root, owner))}"
        yield error("state-damaged", f"the version this machine has seen is lost: {found['seen-fault']}", fix, owner)
    if state == "opened":
        yield from _versions(owner, int(found["version"]), int(found.get("seen", found["version"])))
    elif state == "absent" and int(found.get("seen", "0")):
        what = f"the rack is gone, and this machine has seen version {found['seen']} of it"
        yield error("rack-gone", what, _from_backup(scene, owner), owner)
    elif state == "absent":
        yield warning("rack-missing", "there is no rack yet: `init` was cut short", _init(scene, owner), owner)
    elif state == "unsettled":
        what = "a restore was cut short; the next verb that opens the rack ends it"
        yield note("restore-unfinished", what, f"agentkeys list --for {owner} >/dev/null", owner)
    elif state == "gone":
        yield from _lost_identity(scene, owner)
    elif state == "identity":
        yield error("identity-fault", message, _mend_identity(scene, owner, found.get("hint", "")), owner)
    elif state == "rack":
        yield error("rack-fault", message, _from_backup(scene, owner), owner)
    elif state in ("unclaimed", "waiting"):
        away = ", which isn't here" if state == "waiting" else ""
        what = f"the rack waits for the first use of its private key{away}"
        yield note("rack-unclaimed", what, f"agentkeys list --for {owner}" if state == "unclaimed" else "", owner)
    else:
        card = scene.card(owner)
        why = "the keychain isn't open" if state == "locked" else "somebody would have to be asked"
        yield ok("rack", f"kept via {card.via if card else '?'}; not opened, because {why}", owner)


def _versions(owner: str, version: int, seen: int) -> Iterator[Finding]:
    if version < seen:
        what = f"the rack is version {version}, and this machine has seen {seen}: an older copy was put back"
        yield error("rack-older", what, f"agentkeys restore --for {owner} --accept-older", owner)
    elif version > seen:
        what = f"the rack is version {version}, and this machine has seen {seen}: it was changed elsewhere"
        yield note("rack-newer", what, "", owner)
    else:
        yield ok("rack", f"opens, version {version}, the newest this machine has seen", owner)


def _lost_identity(scene: Scene, owner: str) -> Iterator[Finding]:
    card = scene.card(owner)
    via = card.via if card else ""
    place = card.key_path if card and via == "ssh" else paths.identity(scene.root, owner)
    aside = lost_identities(scene, owner)
    if aside and via != "ssh":
        what = f"the identity {place} is gone; {aside[-1]} may be it"
        yield error("identity-gone", what, f"mv {quoted(aside[-1])} {quoted(place)}", owner)
        return
    what = "the keychain holds the identity no more" if via == "keychain" else f"the identity {place} is gone"
    yield error("identity-gone", what, _from_backup_key(owner, via), owner)


def _mend_identity(scene: Scene, owner: str, hint: str) -> str:
    card = scene.card(owner)
    if card and card.via == "env":
        return "unset AGENTKEYS_IDENTITY"
    return hint if hint.startswith("chmod ") else _from_backup_key(owner, card.via if card else "")


def _from_backup_key(owner: str, via: str) -> str:
    """The command, for somebody who has put the path of a backup recipient's key into BACKUP_KEY."""
    kept = " --via file" if via == "ssh" or via.startswith("plugin:") else ""
    return f'agentkeys restore --for {owner}{kept} --identity "$BACKUP_KEY"'


def _from_backup(scene: Scene, owner: str) -> str:
    """The command, for somebody who has put the path of an untouched copy of the home into BACKUP."""
    root = quoted(scene.root)
    return f'cp -p "$BACKUP"/host.{owner}.yml.age {root}/ && cp -Rp "$BACKUP"/vault/{owner} {root}/vault/'


def lost_identities(scene: Scene, owner: str) -> "list[str]":
    """The identity files that a restore put aside, the newest last."""
    return sorted(glob.glob(f"{glob.escape(paths.identity(scene.root, owner))}{LOST}*"))


# --- the audit log -------------------------------------------------------------------------------------------


def check_audit(scene: Scene) -> Iterator[Finding]:
    """Whether each audit log can be written, since nothing is given where it can't, and how large it is."""
    for owner in scene.owners:
        if not scene.is_ours or owner not in scene.there:
            continue
        directory = paths.audit_dir(scene.root, owner)
        findings = [*_writable(scene, owner, directory), *_room(scene, owner, directory)]
        yield from findings
        if not findings:
            size = sum([_size(path) for path in glob.glob(f"{glob.escape(directory)}/*.jsonl")])
            if size > AUDIT_LARGE:
                yield note("audit-large", f"the audit log has {size >> 20} MiB: {directory}", "", owner)
            else:
                yield ok("audit", f"the audit log can be written, {-(-size // 1024)} KiB", owner)


def _writable(scene: Scene, owner: str, directory: str) -> Iterator[Finding]:
    """By what is there, from the nearest directory that exists to the files in it."""
    nearest = directory
    while not os.path.lexists(nearest) and len(nearest) > len(scene.root):
        nearest = os.path.dirname(nearest)
    for path in (nearest, *sorted(glob.glob(f"{glob.escape(directory)}/*.jsonl"))):
        wanted = os.W_OK | os.X_OK if path == nearest else os.R_OK | os.W_OK
        if path == nearest and not os.path.isdir(path):
            fix = f"mv {quoted(path)} {quoted(path + '.aside')}"
            yield error("audit-kind", f"{path} is no directory, so no agent can log, and none gives a key", fix, owner)
        elif not os.access(path, wanted, effective_ids=os.access in os.supports_effective_ids):
            mode = "700" if path == nearest else "600"
            what = f"{path} can't be written, so no agent can log, and none gives a key"
            yield error("audit-closed", what, f"chmod {mode} {quoted(path)}", owner)


def _room(scene: Scene, owner: str, directory: str) -> Iterator[Finding]:
    while not os.path.isdir(directory) and directory != "/":
        directory = os.path.dirname(directory)
    try:
        facts = os.statvfs(directory)
    except OSError:
        return
    if facts.f_flag & os.ST_RDONLY:
        what = f"{directory} is on a file system that is read-only, so no agent can log"
        fix = as_root(f"mount -o remount,rw {quoted(_mount_point(directory))}", scene.uid)
        yield error("audit-read-only", what, fix, owner)
    elif facts.f_bavail * facts.f_frsize < ROOM_LOW:
        what = f"only {facts.f_bavail * facts.f_frsize >> 10} KiB are left on the disk of {directory}"
        yield error("disk-full", what, f"du -xh {quoted(_mount_point(directory))} | sort -h | tail", owner)


def _mount_point(directory: str) -> str:
    while not os.path.ismount(directory):
        directory = os.path.dirname(directory)
    return directory


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
