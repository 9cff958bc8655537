"""config.toml and the keychain: what keeps agents from starting, lowers protection, is locked or hangs."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from agentkeys.setup.doctor import settings
from tests.doctor.buses import end_keychain, starting_bus, without_default
from tests.doctor.clinic import Case, Clinic, Env
from tests.owners.bus import PASSWORD, Bus, keyring, mute
from tests.security.test_namespaces import LITTLE
from tests.support.uids import User, require

NOBODY = 12_345
"""A uid that is nobody's here."""

# --- config.toml ---------------------------------------------------------------------------------------------


def config(clinic: Clinic, text: str = "") -> Path:
    """The operator's settings."""
    path = clinic.home.path / ".config" / "agentkeys" / "config.toml"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def foreign(clinic: Clinic) -> None:
    """Somebody else's."""
    require(os.geteuid() == 0, "root, to give a file away")
    os.chown(config(clinic), NOBODY, NOBODY)


def foreign_directory(clinic: Clinic) -> None:
    """Somebody else's directory."""
    require(os.geteuid() == 0, "root, to give a directory away")
    os.chown(config(clinic).parent, NOBODY, NOBODY)


def directory(clinic: Clinic) -> None:
    """No file."""
    path = config(clinic)
    path.unlink()
    path.mkdir()


def editing(clinic: Clinic, text: str) -> Env:
    """Settings that need a person, and one who empties the file."""
    config(clinic, text)
    editor = clinic.home.path / "editor"
    editor.write_text('#!/bin/sh\n: >"$1"\n')
    editor.chmod(0o755)
    return {"EDITOR": str(editor)}


