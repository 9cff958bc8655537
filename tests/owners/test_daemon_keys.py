"""os.daemon through the command line: granted at once, kept by the one agent that was given it, and nowhere else."""

import pytest

from tests.agent.dialogue import Dialogue
from tests.agent.seat import Seat, eventually
from tests.owners.motley import configure, manifest_of, second_agent
from tests.support.plugin import Plant

SET = ("set", "SESSION", "--vault", "os.daemon")


def left(seat: Seat, name: str = "SESSION") -> int:
    """Seconds that a key still has."""
    found = {key["name"]: key["expires_in_seconds"] for key in seat.status()["keys"]}[name]
    assert isinstance(found, int)
    return found


@pytest.fixture
def session(seat: Seat, canary: Plant) -> bytes:
    """A value that only the agent of `seat` has."""
    value = canary("SESSION")
    seat.cli(*SET, input=value, check=True)
    return value


def test_without_an_agent_there_is_nowhere_to_put_it(rack: Seat) -> None:
    """Exit 3, how to start one, and nothing is stored: no key, no marker, the rack's very bytes."""
    before = (rack.home.root / "host.human.yml.age").read_bytes()
    markers = sorted(path.name for path in (rack.home.root / "inventory" / "human").iterdir())
    done = rack.cli(*SET, input=b"value")
    assert done.code == 3
    assert b'hint: eval "$(agentkeys agent --for human)"' in done.err
    assert (rack.home.root / "host.human.yml.age").read_bytes() == before
    assert sorted(path.name for path in (rack.home.root / "inventory" / "human").iterdir()) == markers
    assert rack.start().get("SESSION").code == 5
    assert rack.unlock().get("SESSION").code == 5


def test_a_key_that_moves_to_nowhere_stays_where_it_is(rack: Seat) -> None:
    """Without an agent a key of another vault keeps its value."""
    assert rack.cli("set", "GITHUB_TOKEN", "--vault", "os.daemon", input=b"value").code == 3
    assert rack.start().unlock().get("GITHUB_TOKEN").out == rack.values["GITHUB_TOKEN"]


def test_a_set_grants_it_at_once(locked: Seat, canary: Plant) -> None:
    """No unlock needed; the others are locked as before, and status shows what it is."""
    value = canary("SESSION")
    done = locked.cli(*SET, "--json", input=value, check=True)
    assert done.json() == {
        "slug": "@all.all.SESSION", "vault": "os.daemon", "grade": "encrypted/transient", "effect": "added",
    }  # fmt: skip
    assert locked.get("SESSION", check=True).out == value
    assert locked.cli("exec", "--", "printenv", "SESSION", reveals=True, check=True).out == value + b"\n"
    (shown,) = [key for key in locked.status()["keys"] if key["name"] == "SESSION"]
    assert (shown["vault"], shown["grade"], shown["state"]) == ("os.daemon", "encrypted/transient", "unlocked")
    assert locked.states() == {"GITHUB_TOKEN": "locked", "OPENAI_API_KEY": "locked", "SESSION": "unlocked"}


def test_it_is_on_record_and_on_no_disk(seat: Seat, session: bytes) -> None:
    """The chain has the set and the unlock; the vault's directory and the rack have nothing of it."""
    assert manifest_of(seat).vaults["os.daemon"] == {}
    lines = [(line["verb"], line["keys"]) for line in seat.chain() if "@all.all.SESSION" in line["keys"]]
    assert [verb for verb, _keys in lines] == ["set", "set", "unlock"]
    assert session not in b"".join(path.read_bytes() for path in seat.home.root.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("words", "low", "high"),
    [
        ([], 9 * 3600 - 60, 9 * 3600),
        (["--max-duration", "10m"], 500, 600),
        (["--env", "sudo"], 1700, 1800),
        (["--expires-in", "1h"], 3500, 3600),
        (["--expires-in", "30d"], 9 * 3600 - 60, 9 * 3600),
    ],
)
def test_its_time_is_any_key_s(words: list[str], low: int, high: int, locked: Seat) -> None:
    """The default's, its cap's, sudo's, its credential's."""
    locked.cli(*SET, *words, input=b"value", check=True)
    assert low < left(locked) <= high


