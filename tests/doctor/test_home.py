"""The home and everything in it: what is open, foreign, linked or odd is found, and its fix mends it."""

import os
import shutil
from pathlib import Path

import pytest

from tests.doctor.clinic import Case, Clinic, Env
from tests.support.uids import require

NOBODY = 12_345
"""A uid that is nobody's here."""


def relative_home(_clinic: Clinic) -> Env:
    """A home that depends on the directory."""
    return {"AGENTKEYS_HOME": "here/and/there"}


def impossible_home(_clinic: Clinic) -> Env:
    """A home below a file."""
    return {"AGENTKEYS_HOME": "/etc/passwd/home"}


def linked_home(clinic: Clinic) -> None:
    """The home elsewhere, and a link to it."""
    clinic.root.rename(clinic.home.path / "elsewhere")
    clinic.root.symlink_to(clinic.home.path / "elsewhere")


def lost_home(clinic: Clinic) -> None:
    """A link to nowhere."""
    shutil.rmtree(clinic.root)
    clinic.root.symlink_to(clinic.home.path / "nowhere")


def file_as_home(clinic: Clinic) -> None:
    """A file where the directory should be."""
    shutil.rmtree(clinic.root)
    clinic.root.write_text("")


def open_home(clinic: Clinic) -> None:
    """Everybody may enter."""
    clinic.root.chmod(0o755)


def shared_parent(clinic: Clinic) -> None:
    """Everybody may rename the home."""
    clinic.home.path.chmod(0o777)


def foreign_parent(clinic: Clinic) -> None:
    """Somebody else's directory."""
    require(os.geteuid() == 0, "root, to give a directory away")
    os.chown(clinic.home.path, NOBODY, NOBODY)


def manifest(clinic: Clinic) -> Path:
    """The rack's file."""
    return clinic.root / "host.human.yml.age"


def readable_identity(clinic: Clinic) -> None:
    """Who reads it opens the rack."""
    (clinic.root / "identity" / "human.key").chmod(0o644)


def writable_manifest(clinic: Clinic) -> None:
    """Who writes it can destroy it."""
    manifest(clinic).chmod(0o620)


def all_writable(clinic: Clinic) -> None:
    """More than are named one by one."""
    for path in clinic.root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o777)


def readable_manifest(clinic: Clinic) -> None:
    """It is sealed, and nobody's business."""
    manifest(clinic).chmod(0o644)


def many_readable(clinic: Clinic) -> None:
    """More than are named one by one, and a directory among them."""
    for path in (clinic.root / "inventory" / "human", *clinic.root.glob("inventory/human/*"), manifest(clinic)):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for number in range(5):
        path = clinic.root / "inventory" / "human" / f"{number}"
        path.touch()
        path.chmod(0o640)


def read_only_manifest(clinic: Clinic) -> None:
    """The owner itself can't write it."""
    manifest(clinic).chmod(0o400)


def closed_directory(clinic: Clinic) -> None:
    """The owner itself can't enter, and there is more inside."""
    for path in (clinic.root / "vault" / "human", *clinic.root.glob("vault/human/*"), manifest(clinic)):
        path.chmod(0o100)
    (clinic.root / "vault").chmod(0o000)


def foreign_file(clinic: Clinic) -> None:
    """Written by somebody else, such as root under sudo."""
    require(os.geteuid() == 0, "root, to give a file away")
    os.chown(manifest(clinic), NOBODY, NOBODY)


def foreign_files(clinic: Clinic) -> None:
    """A directory and all in it."""
    require(os.geteuid() == 0, "root, to give a file away")
    for path in (clinic.root / "vault", *clinic.root.glob("vault/**/*")):
        os.chown(path, NOBODY, NOBODY)


def linked_file(clinic: Clinic) -> None:
    """The rack elsewhere."""
    path = manifest(clinic)
    path.rename(clinic.home.path / "elsewhere.age")
    path.symlink_to(clinic.home.path / "elsewhere.age")


def linked_directory(clinic: Clinic) -> None:
    """The values elsewhere."""
    path = clinic.root / "vault"
    path.rename(clinic.home.path / "elsewhere")
    path.symlink_to(clinic.home.path / "elsewhere")


def dangling_link(clinic: Clinic) -> None:
    """A link to nowhere."""
    (clinic.root / "owners" / "x").symlink_to("nowhere")


def hard_link(clinic: Clinic) -> None:
    """The identity under a second name."""
    os.link(clinic.root / "identity" / "human.key", clinic.home.path / "mine-too")


def fifo(clinic: Clinic) -> None:
    """What hangs whoever reads it."""
    os.mkfifo(clinic.root / "owners" / "fifo.json", 0o600)


