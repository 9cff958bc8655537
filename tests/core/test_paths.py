"""Every place on disk and every socket, as tables: client and daemon meet only if both compute the same."""

import hashlib
import os
import posix
import secrets
from collections.abc import Callable
from pathlib import Path

import platformdirs.macos
import platformdirs.unix
import pytest

from agentkeys import paths
from agentkeys.errors import Denied, UsageFault
from tests.support.uids import require

Env = dict[bytes, bytes]

UID = 54321
"""An account that no machine has."""

FALLBACK = f"/tmp/runtime-{os.geteuid()}"


def env(**variables: "str | bytes") -> Env:
    """An environment as posix.environ has it."""
    return {name.encode(): os.fsencode(value) for name, value in variables.items()}


def blake(data: bytes, size: int, key: bytes = b"") -> str:
    """BLAKE2b by the standard library's own door, in hex."""
    return hashlib.blake2b(data, digest_size=size, key=key).hexdigest()


# --- the persistent root -------------------------------------------------------------------------------------

HOMES: list[tuple[str, Env, str]] = [
    ("nothing set but HOME", env(HOME="/h"), "/h/.agentkeys"),
    ("HOME is kept as it is", env(HOME="/h/"), "/h//.agentkeys"),
    ("AGENTKEYS_HOME wins", env(HOME="/h", AGENTKEYS_HOME="/elsewhere"), "/elsewhere"),
    ("empty is unset", env(HOME="/h", AGENTKEYS_HOME=""), "/h/.agentkeys"),
    ("slashes at its end don't count", env(HOME="/h", AGENTKEYS_HOME="/elsewhere///"), "/elsewhere"),
    ("the root itself", env(HOME="/h", AGENTKEYS_HOME="//"), "/"),
    ("spaces belong to it", env(HOME="/h", AGENTKEYS_HOME="/a b "), "/a b "),
    ("without HOME it still counts", env(AGENTKEYS_HOME="/elsewhere"), "/elsewhere"),
    ("any bytes", env(HOME="/h", AGENTKEYS_HOME=b"/\xff\xc3\xa9"), os.fsdecode(b"/\xff\xc3\xa9")),
]


@pytest.mark.parametrize(("given", "root"), [row[1:] for row in HOMES], ids=[row[0] for row in HOMES])
def test_the_root_is_agentkeys_home_or_below_home(given: Env, root: str) -> None:
    """And bytes that are no text come back as they were."""
    assert paths.home(given) == root
    assert paths.to_bytes(paths.home(given)) == os.fsencode(root)


@pytest.mark.parametrize("text", ["relative", "./x", "~/x", " /x", "\n/x"])
def test_a_relative_root_is_refused(text: str) -> None:
    """It would be another rack in each directory; the hint says what to export."""
    with pytest.raises(UsageFault) as refusal:
        paths.home(env(HOME="/h", AGENTKEYS_HOME=text))
    assert "AGENTKEYS_HOME" in refusal.value.hint


