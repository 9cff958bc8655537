"""Homes that are odd: no HOME, one that can't be written, and one that is full of another machine's files."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.agent.seat import Seat, watched
from tests.agent.test_start import exported
from tests.support.uids import require


@pytest.mark.parametrize("value", [None, "", "relative"])
def test_without_a_home_the_root_may_be_named_row_26(value: str | None, rack: Seat) -> None:
    """HOME unset, empty or relative: AGENTKEYS_HOME says where the rack is, and everything works by that."""
    env = {"HOME": value, "AGENTKEYS_HOME": str(rack.home.root)}
    path, _ = exported(rack.cli("agent", "--unlock", env=env, check=True).out)
    assert path.startswith(str(rack.home.runtime))
    got = rack.cli("get", "GITHUB_TOKEN", env=env, reveals=True, check=True).out
    assert got == rack.values["GITHUB_TOKEN"]
    assert rack.cli("agent", "--unlock", "--", "true", env=env).code == 0
    rack.cli("agent", "-k", env=env, check=True)
    assert not (rack.home.path / "relative").exists()


def test_a_home_that_is_no_directory_is_said_to_be_none(rack: Seat, tmp_path: Path) -> None:
    """A file, or a path that isn't there: there is no such owner, and nothing is made."""
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "nosuch" / "home"):
        done = rack.cli("agent", env={"HOME": str(home)})
        assert (done.code, done.out) == (2, b"false;\n")
        assert b"no owner human here" in done.err
    assert not (tmp_path / "nosuch").exists()


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Make `path` a file system that nobody can write, root included. Wants root."""
    bind = subprocess.run(["mount", "--bind", path, path], capture_output=True)
    require(bind.returncode == 0, "the right to mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


FORMS = {
    "agent": [],
    "-D": ["-D"],
    "--print-socket": ["--print-socket"],
    "-a": ["-a", "x.sock"],
    "command": ["--", "touch", "ran"],
}


@pytest.mark.parametrize("before", ["never", "once"])
@pytest.mark.parametrize("form", FORMS)
def test_a_home_that_can_not_be_written_row_26(form: str, before: str, rack: Seat, short_path: Path) -> None:
    """Read-only, before any agent ran and after: a clear error that names the path; no agent, and no command."""
    if before == "once":
        rack.start().cli("agent", "-k", check=True)
    with read_only(rack.home.root):
        done = rack.cli("agent", *FORMS[form], cwd=short_path)
    assert done.code in (2, 7), done
    assert done.out == (b"" if form in ("command", "--print-socket") else b"false;\n")
    assert done.err.startswith(b"agentkeys: error: " + os.fsencode(rack.home.root / "run"))
    assert b": Read-only file system\nagentkeys: hint: ls -l" in done.err
    assert rack.home.agents() == []
    assert list(short_path.iterdir()) == []


def test_a_home_that_becomes_read_only_does_not_keep_an_agent(seat: Seat) -> None:
    """Nothing is given that can't be accounted for; -k ends it though its lock stays; a later start minds nothing."""
    with watched(seat.pid) as gone, read_only(seat.home.root):
        done = seat.get("GITHUB_TOKEN")
        assert (done.code, done.out) in ((1, b""), (0, seat.values["GITHUB_TOKEN"]))  # its log was open before
        seat.cli("agent", "-k", check=True)
        gone()
        assert not seat.socket.exists()
    assert seat.status() is None
    seat.start().unlock()
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]
