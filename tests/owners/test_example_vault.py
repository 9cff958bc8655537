"""A vault of another package, installed by pip beside agentkeys, used as a user would."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.owners.backups import backup_key, opens
from tests.owners.motley import manifest_of, values_of
from tests.support.plugin import Plant
from tests.support.uids import REPO

PACKAGE = REPO / "tests" / "vaults" / "example_package"


def quietly(*command: "str | Path") -> None:
    """Run it; what it printed is shown when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a venv that has this project and the example, both as pip leaves them; no network."""
    place = tmp_path_factory.mktemp("example")
    source = shutil.copytree(PACKAGE, place / "source", ignore=shutil.ignore_patterns("__pycache__"))
    offline = ("--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    pip = (sys.executable, "-m", "pip")
    quietly(*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", place, source)
    (wheel,) = place.glob("agentkeys_shelf-*.whl")
    venv = place / "venv"
    quietly(sys.executable, "-m", "venv", "--without-pip", venv)
    made = venv / "bin" / "python"
    ours = sysconfig.get_path("purelib")
    (site,) = venv.glob("lib/python3*/site-packages")
    (site / "agentkeys_and_what_it_needs.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    quietly(*pip, "--python", made, "install", *offline, wheel)
    return made


@pytest.fixture
def here(rack: Seat, python: Path) -> Seat:
    """Owner human with two keys of os.secure, an agent, and the example installed."""
    cli = rack.cli.with_prefix(python, "-m", "agentkeys")
    return Seat(rack.home, cli, rack.values).start()


def shelved(seat: Seat) -> dict[str, Path]:
    """The file of each of its keys."""
    files = manifest_of(seat).vaults["shelf"]["files"]
    assert isinstance(files, dict)
    return {slug.rpartition(".")[2]: values_of(seat) / file for slug, (file, _mac) in files.items()}


def on_disk(seat: Seat) -> set[str]:
    """The files that are its own."""
    return {path.name for path in values_of(seat).glob("shelf-*")}


def test_its_keys_live_as_any_other(here: Seat, canary: Plant) -> None:
    """set, list, unlock, get, exec, set again and del; and no file stays that no key needs."""
    one, two = canary("ONE"), canary("TWO", suffix=b"\0\xff")
    done = here.cli("set", "ONE", "--vault", "shelf", "--json", input=one, check=True)
    assert (done.json()["vault"], done.json()["grade"]) == ("shelf", "encrypted/permanent")
    here.set("TWO", two, "--vault", "shelf", "--expires-in", "30d")
    rows = {row["name"]: (row["vault"], row["grade"]) for row in here.cli("list", "--json", check=True).json()}
    assert (rows["ONE"], rows["TWO"]) == (("shelf", "encrypted/permanent"), ("shelf", "encrypted/ephemeral"))
    here.unlock()
    assert (here.get("ONE").out, here.get("TWO").out) == (one, two)
    assert here.cli("exec", "--key", "ONE", "--", "printenv", "ONE", reveals=True).out == one + b"\n"
    (shown,) = [key for key in here.status()["keys"] if key["name"] == "ONE"]
    assert (shown["vault"], shown["grade"]) == ("shelf", "encrypted/permanent")
    new = canary("ONE again")
    here.cli("set", "ONE", input=new, check=True)
    assert here.get("ONE").out == new
    assert on_disk(here) == {path.name for path in shelved(here).values()}
    assert here.cli("del", "ONE", check=True).out == b"deleted @all.all.ONE from shelf of human\n"
    assert here.get("ONE").code == 5
    assert on_disk(here) == {shelved(here)["TWO"].name}


def test_a_key_moves_in_and_out(here: Seat, canary: Plant) -> None:
    """Nothing stays behind on either side."""
    inside = canary("inside")
    here.cli("set", "GITHUB_TOKEN", "--vault", "shelf", input=inside, check=True)
    assert "GITHUB_TOKEN" not in repr(manifest_of(here).vaults["os.secure"])
    assert here.unlock().get("GITHUB_TOKEN").out == inside
    here.cli("set", "GITHUB_TOKEN", "--vault", "os.secure", input=canary("outside"), check=True)
    assert on_disk(here) == set()


def test_a_fault_of_one_key_is_its_own(here: Seat, canary: Plant) -> None:
    """Damaged it failed, gone it is lost; the third and those of other vaults are unlocked."""
    values = {name: canary(name) for name in ("ONE", "TWO", "THREE")}
    for name, value in values.items():
        here.cli("set", name, "--vault", "shelf", input=value, check=True)
    shelved(here)["ONE"].write_bytes(b"damaged")
    shelved(here)["TWO"].unlink()
    done = here.cli("unlock", "--json")
    assert done.code == 7
    states = {row["slug"].rpartition(".")[2]: row["state"] for row in done.json()["not_unlocked"]}
    assert states == {"ONE": "failed", "TWO": "lost"}
    assert here.get("THREE", check=True).out == values["THREE"]
    assert here.get("GITHUB_TOKEN", check=True).out == here.values["GITHUB_TOKEN"]
    assert (here.cli("unlock", "TWO").code, here.cli("unlock", "ONE").code) == (5, 7)
    here.cli("set", "TWO", input=values["TWO"], check=True)
    assert here.unlock("TWO").get("TWO").out == values["TWO"]


def test_its_files_are_sealed_to_who_is_a_recipient(here: Seat, canary: Plant) -> None:
    """Anew with each change of recipients: a backup key opens them from then on, and after its removal no more."""
    value = canary("ONE")
    here.cli("set", "ONE", "--vault", "shelf", input=value, check=True)
    key, public = backup_key(here)
    assert not opens(here, key, shelved(here)["ONE"])
    here.cli("recipient", "set", "--pubkey", public, check=True)
    assert opens(here, key, shelved(here)["ONE"])
    assert len(on_disk(here)) == 1
    here.cli("recipient", "del", "--label", "backup", check=True)
    assert not opens(here, key, shelved(here)["ONE"])
    assert here.unlock().get("ONE").out == value


def test_it_is_restored_with_a_new_identity(here: Seat, canary: Plant) -> None:
    """From a backup, as the vaults of our own."""
    value = canary("ONE")
    here.cli("set", "ONE", "--vault", "shelf", input=value, check=True)
    key, public = backup_key(here)
    here.cli("recipient", "set", "--pubkey", public, check=True)
    (here.home.root / "identity" / "human.key").unlink()
    here.cli("restore", "--identity", key, "--yes", check=True)
    assert here.unlock().get("ONE").out == value
    assert len(on_disk(here)) == 1


def test_its_owner_can_be_removed(here: Seat, canary: Plant) -> None:
    """Its files lie in the owner's directory and go with it."""
    here.cli("set", "ONE", "--vault", "shelf", input=canary("ONE"), check=True)
    here.cli("owner", "remove", "human", "--yes", check=True)
    assert not values_of(here).exists()


