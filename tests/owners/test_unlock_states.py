"""What `unlock` says of each key, what it exits with, and what an agent then says of those that it didn't bring."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.owners.motley import SHOWN, configure, damage, end, make_motley, rewriting, spoil, values_of
from tests.support.homes import Home, short_dir
from tests.support.plugin import Plant, Run
from tests.support.runner import Logs, Runner, agentkeys_command

WHY = {
    "UNSET": "the variable UNSET is unset or empty",
    "GONE": "os.secure doesn't have it any more",
    "ENDED": "its issuer ended it at 2020-01-01T00:00:00Z",
    "BLOCKED": "it looks like a GitHub personal access token (classic), and dangerous_tokens is block",
}
"""The reasons that are wholly known."""

CODES = {"FINE": 0, "CAPPED": 0, "UNSET": 5, "GONE": 5, "ENDED": 4, "BLOCKED": 6, "BROKEN": 7}
"""What unlock exits with when that one key is asked for."""

AFTER = {"UNSET": 5, "GONE": 5, "ENDED": 4, "BLOCKED": 4, "BROKEN": 4}
"""What get exits with after an unlock of everything."""


@pytest.fixture(scope="module")
def made(
    run: Run, logs: Logs, template: tuple[Path, dict[str, bytes]], canary: Plant,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, bytes]]:  # fmt: skip
    """The files of a motley rack, before it is spoiled, and its values."""
    home = Home(tmp_path_factory.mktemp("motley"), run.keep_track_of(short_dir()))
    shutil.copytree(template[0], home.root, symlinks=True)
    seat = Seat(home, Runner(logs, agentkeys_command(), home.env, home.path), dict(template[1]))
    make_motley(seat, canary)
    return home.root, seat.values


@pytest.fixture
def whole(home: Home, cli: Runner, made: tuple[Path, dict[str, bytes]]) -> Seat:
    """Every key of the rack can be unlocked yet; an agent runs."""
    shutil.copytree(made[0], home.root, symlinks=True)
    return Seat(home, cli, dict(made[1])).start()


@pytest.fixture
def motley(whole: Seat) -> Iterator[Seat]:
    """Each key of the rack is in its own state, and an agent holds nothing."""
    spoil(whole)
    return whole


def test_each_key_is_unlocked_or_named_with_its_reason(motley: Seat) -> None:
    """What came goes to stdout, what didn't to stderr with its state; one that failed is the exit code of all."""
    done = motley.cli("unlock", "--duration", "1h")
    assert done.code == 7
    assert done.out.decode().splitlines() == [
        "unlocked @all.all.CAPPED for 10m",
        "unlocked @all.all.FINE for 1h",
    ]
    said = done.err.decode()
    assert "capped" in said
    for name, state in SHOWN.items():
        if state not in ("unlocked", "capped"):
            (line,) = [line for line in said.splitlines() if f"@all.all.{name}:" in line]
            assert f"{state} @all.all.{name}: " in line
            assert line.endswith(WHY.get(name, ""))
    assert motley.get("FINE").out == motley.values["FINE"]


def test_as_json_each_key_is_in_one_of_two_lists(motley: Seat) -> None:
    """unlocked with its time, not_unlocked with state and reason."""
    done = motley.cli("unlock", "--duration", "1h", "--json")
    assert done.code == 7
    found = done.json()
    assert list(found) == ["unlocked", "not_unlocked"]
    assert found["unlocked"] == [
        {"slug": "@all.all.CAPPED", "expires_in_seconds": 600},
        {"slug": "@all.all.FINE", "expires_in_seconds": 3600},
    ]
    others = {row["slug"].rpartition(".")[2]: (row["state"], row["reason"]) for row in found["not_unlocked"]}
    assert {name: state for name, (state, _why) in others.items()} == {name: SHOWN[name] for name in AFTER}
    assert {name: why for name, (_state, why) in others.items() if name in WHY} == WHY