def test_relocked_it_is_gone(seat: Seat, session: bytes) -> None:
    """Absent, 5: nothing can bring it back, and get proposes to set it. The rack still knows its name."""
    seat.cli("relock", "SESSION", check=True)
    done = seat.get("SESSION")
    assert done.code == 5
    assert b"hint: agentkeys set SESSION" in done.err
    assert seat.states() == {"GITHUB_TOKEN": "unlocked", "OPENAI_API_KEY": "unlocked"}
    assert "SESSION" in {row["name"] for row in seat.cli("list", "--json", check=True).json()}


@pytest.mark.parametrize("how", ["relock", "expire", "restart"])
def test_lost_it_is_named_by_unlock_and_absent_to_get(seat: Seat, session: bytes, how: str) -> None:
    """However the agent forgot it: 0 for an unlock of everything, 5 when it was named; then get is 5."""
    if how == "relock":
        seat.cli("relock", check=True)
    elif how == "expire":
        seat.unlock("SESSION", "--duration", "1s")
        eventually(lambda: seat.states()["SESSION"] == "expired")
        assert seat.get("SESSION").code == 4
        assert seat.cli("exec", "--", "true").code == 4, "a command isn't run without what it had"
    else:
        seat.cli("agent", "-k", check=True)
        seat.start()
    done = seat.cli("unlock")
    assert done.code == 0
    assert b"lost @all.all.SESSION: only an agent had it, and forgot it" in done.err
    assert seat.get("SESSION").code == 5
    done = seat.cli("unlock", "SESSION", "--json")
    assert done.code == 5
    assert [(row["slug"], row["state"]) for row in done.json()["not_unlocked"]] == [("@all.all.SESSION", "lost")]
    assert seat.get("GITHUB_TOKEN", check=True).out == seat.values["GITHUB_TOKEN"]
    seat.cli("exec", "--", "true", check=True)


def test_an_unlock_gives_it_a_new_time(seat: Seat, session: bytes) -> None:
    """Shorter or longer, within its cap, and it says so."""
    for duration, low, high in (("1h", 3500, 3600), ("5m", 290, 300), ("2h", 7100, 7200)):
        done = seat.cli("unlock", "SESSION", "--duration", duration, check=True)
        assert done.out == f"unlocked @all.all.SESSION for {duration}\n".encode()
        assert low < left(seat) <= high
    seat.cli("unlock", "--duration", "1h", check=True)
    assert left(seat) <= 3600
    assert seat.get("SESSION", check=True).out == session


def test_an_unlock_of_another_key_leaves_it(seat: Seat, session: bytes) -> None:
    """Value and time."""
    seat.cli("unlock", "SESSION", "--duration", "2h", check=True)
    seat.cli("unlock", "GITHUB_TOKEN", "--duration", "5m", check=True)
    assert 7000 < left(seat) <= 7200
    assert seat.get("SESSION", check=True).out == session


def test_set_again_it_has_the_new_value_and_a_new_time(seat: Seat, session: bytes, canary: Plant) -> None:
    """It stays in os.daemon; a fresh grant, whatever time was left."""
    seat.cli("unlock", "SESSION", "--duration", "5m", check=True)
    new = canary("SESSION again")
    done = seat.cli("set", "SESSION", input=new, check=True)
    assert done.out == b"replaced @all.all.SESSION in os.daemon of human\n"
    assert seat.get("SESSION", check=True).out == new
    assert left(seat) > 3600


def test_deleted_it_is_gone_everywhere(seat: Seat, session: bytes) -> None:
    """Rack and agent."""
    assert seat.cli("del", "SESSION", check=True).out == b"deleted @all.all.SESSION from os.daemon of human\n"
    assert seat.get("SESSION").code == 5
    assert "SESSION" not in {row["name"] for row in seat.cli("list", "--json", check=True).json()}
    assert b"SESSION" not in seat.cli("unlock", check=True).err


