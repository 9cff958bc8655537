"""What of a repository direnv watches for `use agentkeys`: whatever `agentkeys exec` there would look at."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.direnv.project import Project

Look = Callable[[], tuple[str, str]]

LATER = 2
"""Seconds from one version of a file to the next: direnv compares whole ones."""


def write(path: Path, text: str) -> None:
    """A file that is newer than what was there."""
    before = path.stat().st_mtime if path.exists() else 0
    path.write_text(text)
    at = max(before, path.stat().st_mtime) + LATER
    os.utime(path, (at, at))


@pytest.fixture
def below(project: Project) -> Project:
    """A project in a directory two below another, whose .envrc says `use agentkeys`."""
    (project.path / "services").mkdir()
    return Project(project.seat, project.path / "services" / "api").says("use agentkeys")


@pytest.fixture
def look(below: Project) -> Look:
    """What a shell that stays in it is told at its next prompt: the state, and the directory of the manifest."""
    environment: dict[str, str] = {}

    def prompt() -> tuple[str, str]:
        environment.update(before := below.prompt(environment))
        for name in environment.keys() - before.keys():
            del environment[name]
        assert below.export(**environment) == {}, "and nothing more at the one after it"
        return environment["AGENTKEYS_STATE"], environment["AGENTKEYS_PROJECT"]

    return prompt


def test_direnv_sees_what_becomes_of_the_repository(project: Project, below: Project, look: Look) -> None:
    """A manifest that appears above, is allowed, extends, changes in any of its files, and is denied."""
    seat = project.seat.start().unlock()
    manifest, base = project.path / ".agentkeys.yml", project.path / "base.agentkeys.yml"
    assert look() == ("unlocked", str(below.path)), "no manifest: the directory of the .envrc"
    write(manifest, "org: acme\nenv.all: [GITHUB_TOKEN]\n")
    assert look() == ("not-allowed", str(project.path))
    seat.cli("allow", str(manifest), check=True)
    assert look() == ("unlocked", str(project.path))
    write(base, "env.all: [OPENAI_API_KEY]\n")
    write(manifest, "org: acme\nextends: [base.agentkeys.yml]\nenv.all: [GITHUB_TOKEN]\n")
    assert look()[0] == "not-allowed"
    seat.cli("allow", str(manifest), check=True)
    assert look()[0] == "unlocked"
    write(base, "env.all: [OPENAI_API_KEY, NOBODY_HAS]\n")
    assert look()[0] == "not-allowed", "an extended file changed"
    write(base, "env.all: [OPENAI_API_KEY]\n")
    assert look()[0] == "unlocked", "and is what was allowed again"
    seat.cli("deny", str(manifest), check=True)
    assert look()[0] == "not-allowed"


def test_a_nearer_manifest_counts_as_soon_as_it_is_there(project: Project, below: Project, look: Look) -> None:
    """Between the .envrc and the one that counted, or beside the .envrc; gone, the other counts again."""
    project.seat.start().unlock()
    places = [project.path, below.path.parent, below.path]
    for place in places:
        write(place / ".agentkeys.yml", "org: acme\n")
        assert look() == ("not-allowed", str(place))
    (below.path / ".agentkeys.yml").unlink()
    assert look() == ("not-allowed", str(below.path.parent))


def test_allow_is_seen_where_no_agent_ever_ran(project: Project, look: Look) -> None:
    """There is no sign of an agent's then; that it was allowed is a file, which is watched itself."""
    write(project.path / ".agentkeys.yml", "org: acme\n")
    assert look()[0] == "not-allowed"
    project.seat.cli("allow", str(project.path), check=True)
    assert look()[0] == "no-agent"


def test_direnv_is_asked_once_to_watch(project: Project, below: Project) -> None:
    """Each call of watch_file is one more process that a prompt waits for."""
    write(project.path / ".agentkeys.yml", "org: acme\n")
    printed = project.seat.cli("direnv", "export", cwd=below.path, env={"PWD": str(below.path)}, check=True).out
    (line,) = [line for line in printed.decode().splitlines() if line.startswith("watch_file")]
    for name in (below.path, below.path.parent, project.path):
        assert f"'{name}/.agentkeys.yml'" in line