@pytest.mark.parametrize("name", CODES)
def test_a_key_that_is_named_decides_the_exit_code(name: str, motley: Seat) -> None:
    """By --key and by slug: 0, 5 for absent and lost, 4 for expired, 6 for refused, a vault's own for failed."""
    for words in (("--key", name), (f"@all.all.{name}",)):
        done = motley.cli("unlock", *words, "--json")
        assert done.code == CODES[name], done.err
        if name != "BROKEN":
            found = done.json()
            assert len(found["unlocked"]) + len(found["not_unlocked"]) == 1


def test_of_several_that_are_named_the_worst_counts(motley: Seat) -> None:
    """And those that can be are unlocked; a vault that failed outranks the rest."""
    for names, code in (
        (("FINE", "UNSET", "ENDED"), 5),
        (("FINE", "ENDED", "BLOCKED", "GONE"), 6),
        (("BLOCKED", "BROKEN", "FINE"), 7),
    ):
        motley.cli("relock", check=True)
        assert motley.cli("unlock", *names).code == code
        assert motley.get("FINE", check=True).out == motley.values["FINE"]


def test_absent_lost_and_expired_are_no_failure_of_an_unlock_of_everything(motley: Seat) -> None:
    """Without the two that are: exit 0, and they are named all the same. A refused one alone is 6."""
    motley.cli("del", "BROKEN", check=False)
    with rewriting(motley) as manifest:
        manifest.keys.pop("@all.all.BROKEN", None)
        manifest.vaults.pop("os.direct", None)
    done = motley.cli("unlock")
    assert done.code == 6
    motley.cli("del", "BLOCKED", check=True)
    done = motley.cli("unlock")
    assert done.code == 0
    assert [state in done.err.decode() for state in ("absent", "lost", "expired")] == [True] * 3


@pytest.mark.parametrize("name", AFTER)
def test_what_was_not_unlocked_is_told_by_get_and_exec(name: str, motley: Seat) -> None:
    """5 where no unlock would help, 4 where one may; the command that is named never runs."""
    assert motley.cli("unlock").code == 7
    assert motley.get(name).code == AFTER[name]
    done = motley.cli("exec", "--key", name, "--", "echo", "ran")
    assert (done.code, done.out) == (AFTER[name], b"")
    assert name.encode() in done.err


def test_status_shows_what_an_unlock_left(motley: Seat) -> None:
    """Expired by that word; refused and failed are locked; absent and lost are not there."""
    motley.cli("unlock")
    assert motley.states() == {
        "FINE": "unlocked",
        "CAPPED": "unlocked",
        "ENDED": "expired",
        "BLOCKED": "locked",
        "BROKEN": "locked",
    }


def test_exec_of_everything_goes_without_what_is_absent_and_names_what_expired(motley: Seat) -> None:
    """Fail closed: a key that was expected is never silently left out, one that isn't there is no key."""
    motley.cli("unlock")
    done = motley.cli("exec", "--", "env")
    assert (done.code, done.out) == (4, b"")
    assert b"@all.all.ENDED was ended by its issuer" in done.err
    motley.cli("del", "ENDED", check=True)
    done = motley.cli("exec", "--", "env", reveals=True, check=True)
    names = {line.partition(b"=")[0].decode() for line in done.out.splitlines()}
    assert names & set(SHOWN) == {"FINE", "CAPPED"}


def test_what_was_held_and_can_no_more_be_brought_is_forgotten(whole: Seat) -> None:
    """Absent, lost, expired, refused: the value of before goes with the unlock that says so."""
    assert whole.cli("unlock", env={"UNSET": "here"}).code == 0
    assert set(whole.states().values()) == {"unlocked"}
    spoil(whole)
    assert whole.cli("unlock", "UNSET", "GONE", "ENDED", "BLOCKED").code == 6
    codes = {name: whole.get(name).code for name in CODES}
    assert codes == {"FINE": 0, "CAPPED": 0, "UNSET": 5, "GONE": 5, "ENDED": 4, "BLOCKED": 4, "BROKEN": 0}