@pytest.mark.parametrize("given", [env(), env(HOME=""), env(HOME="relative")], ids=["unset", "empty", "relative"])
def test_without_a_home_the_accounts_counts(given: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where the account has none either, that is said."""
    assert paths.user_home(given) == os.path.expanduser(f"~{posix_user()}")
    monkeypatch.setattr(posix, "getuid", lambda: UID)
    with pytest.raises(UsageFault, match="no home directory"):
        paths.user_home(given)


def posix_user() -> str:
    """This account's name."""
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


PLACES: list[tuple[str, str]] = [
    (paths.owner_card("/r", "ana"), "/r/owners/ana.json"),
    (paths.next_card("/r", "ana"), "/r/owners/ana.next"),
    (paths.name_link("/r", "0xab"), "/r/names/0xab"),
    (paths.manifest("/r", "ana"), "/r/host.ana.yml.age"),
    (paths.identity("/r", "ana"), "/r/identity/ana.key"),
    (paths.next_identity("/r", "ana"), "/r/identity/ana.next"),
    (paths.vault_dir("/r", "ana"), "/r/vault/ana"),
    (paths.inventory_dir("/r", "ana"), "/r/inventory/ana"),
    (paths.install_key("/r"), "/r/install.key"),
    (paths.rack_lock("/r", "ana"), "/r/lock/ana.lock"),
]


@pytest.mark.parametrize(("path", "place"), PLACES, ids=[place for _, place in PLACES])
def test_what_lasts_lies_below_the_root(path: str, place: str) -> None:
    """As files.md lists it."""
    assert path == place


def test_what_is_one_machines_own_lies_below_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home on a network disk keeps its machines apart."""
    monkeypatch.setattr(paths, "machine_id", lambda: "0123456789abcdef")
    assert paths.run_dir("/r", "ana") == "/r/run/0123456789abcdef/ana"
    assert paths.state_file("/r", "ana") == "/r/state/0123456789abcdef/ana.json"
    assert paths.audit_dir("/r", "ana") == "/r/audit/0123456789abcdef/ana"


# --- whose home it is ----------------------------------------------------------------------------------------


def test_a_home_of_ours_or_that_may_become_ours_is_taken(tmp_path: Path) -> None:
    """There, not there yet, its parent not there either; through a symlink, what it leads to counts."""
    (tmp_path / "link").symlink_to(tmp_path)
    for root in (tmp_path, tmp_path / "new", tmp_path / "new" / "deeper", tmp_path / "link"):
        paths.require_own_home(str(root))


def test_a_new_home_may_lie_in_a_directory_of_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    """/srv, /var/lib: where an operator puts one; and a name without a slash before it lies in /."""
    monkeypatch.setattr(posix, "geteuid", lambda: UID)
    for root in ("/usr/agentkeys-home", "/agentkeys-home"):
        paths.require_own_home(root)


@pytest.mark.parametrize("made", [True, False], ids=["the home", "its parent"])
def test_another_users_home_is_refused(made: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sudo -E`: root's files would lie in it; the hint is the command as that user."""
    owner = 12345
    if os.geteuid() == 0:
        os.chown(tmp_path, owner, owner)
    else:
        owner = os.geteuid()
        monkeypatch.setattr(posix, "geteuid", lambda: UID)
    with pytest.raises(Denied) as refusal:
        paths.require_own_home(str(tmp_path if made else tmp_path / "new"))
    assert f"belongs to uid {owner}" in refusal.value.message
    assert refusal.value.hint == f"sudo -u '#{owner}' -H agentkeys status"


def test_a_home_of_roots_is_refused_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its parent may be root's."""
    monkeypatch.setattr(posix, "geteuid", lambda: UID)
    with pytest.raises(Denied, match="belongs to uid 0"):
        paths.require_own_home("/usr")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may not enter")
@pytest.mark.parametrize("deeper", ["", "/.agentkeys", "/a/b/.agentkeys"])
def test_a_home_behind_another_users_door_is_theirs(deeper: str, tmp_path: Path) -> None:
    """`su -p` keeps HOME=/root, 0700: what we can't look at isn't missing."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    before = os.geteuid()
    os.seteuid(UID)
    try:
        with pytest.raises(Denied, match="belongs to uid 0"):
            paths.require_own_home(f"{home}/x{deeper}")
    finally:
        os.seteuid(before)


# --- the config file -----------------------------------------------------------------------------------------

CONFIGS: list[tuple[Env, str]] = [
    (env(HOME="/h"), "/h/.config/agentkeys/config.toml"),
    (env(HOME="/h", XDG_CONFIG_HOME="/c"), "/c/agentkeys/config.toml"),
    (env(HOME="/h", XDG_CONFIG_HOME=""), "/h/.config/agentkeys/config.toml"),
    (env(HOME="/h", XDG_CONFIG_HOME="  "), "/h/.config/agentkeys/config.toml"),
]


@pytest.mark.parametrize(("given", "path"), CONFIGS)
def test_the_config_file_is_where_platformdirs_says(given: Env, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose 11 ms we spare ourselves."""
    monkeypatch.setattr(paths, "MACOS", False)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name.decode(), value.decode())
    assert paths.config_file(given) == path
    assert path == platformdirs.unix.Unix("agentkeys").user_config_dir + "/config.toml"


def test_a_relative_config_home_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG Base Directory Specification: such a path is invalid and to be ignored. platformdirs takes it."""
    monkeypatch.setattr(paths, "MACOS", False)
    for text in ("relative", "./c", "~/c"):
        assert paths.config_file(env(HOME="/h", XDG_CONFIG_HOME=text)) == "/h/.config/agentkeys/config.toml"


def test_the_config_file_of_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CONFIG_HOME is no custom there."""
    monkeypatch.setattr(paths, "MACOS", True)
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    path = paths.config_file(env(HOME="/h", XDG_CONFIG_HOME="/c"))
    assert path == "/h/Library/Application Support/agentkeys/config.toml"
    assert path == platformdirs.macos.MacOS("agentkeys").user_config_dir + "/config.toml"


