"""The persistent root and everything below it: whose it is, who else can get at it, and what is no plain file."""

import os
import stat
from collections.abc import Iterator

from agentkeys.setup.doctor.findings import Finding, as_root, error, note, ok, quoted, warning
from agentkeys.setup.doctor.scene import Scene

MAX_ENTRIES = 50_000
"""Files looked at: ten owners with 5,000 keys each; a walk over them takes a quarter of a second."""

SHOWN = 3
"""How many of a kind are named one by one."""

PRIVATE = ("identity/", "install.key")
"""Below the root: who reads an identity opens the rack."""

PLAIN = "/direct."
"""In the name of a value file that isn't sealed."""


def check_home(scene: Scene) -> Iterator[Finding]:
    """Where the root is, that it is a directory of this user's alone, and who could put another in its place."""
    root, fault = scene.root, scene.root_fault
    if fault is not None:
        yield error("home-unknown", fault.message, fault.hint)
        return
    try:
        facts = os.stat(root)
    except FileNotFoundError:
        yield from _absent(scene)
        return
    except OSError as problem:
        yield error("home-unreadable", f"{root} can't be looked at: {problem.strerror}", _way_in(scene))
        return
    if facts.st_uid != scene.uid:
        yield _foreign(scene, facts.st_uid)
        return
    if not stat.S_ISDIR(facts.st_mode):
        yield error("home-kind", f"{root} is not a directory", f"mv {quoted(root)} {quoted(root + '.aside')}")
        return
    findings = [*_entrance(scene, facts), *_above(scene)]
    yield from findings
    if not findings:
        count = len(scene.there)
        yield ok("home", f"{root}, yours alone, {count} owner{'' if count == 1 else 's'}")
    if not scene.there:
        yield note("no-owner", "there is no owner yet", "agentkeys init")


def _absent(scene: Scene) -> Iterator[Finding]:
    if os.path.islink(scene.root):
        yield error("home-kind", f"{scene.root} is a symlink to nowhere", f"rm {quoted(scene.root)}")
        return
    parent = os.path.dirname(scene.root)
    try:
        owner = os.stat(parent).st_uid
    except OSError:
        owner = scene.uid
    if owner not in (scene.uid, 0):
        yield _foreign(scene, owner)
        return
    yield note("no-owner", f"there is no owner yet, and no {scene.root}", "agentkeys init")


def _way_in(scene: Scene) -> str:
    """Another home where this one can't be; else the nearest directory above that can be looked at is opened."""
    if scene.env("AGENTKEYS_HOME"):
        return "unset AGENTKEYS_HOME"
    directory = os.path.dirname(scene.root)
    while directory != "/" and not os.path.lexists(directory):
        directory = os.path.dirname(directory)
    return f"chmod u+rwx {quoted(directory)}"


def _foreign(scene: Scene, uid: int) -> Finding:
    return error(
        "home-foreign",
        f"{scene.root} belongs to uid {uid}, and this is uid {scene.uid}; nothing in it was looked at",
        f"sudo -u '#{uid}' -H agentkeys doctor",
    )


def _entrance(scene: Scene, facts: os.stat_result) -> Iterator[Finding]:
    root = scene.root
    mode = stat.S_IMODE(facts.st_mode)
    if os.path.islink(root):
        yield warning(
            "home-symlink",
            f"{root} is a symlink, and `init` makes nothing behind one",
            f"export AGENTKEYS_HOME={quoted(os.path.realpath(root))}",
        )
    if mode & 0o077:
        yield error("home-mode", f"{root} is open to others: {mode:04o}", f"chmod 700 {quoted(root)}")
    elif mode & 0o700 != 0o700:
        yield error("home-mode", f"{root} is closed to yourself: {mode:04o}", f"chmod 700 {quoted(root)}")


def _above(scene: Scene) -> Iterator[Finding]:
    """Who can rename a directory above the home can put another home in its place."""
    directory = os.path.realpath(scene.root)
    while directory != "/":
        directory = os.path.dirname(directory)
        try:
            facts = os.stat(directory)
        except OSError:
            continue
        mode = stat.S_IMODE(facts.st_mode)
        if facts.st_uid not in (scene.uid, 0):
            yield warning(
                "home-parent-foreign",
                f"{directory} belongs to uid {facts.st_uid}, who can put another home in the place of yours",
                as_root(f"chown -h {scene.uid} {quoted(directory)}", scene.uid),
            )
        elif mode & 0o022 and not mode & stat.S_ISVTX:
            yield warning(
                "home-parent-mode",
                f"{directory} can be written by others ({mode:04o}), who can put another home in the place of yours",
                as_root(f"chmod go-w {quoted(directory)}", facts.st_uid if scene.uid else 0),
            )


# --- what is below -------------------------------------------------------------------------------------------


class _Sorted:
    """What a walk found that shouldn't be."""

    def __init__(self) -> None:
        self.count = 0
        self.cut = False
        """Whether there was more than MAX_ENTRIES."""
        self.closed: list[str] = []
        self.exposed: list[str] = []
        """Secrets that others can read, and anything that others can write."""
        self.open: list[str] = []
        """Everything else that others can read, and directories that they can enter."""
        self.foreign: list[str] = []
        self.links: list[str] = []
        self.hard: list[str] = []
        self.odd: list[str] = []
        """FIFOs and devices."""


