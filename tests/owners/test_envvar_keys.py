"""os.envvar through the command line: the rack has the name, the caller's environment the value, the agent its copy."""

import pytest

from tests.agent.seat import Seat
from tests.owners.backups import backup_key
from tests.owners.motley import manifest_of
from tests.support.plugin import Plant


def variables(seat: Seat) -> dict[str, str]:
    """What the rack says of such keys."""
    found = manifest_of(seat).vaults.get("os.envvar", {}).get("variables", {})
    assert isinstance(found, dict)
    return {slug.removeprefix("@all.all."): name for slug, name in found.items()}


def env(**values: bytes) -> dict[str, str]:
    """An environment laid over the usual one, byte for byte."""
    return {name: value.decode("utf-8", "surrogateescape") for name, value in values.items()}


def test_the_name_is_the_key_s_own_or_what_ref_says(locked: Seat, canary: Plant) -> None:
    """Set without a value, unlocked from the environment of `unlock`, and shown as a reference."""
    locked.cli("set", "CI_TOKEN", "--vault", "os.envvar", check=True)
    done = locked.cli("set", "DEPLOY", "--vault", "os.envvar", "--ref", "CI_DEPLOY_TOKEN", "--json", check=True)
    assert done.json() == {
        "slug": "@all.all.DEPLOY",
        "vault": "os.envvar",
        "grade": "reference/permanent",
        "effect": "added",
    }
    assert variables(locked) == {"CI_TOKEN": "CI_TOKEN", "DEPLOY": "CI_DEPLOY_TOKEN"}
    one, two = canary("CI_TOKEN"), canary("DEPLOY", suffix=b"\n 'quoted' \xff")
    locked.cli("unlock", env=env(CI_TOKEN=one, CI_DEPLOY_TOKEN=two, DEPLOY=b"not this one"), check=True)
    assert locked.get("CI_TOKEN").out == one
    assert locked.get("DEPLOY").out == two
    (shown,) = [key for key in locked.status()["keys"] if key["name"] == "DEPLOY"]
    assert (shown["vault"], shown["grade"]) == ("os.envvar", "reference/permanent")
    rows = {row["name"]: (row["vault"], row["grade"]) for row in locked.cli("list", "--json", check=True).json()}
    assert rows["CI_TOKEN"] == ("os.envvar", "reference/permanent")


def test_no_value_rests_anywhere(locked: Seat, canary: Plant) -> None:
    """The manifest has a name, the vault's directory nothing more than before; the run's end searches every file."""
    before = {path.name for path in (locked.home.root / "vault" / "human").iterdir()}
    locked.cli("set", "CI_TOKEN", "--vault", "os.envvar", env=env(CI_TOKEN=canary("at set")), check=True)
    locked.cli("unlock", env=env(CI_TOKEN=canary("at unlock")), check=True)
    assert {path.name for path in (locked.home.root / "vault" / "human").iterdir()} == before


@pytest.mark.parametrize("value", [None, b""], ids=["unset", "empty"])
def test_unset_or_empty_is_absent(locked: Seat, value: "bytes | None") -> None:
    """Exit 0 for an unlock of everything, 5 when it was named; get is 5, and another key comes."""
    locked.cli("set", "CI_TOKEN", "--vault", "os.envvar", check=True)
    there = {} if value is None else env(CI_TOKEN=value)
    done = locked.cli("unlock", env=there)
    assert (done.code, b"absent @all.all.CI_TOKEN: the variable CI_TOKEN is unset or empty" in done.err) == (0, True)
    assert locked.cli("unlock", "CI_TOKEN", env=there).code == 5
    assert locked.get("CI_TOKEN").code == 5
    assert locked.get("GITHUB_TOKEN", check=True).out == locked.values["GITHUB_TOKEN"]


def test_each_unlock_reads_it_anew(locked: Seat, canary: Plant) -> None:
    """Changed between two unlocks the new value counts; between them the old one; gone, the old one goes as well."""
    locked.cli("set", "CI_TOKEN", "--vault", "os.envvar", check=True)
    old, new = canary("old"), canary("new")
    locked.cli("unlock", env=env(CI_TOKEN=old), check=True)
    assert locked.cli("get", "CI_TOKEN", env=env(CI_TOKEN=new), reveals=True, check=True).out == old
    locked.cli("unlock", env=env(CI_TOKEN=new), check=True)
    assert locked.get("CI_TOKEN").out == new
    assert locked.cli("unlock", "CI_TOKEN").code == 5
    assert locked.get("CI_TOKEN").code == 5


