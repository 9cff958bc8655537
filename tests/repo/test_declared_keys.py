"""Where a key goes and comes from in a repository: what its manifest declares, and nothing that it doesn't."""

import json
from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.cli.test_exit_codes import fails
from tests.repo.conftest import MANIFEST, Repo
from tests.support.plugin import Plant

SEVERAL = "org: acme\nenv.test: [ONE, BOTH]\nenv.prod: [TWO, BOTH]\nenv.all: [SHARED]\n"
"""Several envs, and none that is meant when none is named."""


@pytest.fixture
def several(locked: Seat, repository: Repo) -> Seat:
    """The owner in a repository of several envs, which is allowed."""
    repository.write(SEVERAL)
    locked.cli("allow", check=True)
    return locked


def rack_of(seat: Seat) -> set[str]:
    """The slugs of org acme."""
    rows = json.loads(seat.cli("list", "--no-repo", "--json", check=True).out)
    return {row["slug"] for row in rows if row["slug"].startswith("acme.")}


def test_init_makes_a_manifest_with_its_directories(rack: Seat, repository: Repo, tmp_path: Path) -> None:
    """`--at` makes it there and nowhere else, and allowed; done again, it keeps the org it has."""
    place = repository.path / "deep" / "path" / "keys.yml"
    repository.manifest.unlink()
    made = json.loads(rack.cli("init", "--org", "acme", "--at", str(place), "--json", check=True).out)
    assert made["repo"] == {"path": str(place), "org": "acme", "effect": "created"}
    assert not repository.manifest.exists()
    text = place.read_text()
    rack.cli("init", "--org", "acme", "--at", f"{repository.path}/new/place/", check=True)
    assert (repository.path / "new" / "place" / ".agentkeys.yml").is_file()
    again = json.loads(rack.cli("init", "--org", "other", "--at", str(place), "--json", check=True).out)
    assert again["repo"] == {"path": str(place), "org": "acme", "effect": "found"}
    assert place.read_text() == text


def test_set_goes_to_the_env_that_declares_the_key(several: Seat, canary: Plant) -> None:
    """One env, or `all`; in two, or in none, it says so and stores nothing; --env always wins."""
    for name in ("ONE", "TWO", "SHARED"):
        several.cli("set", name, input=canary(name), check=True)
    assert rack_of(several) == {"acme.test.ONE", "acme.prod.TWO", "acme.all.SHARED"}
    done = several.cli("set", "BOTH", input=b"x")
    fails(done, 2)
    assert b"BOTH is in several envs of " in done.err
    assert done.err.endswith(b": prod, test\nagentkeys: hint: agentkeys set BOTH --env prod\n")
    done = several.cli("set", "NOWHERE", input=b"x")
    fails(done, 2)
    assert b"NOWHERE is in no env of " in done.err
    several.cli("set", "BOTH", "--env", "prod", input=canary("BOTH"), check=True)
    assert rack_of(several) == {"acme.test.ONE", "acme.prod.TWO", "acme.all.SHARED", "acme.prod.BOTH"}


def test_set_adds_a_name_once_and_keeps_every_other_byte(rack: Seat, repository: Repo, canary: Plant) -> None:
    """To its env's list, with comments and order as they were; again it adds nothing. The file stays allowed."""
    rack.cli("allow", check=True)
    for _ in range(2):
        rack.cli("set", "NEW_KEY", "--env", "prod", input=canary("NEW_KEY"), check=True)
    assert repository.manifest.read_text() == MANIFEST.replace(
        "env.prod: [STRIPE_KEY]", "env.prod: [STRIPE_KEY, NEW_KEY]"
    )
    rack.cli("set", "STAGED", "--env", "staging", input=canary("STAGED"), check=True)
    text = repository.manifest.read_text()
    assert text.startswith(MANIFEST.partition("env.prod")[0])
    assert text.count("STAGED") == 1
    rack.start()
    assert b"is allowed: org acme, keys by env: prod 2, staging 1, test 2\n" in rack.cli("status", check=True).out


def test_del_takes_what_set_would_write(several: Seat, canary: Plant) -> None:
    """The machine's key of that name stays, and so does the name in the manifest; --no-repo means the machine's."""
    several.cli("set", "ONE", "--no-repo", input=canary("the machine's"), check=True)
    several.cli("set", "ONE", input=canary("the repository's"), check=True)
    assert several.cli("del", "ONE", check=True).out == b"deleted acme.test.ONE from os.secure of human\n"
    gone = several.cli("del", "ONE", check=True).out
    assert gone == b"acme.test.ONE was not in the rack of human; there is @all.all.ONE\n"
    fails(several.cli("del", "ONE", "--org", "other"), 2)
    assert several.cli("del", "ONE", "--no-repo", check=True).out.startswith(b"deleted @all.all.ONE ")
    assert several.cli("del", "NOWHERE", check=True).out == b"@all.all.NOWHERE was not in the rack of human\n"