def check_files(scene: Scene) -> Iterator[Finding]:
    """Everything below the root: 0600 and 0700, this user's, and no link but the names of owners."""
    if not scene.is_ours:
        return
    found = _Sorted()
    for path, facts in _walk(scene.root):
        found.count += 1
        if found.count > MAX_ENTRIES:
            found.cut = True
            break
        _sort(found, scene, path, facts)
    findings = [*_modes(scene, found), *_owners(scene, found), *_links(scene, found)]
    yield from findings
    if found.cut:
        yield note("files-many", f"more than {MAX_ENTRIES} files; the others weren't looked at")
    elif not findings:
        yield ok("files", f"{found.count} files and directories, yours alone")


def _walk(root: str) -> "Iterator[tuple[str, os.stat_result]]":
    """Every entry below `root` by lstat; a symlink is never followed, and what can't be listed is passed over."""
    pending = [root]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in listed:
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # it is gone again
            yield entry.path, facts
            if stat.S_ISDIR(facts.st_mode):
                pending.append(entry.path)


def _sort(found: _Sorted, scene: Scene, path: str, facts: os.stat_result) -> None:
    below = path.removeprefix(scene.root + "/")
    mode = stat.S_IMODE(facts.st_mode)
    if facts.st_uid != scene.uid:
        found.foreign.append(path)
    if stat.S_ISLNK(facts.st_mode):
        if not below.startswith("names/"):
            found.links.append(path)
        return
    if stat.S_ISFIFO(facts.st_mode) or stat.S_ISCHR(facts.st_mode) or stat.S_ISBLK(facts.st_mode):
        found.odd.append(path)
        return
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1:
        found.hard.append(path)
    own = 0o700 if stat.S_ISDIR(facts.st_mode) else 0o600
    if mode & 0o022 or (mode & 0o044 and (below.startswith(PRIVATE) or PLAIN in below)):
        found.exposed.append(path)
    elif mode & 0o077:
        found.open.append(path)
    elif mode & own != own:
        found.closed.append(path)


def _modes(scene: Scene, found: _Sorted) -> Iterator[Finding]:
    for path in found.exposed[:SHOWN]:
        yield error("file-exposed", f"{path} {_opened_to(path)} by others", _chmod(path))
    if len(found.exposed) > SHOWN:
        what = f"{len(found.exposed) - SHOWN} more below {scene.root} can be read or written by others"
        yield error("file-exposed", what, _chmod_all(scene))
    for path in found.open[:SHOWN]:
        yield warning("file-mode", f"{path} is open to others: {_mode(path)}", _chmod(path))
    if len(found.open) > SHOWN:
        what = f"{len(found.open) - SHOWN} more below {scene.root} are open to others"
        yield warning("file-mode", what, _chmod_all(scene))
    for path in found.closed[:SHOWN]:
        yield warning("file-closed", f"{path} is closed to yourself: {_mode(path)}", _chmod(path))
    if len(found.closed) > SHOWN:
        what = f"{len(found.closed) - SHOWN} more below {scene.root} are closed to yourself"
        yield warning("file-closed", what, _chmod_all(scene))


def _owners(scene: Scene, found: _Sorted) -> Iterator[Finding]:
    if not found.foreign:
        return
    first, count = found.foreign[0], len(found.foreign)
    what = f"{first} belongs to another user" if count == 1 else f"{first} and {count - 1} more belong to other users"
    command = f"find {quoted(scene.root)} ! -user {scene.uid} -exec chown -h {scene.uid} {{}} +"
    yield error("file-foreign", what, as_root(command, scene.uid))


def _links(scene: Scene, found: _Sorted) -> Iterator[Finding]:
    for path in found.links[:SHOWN]:
        if not os.path.exists(path):
            yield error("file-symlink", f"{path} is a symlink to nowhere", f"rm {quoted(path)}")
        else:
            yield error("file-symlink", f"{path} is a symlink, which is never followed", _unlinked(path))
    for path in found.hard[:SHOWN]:
        yield warning(
            "file-hard-link", f"{path} has another name elsewhere, by which it can be read and written", _unlinked(path)
        )
    if len(found.links) > SHOWN:
        what = f"{len(found.links) - SHOWN} more symlinks below {scene.root}"
        yield error("file-symlink", what, _unlinked(found.links[SHOWN]))
    if len(found.hard) > SHOWN:
        what = f"{len(found.hard) - SHOWN} more files below {scene.root} have another name elsewhere"
        yield warning("file-hard-link", what, _unlinked(found.hard[SHOWN]))
    for path in found.odd[:SHOWN]:
        yield warning("file-odd", f"{path} is neither a file nor a directory", f"rm {quoted(path)}")


def _mode(path: str) -> str:
    try:
        return f"{stat.S_IMODE(os.lstat(path).st_mode):04o}"
    except OSError:
        return "gone"


def _opened_to(path: str) -> str:
    """How far a path is open."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return "was open"
    return f"can be {'written' if mode & 0o022 else 'read'} ({stat.S_IMODE(mode):04o})"


def _chmod(path: str) -> str:
    return f"chmod {700 if os.path.isdir(path) else 600} {quoted(path)}"


def _chmod_all(scene: Scene) -> str:
    """One command for all; a directory is opened to its owner before find descends into it."""
    root = quoted(scene.root)
    return f"find {root} -type d -exec chmod 700 {{}} \\; -o -type f -exec chmod 600 {{}} +"


def _unlinked(path: str) -> str:
    """A copy of what a link leads to, in the link's place."""
    word, copy = quoted(path), quoted(path + ".copy")
    if os.path.isdir(path):
        return f"cp -RL {word} {copy} && rm {word} && mv {copy} {word} && chmod -R go= {word}"
    return f"cp {word} {copy} && chmod 600 {copy} && mv -f {copy} {word}"
