"""Keys that their issuer ends, and keys with a cap of their own, through the command line."""

import pytest

from tests.agent.seat import Seat, eventually
from tests.owners.motley import end
from tests.support.plugin import Plant


def row(seat: Seat, name: str) -> "dict[str, object]":
    """What list --json says of a key."""
    (found,) = [row for row in seat.cli("list", "--json", check=True).json() if row["name"] == name]
    assert isinstance(found, dict)
    return found


def left(seat: Seat, name: str) -> int:
    """Seconds that a key still has in the agent."""
    found = {key["name"]: key["expires_in_seconds"] for key in seat.status()["keys"]}[name]
    assert isinstance(found, int)
    return found


def test_its_end_is_listed(rack: Seat, canary: Plant) -> None:
    """In UTC by list --json, as a day by list; such a key is ephemeral."""
    rack.cli("set", "SHORT", "--expires-at", "2099-01-31T23:30:00-05:00", input=canary("SHORT"), check=True)
    assert row(rack, "SHORT")["expires_at"] == "2099-02-01T04:30:00Z"
    assert row(rack, "SHORT")["grade"] == "encrypted/ephemeral"
    assert row(rack, "GITHUB_TOKEN")["expires_at"] is None
    lines = {line.split()[0]: line for line in rack.cli("list", check=True).out.decode().splitlines()}
    assert lines["@all.all.SHORT"].endswith("  ends 2099-02-01")
    assert "encrypted/ephemeral" in lines["@all.all.SHORT"]
    assert "ends" not in lines["@all.all.GITHUB_TOKEN"]


def test_an_end_from_now(rack: Seat) -> None:
    """--expires-in takes what every duration takes."""
    for words in ("90d", "1d12h", "366d"):
        rack.cli("set", "SHORT", "--expires-in", words, input=b"x", check=True)
        assert str(row(rack, "SHORT")["expires_at"]).endswith("Z")
    for words in ("0s", "367d", "soon", "1", "-1d", "30", ""):
        assert rack.cli("set", "OTHER", f"--expires-in={words}", input=b"x").code == 2, words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--expires-at", "2020-01-01"], b"'2020-01-01' is over already"),
        (["--expires-at", "31.12.2099"], b"not a date or time: '31.12.2099'"),
        (["--expires-at", "9999-12-31T23:59:59-12:00"], b"not a date or time"),
        (["--expires-at", "2099-01-01", "--expires-in", "30d"], b"say the same thing twice"),
    ],
)
def test_what_can_t_be_an_end_is_refused(words: list[str], said: bytes, rack: Seat) -> None:
    """Exit 2, nothing is stored, and the hint shows both ways."""
    done = rack.cli("set", "SHORT", *words, input=b"x")
    assert done.code == 2
    assert said in done.err
    assert b"--expires-in 30d" in done.err
    assert "SHORT" not in {found["name"] for found in rack.cli("list", "--json", check=True).json()}


def test_set_again_the_end_is_gone_and_the_cap_stays(rack: Seat) -> None:
    """An end was the old value's; a cap is the key's."""
    rack.cli("set", "SHORT", "--expires-in", "30d", "--max-duration", "10m", input=b"x", check=True)
    rack.cli("set", "SHORT", input=b"y", check=True)
    found = row(rack, "SHORT")
    assert (found["expires_at"], found["max_seconds"], found["grade"]) == (None, 600, "encrypted/permanent")


def test_no_unlock_outlives_it(locked: Seat) -> None:
    """Whatever is asked, and it is said."""
    locked.cli("set", "SHORT", "--expires-in", "1h", input=b"x", check=True)
    done = locked.cli("unlock", "--duration", "7d", check=True)
    assert b"@all.all.SHORT is capped: it stays for" in done.err
    assert 3500 < left(locked, "SHORT") <= 3600
    assert left(locked, "GITHUB_TOKEN") > 6 * 86_400
    locked.unlock("--duration", "5m")
    assert left(locked, "SHORT") <= 300


