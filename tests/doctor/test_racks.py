"""Owners, their identities, racks and audit logs: what is gone, damaged, older or unfinished is found and mended."""

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from agentkeys.setup.doctor import racks
from agentkeys.stores.succession import Succession
from tests.doctor.clinic import Case, Clinic, Env
from tests.owners.backups import backup_key
from tests.owners.tty import converse
from tests.support.uids import require


def copied(clinic: Clinic) -> Env:
    """A copy of the home, as a person makes one."""
    place = clinic.home.path / "a backup"
    shutil.copytree(clinic.root, place, symlinks=True)
    return {"BACKUP": str(place)}


def backed(clinic: Clinic) -> Env:
    """A backup recipient, whose key is elsewhere."""
    key, public = backup_key(clinic.seat)
    clinic.cli("recipient", "set", "--pubkey", public, check=True)
    return {"BACKUP_KEY": str(key)}


def state_file(clinic: Clinic) -> Path:
    """Where this machine remembers the version."""
    (path,) = clinic.root.glob("state/*/human.json")
    return path


def card(clinic: Clinic) -> Path:
    """The public card."""
    return clinic.root / "owners" / "human.json"


def manifest(clinic: Clinic) -> Path:
    """The rack's file."""
    return clinic.root / "host.human.yml.age"


def identity(clinic: Clinic) -> Path:
    """The identity's file."""
    return clinic.root / "identity" / "human.key"


def unknown_owner(clinic: Clinic) -> None:
    """--for names nobody."""
    clinic.arguments = ["--for", "seaturtle"]


def damaged_card(clinic: Clinic) -> None:
    """No JSON."""
    card(clinic).write_text("{")


def missing_rack(clinic: Clinic) -> None:
    """What an init leaves that was killed before its rack."""
    manifest(clinic).unlink()
    for name in ("vault", "inventory", "state"):
        shutil.rmtree(clinic.root / name)


def gone_rack(clinic: Clinic) -> Env:
    """Deleted, and there is a copy."""
    env = copied(clinic)
    manifest(clinic).unlink()
    return env


def damaged_rack(clinic: Clinic) -> Env:
    """Not what age wrote, and there is a copy."""
    env = copied(clinic)
    manifest(clinic).write_bytes(b"age-encryption.org/v1\n")
    return env


def older_rack(clinic: Clinic) -> None:
    """A copy from before the last change was put back."""
    env = copied(clinic)
    assert env
    clinic.seat.set("LATER", b"x")
    for name in (manifest(clinic).name, "vault"):
        path = clinic.root / name
        if path.is_dir():
            shutil.rmtree(path)
            shutil.copytree(Path(str(env["BACKUP"])) / name, path)
        else:
            shutil.copy2(Path(str(env["BACKUP"])) / name, path)


def unfinished_restore(clinic: Clinic) -> None:
    """A restore that was killed when it had begun."""
    Succession(str(clinic.root), "human", manifest(clinic).read_bytes(), "file").write()


def identity_aside(clinic: Clinic) -> None:
    """Put aside, and nothing in its place."""
    identity(clinic).rename(f"{identity(clinic)}.lost-2026-11-22T204530Z")


def lost_identity(clinic: Clinic) -> Env:
    """Gone for good, and there is a backup recipient."""
    env = backed(clinic)
    identity(clinic).unlink()
    return env


def another_identity(clinic: Clinic) -> Env:
    """Somebody else's, and there is a backup recipient."""
    env = backed(clinic)
    identity(clinic).write_text(f"{pyrage.x25519.Identity.generate()}\n")
    return env


def readable_identity(clinic: Clinic) -> None:
    """The program refuses it."""
    identity(clinic).chmod(0o640)


def damaged_state(clinic: Clinic) -> None:
    """No number."""
    state_file(clinic).write_text("{}")


def dangling_name(clinic: Clinic) -> None:
    """An alias whose owner is gone."""
    (clinic.root / "names" / "turtle").symlink_to("seaturtle")


def name_of_a_path(clinic: Clinic) -> None:
    """An alias that leads out of the home."""
    (clinic.root / "names" / "turtle").symlink_to("../../../etc/passwd")


