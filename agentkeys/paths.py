"""Every place on disk and every socket, as `str`; FILES in agentkeys(1) is the same list.

Client and daemon compute the same path from the same facts (environment, uid, login session), so that nothing
has to be exported for them to meet. Imports `posix` alone: `os` and `pathlib` would be paid at each `exec`.
"""

import posix
import sys

from agentkeys.errors import Denied, UsageFault

MAX_SOCKET_PATH = 103
"""Bytes: sun_path is 104 on macOS and 108 on Linux (unix(7)), with a closing NUL; the smaller serves both."""

UNSET_SESSION = 4294967295
"""(u32)-1: the audit session id of a process that no login started, /proc/PID/sessionid (proc(5))."""

SMALL_FILE = 4096
"""Bytes read at most of a one-line file: machine id, lock file, session id."""

FS_ENCODING = sys.getfilesystemencoding()
"""How Python itself turns paths into bytes; UTF-8 but in an odd locale."""

MACOS = sys.platform == "darwin"


def env_text(env: "dict[bytes, bytes]", name: bytes) -> str:
    """An environment variable as text, or "" when unset. Undecodable bytes survive as surrogates (PEP 383)."""
    return env.get(name, b"").decode(FS_ENCODING, "surrogateescape")


def to_bytes(path: str) -> bytes:
    """A path as the kernel takes it: what env_text() read, byte for byte."""
    return path.encode(FS_ENCODING, "surrogateescape")


# --- the persistent root -------------------------------------------------------------------------------------


def user_home(env: "dict[bytes, bytes]") -> str:
    """The user's home directory: $HOME when absolute, else the account's.

    Raises UsageFault when there is neither.
    """
    home = env_text(env, b"HOME")
    if home.startswith("/"):
        return home
    import pwd

    try:
        return pwd.getpwuid(posix.getuid()).pw_dir
    except KeyError:
        raise UsageFault("no home directory for this user", "export HOME=/path") from None


def home(env: "dict[bytes, bytes]") -> str:
    """The persistent root: $AGENTKEYS_HOME, else ~/.agentkeys.

    Raises UsageFault when $AGENTKEYS_HOME isn't absolute: a relative one would be another rack in each directory.
    """
    chosen = env_text(env, b"AGENTKEYS_HOME")
    if not chosen:
        return user_home(env) + "/.agentkeys"
    if not chosen.startswith("/"):
        raise UsageFault("AGENTKEYS_HOME is not an absolute path", 'export AGENTKEYS_HOME="$HOME/.agentkeys"')
    return chosen.rstrip("/") or "/"


def require_own_home(root: str) -> None:
    """Refuse another user's home: under `sudo -E` we would leave root's files in it and read its secrets.

    Raises Denied when `root`, or its parent while it doesn't exist yet, belongs to another uid; so does one that lies
    behind a directory of another uid's which we may not enter: it isn't missing, and `init` is no way out.
    """
    try:
        owner = posix.stat(root).st_uid
    except PermissionError:
        owner = _owner_of_way(root)
    except OSError:
        try:
            owner = posix.stat(root[: root.rfind("/")] or "/").st_uid
        except OSError:
            return
        if owner != posix.geteuid() and owner == 0:
            return  # /srv, /var/lib: root's directory is where an operator may put a home of ours
    if owner != posix.geteuid():
        raise Denied(
            f"{root} belongs to uid {owner}, and this is uid {posix.geteuid()}",
            f"sudo -u '#{owner}' -H agentkeys status",
        )


def _owner_of_way(path: str) -> int:
    """Who owns the deepest directory above `path` that we can look at, the one that lets us in no further."""
    while path != "/":
        path = path[: path.rfind("/")] or "/"
        try:
            return posix.stat(path).st_uid
        except OSError:
            continue
    return posix.geteuid()