def test_only_the_callers_own_environment_counts(rack: Seat, canary: Plant) -> None:
    """Not the agent's, not what was exported at `set`, not a variable that a worker is given."""
    rack.cli("set", "CI_TOKEN", "--vault", "os.envvar", env=env(CI_TOKEN=canary("at set")), check=True)
    rack.cli("set", "WHERE", "--vault", "os.envvar", "--ref", "HOME", check=True)
    rack.cli("set", "SEARCHED", "--vault", "os.envvar", "--ref", "PATH", check=True)
    rack.cli("agent", env=env(CI_TOKEN=canary("the agent's")), check=True)
    found = rack.cli("unlock", "CI_TOKEN").code, rack.get("CI_TOKEN").code
    assert found == (5, 5)
    mine = canary("mine")
    rack.cli("unlock", env=env(CI_TOKEN=mine, PATH=mine), check=True)
    assert rack.get("CI_TOKEN").out == rack.get("SEARCHED").out == mine
    assert rack.get("WHERE").out == str(rack.home.path).encode()


def test_only_the_keys_that_are_asked_for_are_read(locked: Seat, canary: Plant) -> None:
    """An unlock of another key takes no variable along."""
    locked.cli("set", "CI_TOKEN", "--vault", "os.envvar", check=True)
    locked.cli("unlock", "GITHUB_TOKEN", env=env(CI_TOKEN=canary("not asked for")), check=True)
    assert locked.get("CI_TOKEN").code == 4


@pytest.mark.parametrize("source", [["--from-env", "CI_TOKEN"], ["--from-file", "/etc/hostname"]])
def test_a_value_is_refused(locked: Seat, source: list[str]) -> None:
    """By either way of giving one; and nothing is added."""
    for words in (["--vault", "os.envvar"], ["--vault", "os.envvar", "--ref", "X"], ["--ref", "X"]):
        done = locked.cli("set", "CI_TOKEN", *words, *source, env={"CI_TOKEN": "x"})
        assert done.code == 2
        assert b"--ref" in done.err
    assert "CI_TOKEN" not in {row["name"] for row in locked.cli("list", "--json", check=True).json()}


def test_a_value_for_a_key_that_is_a_reference_is_refused(locked: Seat) -> None:
    """A key stays in its vault unless asked, and this one takes no value; the reference stays."""
    locked.cli("set", "CI_TOKEN", "--vault", "os.envvar", "--ref", "X", check=True)
    done = locked.cli("set", "CI_TOKEN", input=b"value")
    assert done.code == 2
    assert b"os.envvar keeps where a value is, not the value" in done.err
    assert b"--ref VARIABLE" in done.err
    assert variables(locked) == {"CI_TOKEN": "X"}
    locked.cli("set", "CI_TOKEN", "--ref", "Y", check=True)
    assert variables(locked) == {"CI_TOKEN": "Y"}


def test_a_reference_for_a_vault_that_keeps_values_is_refused(locked: Seat) -> None:
    """Whether the vault is named or the key's own."""
    for words in (["NEW", "--vault", "os.secure"], ["NEW", "--vault", "os.daemon"], ["GITHUB_TOKEN"], ["NEW"]):
        done = locked.cli("set", *words, "--ref", "X")
        assert done.code == 2, words
        assert b"keeps values, not references" in done.err
    assert "NEW" not in {row["name"] for row in locked.cli("list", "--json", check=True).json()}


@pytest.mark.parametrize("name", ["9A", "A-B", "A=B", "A B", "Ä", "$X", "x" * 129])
def test_what_is_no_variable_s_name_is_refused(locked: Seat, name: str) -> None:
    """Exit 2, and the rack is as it was: no key, no marker that would call it locked."""
    done = locked.cli("set", "CI_TOKEN", "--vault", "os.envvar", "--ref", name)
    assert done.code == 2
    assert b"not a variable's name" in done.err
    assert variables(locked) == {}
    assert "CI_TOKEN" not in {row["name"] for row in locked.cli("list", "--json", check=True).json()}


