"""Doctor and other users: in somebody else's home, and without root's rights in one's own."""

import json
import os
import shlex
from pathlib import Path

import pytest

from agentkeys import paths
from tests.agent.seat import Seat
from tests.doctor.clinic import Case, Clinic
from tests.support.homes import Home
from tests.support.runner import Runner
from tests.support.uids import User

SUDO = """#!/bin/sh
# sudo -u '#UID' -H command, as far as the hint goes
uid=${{2#\\#}}
shift 3
HOME={home} XDG_RUNTIME_DIR={runtime} exec setpriv --reuid="$uid" --regid="$uid" --clear-groups -- "$@"
"""


@pytest.fixture
def theirs(other_user: User) -> Clinic:
    """Another user's owner, with a rack; doctor runs as that user."""
    clinic = Clinic(Seat(other_user.home, other_user.cli, {}))
    other_user.cli("init", "--via", "file", check=True)
    return clinic


def test_in_another_users_home_it_says_so_and_looks_at_nothing(
    theirs: Clinic, other_user: User, cli: Runner, tmp_path: Path
) -> None:
    """The `sudo agentkeys` trap: an error with the right command, and nothing of what is wrong inside is told."""
    (theirs.root / "identity" / "human.key").chmod(0o644)
    before = {(path, path.lstat().st_mtime_ns, path.lstat().st_uid) for path in theirs.home.path.rglob("*")}
    env: dict[str, str | None] = {"HOME": str(other_user.home.path)}
    done = cli("doctor", "--json", env=env)
    rows = {row["name"]: row for row in done.json()["findings"]}
    assert done.code == 1
    assert rows["home-foreign"]["severity"] == "error"
    assert f"uid {other_user.uid}" in rows["home-foreign"]["what"]
    assert {(path, path.lstat().st_mtime_ns, path.lstat().st_uid) for path in theirs.home.path.rglob("*")} == before
    assert not {row["check"] for row in rows.values()} & {"files", "names", "racks", "audit", "leftovers", "agents"}
    sudo = tmp_path / "sudo"
    sudo.write_text(SUDO.format(home=shlex.quote(str(other_user.home.path)), runtime=other_user.home.runtime))
    sudo.chmod(0o755)
    env["PATH"] = f"{tmp_path}:{other_user.run.env['PATH']}"
    shown = cli.with_prefix("/bin/sh", "-c", f"{rows['home-foreign']['fix']} --json")(env=env, cwd=Path("/"))
    names = [row["name"] for row in json.loads(shown.out)["findings"]]
    assert "home-foreign" not in names
    assert "file-exposed" in names


def test_a_home_to_be_in_another_users_directory_is_refused_too(cli: Runner, home: Home, other_user: User) -> None:
    """There is nothing yet, and root would make it."""
    path = other_user.home.path / "new"
    assert "home-foreign" in [
        row["name"] for row in cli("doctor", "--json", env={"AGENTKEYS_HOME": str(path)}).json()["findings"]
    ]


def closed_audit(clinic: Clinic) -> None:
    """A directory that its owner can't write."""
    path = Path(paths.audit_dir(str(clinic.root), "human"))
    path.mkdir(parents=True, mode=0o700, exist_ok=True)
    path.chmod(0o500)


def closed_audit_file(clinic: Clinic) -> None:
    """A log that its owner can't write."""
    path = Path(paths.audit_dir(str(clinic.root), "human")) / "chain.jsonl"
    path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    path.touch()
    path.chmod(0o400)


def closed_config(clinic: Clinic) -> None:
    """Settings that their owner can't read."""
    path = clinic.home.path / ".config" / "agentkeys" / "config.toml"
    path.parent.mkdir(mode=0o700)
    path.write_text("")
    path.chmod(0o000)


def closed_above(clinic: Clinic) -> None:
    """A home that its owner can't reach."""
    clinic.home.path.chmod(0o600)


def closed_values(clinic: Clinic) -> None:
    """Values that their owner can't reach."""
    (clinic.root / "vault").mkdir(0o700)
    (clinic.root / "vault").chmod(0o000)


CASES = [
    Case("audit-closed", "error", closed_audit),
    Case("audit-closed", "error", closed_audit_file, "file"),
    Case("config-closed", "error", closed_config),
    Case("home-unreadable", "error", closed_above),
    Case("home-mode", "error", lambda clinic: clinic.root.chmod(0o000)),
    Case("file-closed", "warning", closed_values),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_only_users_without_roots_rights_meet_is_found_and_mended(
    case: Case, theirs: Clinic, other_user: User
) -> None:
    """Files and directories that are closed to their own owner."""
    case.provoke(theirs)
    for path in (theirs.home.path, *theirs.home.path.rglob("*")):
        os.chown(path, other_user.uid, other_user.gid, follow_symlinks=False)
    theirs.cli = other_user.cli
    found = theirs.find(case.name)
    assert found["severity"] == case.severity
    script = f"{{ {found['fix']}\n}} >&2; agentkeys doctor --json"
    done = other_user.run("/bin/sh", "-c", script, cwd=Path("/"))
    assert case.name not in [row["name"] for row in json.loads(done.out)["findings"]], done


def test_a_whole_home_of_another_user_is_all_right(theirs: Clinic) -> None:
    """Under their own uid, without any right of root's, with an agent: nothing but notes."""
    theirs.cli("agent", check=True)
    rows = theirs.look()
    assert [row for row in rows if row["severity"] in ("warning", "error")] == []
    assert {"agent", "socket", "rack", "audit", "files", "home"} <= {row["name"] for row in rows}