def config_file(env: "dict[bytes, bytes]") -> str:
    """The operator's config: where platformdirs' user_config_dir puts it, without its 11 ms (a test compares)."""
    if MACOS:
        return user_home(env) + "/Library/Application Support/agentkeys/config.toml"
    base = env_text(env, b"XDG_CONFIG_HOME").strip()
    if not base.startswith("/"):
        base = user_home(env) + "/.config"
    return base + "/agentkeys/config.toml"


def owner_card(root: str, owner: str) -> str:
    """Public facts of an owner: wallet, recipients, via."""
    return f"{root}/owners/{owner}.json"


def next_card(root: str, owner: str) -> str:
    """The note of a restore that gives the owner a new identity, while that lasts."""
    return f"{root}/owners/{owner}.next"


def name_link(root: str, name: str) -> str:
    """A symlink whose text is the owner that an alias or a lower-case wallet stands for."""
    return f"{root}/names/{name}"


def manifest(root: str, owner: str) -> str:
    """The owner's rack, sealed."""
    return f"{root}/host.{owner}.yml.age"


def identity(root: str, owner: str) -> str:
    """The age identity of an owner that keeps it in a file."""
    return f"{root}/identity/{owner}.key"


def next_identity(root: str, owner: str) -> str:
    """The one that a restore prepares, until the rack is sealed to it."""
    return f"{root}/identity/{owner}.next"


def slot(root: str, session_id: str) -> str:
    """The public facts of a session, which say where it rests; `session_id` is checked."""
    return f"{root}/{session_id}/slot.json"


def session_file(root: str, session_id: str) -> str:
    """A session that rests in a file."""
    return f"{root}/{session_id}/session.json"


def session_lock(root: str, session_id: str) -> str:
    """The lock that every writer of a session holds; no owner's name has a dot."""
    return f"{root}/lock/session.{session_id}.lock"


def legacy_session(root: str) -> str:
    """The one session of programs that knew only one to a machine; it is moved into its slot."""
    return f"{root}/session"


def vault_dir(root: str, owner: str) -> str:
    """Where the vaults that rest on this disk keep an owner's values."""
    return f"{root}/vault/{owner}"


def inventory_dir(root: str, owner: str) -> str:
    """One empty file for each key, named by its keyed hash."""
    return f"{root}/inventory/{owner}"


def install_key(root: str) -> str:
    """32 random bytes that key the inventory's names; not a secret of any owner."""
    return f"{root}/install.key"


def rack_lock(root: str, owner: str) -> str:
    """The lock that every writer of an owner's rack holds."""
    return f"{root}/lock/{owner}.lock"


def shims_dir(root: str) -> str:
    """Programs that run others under `agentkeys exec`."""
    return f"{root}/shims"


REPO_MANIFEST = ".agentkeys.yml"


def repo_places(env: "dict[bytes, bytes]", start: str = "") -> "list[str]":
    """Where a repository's manifest may lie, the nearest first: from `start` (the working directory) upwards.

    The last directory is the home directory, or the root for who isn't below it. A mount point is no border: what is
    mounted into a repository is part of it.
    """
    try:
        directory = start or posix.getcwd()
    except OSError:
        return []  # it was removed
    last = env_text(env, b"HOME").rstrip("/")
    found = []
    while True:
        found.append(f"{directory.rstrip('/')}/{REPO_MANIFEST}")
        if directory in ("/", last):
            return found
        directory = directory[: directory.rfind("/")] or "/"


def repo_manifest(env: "dict[bytes, bytes]", start: str = "") -> str:
    """The nearest manifest of repo_places(); "" when there is none.

    A parent that belongs to somebody else, or root's that everybody may write to (/tmp), has no say over what lies in
    it and is passed over.
    """
    places = repo_places(env, start)
    for path in places:
        if exists(path) and _has_a_say(path[: path.rfind("/")] or "/", path is places[0]):
            return path
    return ""


def _has_a_say(directory: str, is_first: bool) -> bool:
    facts = posix.stat(directory)
    if facts.st_uid == posix.geteuid():
        return True
    return not facts.st_mode & 0o002 if facts.st_uid == 0 else is_first


def allow_dir(root: str) -> str:
    """What was allowed of repositories' manifests: a file for each, named by the hash of the manifest's path."""
    return f"{root}/allow"