def name_as_file(clinic: Clinic) -> None:
    """An alias that is no link."""
    (clinic.root / "names" / "turtle").write_text("human")


def audit_dir(clinic: Clinic) -> Path:
    """The directory of the audit log."""
    (path,) = clinic.root.glob("audit/*/human")
    return path


def audit_as_file(clinic: Clinic) -> None:
    """Where no line can be written."""
    path = audit_dir(clinic)
    shutil.rmtree(path)
    path.write_text("")
    path.chmod(0o600)


CASES = [
    Case("owner-unknown", "error", unknown_owner),
    Case("card-damaged", "error", damaged_card),
    Case("card-missing", "warning", lambda clinic: card(clinic).unlink()),
    Case("name-dangling", "warning", dangling_name),
    Case("name-dangling", "warning", name_of_a_path, "path"),
    Case("name-kind", "warning", name_as_file),
    Case("rack-missing", "warning", missing_rack),
    Case("rack-gone", "error", gone_rack),
    Case("rack-fault", "error", damaged_rack),
    Case("rack-older", "error", older_rack, answer=b"yes"),
    Case("restore-unfinished", "note", unfinished_restore),
    Case("identity-gone", "error", identity_aside, "aside"),
    Case("identity-gone", "error", lost_identity, answer=b"yes"),
    Case("identity-fault", "error", another_identity, answer=b"yes"),
    Case("identity-fault", "error", readable_identity, "mode"),
    Case("state-damaged", "error", damaged_state),
    Case("audit-kind", "error", audit_as_file),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_wrong_with_an_owner_is_found_and_mended(case: Case, clinic: Clinic) -> None:
    """By its name and with its severity; pasted, the fix leaves nothing of it."""
    found = clinic.treat(case.name, case.severity, case.provoke(clinic), case.answer)
    assert found["owner"] in ("human", "seaturtle") or case.name.startswith("name-")


def test_after_the_fixes_of_a_lost_identity_the_rack_opens(clinic: Clinic) -> None:
    """What the report leads to is a rack that unlocks, with every value."""
    env = lost_identity(clinic)
    clinic.mend(clinic.find("identity-gone", env), env, b"yes")
    clinic.seat.start().unlock()
    for name, value in clinic.seat.values.items():
        assert clinic.seat.get(name, check=True).out == value


def test_a_rack_that_was_changed_elsewhere_is_a_note(clinic: Clinic) -> None:
    """A home on two machines: newer than seen is no rollback, and nothing is written down by looking."""
    path = state_file(clinic)
    path.write_text('{"version": 1}\n')
    before = path.read_bytes()
    found = clinic.find("rack-newer")
    assert (found["severity"], found["fix"]) == ("note", "")
    assert path.read_bytes() == before


@pytest.fixture
def ssh_key(clinic: Clinic) -> Callable[[str], Path]:
    """Make an ssh key with a passphrase, or none."""
    require(shutil.which("ssh-keygen"), "ssh-keygen")

    def make(passphrase: str) -> Path:
        path = clinic.home.path / "id_ed25519"
        run = clinic.cli.with_prefix("ssh-keygen")
        run("-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", path, check=True)
        return path

    return make


def test_an_unclaimed_rack_is_a_note_with_and_without_its_key(clinic: Clinic, ssh_key: Callable[[str], Path]) -> None:
    """Without the private key there is nothing to do here; with it, the fix claims the rack. Looking doesn't."""
    key = ssh_key("")
    away = key.rename(key.with_suffix(".away"))
    clinic.cli("init", "--for", "vlad", "--via", "ssh", "--pubkey", f"{key}.pub", check=True)
    clinic.arguments = ["--for", "vlad"]
    rack = clinic.root / "host.vlad.yml.age"
    before = rack.read_bytes()
    found = clinic.find("rack-unclaimed")
    assert (found["severity"], found["fix"]) == ("note", "")
    away.rename(key)
    found = clinic.find("rack-unclaimed")
    assert rack.read_bytes() == before
    clinic.mend(found)


def test_nobody_is_asked_for_a_passphrase(
    clinic: Clinic, ssh_key: Callable[[str], Path], canary: Callable[..., bytes]
) -> None:
    """A rack whose key has one isn't opened, on a terminal neither, and that is all right."""
    passphrase = canary("passphrase")
    public = f"{ssh_key(passphrase.decode())}.pub"
    replies = [(b"passphrase for", passphrase)]
    code, _shown = converse(clinic.cli, "init", "--for", "vlad", "--via", "ssh", "--pubkey", public, replies=replies)
    assert code == 0
    clinic.arguments = ["--for", "vlad"]
    (found,) = [row for row in clinic.look() if row["check"] == "racks"]
    assert (found["name"], found["severity"]) == ("rack", "ok")
    assert "somebody would have to be asked" in found["what"]
    _code, shown = converse(clinic.cli, "doctor", "--for", "vlad", replies=[])
    assert b"passphrase for" not in shown


def test_an_identity_in_a_variable_is_used_and_its_absence_is_no_fault(clinic: Clinic) -> None:
    """Set, the rack is opened; unset, it isn't; another owner's is a fault that unset mends."""
    own, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    clinic.cli("init", "--for", "ci", "--via", "env", env={"AGENTKEYS_IDENTITY": str(own)}, check=True)
    clinic.arguments = ["--for", "ci"]
    rows = {row["name"]: row for row in clinic.look({"AGENTKEYS_IDENTITY": str(own)})}
    assert "opens" in rows["rack"]["what"]
    rows = {row["name"]: row for row in clinic.look()}
    assert "not opened" in rows["rack"]["what"]
    found = clinic.treat("identity-fault", "error", {"AGENTKEYS_IDENTITY": str(other)})
    assert found["fix"] == "unset AGENTKEYS_IDENTITY"


def test_a_large_audit_log_is_a_note(clinic: Clinic) -> None:
    """Nothing rotates it, so somebody should know."""
    os.truncate(audit_dir(clinic) / "chain.jsonl", racks.AUDIT_LARGE + 1)
    try:
        assert clinic.find("audit-large")["severity"] == "note"
    finally:
        os.truncate(audit_dir(clinic) / "chain.jsonl", 0)


def mounted(clinic: Clinic, options: str, command: str) -> list[dict[str, str]]:
    """The findings after `command`, with a small file system of its own where the audit log lies."""
    require(os.geteuid() == 0 and shutil.which("unshare") and shutil.which("mount"), "root, unshare and mount")
    place = shlex.quote(str(audit_dir(clinic)))
    script = f"mount -t tmpfs -o {options} none {place} && {{ {command}\n}} >&2; agentkeys doctor --json"
    done = clinic.cli.with_prefix("unshare", "--mount", "/bin/sh", "-c", script)()
    rows: list[dict[str, str]] = json.loads(done.out)["findings"]
    return rows


def test_a_read_only_disk_is_found_and_mended(clinic: Clinic) -> None:
    """Where nothing can be logged, nothing is given."""
    (found,) = [row for row in mounted(clinic, "ro,mode=700", ":") if row["name"] == "audit-read-only"]
    assert found["severity"] == "error"
    after = mounted(clinic, "ro,mode=700", found["fix"])
    assert "audit-read-only" not in [row["name"] for row in after]


def test_a_full_disk_is_found_and_its_fix_shows_what_fills_it(clinic: Clinic) -> None:
    """Only a person can decide what may go."""
    (found,) = [row for row in mounted(clinic, "size=1m,mode=700", ":") if row["name"] == "disk-full"]
    assert found["severity"] == "error"
    assert clinic.cli.with_prefix("/bin/sh", "-c", found["fix"])(check=True).out


def test_a_worker_that_does_not_work_is_a_finding(clinic: Clinic, tmp_path: Path) -> None:
    """A broken installation is what doctor is for: it says so, once for each thing it couldn't look at."""
    import agentkeys

    broken = tmp_path / "lib"
    shutil.copytree(Path(agentkeys.__file__).parent, broken / "agentkeys", ignore=shutil.ignore_patterns("__pycache__"))
    (broken / "agentkeys" / "worker" / "__main__.py").write_text("raise SystemExit(1)\n")
    rows = clinic.look({"PYTHONPATH": str(broken)})
    assert [row["owner"] for row in rows if row["name"] == "worker"] == ["", "human"]