def test_a_set_takes_the_old_value_out_of_live_agents(seat: Seat) -> None:
    """What it leads to is known at the next unlock; until then the key is locked, not absent, and never the old."""
    seat.cli("set", "GITHUB_TOKEN", "--vault", "os.envvar", check=True)
    done = seat.get("GITHUB_TOKEN")
    assert (done.code, done.out) == (4, b"")
    assert seat.states() == {"GITHUB_TOKEN": "locked", "OPENAI_API_KEY": "unlocked"}
    seat.cli("set", "NEW", "--vault", "os.envvar", check=True)
    done = seat.get("NEW")
    assert done.code == 4
    assert b"agentkeys unlock --for human --key NEW" in done.err
    seat.cli("unlock", env={"GITHUB_TOKEN": "from outside", "NEW": "as well"}, check=True)
    assert (seat.get("GITHUB_TOKEN").out, seat.get("NEW").out) == (b"from outside", b"as well")


def test_deleted_it_is_gone_from_the_rack(seat: Seat) -> None:
    """Name and copy."""
    seat.cli("set", "CI_TOKEN", "--vault", "os.envvar", check=True)
    seat.cli("unlock", env={"CI_TOKEN": "x"}, check=True)
    done = seat.cli("del", "CI_TOKEN", check=True)
    assert done.out == b"deleted @all.all.CI_TOKEN from os.envvar of human\n"
    assert seat.get("CI_TOKEN").code == 5
    assert variables(seat) == {}


def test_a_change_of_recipients_needs_no_variable(locked: Seat, canary: Plant) -> None:
    """Nothing of it is sealed by us: set, del and a restore with a new identity work without anybody's environment."""
    locked.cli("set", "CI_TOKEN", "--vault", "os.envvar", check=True)
    key, public = backup_key(locked)
    locked.cli("recipient", "set", "--pubkey", public, "--label", "old", check=True)
    locked.cli("recipient", "del", "--label", "old", check=True)
    locked.cli("recipient", "set", "--pubkey", public, check=True)
    (locked.home.root / "identity" / "human.key").unlink()
    locked.cli("restore", "--identity", key, "--yes", check=True)
    value = canary("after a restore")
    locked.cli("unlock", env=env(CI_TOKEN=value), check=True)
    assert locked.get("CI_TOKEN").out == value
    assert locked.get("GITHUB_TOKEN").out == locked.values["GITHUB_TOKEN"]


def test_an_older_copy_is_accepted_without_its_variables(locked: Seat) -> None:
    """`restore --accept-older` reads every value that must be there; a reference is not."""
    locked.cli("set", "CI_TOKEN", "--vault", "os.envvar", check=True)
    manifest = locked.home.root / "host.human.yml.age"
    older = manifest.read_bytes()
    locked.cli("set", "CI_TOKEN", "--ref", "OTHER", check=True)
    manifest.write_bytes(older)
    assert locked.cli("list").code == 7
    locked.cli("restore", "--accept-older", "--yes", check=True)
    assert variables(locked) == {"CI_TOKEN": "CI_TOKEN"}


def test_a_value_over_the_limit_fails_alone(locked: Seat) -> None:
    """execve(2) takes 128 KiB a variable, so none is ever over our 1 MiB; the largest that is comes whole."""
    value = "x" * (128 * 1024 - len("CI_TOKEN=") - 1)
    locked.cli("set", "CI_TOKEN", "--vault", "os.envvar", check=True)
    locked.cli("unlock", env={"CI_TOKEN": value}, check=True)
    assert locked.get("CI_TOKEN").out == value.encode()


def test_the_reference_is_no_secret_and_the_value_is_one(locked: Seat, canary: Plant) -> None:
    """`--json` of set, list and unlock names the key, never the value."""
    value = canary("in no output")
    for words in (["set", "CI_TOKEN", "--vault", "os.envvar"], ["unlock"], ["list"], ["status"], ["unlock", "NONE"]):
        for as_json in ([], ["--json"]):
            done = locked.cli(*words, *as_json, env=env(CI_TOKEN=value))
            assert value not in done.out + done.err, words
    assert locked.get("CI_TOKEN", check=True).out == value