def test_without_its_package_its_keys_have_failed_and_no_other(here: Seat, rack: Seat, canary: Plant) -> None:
    """Uninstalled, or another Python: said by name, nothing of it is changed, and everything else goes on."""
    value = canary("ONE")
    here.cli("set", "ONE", "--vault", "shelf", input=value, check=True)
    done = rack.cli("unlock")
    assert done.code == 2
    assert b"failed @all.all.ONE: no vault 'shelf'; there is os.secure" in done.err
    assert rack.get("GITHUB_TOKEN", check=True).out == rack.values["GITHUB_TOKEN"]
    for words in (["set", "ONE"], ["del", "ONE"], ["set", "NEW", "--vault", "shelf"]):
        assert rack.cli(*words, input=b"x").code == 2, words
    rack.cli("set", "NEW", input=b"x", check=True)
    assert b"its vault isn't installed" in rack.cli("list", check=True).out
    assert here.unlock().get("ONE").out == value


def test_it_is_among_those_that_there_are(here: Seat) -> None:
    """A mistyped name lists ours, then what is installed."""
    done = here.cli("set", "ONE", "--vault", "shelv", input=b"x")
    assert done.code == 2
    known = b"there is os.secure, os.direct, os.envvar, os.daemon, keychain, shelf\n"
    assert known in done.err
