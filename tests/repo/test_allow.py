"""allow, deny and where a manifest is looked for."""

import os
from pathlib import Path

import pytest

from agentkeys import paths
from tests.agent.seat import Seat
from tests.cli.test_exit_codes import fails
from tests.repo.conftest import MANIFEST, Repo


def test_allow_shows_what_it_allows_and_then_what_changed(rack: Seat, repository: Repo) -> None:
    """A line for each key; done again with another text, what is gone and what is new; --dry-run allows nothing."""
    looked = rack.cli("allow", "--dry-run", check=True)
    assert b"  env test: STRIPE_KEY as STRIPE_API_KEY\n" in looked.out
    assert rack.cli("allow", "--list", check=True).out == b"nothing was allowed or denied yet\n"
    assert rack.cli("allow", check=True).out.endswith(b"allowed; any change of these files asks again\n")
    assert b" is allowed already; it asks for\n" in rack.cli("allow", check=True).out
    repository.write(MANIFEST.replace("GITHUB_TOKEN ", "GITLAB_TOKEN ") + "env.ci: []\n")
    changed = rack.cli("allow", "--json", check=True).json()
    assert changed["changes"] == ["- env test: GITHUB_TOKEN", "+ env ci: no key", "+ env test: GITLAB_TOKEN"]
    assert changed["envs"]["test"][1] == {"key": "STRIPE_KEY", "variable": "STRIPE_API_KEY", "flags": []}


def test_what_was_decided_is_listed_and_pruned(rack: Seat, repository: Repo) -> None:
    """allowed, changed since, denied, gone."""
    other = Repo(rack.home.path / "code" / "other")

    def states() -> list[str]:
        return [row["state"] for row in rack.cli("allow", "--list", "--json", check=True).json()]

    rack.cli("allow", check=True)
    rack.cli("deny", other.path, check=True)
    assert states() == ["allowed", "denied"]
    fails(rack.cli("exec", "--", "true", cwd=other.path), 6)
    repository.write(MANIFEST + "\n")
    other.manifest.unlink()
    assert states() == ["changed", "gone"]
    assert rack.cli("allow", "--prune", "--json", check=True).json() == {"pruned": [str(other.manifest)]}
    assert states() == ["changed"]


def test_without_a_manifest_allow_says_how_to_make_one(rack: Seat) -> None:
    """Exit 2, naming the file that it looked for."""
    done = rack.cli("allow")
    fails(done, 2)
    assert b"no .agentkeys.yml in this directory or one above it\n" in done.err


def test_a_manifest_from_an_enemy_shows_one_line(rack: Seat, repository: Repo) -> None:
    """No escape reaches the terminal, and nothing is allowed; exec says no more."""
    for text in ("org: acme\nenv.test: ['\\e]0;owned\\a']\n", "org: acme\nenv.test: [LD_PRELOAD]\n", "a: &a [*a]\n"):
        repository.write(text.replace("'", '"'))
        done = rack.cli("allow")
        fails(done, 2)
        assert b"\x1b" not in done.err
        assert len(done.err.splitlines()) == 2
        fails(rack.cli("exec", "--", "true"), 6)
    assert not (rack.home.root / "allow").exists()


def found(start: Path, home: Path) -> str:
    """What is looked up from a directory."""
    return paths.repo_manifest({b"HOME": str(home).encode()}, str(start))


def test_the_nearest_manifest_counts_and_home_is_the_last_place(tmp_path: Path) -> None:
    """From the working directory upwards, the home directory's own too, and nothing above that."""
    home = tmp_path / "home"
    deep = home / "code" / "api" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / ".agentkeys.yml").touch()
    assert found(deep, home) == ""
    assert found(tmp_path, home) == str(tmp_path / ".agentkeys.yml")
    (home / ".agentkeys.yml").touch()
    assert found(deep, home) == str(home / ".agentkeys.yml")
    (home / "code" / "api" / ".agentkeys.yml").symlink_to("/nowhere")
    assert found(deep, home) == str(home / "code" / "api" / ".agentkeys.yml"), "a broken link is no reason to look on"


def test_a_directory_of_somebody_else_has_no_say_over_what_lies_in_it(tmp_path: Path) -> None:
    """A file in a directory like /tmp is not looked at; the working directory's own is, and then judged."""
    if os.getuid() != 0:
        pytest.skip("only root can give a directory away")
    theirs = tmp_path / "theirs"
    mine = theirs / "mine"
    mine.mkdir(parents=True)
    (theirs / ".agentkeys.yml").touch()
    assert found(mine, Path("/none")) == str(theirs / ".agentkeys.yml")
    os.chown(theirs, 12345, 12345)
    assert found(mine, Path("/none")) == ""
    assert found(theirs, Path("/none")) == str(theirs / ".agentkeys.yml")