def repo_lock(root: str) -> str:
    """The lock of who edits a repository's manifest; no owner's name has a dot."""
    return f"{root}/lock/repo.manifests.lock"


def run_dir(root: str, owner: str) -> str:
    """One locked file for each live agent of an owner on this machine."""
    return f"{root}/run/{machine_id()}/{owner}"


def state_file(root: str, owner: str) -> str:
    """The highest manifest version that this machine has seen."""
    return f"{root}/state/{machine_id()}/{owner}.json"


def audit_dir(root: str, owner: str) -> str:
    """The owner's audit chain on this machine."""
    return f"{root}/audit/{machine_id()}/{owner}"


def read_small(path: str) -> bytes:
    """The first SMALL_FILE bytes of a file, or b"" when it can't be read."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return posix.read(fd, SMALL_FILE)
    except OSError:
        return b""
    finally:
        posix.close(fd)


def machine_id() -> str:
    """16 hex digits that stand for this machine, so that a home on a network disk keeps its machines apart.

    Hashed, because the id itself is meant to stay private (machine-id(5)). Without one (a bare container, macOS)
    the host name serves.
    """
    raw = read_small("/etc/machine-id").strip() or read_small("/var/lib/dbus/machine-id").strip()
    if not raw:
        raw = to_bytes(posix.uname().nodename)
    return digest(b"agentkeys " + raw, 8)


def shipped(name: str) -> str:
    """A file that is handed out as it is, such as `shell/completion.bash`: the wheel's, in a checkout the original."""
    package = __file__.rpartition("/")[0]
    path = f"{package}/data/{name}"
    return path if exists(path) else f"{package.rpartition('/')[0]}/{name}"


# --- sockets -------------------------------------------------------------------------------------------------


def login_session() -> int:
    """This process's audit session id, or UNSET_SESSION where there is none (containers, services, macOS)."""
    text = read_small("/proc/self/sessionid").strip()
    return int(text) if text.isdigit() else UNSET_SESSION


def is_private_dir(path: str) -> bool:
    """Whether `path` is a directory of ours that nobody else can enter, and no symlink."""
    try:
        facts = posix.lstat(path)
    except OSError:
        return False
    return facts.st_mode & 0o170077 == 0o040000 and facts.st_uid == posix.geteuid()


def last_resort_dir() -> str:
    """The runtime directory we make ourselves where the system has none."""
    return f"/tmp/runtime-{posix.geteuid()}"  # noqa: S108 - mkdir 0700 by us, lstat-checked, under a sticky parent


def runtime_dir(env: "dict[bytes, bytes]") -> str:
    """The directory that holds our sockets; it need not exist yet.

    $XDG_RUNTIME_DIR when it is ours and 0700 (XDG Base Directory Specification), else /run/user/UID (on macOS the
    user's own temp directory), else last_resort_dir(). A home other than ~/.agentkeys gets a directory of its own
    in it, as GnuPG's sockets do.
    """
    base = env_text(env, b"XDG_RUNTIME_DIR").rstrip("/")
    if not base.startswith("/") or "\n" in base or not is_private_dir(base):
        base = macos_temp_dir() if MACOS else f"/run/user/{posix.geteuid()}"
        if not base or not is_private_dir(base):
            base = last_resort_dir()
    if b"AGENTKEYS_HOME" in env and home(env) != user_home(env) + "/.agentkeys":
        return f"{base}/agentkeys/{digest(to_bytes(home(env)), 4)}"
    return base + "/agentkeys"


def home_id(root: str) -> str:
    """What stands for a persistent root in an agent's hello: agents of two homes must not be taken for each other.

    Device and inode, so that it needs no hash and two names of one directory are one home; "" while there is none.
    """
    try:
        facts = posix.stat(root)
    except OSError:
        return ""
    return f"{facts.st_dev:x}.{facts.st_ino:x}"


