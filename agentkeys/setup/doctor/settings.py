"""config.toml, and what in it lowers protection; the keychain."""

import os
import re
import stat
from collections.abc import Iterator

from agentkeys import paths
from agentkeys.errors import AgentkeysError, TimedOut
from agentkeys.setup.doctor.findings import Finding, as_root, error, note, ok, quoted, warning
from agentkeys.setup.doctor.scene import Scene
from agentkeys.stores import config

WHERE = re.compile(r"at line \d+, column \d+")
"""How tomllib ends its message; the rest of that may quote the file."""


def check_config(scene: Scene) -> Iterator[Finding]:
    """Whose it is, whether it can be understood, and which settings lower protection."""
    try:
        path = paths.config_file(scene.environ)
    except AgentkeysError:
        return  # there is no HOME, and another check says so
    word = quoted(path)
    try:
        facts = os.stat(path)
    except FileNotFoundError:
        yield ok("config", f"no {path}: everything has its default")
        return
    except OSError as problem:
        yield error("config-closed", f"{path} can't be looked at: {problem.strerror}", f"ls -ld {word}")
        return
    mode = stat.S_IMODE(facts.st_mode)
    if facts.st_uid not in (scene.uid, 0):
        what = f"{path} belongs to uid {facts.st_uid}, so no agent starts"
        yield error("config-foreign", what, as_root(f"chown {scene.uid} {word}", scene.uid))
    elif not stat.S_ISREG(facts.st_mode):
        yield error("config-kind", f"{path} is no file, so no agent starts", f"mv {word} {quoted(path + '.aside')}")
    elif mode & 0o022:
        what = f"{path} can be written by others ({mode:04o}), so no agent starts"
        yield error("config-mode", what, f"chmod go-w {word}")
    elif not os.access(path, os.R_OK):
        yield error("config-closed", f"{path} can't be read, so no agent knows the settings", f"chmod u+r {word}")
    else:
        yield from _directory(scene, os.path.dirname(path))
        yield from _settings(path)


def _directory(scene: Scene, directory: str) -> Iterator[Finding]:
    facts = os.stat(directory)
    mode = stat.S_IMODE(facts.st_mode)
    if mode & 0o022 and not mode & stat.S_ISVTX:
        what = f"{directory} can be written by others ({mode:04o}), who can put another config.toml there"
        yield error("config-dir-mode", what, f"chmod go-w {quoted(directory)}")
    elif facts.st_uid not in (scene.uid, 0):
        what = f"{directory} belongs to uid {facts.st_uid}, who can put another config.toml there"
        yield error("config-dir-foreign", what, as_root(f"chown {scene.uid} {quoted(directory)}", scene.uid))


def _settings(path: str) -> Iterator[Finding]:
    try:
        found = config.load(path)
    except AgentkeysError as fault:
        where = _toml_place(path)
        what = f"{fault.message}{', ' + where if where else ''}, so no agent starts"
        yield error("config-fault", what, f"${{EDITOR:-vi}} {quoted(path)}")
        return
    lowered = []
    if found.allow_root:
        lowered.append("allow_root: root may use every key that is unlocked")
    if found.allow_names:
        names = ", ".join(sorted(found.allow_names))
        lowered.append(f"exec.allow_names: keys may become {names}, which change how programs load or run code")
    for what in lowered:
        yield note("config-lowers", what)
    if not lowered:
        yield ok("config", f"{path}, yours alone to write; nothing in it lowers protection")
    if found.strict_session:
        yield from _strict(path)


def _strict(path: str) -> Iterator[Finding]:
    """Whether an agent that wants to know every caller's login session can."""
    if paths.login_session() == paths.UNSET_SESSION:
        what = "login_session is strict, and this process is in no login session: no agent starts here"
        yield warning("config-strict", what, f"${{EDITOR:-vi}} {quoted(path)}")
    hidden = hidepid_of(_mounts(), {os.getegid(), *os.getgroups()}) if os.geteuid() else ""
    if hidden:
        what = (
            f"login_session is strict, and /proc is mounted hidepid={hidden}, which hides the workers' login session "
            "from the agent: nothing can be unlocked in one of a login"
        )
        yield warning("config-strict-hidden", what, f"${{EDITOR:-vi}} {quoted(path)}")


