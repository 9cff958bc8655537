"""Shims: chosen programs have the keys wherever they are called from, and nothing else does."""

import os
from pathlib import Path

import pytest

from agentkeys.errors import LOCKED, NOT_FOUND, USAGE
from tests.agent.seat import Seat
from tests.direnv.project import Project


def test_a_shim_gives_its_program_the_keys_and_the_shell_none(project: Project) -> None:
    """By name, from a shell or a script in the project; the environment that direnv exports has no key."""
    seat = project.seat.start().unlock()
    project.program("tool")
    project.program("script", "#!/bin/sh\ntool\n")
    project.says("use agentkeys --shim tool")
    value = seat.values["GITHUB_TOKEN"]
    assert project.run("tool", reveals=True, check=True).out == value
    assert project.run("script", reveals=True, check=True).out == value
    assert b"GITHUB_TOKEN=" not in project.run("env", check=True).out


def test_programs_that_call_each_other_have_the_keys(project: Project) -> None:
    """A shimmed program finds the others' shims, and its own real self once; no shim ever calls a shim."""
    seat = project.seat.start().unlock()
    project.program("tool")
    project.program("outer", "#!/bin/sh\n[ $# -gt 0 ] || exec outer again\ntool\n")
    seat.cli("shim", "tool", "outer", check=True)  # those for everywhere lie behind the project's
    project.direnv.env["PATH"] = f"{seat.home.root}/shims/bin:{project.direnv.env['PATH']}"
    project.says("use agentkeys --shim tool,outer")
    assert project.run("outer", reveals=True, check=True).out == seat.values["GITHUB_TOKEN"]


def test_a_shim_runs_nothing_without_keys(project: Project) -> None:
    """Locked: exit 4. No such program behind it: exit 127. Its own exit code is the program's."""
    project.seat.start()
    project.program("tool", "#!/bin/sh\nexit 7\n")
    project.says("use agentkeys --shim tool --shim nothing")
    assert project.run("tool").code == LOCKED
    project.seat.unlock()
    assert project.run("tool").code == 7
    assert project.run("nothing").code == NOT_FOUND


def test_a_shim_goes_when_it_is_no_longer_wanted(project: Project) -> None:
    """When the .envrc doesn't name it any more, and, once others are written, when the .envrc is gone."""
    place = project.seat.home.root / "shims"
    project.says("use agentkeys --shim tool,other").export()
    (directory,) = place.glob("*/bin")
    assert sorted(os.listdir(directory)) == ["other", "tool"]
    project.says("use agentkeys --shim tool").export()
    assert os.listdir(directory) == ["tool"]
    assert str(place) not in project.says("use agentkeys").export().get("PATH", "")
    assert os.listdir(place) == []
    project.says("use agentkeys --shim tool").export()
    (project.path / ".envrc").unlink()
    other = project.named("other")
    other.says("use agentkeys --shim tool").export()
    assert [path.read_text() for path in place.glob("*/project")] == [f"{other.path}\n"]


def test_nothing_but_its_own_shims_is_in_a_projects_directory(project: Project) -> None:
    """What was put there by hand goes, before it is in anybody's PATH."""
    project.says("use agentkeys --shim tool").export()
    (directory,) = (project.seat.home.root / "shims").glob("*/bin")
    (directory / "ls").write_text("#!/bin/sh\n")
    (directory / "tool").write_text("#!/bin/sh\n# changed\n")
    project.export()
    assert os.listdir(directory) == ["tool"]
    assert b"agentkeys exec" in (directory / "tool").read_bytes()


def test_shims_for_everywhere(seat: Seat, tmp_path: Path) -> None:
    """The verb makes, lists and removes them; what they give is what was said."""
    tool = seat.home.path / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\nprintf %s "$TOKEN$GITHUB_TOKEN$OPENAI_API_KEY"\n')
    tool.chmod(0o755)
    made = seat.cli("shim", "tool", "--for", "human", "--key", "OPENAI_API_KEY", check=True)
    assert b"export PATH=" in made.err
    place = seat.home.root / "shims" / "bin"
    env = {"PATH": f"{place}:{tool.parent}:{seat.cli.env['PATH']}"}
    done = seat.cli.with_prefix("/bin/sh", "-c", "tool")(env=env, reveals=True, check=True)
    assert done.out == seat.values["OPENAI_API_KEY"]
    (row,) = seat.cli("shim", "--list", "--json", check=True).json()
    assert row == {"program": "tool", "options": ["--key", "OPENAI_API_KEY", "--for", "human"]}
    assert seat.cli("shim", "--list", check=True).out.startswith(b"tool  agentkeys exec --key OPENAI_API_KEY")
    assert b"removed tool" in seat.cli("shim", "--remove", "tool", check=True).out
    assert b"tool had no shim" in seat.cli("shim", "--remove", "tool", check=True).out
    assert seat.cli("shim", "--list", check=True).out == b"no shims\n"


@pytest.mark.parametrize("name", ["agentkeys", "../tool", "a b", "-x", ".hidden", "a;b", "x" * 65, ""])
def test_a_name_that_cannot_be_a_shims_is_refused(name: str, rack: Seat) -> None:
    """Usage, and nothing is written."""
    refused = rack.cli("shim", "--", name)
    assert refused.code == USAGE
    assert b"no shim can be called" in refused.err
    assert not (rack.home.root / "shims").exists()


def test_a_file_that_is_no_shim_is_not_replaced(rack: Seat) -> None:
    """Somebody put it there; it stays, and so does everything else."""
    rack.cli("shim", "one", check=True)
    other = rack.home.root / "shims" / "bin" / "other"
    other.write_text("mine\n")
    refused = rack.cli("shim", "other")
    assert refused.code == USAGE
    assert b"is no shim of ours" in refused.err
    assert other.read_text() == "mine\n"


def test_a_shim_for_a_program_that_is_not_there_is_made_and_said(project: Project) -> None:
    """It may be installed later, or the name may be mistyped: a note for that one alone."""
    project.program("tool")
    made = project.seat.cli("shim", "tool", "nosuchprog", env={"PATH": project.direnv.env["PATH"]}, check=True)
    assert made.out.count(b"made ") == 2
    assert b"there is no program nosuchprog in PATH now" in made.err
    assert b"no program tool" not in made.err
    again = project.seat.cli("shim", "nosuchprog", env={"PATH": f"{project.seat.home.root}/shims/bin"}, check=True)
    assert b"there is no program nosuchprog" in again.err, "its own shim is none"