def test_it_expires_in_the_agent_when_it_ends(locked: Seat) -> None:
    """By itself; an unlock then says expired, and its agent too."""
    locked.cli("set", "SHORT", "--expires-in", "2s", input=b"x", check=True)
    locked.cli("unlock")
    eventually(lambda: locked.states()["SHORT"] == "expired")
    assert locked.get("SHORT").code == 4
    done = eventually(lambda: (it := locked.cli("unlock", "SHORT")).code == 4 and it)
    assert b"expired @all.all.SHORT: its issuer ended it at" in done.err
    done = locked.cli("unlock")
    assert done.code == 0
    assert locked.states()["SHORT"] == "expired"
    refused = locked.cli("exec", "--", "true")
    assert refused.code == 4, "exec runs nothing without a key that was unlocked"
    assert b"@all.all.SHORT was ended by its issuer\nagentkeys: hint: agentkeys set SHORT --for human\n" in refused.err
    locked.cli("set", "SHORT", input=b"new", check=True)
    assert b"SHORT is expired" in locked.cli("exec", "--", "true").err, "an unlock would bring the new one"
    locked.cli("relock", "--key", "SHORT", check=True)
    locked.cli("exec", "--", "true", check=True)
    assert locked.get("GITHUB_TOKEN", check=True).out == locked.values["GITHUB_TOKEN"]


@pytest.mark.parametrize("when", ["2099-01-31", "9998-12-31", "2035-06-01"])
def test_an_end_far_off_reaches_a_live_agent(when: str, seat: Seat, canary: Plant) -> None:
    """Also one beyond any number of seconds that the protocol takes: the new value is there, exit 0."""
    new = canary("far off")
    seat.cli("set", "GITHUB_TOKEN", "--expires-at", when, input=new, check=True)
    assert seat.get("GITHUB_TOKEN", check=True).out == new


def test_a_set_with_an_end_shortens_what_is_unlocked(seat: Seat) -> None:
    """From that moment."""
    seat.cli("set", "GITHUB_TOKEN", "--expires-in", "5m", input=b"x", check=True)
    assert left(seat, "GITHUB_TOKEN") <= 300
    seat.cli("set", "OPENAI_API_KEY", "--max-duration", "7m", "--expires-in", "30d", input=b"x", check=True)
    assert left(seat, "OPENAI_API_KEY") <= 420


def test_an_ended_key_can_be_deleted_and_moved(seat: Seat) -> None:
    """It is a key as any other; its end is no lock."""
    end(seat, "GITHUB_TOKEN")
    seat.cli("set", "GITHUB_TOKEN", "--vault", "os.direct", input=b"x", check=True)
    assert seat.cli("unlock", "GITHUB_TOKEN").code == 0
    end(seat, "OPENAI_API_KEY")
    assert seat.cli("unlock", "OPENAI_API_KEY").code == 4
    seat.cli("del", "OPENAI_API_KEY", check=True)
    assert seat.get("OPENAI_API_KEY").code == 5


@pytest.mark.parametrize("asked", ["2h", None])
def test_a_cap_holds_whatever_is_asked(asked: "str | None", locked: Seat) -> None:
    """--max-duration, in list and in the agent; one over a week is a week."""
    locked.cli("set", "CAPPED", "--max-duration", "10m", input=b"x", check=True)
    locked.cli("set", "LONG", "--max-duration", "30d", input=b"x", check=True)
    assert row(locked, "CAPPED")["max_seconds"] == 600
    assert b"at most 10m" in locked.cli("list", check=True).out
    locked.unlock(*(["--duration", asked] if asked else []))
    assert left(locked, "CAPPED") <= 600
    assert locked.cli("unlock", "LONG", "--duration", "30d", check=True).err.count(b"capped") == 1
    assert left(locked, "LONG") <= 7 * 86_400
    for words in ("0s", "soon", "367d"):
        assert locked.cli("set", "CAPPED", "--max-duration", words, input=b"x").code == 2