# --- ids -----------------------------------------------------------------------------------------------------


def reading(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    """Let small files hold this, and others be missing."""
    monkeypatch.setattr(paths, "read_small", lambda path: files.get(path, b""))


MACHINES: list[tuple[str, dict[str, bytes], bytes]] = [
    ("systemd's", {"/etc/machine-id": b"aa\n", "/var/lib/dbus/machine-id": b"bb\n"}, b"aa"),
    ("D-Bus's", {"/var/lib/dbus/machine-id": b"bb\n"}, b"bb"),
    ("an empty one is none", {"/etc/machine-id": b"\n", "/var/lib/dbus/machine-id": b"bb\n"}, b"bb"),
    ("none: the host's name", {}, os.fsencode(os.uname().nodename)),
]


@pytest.mark.parametrize(("files", "raw"), [row[1:] for row in MACHINES], ids=[row[0] for row in MACHINES])
def test_a_machines_id_is_a_hash(files: dict[str, bytes], raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id itself is meant to stay private."""
    reading(monkeypatch, files)
    assert paths.machine_id() == blake(b"agentkeys " + raw, 8)
    assert len(paths.machine_id()) == 16


SESSIONS: list[tuple[bytes, int]] = [
    (b"7\n", 7),
    (b"0", 0),
    (b"4294967295\n", paths.UNSET_SESSION),
    (b"", paths.UNSET_SESSION),
    (b"-1", paths.UNSET_SESSION),
    (b"seven", paths.UNSET_SESSION),
    ("²".encode(), paths.UNSET_SESSION),
]


@pytest.mark.parametrize(("text", "session"), SESSIONS)
def test_a_login_session_is_the_kernels_number(text: bytes, session: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, or with a file that isn't understood, there is none; nothing is guessed."""
    reading(monkeypatch, {"/proc/self/sessionid": text})
    assert paths.login_session() == session


def test_a_homes_id_is_its_directorys(tmp_path: Path) -> None:
    """Two names of one directory are one home, two directories two, and one that isn't there has none."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert paths.home_id(str(one)) == ""
    one.mkdir()
    two.mkdir()
    (tmp_path / "link").symlink_to(one)
    facts = one.stat()
    assert paths.home_id(str(one)) == f"{facts.st_dev:x}.{facts.st_ino:x}"
    assert paths.home_id(str(tmp_path / "link")) == paths.home_id(f"{one}/") == paths.home_id(str(one))
    assert paths.home_id(str(two)) != paths.home_id(str(one))


# --- the runtime directory -----------------------------------------------------------------------------------

DIRECTORIES: dict[str, tuple[Callable[[Path], object], bool]] = {
    "0700": (lambda path: path.mkdir(mode=0o700), True),
    "0500": (lambda path: path.mkdir(mode=0o500), True),
    "0755": (lambda path: (path.mkdir(), path.chmod(0o755)), False),
    "0710": (lambda path: (path.mkdir(), path.chmod(0o710)), False),
    "0701": (lambda path: (path.mkdir(), path.chmod(0o701)), False),
    "a symlink to one": (lambda path: ((path.parent / "real").mkdir(0o700), path.symlink_to("real")), False),
    "a file": (lambda path: path.touch(0o700), False),
    "missing": (lambda _path: None, False),
}


@pytest.mark.parametrize(("make", "good"), DIRECTORIES.values(), ids=DIRECTORIES)
def test_only_a_directory_that_is_ours_alone_is_private(
    make: Callable[[Path], object], good: bool, tmp_path: Path
) -> None:
    """As it is at that moment; whoever opens it looks again."""
    path = tmp_path / "runtime"
    make(path)
    assert paths.is_private_dir(str(path)) == good
    assert (paths.runtime_dir(env(HOME="/h", XDG_RUNTIME_DIR=str(path))) == f"{path}/agentkeys") == good


def test_another_users_directory_is_not_private(tmp_path: Path) -> None:
    """Be it 0700."""
    require(os.geteuid() == 0, "root, to give a directory away")
    os.chown(tmp_path, 12345, 12345)
    tmp_path.chmod(0o700)
    assert not paths.is_private_dir(str(tmp_path))


XDG, SYSTEM, MAC = "/xdg", f"/run/user/{os.geteuid()}", "/var/folders/x/T"

RUNTIMES: list[tuple[str, dict[str, str], set[str], bool, str]] = [
    ("XDG_RUNTIME_DIR first", {"XDG_RUNTIME_DIR": XDG}, {XDG, SYSTEM}, False, XDG),
    ("a slash at its end doesn't count", {"XDG_RUNTIME_DIR": f"{XDG}//"}, {XDG, SYSTEM}, False, XDG),
    ("unset: the system's", {}, {XDG, SYSTEM}, False, SYSTEM),
    ("empty: the system's", {"XDG_RUNTIME_DIR": ""}, {"", SYSTEM}, False, SYSTEM),
    ("not ours alone: the system's", {"XDG_RUNTIME_DIR": XDG}, {SYSTEM}, False, SYSTEM),
    ("relative: the system's", {"XDG_RUNTIME_DIR": "xdg"}, {"xdg", SYSTEM}, False, SYSTEM),
    ("with a line break, which no lock file could name", {"XDG_RUNTIME_DIR": "/a\nb"}, {"/a\nb"}, False, FALLBACK),
    ("no good one at all: the last resort", {"XDG_RUNTIME_DIR": XDG}, set(), False, FALLBACK),
    ("a Mac's own", {}, {SYSTEM, MAC}, True, MAC),
    ("a Mac with XDG_RUNTIME_DIR", {"XDG_RUNTIME_DIR": XDG}, {XDG, MAC}, True, XDG),
    ("a Mac whose own is not ours alone", {}, {SYSTEM}, True, FALLBACK),
]


@pytest.mark.parametrize(
    ("given", "good", "mac", "base"), [row[1:] for row in RUNTIMES], ids=[row[0] for row in RUNTIMES]
)
def test_where_sockets_go(
    given: dict[str, str], good: set[str], mac: bool, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of them that is a private directory, and the last resort without a look: it is made by us."""
    monkeypatch.setattr(paths, "MACOS", mac)
    monkeypatch.setattr(paths, "macos_temp_dir", lambda: MAC)
    monkeypatch.setattr(paths, "is_private_dir", lambda path: path in good)
    assert paths.runtime_dir(env(HOME="/h", **given)) == f"{base}/agentkeys"


def test_a_mac_that_does_not_say_has_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer is no directory, and confstr without that name is no crash."""
    monkeypatch.setattr(paths, "MACOS", True)
    for answer in (lambda _name: None, lambda _name: "", raising):
        monkeypatch.setattr(posix, "confstr", answer)
        assert paths.macos_temp_dir() == ""
        assert paths.runtime_dir(env(HOME="/h")) == f"{FALLBACK}/agentkeys"
    monkeypatch.setattr(posix, "confstr", lambda _name: MAC + "/")
    assert paths.macos_temp_dir() == MAC


def raising(_name: int) -> str:
    """What confstr(3) does for a name it doesn't know."""
    raise OSError(22, "Invalid argument")


OTHER_HOMES: list[tuple[dict[str, str], str]] = [
    ({}, ""),
    ({"AGENTKEYS_HOME": ""}, ""),
    ({"AGENTKEYS_HOME": "/h/.agentkeys"}, ""),
    ({"AGENTKEYS_HOME": "/h/.agentkeys//"}, ""),
    ({"AGENTKEYS_HOME": "/elsewhere"}, "/" + blake(b"/elsewhere", 4)),
    ({"AGENTKEYS_HOME": "/elsewhere/"}, "/" + blake(b"/elsewhere", 4)),
    ({"AGENTKEYS_HOME": "/é"}, "/" + blake("/é".encode(), 4)),
]


@pytest.mark.parametrize(("given", "below"), OTHER_HOMES)
def test_another_home_has_sockets_of_its_own(given: dict[str, str], below: str, short_path: Path) -> None:
    """One directory deeper, by the hash of its path; the default one's are the same however it is written."""
    found = paths.runtime_dir(env(HOME="/h", XDG_RUNTIME_DIR=str(short_path), **given))
    assert found == f"{short_path}/agentkeys{below}"


# --- sockets -------------------------------------------------------------------------------------------------


def test_a_socket_is_its_owners_and_its_login_sessions() -> None:
    """Without a session the name has no number; session 0 is a session."""
    assert paths.socket("/d", "ana") == "/d/ana.sock"
    assert paths.socket("/d", "ana", paths.UNSET_SESSION) == "/d/ana.sock"
    assert paths.socket("/d", "ana", 7) == "/d/ana.7.sock"
    assert paths.socket("/d", "ana", 0) == "/d/ana.0.sock"


@pytest.mark.parametrize("letter", ["d", "é", "🔑"])
@pytest.mark.parametrize("session", [paths.UNSET_SESSION, 7])
def test_a_path_that_no_socket_can_have_is_hashed(letter: str, session: int) -> None:
    """Over 103 bytes, counted as the kernel does: then 24 hex digits in the last resort, other for other paths."""
    name = "ana.sock" if session == paths.UNSET_SESSION else f"ana.{session}.sock"
    width = len(letter.encode())
    seen = set()
    for size in range(paths.MAX_SOCKET_PATH - 8, paths.MAX_SOCKET_PATH + 9):
        length = size - len(f"/x/{name}")
        directory = "/" + "x" * (1 + length % width) + letter * (length // width)
        whole = f"{directory}/{name}"
        assert len(whole.encode()) == size
        found = paths.socket(directory, "ana", session)
        hashed = f"{FALLBACK}/agentkeys/{blake(whole.encode(), 12)}.sock"
        assert found == (whole if size <= 103 else hashed)
        assert len(os.fsencode(found)) <= 103
        seen.add(found)
    assert len(seen) == 17


def test_the_short_form_is_short_for_any_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest uid there is still leaves room."""
    monkeypatch.setattr(posix, "geteuid", lambda: 2**32 - 2)
    assert len(paths.short_socket("x" * 5000)) <= paths.MAX_SOCKET_PATH


# --- lock files, markers, small files ------------------------------------------------------------------------


def test_an_owners_agents_are_found_by_their_lock_files(tmp_path: Path) -> None:
    """Sorted, and nothing else that lies there; none where there is no directory."""
    assert paths.agent_locks(str(tmp_path), "ana") == []
    place = Path(paths.run_dir(str(tmp_path), "ana"))
    place.mkdir(parents=True)
    for name in ("session-7.lock", "agent.lock", "start", "agent.lock.tmp"):
        (place / name).touch()
    assert paths.agent_locks(str(tmp_path), "ana") == [f"{place}/agent.lock", f"{place}/session-7.lock"]
    assert paths.agent_locks(str(tmp_path), "bob") == []


LOCKS: list[tuple[bytes, str]] = [
    (b"", ""),
    (b"/run/x/ana.so", ""),
    (b"/run/x/ana.sock\n", "/run/x/ana.sock"),
    (b"/run/x/ana.sock\n42\n", "/run/x/ana.sock"),
    (b"/run/x/ana.sock\n4", ""),
    (b"/\xff.sock\n", os.fsdecode(b"/\xff.sock")),
]


@pytest.mark.parametrize(("text", "path"), LOCKS)
def test_a_lock_names_a_socket_once_its_line_is_whole(text: bytes, path: str, tmp_path: Path) -> None:
    """While an agent starts it names none."""
    (tmp_path / "agent.lock").write_bytes(text)
    assert paths.lock_socket(str(tmp_path / "agent.lock")) == path
    assert paths.lock_socket(str(tmp_path / "missing")) == ""


def test_a_marker_is_named_by_a_keyed_hash(tmp_path: Path) -> None:
    """Of 16 bytes; without the whole key there is none, and no name is given away."""
    root = str(tmp_path)
    for data in (None, b"", secrets.token_bytes(31), secrets.token_bytes(33)):
        if data is not None:
            (tmp_path / "install.key").write_bytes(data)
        assert paths.inventory_marker(root, "ana", "@all.all.TOKEN") == ""
    key = secrets.token_bytes(32)
    (tmp_path / "install.key").write_bytes(key)
    for slug in ("@all.all.TOKEN", "acme.prod.TOKEN"):
        assert paths.inventory_marker(root, "ana", slug) == f"{root}/inventory/ana/{blake(slug.encode(), 16, key)}"


def test_a_small_file_is_read_to_its_limit_and_never_waited_for(tmp_path: Path) -> None:
    """A missing one, a directory and a FIFO that nobody writes to are empty."""
    (tmp_path / "large").write_bytes(bytes(10_000))
    os.mkfifo(tmp_path / "fifo")
    assert len(paths.read_small(str(tmp_path / "large"))) == paths.SMALL_FILE
    for name in ("missing", "fifo", "."):
        assert paths.read_small(str(tmp_path / name)) == b""
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    paths.read_small(str(tmp_path / "large"))
    assert before == (len(os.listdir("/proc/self/fd")) if before else 0)


def test_a_dangling_symlink_is_something(tmp_path: Path) -> None:
    """exists() asks whether a name is taken."""
    (tmp_path / "link").symlink_to("nowhere")
    assert paths.exists(str(tmp_path / "link"))
    assert not paths.exists(str(tmp_path / "nowhere"))