def _mounts() -> str:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def hidepid_of(mountinfo: str, groups: "set[int]") -> str:
    """The option of the /proc that is on top, as mounted; empty where it hides nothing from these groups.

    proc(5): hidepid=0 or off hides nothing, and gid names a group that is exempt; proc_pid_mountinfo(5).
    """
    for line in reversed(mountinfo.splitlines()):
        fields, _, behind = line.partition(" - ")
        kind, _, options = behind.partition(" ")
        if fields.split(" ")[4:5] == ["/proc"]:
            said = dict(word.partition("=")[::2] for word in options.rpartition(" ")[2].split(","))
            hides = kind == "proc" and said.get("hidepid", "0") not in ("0", "off")
            return said["hidepid"] if hides and said.get("gid", "") not in map(str, groups) else ""
    return ""


def _toml_place(path: str) -> str:
    """Where the TOML breaks off, or empty when it isn't that."""
    import tomllib

    try:
        with open(path, "rb") as file:
            tomllib.loads(file.read(config.MAX_CONFIG).decode("utf-8", "replace"))
    except tomllib.TOMLDecodeError as fault:
        found = WHERE.search(str(fault))
        return found[0] if found else ""
    except (OSError, RecursionError):
        return ""
    return ""


# --- the keychain --------------------------------------------------------------------------------------------

PROBE_SECONDS = 5.0
"""For the worker that looks at the keychain: 2 s for one that hangs, and its own start on a loaded machine."""

DIRECT = "AGENTKEYS_SESSION_STORE"

UNLOCK_GNOME = "stty -echo; gnome-keyring-daemon --replace --unlock; stty echo"
"""gnome-keyring-daemon(1): reads the keyring's password to the end of its input."""


def check_keychain(scene: Scene) -> Iterator[Finding]:
    """Whether there is a keychain, open or locked; one that owners depend on has to be."""
    users = [owner for owner in scene.owners if _keeps_in_keychain(scene, owner)] if scene.is_ours else []
    if scene.env(DIRECT) == "file" and not users:
        yield ok("keychain", f"not looked for: {DIRECT} is file")
        return
    try:
        found = scene.work("probe", [], min(PROBE_SECONDS, scene.left))
    except TimedOut:
        found = {"state": "silent"}
    except AgentkeysError as fault:
        yield error("worker", f"no worker could look at the keychain: {fault.message}", "agentkeys --version")
        return
    yield _keychain(found, users)


def _keeps_in_keychain(scene: Scene, owner: str) -> bool:
    card = scene.card(owner)
    return card is not None and card.via == "keychain"


def _keychain(found: "dict[str, str]", users: "list[str]") -> Finding:
    state, program = found["state"], found.get("program") or "the keychain"
    pid = found.get("pid", "0")
    whose = f", and the identity of {', '.join(users)} is in it" if users else ""
    if state == "ready":
        return ok("keychain", f"{program} is open")
    if state == "locked":
        what = f"{program} is locked{whose}"
        fix = UNLOCK_GNOME if program == "gnome-keyring-daemon" else f"busctl --user status {pid}"
        return warning("keychain-locked", what, fix) if users else note("keychain-locked", what, KEEP_TO_FILES)
    if state == "silent":
        what = f"{program} doesn't answer within 2 s{whose}"
        fix = f"kill {pid}" if pid != "0" else "export DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$(id -u)/bus"
        return error("keychain-silent", what, fix) if users else warning("keychain-silent", what, fix)
    if state == "asleep":
        return ok("keychain", "there is one, which the first use starts")
    if state == "empty":
        what = f"{program} has no keychain by default yet; the first log-in to the desktop makes it"
        return error("keychain-empty", what + whose, UNLOCK_GNOME) if users else note("keychain-empty", what)
    if users:
        what = f"no keychain answers{whose}"
        return error("keychain-absent", what, "gnome-keyring-daemon --start --components=secrets")
    return ok("keychain", "there is none, so identities are kept in files")


KEEP_TO_FILES = f"export {DIRECT}=file"
