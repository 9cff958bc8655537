"""`agentkeys import .env` in a repository: the keys are of its org and env, and its manifest names them."""

from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.cli.test_exit_codes import fails
from tests.repo.conftest import MANIFEST, Repo
from tests.support.plugin import Plant

NAMED = MANIFEST.replace("as: STRIPE_API_KEY}", "as: STRIPE_API_KEY}\n  - ONE\n  - TWO")
"""With what the .env has and it didn't."""


@pytest.fixture
def env_file(rack: Seat, repository: Repo, canary: Plant) -> Path:
    """Three settings, of which the manifest names one; a test takes their values out again."""
    for name in ("GITHUB_TOKEN", "ONE", "TWO"):
        rack.values[name] = canary(name)
    path = repository.path / ".env"
    path.write_bytes(b"".join([b"%b=%b\n" % (it.encode(), rack.values[it]) for it in ("GITHUB_TOKEN", "ONE", "TWO")]))
    return path


def slugs(seat: Seat) -> set[str]:
    """What the rack has beyond the machine's own."""
    rows = seat.cli("list", "--no-repo", "--json", check=True).json()
    return {row["slug"] for row in rows} - {"@all.all.GITHUB_TOKEN", "@all.all.OPENAI_API_KEY"}


def test_a_env_file_moves_into_the_repository(rack: Seat, repository: Repo, env_file: Path) -> None:
    """Its org, its default env, each name once, every other byte of the manifest as it was; and exec gives them."""
    rack.cli("allow", check=True)
    done = rack.cli("import", "--replace", check=True).out.decode()
    assert f"added to env.test of {repository.manifest}: ONE, TWO\n" in done
    assert slugs(rack) == {"acme.test.GITHUB_TOKEN", "acme.test.ONE", "acme.test.TWO"}
    assert repository.manifest.read_text() == NAMED
    assert "exec --for human --key acme.test.ONE -- COMMAND" in env_file.read_text()
    rack.start().unlock()
    given = rack.cli("exec", "--key", "acme.test.ONE", "--", "printenv", "ONE", reveals=True, check=True)
    assert given.out == rack.values["ONE"] + b"\n"


def test_a_second_import_adds_no_name(rack: Seat, repository: Repo, env_file: Path) -> None:
    """Nor does one that is said to be of another env touch the first's; JSON has what was added."""
    rack.cli("allow", check=True)
    added = rack.cli("import", "--json", check=True).json()["repo"]
    assert added == {"path": str(repository.manifest), "env": "test", "names": ["ONE", "TWO"]}
    assert rack.cli("import", "--json", check=True).json()["repo"] is None
    rack.cli("import", "--env", "prod", "--key", "ONE", check=True)
    assert repository.manifest.read_text() == NAMED.replace("[STRIPE_KEY]", "[STRIPE_KEY, ONE]")
    env_file.unlink()


def test_a_dry_run_says_what_would_be_added(rack: Seat, repository: Repo, env_file: Path) -> None:
    """And adds nothing, neither there nor to the rack."""
    rack.cli("allow", check=True)
    done = rack.cli("import", "--dry-run", check=True).out.decode()
    assert "would be added acme.test.ONE in os.secure of human\n" in done
    assert f"would be added to env.test of {repository.manifest}: ONE, TWO\n" in done
    assert slugs(rack) == set()
    assert repository.manifest.read_text() == MANIFEST
    env_file.unlink()


def test_no_repo_is_as_if_there_were_none(rack: Seat, repository: Repo, env_file: Path) -> None:
    """So is the machine's own org; the manifest need not be allowed."""
    rack.cli("import", "--no-repo", "--key", "ONE", check=True)
    rack.cli("import", "--org", "@all", "--key", "TWO", check=True)
    assert slugs(rack) == {"@all.all.ONE", "@all.all.TWO"}
    assert repository.manifest.read_text() == MANIFEST
    env_file.unlink()


def test_what_the_repository_does_not_say_is_refused(rack: Seat, repository: Repo, env_file: Path) -> None:
    """Not allowed, another org, a mistyped env, several envs and none named: nothing is stored, nothing is written."""
    fails(rack.cli("import", "--replace"), 6)
    rack.cli("allow", check=True)
    for words, said in ((("--org", "other"), b"this repository's org is acme"), (("--env", "tset"), b"near it: test")):
        done = rack.cli("import", "--replace", *words)
        fails(done, 2)
        assert said in done.err
    repository.write(MANIFEST.replace("default_env: test\n", ""))
    rack.cli("allow", check=True)
    done = rack.cli("import", "--replace")
    fails(done, 2)
    assert b"declares several envs and no default_env: prod, test\n" in done.err
    assert b"hint: agentkeys import .env --env prod\n" in done.err
    assert slugs(rack) == set()
    assert b"ONE=" in env_file.read_bytes()
    env_file.unlink()