def test_a_sudo_key_is_in_no_manifest(rack: Seat, repository: Repo, canary: Plant) -> None:
    """`set --env sudo` leaves the file as it is, and so does a key of the machine's."""
    rack.cli("allow", check=True)
    rack.cli("set", "ROOT_KEY", "--env", "sudo", input=canary("ROOT_KEY"), check=True)
    rack.cli("set", "MACHINE_KEY", "--org", "@all", input=canary("MACHINE_KEY"), check=True)
    assert repository.manifest.read_text() == MANIFEST


@pytest.mark.parametrize(
    "words",
    [
        ("set", "STRIPE_KEY", "--org", "other", "--env", "prod"),
        ("set", "other.prod.STRIPE_KEY"),
        ("get", "STRIPE_KEY", "--org", "other"),
        ("get", "other.prod.STRIPE_KEY"),
        ("unlock", "--org", "other"),
        ("exec", "--org", "other", "--", "true"),
    ],
    ids=" ".join,
)
def test_another_org_than_the_repositorys_is_refused(words: tuple[str, ...], rack: Seat, repository: Repo) -> None:
    """2, and the way past the repository; nothing is stored. By --org and by a whole slug alike."""
    rack.cli("allow", check=True)
    rack.start()
    done = rack.cli(*words, input=b"x")
    fails(done, 2)
    assert b"this repository's org is acme, not other\n" in done.err
    assert b"--no-repo --org other" in done.err
    assert rack_of(rack) == set()


def test_a_slug_and_an_env_that_disagree_are_refused(rack: Seat, repository: Repo) -> None:
    """2: it can't be told which of the two was meant."""
    rack.cli("allow", check=True)
    done = rack.cli("set", "acme.prod.STRIPE_KEY", "--env", "test", input=b"x")
    fails(done, 2)
    assert rack_of(rack) == set()


def test_set_at_goes_by_another_manifest(rack: Seat, repository: Repo, canary: Plant) -> None:
    """Org and env come from that file, and the name goes into it; the nearest one is untouched. Missing: named."""
    other = Repo(rack.home.path / "code" / "web")
    other.write("org: umbrella\nenv.live: [OTHER]\n")
    place = str(other.manifest)
    fails(rack.cli("set", "OTHER", "--at", place, input=b"x"), 6)
    rack.cli("allow", place, check=True)
    rack.cli("set", "OTHER", "--at", place, input=canary("OTHER"), check=True)
    rack.cli("set", "MORE", "--env", "live", "--at", place, input=canary("MORE"), check=True)
    assert other.manifest.read_text() == "org: umbrella\nenv.live: [OTHER, MORE]\n"
    assert repository.manifest.read_text() == MANIFEST
    slugs = {row["slug"] for row in json.loads(rack.cli("list", "--no-repo", "--json", check=True).out)}
    assert {"umbrella.live.OTHER", "umbrella.live.MORE"} <= slugs
    done = rack.cli("set", "OTHER", "--at", str(other.path / "none.yml"), input=b"x")
    fails(done, 2)
    assert b"none.yml" in done.err


@pytest.mark.parametrize("words", [("unlock",), ("source",), ("exec", "--", "true"), ("get", "ONE")], ids=" ".join)
def test_in_a_repository_of_several_envs_an_env_must_be_named(words: tuple[str, ...], several: Seat) -> None:
    """2, with all that there are; nothing is guessed."""
    done = several.cli(*words)
    fails(done, 2)
    assert b" declares several envs and no default_env: all, prod, test\n" in done.err


def test_an_env_gives_its_own_keys_alone(several: Seat, canary: Plant) -> None:
    """`source` prints a whole repository's; where one is missing or locked it prints nothing, and fails."""
    values = {name: canary(name) for name in ("ONE", "TWO", "SHARED")}
    for name, value in values.items():
        several.cli("set", name, input=value, check=True)
    several.cli("set", "BOTH", "--env", "prod", input=canary("BOTH"), check=True)
    several.cli("unlock", "--env", "prod", check=True)
    given = json.loads(several.cli("source", "--shell", "json", "--env", "prod", reveals=True, check=True).out)
    assert sorted(given) == ["BOTH", "SHARED", "TWO"]
    done = several.cli("source", "--shell", "json", "--env", "test")
    fails(done, 4)