CASES = [
    Case("home-unknown", "error", relative_home),
    Case("home-unreadable", "error", impossible_home),
    Case("home-symlink", "warning", linked_home),
    Case("home-kind", "error", file_as_home),
    Case("home-kind", "error", lost_home, "link"),
    Case("home-mode", "error", open_home),
    Case("home-mode", "error", lambda clinic: clinic.root.chmod(0o500), "closed"),
    Case("home-parent-mode", "warning", shared_parent),
    Case("home-parent-foreign", "warning", foreign_parent),
    Case("file-exposed", "error", readable_identity),
    Case("file-exposed", "error", writable_manifest, "written"),
    Case("file-mode", "warning", readable_manifest),
    Case("file-closed", "warning", read_only_manifest),
    Case("file-foreign", "error", foreign_file),
    Case("file-foreign", "error", foreign_files, "many"),
    Case("file-symlink", "error", linked_file),
    Case("file-symlink", "error", linked_directory, "directory"),
    Case("file-symlink", "error", dangling_link, "dangling"),
    Case("file-hard-link", "warning", hard_link),
    Case("file-odd", "warning", fifo),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_wrong_with_the_home_is_found_and_mended(case: Case, clinic: Clinic) -> None:
    """By its name and with its severity; pasted, the fix leaves nothing of it."""
    clinic.treat(case.name, case.severity, case.provoke(clinic))


MANY = [
    Case("file-exposed", "error", all_writable),
    Case("file-mode", "warning", many_readable),
    Case("file-closed", "warning", closed_directory),
]


@pytest.mark.parametrize("case", MANY, ids=str)
def test_many_of_a_kind_are_counted_and_the_last_fix_mends_all(case: Case, clinic: Clinic) -> None:
    """Three are named; the line for the others has one command for everything."""
    case.provoke(clinic)
    found = [row for row in clinic.look() if row["name"] == case.name]
    if os.geteuid() and case.name == "file-closed":
        assert len(found) == 2  # what is in the closed directory can't be seen yet
        clinic.paste(found[0]["fix"])
        clinic.paste(found[1]["fix"])
        found = [row for row in clinic.look() if row["name"] == case.name]
    assert len(found) == 4 or os.geteuid()
    after = clinic.paste(found[-1]["fix"])
    assert case.name not in [row["name"] for row in after]


def test_a_whole_home_is_one_line(clinic: Clinic) -> None:
    """A rack as the program makes it is all right: nothing of it is worth more than a note."""
    rows = clinic.look()
    about = ("home", "files", "names", "racks", "audit", "leftovers")
    assert [row["name"] for row in rows if row["check"] in about] == ["home", "files", "rack", "audit", "leftovers"]
    (files,) = [row for row in rows if row["name"] == "files"]
    count = len(list(clinic.root.rglob("*")))
    assert files["what"].startswith(f"{count} files and directories")


def test_an_empty_home_leads_to_init(empty: Clinic) -> None:
    """No home, or nobody in it: a note, and its fix makes an owner."""
    found = empty.find("no-owner")
    assert (found["severity"], found["fix"]) == ("note", "agentkeys init")
    assert not empty.root.exists()
    empty.root.mkdir(mode=0o700)
    env = {"AGENTKEYS_SESSION_STORE": "file"}
    empty.treat("no-owner", "note", env)
    assert (empty.root / "owners" / "human.json").exists()


def test_copies_behind_links_are_the_users_own_files(clinic: Clinic, tmp_path: Path) -> None:
    """The fix of a linked file or directory keeps what it held, private, and leaves what it led to."""
    linked_file(clinic)
    linked_directory(clinic)
    before = (clinic.home.path / "elsewhere.age").read_bytes()
    for row in [row for row in clinic.look() if row["name"] == "file-symlink"]:
        clinic.paste(row["fix"])
    assert manifest(clinic).read_bytes() == before
    assert not manifest(clinic).is_symlink()
    assert manifest(clinic).stat().st_mode & 0o777 == 0o600
    assert not (clinic.root / "vault").is_symlink()
    assert {path.stat().st_mode & 0o077 for path in clinic.root.glob("vault/**/*")} == {0}
    assert (clinic.home.path / "elsewhere.age").read_bytes() == before
    assert {row["name"] for row in clinic.look() if row["check"] == "files"} == {"files"}


def test_more_files_than_are_looked_at_are_admitted(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of another order of magnitude doesn't make doctor run for ever, and it says so."""
    from agentkeys.setup.doctor import home
    from agentkeys.setup.doctor.scene import Scene

    monkeypatch.setattr(home, "MAX_ENTRIES", 3)
    environ = {name.encode(): value.encode() for name, value in clinic.home.env.items()}
    rows = list(home.check_files(Scene(environ, lambda *_: {})))
    assert [row.name for row in rows] == ["files-many"]