def digest(data: bytes, size: int, key: bytes = b"") -> str:
    """BLAKE2b as hex. Imported here, because on most systems it is a library to load, and `exec` needs none."""
    from _blake2 import blake2b

    return blake2b(data, digest_size=size, key=key).hexdigest()


def macos_temp_dir() -> str:
    """MacOS's per-user temp directory, confstr(3) _CS_DARWIN_USER_TEMP_DIR; "" elsewhere. Not run on a Mac yet."""
    try:
        return (posix.confstr(65537) or "").rstrip("/")
    except (OSError, ValueError):
        return ""


def socket(directory: str, owner: str, session: int = UNSET_SESSION) -> str:
    """The path of an owner's socket, of its login session's when one is given; short_socket() if it is too long."""
    name = owner if session == UNSET_SESSION else f"{owner}.{session}"
    path = f"{directory}/{name}.sock"
    return path if len(to_bytes(path)) <= MAX_SOCKET_PATH else short_socket(path)


def short_socket(path: str) -> str:
    """The stand-in for a path over MAX_SOCKET_PATH: its hash, in last_resort_dir()."""
    return f"{last_resort_dir()}/agentkeys/{digest(to_bytes(path), 12)}.sock"


PRIVATE = "private-"
"""How the lock files of private agents begin: no verb finds those agents by their owner alone."""

PRIVATE_AT = PRIVATE + "at-"
"""How they begin when the user named the socket's path; then the path's hash follows, else chance."""


def private_socket(directory: str, owner: str, token: str) -> str:
    """The path of a private agent's socket when its user named none; short_socket() if it is too long."""
    path = f"{directory}/{owner}.{PRIVATE}{token}.sock"
    return path if len(to_bytes(path)) <= MAX_SOCKET_PATH else short_socket(path)


def agent_locks(root: str, owner: str) -> "list[str]":
    """The lock files of an owner's agents on this machine, live or stale, sorted."""
    directory = run_dir(root, owner)
    try:
        names = posix.listdir(directory)
    except OSError:
        return []
    return [f"{directory}/{name}" for name in sorted(names) if name.endswith(".lock")]


EPOCH = "epoch"
"""The sign to shells' hooks that something changed: a file in run_dir() that names another one each time."""


def epoch_file(root: str, owner: str) -> str:
    """The file that names the present sign."""
    return f"{run_dir(root, owner)}/{EPOCH}"


def epoch_sign(file: str) -> str:
    """The sign that an epoch_file() names, or "" while there is none."""
    directory = file.rpartition("/")[0]
    name = read_small(file).decode("ascii", "replace")
    if not name.startswith(f"{EPOCH}-") or not exists(f"{directory}/{name}"):
        try:
            name = max([name for name in posix.listdir(directory) if name.startswith(f"{EPOCH}-")], default="")
        except OSError:
            name = ""
    return f"{directory}/{name}" if name else ""


def lock_socket(lock: str) -> str:
    """The socket path that an agent wrote into its lock file, or "" while it starts."""
    text = read_small(lock).decode(FS_ENCODING, "surrogateescape")
    return text.partition("\n")[0] if text.endswith("\n") else ""


MARKER_SIZE = 16
"""Bytes of a marker's hash: no two of 10,000 names will share one."""


def inventory_marker(root: str, owner: str, slug: str) -> str:
    """The file whose existence says that `slug` is in the owner's rack; "" before the first `init`.

    Its name is keyed, so that who reads a backup's file names learns no key names.
    """
    key = read_small(install_key(root))
    if len(key) != 32:
        return ""
    return f"{inventory_dir(root, owner)}/{marker_names(key, [slug])[0]}"


def marker_names(key: bytes, slugs: "list[str]") -> "list[str]":
    """The names of the markers of `slugs`, under the 32 bytes of the install key."""
    from _blake2 import blake2b  # see digest()

    return [blake2b(slug.encode(), digest_size=MARKER_SIZE, key=key).hexdigest() for slug in slugs]


def exists(path: str) -> bool:
    """Whether something is at `path`."""
    try:
        posix.lstat(path)
    except OSError:
        return False
    return True