CASES = [
    Case("config-foreign", "error", foreign),
    Case("config-mode", "error", lambda clinic: config(clinic).chmod(0o660)),
    Case("config-kind", "error", directory),
    Case("config-dir-mode", "error", lambda clinic: config(clinic).parent.chmod(0o777)),
    Case("config-dir-foreign", "error", foreign_directory),
    Case("config-fault", "error", lambda clinic: editing(clinic, "allow_root = maybe\n"), "toml"),
    Case("config-fault", "error", lambda clinic: editing(clinic, 'allow_root = "maybe"\n'), "value"),
    Case("config-fault", "error", lambda clinic: editing(clinic, "[" * 5000), "nested"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_wrong_with_the_settings_is_found_and_mended(case: Case, clinic: Clinic) -> None:
    """By its name and with its severity; pasted, the fix leaves nothing of it, and an agent starts."""
    clinic.treat(case.name, case.severity, case.provoke(clinic))
    clinic.seat.start()


def test_the_place_of_a_mistake_is_named_and_its_text_is_not(clinic: Clinic) -> None:
    """Line and column; what stands there may be anything."""
    config(clinic, "allow_root = true\nhunter2 = = 1\n")
    found = clinic.find("config-fault")
    assert "at line 2, column " in found["what"]
    assert "hunter2" not in found["what"]


def test_settings_that_lower_protection_are_listed(clinic: Clinic) -> None:
    """Each a note; those that raise it are none."""
    config(clinic, 'allow_root = true\n[exec]\nallow_names = ["PATH", "NODE_OPTIONS"]\n[agent]\nidle = "30m"\n')
    found = [row for row in clinic.look() if row["name"] == "config-lowers"]
    assert [row["severity"] for row in found] == ["note", "note"]
    assert [row["what"].partition(":")[0] for row in found] == ["allow_root", "exec.allow_names"]
    assert "NODE_OPTIONS, PATH" in found[1]["what"]


def test_a_strict_session_where_there_is_none_is_found(clinic: Clinic) -> None:
    """Agents refuse to start there, so somebody should know before."""
    if Path("/proc/self/sessionid").read_text() != "4294967295":
        pytest.skip("needs to run outside of a login session")
    clinic.treat("config-strict", "warning", editing(clinic, 'login_session = "strict"\n'))


PROC = "22 1 0:20 / /proc rw,nosuid - proc proc rw{}\n23 22 0:21 / /proc/sys rw - tmpfs tmpfs rw,mode=755\n"
"""proc_pid_mountinfo(5)."""


@pytest.mark.parametrize(
    ("options", "hidden"),
    [
        ("", ""),
        (",hidepid=0", ""),
        (",hidepid=off", ""),
        (",hidepid=1", "1"),
        (",gid=50,hidepid=2", "2"),
        (",gid=7,hidepid=2", ""),
        (",hidepid=invisible", "invisible"),
    ],
)
def test_a_proc_that_hides_processes_is_known(options: str, hidden: str) -> None:
    """By the mount that is on top; members of its gid are shown everything."""
    below = PROC.format(",hidepid=2") if not hidden else PROC.format("")
    assert settings.hidepid_of(below + PROC.format(options), {7}) == hidden
    assert settings.hidepid_of("", {7}) == ""


@pytest.mark.serial
def test_a_strict_session_behind_hidepid_is_found(other_user: User) -> None:
    """An ordinary user in a login, whose /proc shows them their own: nothing could be unlocked, so it's a warning."""
    if other_user.cli.with_prefix("unshare", "--mount", "sh", "-c", LITTLE)().code:
        pytest.skip(f"needs root and a kernel that allows {LITTLE}")
    file = other_user.home.path / ".config" / "agentkeys" / "config.toml"
    write = 'mkdir -p "$(dirname "$1")" && echo "login_session = \\"strict\\"" >"$1"'
    other_user.run("/bin/sh", "-c", write, "sh", file, check=True)
    begin = f'{LITTLE} && echo 0 >/proc/self/loginuid && exec "$@"'
    doctor = other_user.cli.with_prefix("unshare", "--mount", "sh", "-c", begin, "sh", *other_user.cli.prefix)
    rows = doctor("doctor", "--json").json()["findings"]
    assert [(row["severity"], bool(row["fix"])) for row in rows if row["name"] == "config-strict-hidden"] == [
        ("warning", True)
    ]


def test_a_config_that_is_as_it_should_be_is_all_right(clinic: Clinic) -> None:
    """Or none at all."""
    assert clinic.find("config")["severity"] == "ok"
    path = config(clinic, 'minimum_grade = "encrypted"\n')
    found = clinic.find("config")
    assert (found["severity"], str(path) in found["what"]) == ("ok", True)


# --- the keychain --------------------------------------------------------------------------------------------


def keychain(clinic: Clinic, env: Env | None = None) -> dict[str, str]:
    """The one finding about it."""
    (found,) = [row for row in clinic.look(env) if row["check"] == "keychain"]
    return found


def in_keychain(clinic: Clinic) -> None:
    """An owner that depends on it."""
    clinic.cli("init", "--for", "vlad", "--via", "keychain", check=True)


def test_no_keychain_is_all_right_where_nobody_needs_one(clinic: Clinic) -> None:
    """As on a server."""
    found = keychain(clinic)
    assert (found["name"], found["severity"]) == ("keychain", "ok")


def test_an_open_keychain_is_named(clinic: Clinic, wallet: Bus) -> None:
    """Which program it is, and that it is open; owners whose identity is in it are looked at without a question."""
    in_keychain(clinic)
    rows = clinic.look()
    assert [row["what"] for row in rows if row["check"] == "keychain"] == ["gnome-keyring-daemon is open"]
    assert [row["what"] for row in rows if row["check"] == "racks" and row["owner"] == "vlad"] == [
        "opens, version 1, the newest this machine has seen"
    ]


def test_a_locked_keychain_is_found_and_opened(clinic: Clinic, wallet: Bus) -> None:
    """A note where nobody needs it; a warning where somebody does. Nothing opens it but the fix, with its password."""
    wallet.lock()
    found = clinic.treat("keychain-locked", "note")
    assert found["fix"] == "export AGENTKEYS_SESSION_STORE=file"
    with wallet.collection() as collection:
        assert collection.is_locked()


def test_a_locked_keychain_that_owners_need_is_found_and_opened(clinic: Clinic, wallet: Bus) -> None:
    """A warning that names them; their racks stay closed, and nobody is asked. The fix takes its password."""
    in_keychain(clinic)
    wallet.lock()
    rows = clinic.look()
    (found,) = [row for row in rows if row["check"] == "keychain"]
    assert (found["name"], found["severity"]) == ("keychain-locked", "warning")
    assert "vlad" in found["what"]
    assert [row["severity"] for row in rows if row["check"] == "racks" and row["owner"] == "vlad"] == ["ok"]
    with wallet.collection() as collection:
        assert collection.is_locked()
    done = clinic.cli.with_prefix("/bin/sh", "-c", found["fix"])(input=PASSWORD)
    try:
        assert keychain(clinic)["severity"] == "ok", done
    finally:
        end_keychain(wallet)


def test_a_keychain_that_hangs_is_given_up_and_named(clinic: Clinic, bus: Bus) -> None:
    """The bus knows which process it is; the fix ends that, and a keychain that isn't there doesn't hang."""
    with mute(bus):
        found = clinic.treat("keychain-silent", "warning")
        assert found["what"].startswith("python")
        assert "2 s" in found["what"]


def test_a_keychain_that_hangs_is_an_error_where_owners_need_it(clinic: Clinic, bus: Bus) -> None:
    """And their racks aren't opened."""
    with keyring(bus):
        in_keychain(clinic)
    with mute(bus):
        rows = clinic.look()
    assert [(row["name"], row["severity"]) for row in rows if row["check"] == "keychain"] == [
        ("keychain-silent", "error")
    ]
    assert "vlad" not in [row["owner"] for row in rows if row["severity"] == "error" and row["check"] == "racks"]


def test_a_bus_that_says_nothing_is_given_up(clinic: Clinic, short_path: Path) -> None:
    """Not even D-Bus's own first line is answered; the report comes all the same."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_path / "bus"))
        listener.listen()
        found = keychain(clinic, {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={short_path}/bus"})
    assert (found["name"], found["severity"]) == ("keychain-silent", "warning")
    assert found["fix"].startswith("export DBUS_SESSION_BUS_ADDRESS=")


@pytest.mark.parametrize("address", ["unix:path=/nonexistent", "nonsense", ""])
def test_a_bus_that_is_none_is_no_keychain(address: str, clinic: Clinic) -> None:
    """Left over from another session, or mistyped."""
    assert keychain(clinic, {"DBUS_SESSION_BUS_ADDRESS": address})["name"] == "keychain"


def test_an_absent_keychain_that_owners_need_is_found_and_started(clinic: Clinic, bus: Bus) -> None:
    """An error that names them."""
    with keyring(bus):
        in_keychain(clinic)
    found = clinic.find("keychain-absent")
    assert found["severity"] == "error"
    assert "vlad" in found["what"]
    clinic.cli.with_prefix("/bin/sh", "-c", found["fix"])(check=True)
    try:
        assert keychain(clinic)["name"] in ("keychain", "keychain-locked", "keychain-empty")
    finally:
        end_keychain(bus)


def test_a_keychain_whose_entry_is_gone_is_found(clinic: Clinic, wallet: Bus) -> None:
    """The fix is a restore, with the key of a backup."""
    in_keychain(clinic)
    wallet.delete(service="agentkeys", account="identity-vlad")
    found = clinic.find("identity-gone")
    assert (found["owner"], found["severity"]) == ("vlad", "error")
    assert found["fix"] == 'agentkeys restore --for vlad --identity "$BACKUP_KEY"'


def test_a_keychain_that_would_be_started_is_left_asleep(clinic: Clinic, short_path: Path) -> None:
    """D-Bus starts services when they are called; looking isn't a reason to."""
    require(shutil.which("dbus-daemon"), "dbus-daemon")
    with starting_bus(short_path, clinic.home.env) as bus:
        found = keychain(clinic, {"DBUS_SESSION_BUS_ADDRESS": bus.address})
        assert (found["severity"], found["what"]) == ("ok", "there is one, which the first use starts")
        assert not (short_path / "started").exists()
        clinic.cli("init", "--for", "vlad", env={"DBUS_SESSION_BUS_ADDRESS": bus.address})
        assert (short_path / "started").exists()


def test_a_keychain_without_a_default_is_a_note(clinic: Clinic, bus: Bus) -> None:
    """gnome-keyring on an account that never logged in to a desktop."""
    with without_default(bus):
        found = keychain(clinic)
    assert (found["name"], found["severity"]) == ("keychain-empty", "note")


def test_a_keychain_that_is_not_wanted_is_not_looked_for(clinic: Clinic, bus: Bus) -> None:
    """AGENTKEYS_SESSION_STORE=file: a keychain that hangs is nobody's business then."""
    with mute(bus):
        found = keychain(clinic, {"AGENTKEYS_SESSION_STORE": "file"})
    assert (found["name"], found["severity"]) == ("keychain", "ok")