def test_what_only_failed_keeps_its_value_and_its_time(whole: Seat) -> None:
    """The vault may be well again soon; until then the value of before serves, and no longer than it would have."""
    whole.cli("unlock", "--duration", "1h", env={"UNSET": "here"}, check=True)
    damage(whole)
    assert whole.cli("unlock", "--duration", "5h", env={"UNSET": "here"}).code == 7
    left = {key["name"]: key["expires_in_seconds"] for key in whole.status()["keys"]}
    assert left["BROKEN"] <= 3600 < left["FINE"]
    assert whole.get("BROKEN", check=True).out == whole.values["BROKEN"]


def test_when_nothing_can_be_brought_and_something_failed_nothing_is_changed(whole: Seat) -> None:
    """Not even what it would have said of the others."""
    whole.cli("unlock", env={"UNSET": "here"}, check=True)
    before = whole.status()["keys"]
    spoil(whole)
    done = whole.cli("unlock", "BROKEN", "UNSET", "GONE", "ENDED", "BLOCKED")
    assert done.code == 7
    assert b"error:" in done.err
    after = whole.status()["keys"]
    assert [(key["slug"], key["state"]) for key in after] == [(key["slug"], key["state"]) for key in before]
    for name in SHOWN:
        assert whole.get(name).code == 0


def test_a_vault_that_is_no_longer_installed_is_one_that_failed(whole: Seat) -> None:
    """Its keys, and no others; list goes on and says so."""
    with rewriting(whole) as manifest:
        manifest.keys["@all.all.FINE"].vault = "elsewhere"
        manifest.vaults["elsewhere"] = {}
    done = whole.cli("unlock", env={"UNSET": "here"})
    assert done.code == 2
    assert b"failed @all.all.FINE: no vault 'elsewhere'" in done.err
    assert whole.get("CAPPED", check=True).out == whole.values["CAPPED"]
    listed = whole.cli("list", check=True).out.decode().splitlines()
    assert any("FINE" in line and "its vault isn't installed" in line for line in listed)
    rows = {row["name"]: row["grade"] for row in whole.cli("list", "--json", check=True).json()}
    assert (rows["FINE"], rows["CAPPED"]) == (None, "encrypted/permanent")


def test_a_whole_vault_that_is_lost_loses_its_keys_alone(whole: Seat) -> None:
    """The bundle is gone, the large value beside it is not."""
    for path in values_of(whole).glob("*.age"):
        if "-" not in path.name:
            path.unlink()
    done = whole.cli("unlock", "--json", env={"UNSET": "here"})
    assert done.code == 0
    states = {row["slug"].rpartition(".")[2]: row["state"] for row in done.json()["not_unlocked"]}
    assert states == dict.fromkeys(("FINE", "CAPPED", "ENDED", "BLOCKED"), "lost")
    assert whole.get("GONE").code == whole.get("BROKEN").code == 0


def test_a_key_that_is_back_is_unlocked(motley: Seat, canary: Plant) -> None:
    """No state is a scar: set again, exported, allowed, and the next unlock brings it."""
    motley.cli("unlock")
    configure(motley, "")
    values = {name: canary(f"{name} again") for name in ("GONE", "ENDED")}
    for name, value in values.items():
        motley.cli("set", name, input=value, check=True)
    assert motley.cli("unlock", "UNSET", *values, "BLOCKED", env={"UNSET": "here"}).code == 0
    for name, value in values.items():
        assert motley.get(name).out == value
    assert motley.get("UNSET").out == b"here"


def test_an_ended_key_that_is_set_again_has_no_end(motley: Seat) -> None:
    """The end was the old value's."""
    motley.cli("set", "ENDED", input=b"new", check=True)
    rows = {row["name"]: row["expires_at"] for row in motley.cli("list", "--json", check=True).json()}
    assert rows["ENDED"] is None


def test_a_time_that_is_nearly_over_is_at_least_a_second(whole: Seat) -> None:
    """A key that ends between the reading and the telling is told as that, not as an error."""
    end(whole, "ENDED")
    done = whole.cli("unlock", "ENDED", "--duration", "1s")
    assert done.code == 4
