"""The main job from first to last, as a user types it: two owners, one name, two values, and real daemons."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.argvwatch import ArgvWatch
from tests.support.homes import Home
from tests.support.plugin import Plant
from tests.support.runner import Runner

EVERYONE = ("human", "seaturtle")


def ssh_key(place: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A fresh ssh key's public half."""
    path = place / f"id_{kind}"
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "robot@reef", "-f", path]
    subprocess.run(command, check=True)
    return path.with_name(f"{path.name}.pub")


def test_two_owners_hold_two_values_of_one_name(
    home: Home, cli: Runner, canary: Plant, argv_watch: Callable[[], ArgvWatch]
) -> None:
    """From init to the end of both agents, nobody sees the other's value and no command line shows one."""
    values = {owner: canary(f"{owner}'s token") for owner in EVERYONE}
    reading = ("sh", "-c", 'printf %s "$GITHUB_TOKEN"')
    with argv_watch() as watch:
        cli("init", check=True)
        cli("init", "--for", "seaturtle", "--via", "ssh", "--pubkey", ssh_key(home.path), check=True)
        cli("set", "--for", "seaturtle", "--key", "GITHUB_TOKEN", input=values["seaturtle"], check=True)
        cli("set", "GITHUB_TOKEN", "--from-env", "T", env={"T": values["human"].decode()}, check=True)
        for owner in EVERYONE:
            cli("agent", "--for", owner, check=True)
            assert cli("exec", "--for", owner, "--", *reading).code == 4
            cli("unlock", "--for", owner, "--duration", "2h", check=True)
        for owner in EVERYONE:
            shown = cli("exec", "--for", owner, "--", *reading, reveals=True, check=True).out
            assert shown == values[owner]
            assert cli("get", "GITHUB_TOKEN", "--for", owner, reveals=True, check=True).out == values[owner]
        assert cli("relock", "--for", "seaturtle", check=True).out == b"relocked @all.all.GITHUB_TOKEN\n"
        assert cli("get", "GITHUB_TOKEN", "--for", "seaturtle").code == 4
        assert cli("get", "GITHUB_TOKEN", reveals=True, check=True).out == values["human"]
        cli("del", "GITHUB_TOKEN", "--for", "seaturtle", check=True)
        assert cli("list", "--for", "seaturtle", "--json", check=True).json() == []
        for owner in EVERYONE:
            cli("agent", "--for", owner, "-k", check=True)
            assert cli("status", "--for", owner, "--json", check=True).json() is None
    assert watch.sweeps
    assert watch.hits == []


def test_list_tells_names_and_places(home: Home, cli: Runner, canary: Plant) -> None:
    """As text for people and as JSON for programs, without an agent and without a value."""
    cli("init", check=True)
    assert cli("list", check=True).out == b"nothing in the rack of human\n"
    cli("set", "GITHUB_TOKEN", input=canary("T"), check=True)
    cli("set", "acme.prod.STRIPE_KEY", "--max-duration", "30m", "--vault", "os.direct", input=b"public", check=True)
    rows = {row["slug"]: row for row in cli("list", "--json", check=True).json()}
    assert set(rows) == {"@all.all.GITHUB_TOKEN", "acme.prod.STRIPE_KEY"}
    stripe = rows["acme.prod.STRIPE_KEY"]
    assert {name: stripe[name] for name in ("org", "env", "name", "vault", "max_seconds")} == {
        "org": "acme",
        "env": "prod",
        "name": "STRIPE_KEY",
        "vault": "os.direct",
        "max_seconds": 1800,
    }
    assert rows["@all.all.GITHUB_TOKEN"]["vault"] == "os.secure"
    text = cli("list", check=True).out.decode()
    assert "acme.prod.STRIPE_KEY" in text
    assert "30m" in text
    assert [row["name"] for row in cli("list", "--env", "prod", "--json", check=True).json()] == ["STRIPE_KEY"]


def test_status_tells_who_serves_what_for_how_long(home: Home, cli: Runner, canary: Plant) -> None:
    """As text and as JSON, locked and unlocked; times count down from what unlock was asked for."""
    wallet = cli("init", "--json", check=True).json()["wallet"]
    cli("set", "GITHUB_TOKEN", input=canary("T"), check=True)
    cli("agent", check=True)
    before = cli("status", "--json", check=True).json()
    assert (before["owner"], before["wallet"], before["unlocked"], before["keys"]) == ("human", wallet, False, [])
    assert before["socket"] == f"{home.runtime}/agentkeys/human.sock"
    assert b"locked" in cli("status", check=True).out
    cli("unlock", "--duration", "2h", check=True)
    (key,) = cli("status", "--json", check=True).json()["keys"]
    assert (key["slug"], key["state"], key["vault"]) == ("@all.all.GITHUB_TOKEN", "unlocked", "os.secure")
    assert 7100 < key["expires_in_seconds"] <= 7200
    assert b"@all.all.GITHUB_TOKEN  unlocked, 1h59m left" in cli("status", check=True).out
    cli("relock", "GITHUB_TOKEN", check=True)
    (key,) = cli("status", "--json", check=True).json()["keys"]
    assert (key["state"], key["expires_in_seconds"]) == ("locked", None)


def test_unlock_says_what_it_brought(home: Home, cli: Runner, canary: Plant) -> None:
    """Each slug and its time, the cap that shortened it on stderr, and the same as JSON."""
    cli("init", check=True)
    cli("agent", check=True)
    assert cli("unlock", check=True).out == b"nothing in the rack of human for env all: agentkeys list --for human\n"
    cli("set", "GITHUB_TOKEN", "--max-duration", "10m", input=canary("T"), check=True)
    done = cli("unlock", "--duration", "1h", check=True)
    assert done.out == b"unlocked @all.all.GITHUB_TOKEN for 10m\n"
    assert b"@all.all.GITHUB_TOKEN is capped: it stays for 10m" in done.err
    found = cli("unlock", "--json", check=True).json()
    assert found == {"unlocked": [{"slug": "@all.all.GITHUB_TOKEN", "expires_in_seconds": 600}], "not_unlocked": []}


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_an_ssh_key_opens_its_owners_rack(kind: str, home: Home, cli: Runner, canary: Plant) -> None:
    """With the key the user already has; the rack is sealed to it and no identity of ours is written."""
    public = ssh_key(home.path, kind)
    made = cli("init", "--for", "crab", "--via", "ssh", "--pubkey", public, "--json", check=True).json()
    assert made["recipient"] == " ".join(public.read_text().split()[:2])
    assert not (home.root / "identity").exists()
    value = canary("T")
    cli("set", "TOKEN", "--for", "crab", input=value, check=True)
    cli("agent", "--for", "crab", check=True)
    cli("unlock", "--for", "crab", check=True)
    assert cli("get", "TOKEN", "--for", "crab", reveals=True, check=True).out == value


def test_a_value_is_shown_with_a_newline_only_on_a_terminal(home: Home, cli: Runner) -> None:
    """A pipe gets the exact bytes; a person's next prompt starts on a line of its own."""
    cli("init", check=True)
    cli("set", "GREETING", input=b"hello", check=True)
    cli("agent", check=True)
    cli("unlock", check=True)
    assert cli("get", "GREETING", check=True).out == b"hello"
    child = cli.on_tty("get", "GREETING")
    child.expect(b"^hello\r\n$")
    child.close()
    assert child.exitstatus == 0