def test_another_agent_of_the_owner_has_no_such_key(seat: Seat, session: bytes, canary: Plant) -> None:
    """It was given to one. The other says absent, its unlock says lost; and neither takes it from the first."""
    other = {"AGENTKEYS_SOCK": str(second_agent(seat))}
    assert seat.cli("unlock", "SESSION", env=other).code == 5
    done = seat.cli("unlock", env=other, check=True)
    assert b"lost @all.all.SESSION" in done.err
    assert seat.cli("get", "SESSION", env=other).code == 5
    assert seat.cli("get", "GITHUB_TOKEN", env=other, reveals=True, check=True).out == seat.values["GITHUB_TOKEN"]
    assert seat.get("SESSION", check=True).out == session
    new = canary("SESSION anew")
    seat.cli("set", "SESSION", input=new, check=True)
    assert seat.get("SESSION", check=True).out == new
    assert seat.cli("get", "SESSION", env=other).code == 5, "not locked: no unlock would bring it there"


def test_a_set_through_another_agent_replaces_it_in_both(seat: Seat, session: bytes, canary: Plant) -> None:
    """The old value is served by nobody: who held it has the new one, as the agent has that was asked."""
    other = {"AGENTKEYS_SOCK": str(second_agent(seat))}
    new = canary("SESSION anew")
    seat.cli("set", "SESSION", input=new, env=other, check=True)
    assert seat.cli("get", "SESSION", env=other, reveals=True, check=True).out == new
    assert seat.get("SESSION", check=True).out == new
    seat.cli("del", "SESSION", check=True)
    assert seat.cli("get", "SESSION", env=other).code == 5


def test_an_agent_that_does_not_answer_is_said(seat: Seat) -> None:
    """AGENTKEYS_SOCK names none: exit 3 for os.daemon, and no other vault cares."""
    nowhere = {"AGENTKEYS_SOCK": str(seat.home.runtime / "nowhere.sock")}
    assert seat.cli(*SET, input=b"value", env=nowhere).code == 3
    assert seat.get("SESSION").code == 5
    seat.cli("set", "OTHER", input=b"value", env=nowhere, check=True)
    listener = seat.home.runtime / "file.sock"
    listener.write_bytes(b"")
    assert seat.cli(*SET, input=b"value", env={"AGENTKEYS_SOCK": str(listener)}).code == 3
    seat.cli("set", "OTHER", input=b"value", env={"AGENTKEYS_SOCK": str(listener)}, check=True)


def test_an_agent_that_takes_nothing_is_asked_before_anything_is_stored(seat: Seat) -> None:
    """Locked by a passphrase it refuses, 4; so it does while its config can't be read, 2."""
    before = (seat.home.root / "host.human.yml.age").read_bytes()
    with Dialogue(seat.socket).greet() as client:
        assert client.ask(b"lock", b"passphrase", b"open sesame", b"salt", bytes(16)) == [b"ok"]
        assert seat.cli(*SET, input=b"value").code == 4
        assert client.ask(b"open", b"passphrase", b"open sesame") == [b"ok"]
    configure(seat, "not toml")
    assert seat.cli(*SET, input=b"value").code == 2
    assert (seat.home.root / "host.human.yml.age").read_bytes() == before
    assert seat.get("SESSION").code == 5


def test_its_value_is_exact(locked: Seat) -> None:
    """Any bytes, and 1 MiB; one more is refused and nothing is stored."""
    for value in (b"\0\xff\n", bytes(range(256)) * 4096):
        locked.set("SESSION", value, "--vault", "os.daemon")
        assert locked.get("SESSION", check=True).out == value
    path = locked.home.path / "too-much"
    path.write_bytes(bytes(1024 * 1024 + 1))
    assert locked.cli("set", "MORE", "--vault", "os.daemon", "--from-file", path).code == 2
    assert locked.get("MORE").code == 5


def test_a_change_of_recipients_leaves_it(seat: Seat, session: bytes) -> None:
    """Nothing of it is on the disk, so nothing is sealed anew, and the agent is not asked."""
    public = (
        seat.cli.with_prefix("age-keygen")(check=True, reveals=True).out.decode().split("public key: ")[1].split()[0]
    )
    seat.cli("recipient", "set", "--pubkey", public, check=True)
    assert seat.get("SESSION", check=True).out == session
    assert seat.unlock().get("SESSION", check=True).out == session
