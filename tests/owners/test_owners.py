"""owner list, show, alias, remove; whom --for means; and what is left of an owner that was removed."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.agent.dialogue import fields, frame
from tests.agent.seat import Seat, watched
from tests.cli.test_crash_safety import CHANGING, WORKER
from tests.owners.tty import converse
from tests.support.sweeps import swept
from tests.support.uids import require


@pytest.fixture
def turtle(rack: Seat) -> Seat:
    """A second owner with one key, beside human."""
    rack.cli("init", "--for", "seaturtle", check=True)
    seat = Seat(rack.home, rack.cli, {"SHELL_KEY": b"a turtle's"}, "seaturtle")
    seat.set("SHELL_KEY", seat.values["SHELL_KEY"])
    return seat


def show(seat: Seat, name: str) -> dict[str, object]:
    """owner show --json."""
    found = seat.cli("owner", "show", name, "--json", check=True).json()
    assert isinstance(found, dict)
    return found


def traces(seat: Seat, owner: str, wallet: str) -> list[str]:
    """Every path below the root that is an owner's: by name, by wallet, or a link to it; not the audit log or locks."""
    found = []
    for path in seat.home.root.rglob("*"):
        name = str(path.relative_to(seat.home.root))
        if name.startswith(("audit/", "lock/", "run/")):
            continue
        if owner in name or wallet.lower() in name.lower() or (path.is_symlink() and str(path.readlink()) == owner):
            found.append(name)
    return found


def test_list_and_show_tell_the_public_facts(turtle: Seat) -> None:
    """Every owner with wallet, way and aliases, as text and as JSON; nothing secret."""
    turtle.cli("owner", "alias", "seaturtle", "turtle", check=True)
    rows = turtle.cli("owner", "list", "--json", check=True).json()
    assert [row["owner"] for row in rows] == ["human", "seaturtle"]
    members = {"owner", "wallet", "aliases", "via", "recipients", "key_path", "created_at"}
    assert [set(row) for row in rows] == [members, members]
    assert rows[1]["aliases"] == ["turtle"]
    found = show(turtle, "seaturtle")
    assert found == {**rows[1], "manifest": str(turtle.home.root / "host.seaturtle.yml.age")}
    text = turtle.cli("owner", "list", check=True).out.decode()
    for row in rows:
        assert row["owner"] in text
        assert row["wallet"] in text
    assert b"turtle" in turtle.cli("owner", "show", "turtle", check=True).out
    assert b"SECRET" not in turtle.cli("owner", "show", "turtle", check=True).out


def test_list_of_nobody_says_how_to_begin(human: Seat) -> None:
    """An empty home: no error, an empty JSON list, and nothing is made."""
    assert human.cli("owner", "list", "--json", check=True).json() == []
    assert b"agentkeys init" in human.cli("owner", "list", check=True).out
    assert not human.home.root.exists()


def test_an_alias_is_another_name_everywhere(turtle: Seat) -> None:
    """--for, show and exec take it, in any letter case, until it is taken away."""
    turtle.cli("owner", "alias", "seaturtle", "turtle", check=True)
    turtle.start().unlock()
    for name in ("turtle", "TURTLE", "seaturtle", "SeaTurtle"):
        done = turtle.cli("exec", "--for", name, "--", "printenv", "SHELL_KEY", check=True)
        assert done.out == b"a turtle's\n", name
        assert [row["name"] for row in turtle.cli("list", "--for", name, "--json", check=True).json()] == ["SHELL_KEY"]
    again = turtle.cli("owner", "alias", "seaturtle", "turtle", check=True)
    assert again.out == b"turtle is an alias of seaturtle already\n"
    assert show(turtle, "turtle")["aliases"] == ["turtle"]
    turtle.cli("owner", "alias", "seaturtle", "turtle", "--remove", check=True)
    assert show(turtle, "seaturtle")["aliases"] == []
    assert turtle.cli("list", "--for", "turtle").code == 2
    assert turtle.cli("exec", "--for", "turtle", "--", "true").code in (2, 3)


def test_a_name_means_one_owner(turtle: Seat) -> None:
    """Another's alias, another's name, a bad name, an unknown owner: exit 2, nothing changes."""
    turtle.cli("owner", "alias", "seaturtle", "turtle", check=True)
    for args in (
        ["human", "turtle"],
        ["human", "seaturtle"],
        ["seaturtle", "human"],
        ["human", "../x"],
        ["human", "0x1234"],
        ["human", str(show(turtle, "seaturtle")["wallet"])],
        ["human", "a b"],
        ["nobody", "some"],
        ["human", "other", "--remove"],
        ["human", "turtle", "--remove"],
    ):
        done = turtle.cli("owner", "alias", *args)
        assert done.code == 2, (args, done.err)
    assert turtle.cli("init", "--for", "turtle").code == 2, "the name is taken"
    assert [row["owner"] for row in turtle.cli("owner", "list", "--json").json()] == ["human", "seaturtle"]
    assert show(turtle, "human")["aliases"] == []
    assert show(turtle, "seaturtle")["aliases"] == ["turtle"]


def test_exec_takes_a_wallet_in_any_letter_case_but_a_wrong_checksum(turtle: Seat) -> None:
    """EIP-55, lower and upper mean the owner; a checksum that is wrong, or nobody's wallet, is exit 2."""
    wallet = str(show(turtle, "seaturtle")["wallet"])
    turtle.start().unlock()
    for name in (wallet, wallet.lower(), "0x" + wallet[2:].upper()):
        done = turtle.cli("exec", "--for", name, "--", "printenv", "SHELL_KEY", check=True)
        assert done.out == b"a turtle's\n"
    at = next(index for index, letter in enumerate(wallet) if index > 1 and letter.isalpha())
    wrong = wallet[:at] + wallet[at].swapcase() + wallet[at + 1 :]
    for name in (wrong, wallet[:-1], "0x" + "12" * 20):
        done = turtle.cli("exec", "--for", name, "--", "echo", "ran")
        assert (done.code, done.out) == (2, b""), name


def test_remove_says_what_is_lost_and_wants_its_name(turtle: Seat) -> None:
    """On a terminal the owner's name has to be typed; without one, or with another text, nothing is removed."""
    wallet = str(show(turtle, "seaturtle")["wallet"])
    before = sorted(traces(turtle, "seaturtle", wallet))
    done = turtle.cli("owner", "remove", "seaturtle")
    assert done.code == 2
    assert b"1 keys" in done.err or b"1 key" in done.err
    assert wallet.encode() in done.err
    for answer in (b"yes", b"", b"human"):
        code, shown = converse(turtle.cli, "owner", "remove", "seaturtle", replies=[(b"to remove it", answer)])
        assert (code, b"nothing was removed" in shown) == (2, True), shown
    assert turtle.cli("owner", "remove").code == 2
    assert turtle.cli("owner", "remove", "nobody", "--yes").code == 2
    assert sorted(traces(turtle, "seaturtle", wallet)) == before
    code, _ = converse(turtle.cli, "owner", "remove", "seaturtle", replies=[(b"to remove it", b"seaturtle")])
    assert code == 0
    assert traces(turtle, "seaturtle", wallet) == []


def test_remove_leaves_nothing_but_the_audit_log_and_stops_its_agent(turtle: Seat) -> None:
    """Files, links and the live agent go; log and other owners stay; a new init has another wallet and no keys."""
    turtle.cli("owner", "alias", "seaturtle", "turtle", check=True)
    wallet = str(show(turtle, "seaturtle")["wallet"])
    turtle.start().unlock()
    log = (turtle.audit / "chain.jsonl").read_bytes()
    assert log
    assert len(traces(turtle, "seaturtle", wallet)) > 5
    with watched(turtle.pid) as gone:
        turtle.cli("owner", "remove", "turtle", "--yes", check=True)
        gone()
    assert traces(turtle, "seaturtle", wallet) == []
    assert (turtle.audit / "chain.jsonl").read_bytes().startswith(log)
    assert turtle.cli("list", "--for", "seaturtle").code == 2
    assert [row["name"] for row in turtle.cli("list", "--json", check=True).json()] == [
        "GITHUB_TOKEN",
        "OPENAI_API_KEY",
    ]
    made = turtle.cli("init", "--for", "seaturtle", "--json", check=True).json()
    assert (made["effect"], made["keys"]) == ("created", 0)
    assert made["wallet"] != wallet
    turtle.set("SHELL_KEY", b"the next turtle's")
    turtle.start().unlock()
    assert turtle.get("SHELL_KEY", check=True).out == b"the next turtle's"


def job(seat: Seat, owner: str) -> bytes:
    """A worker's job, as the command line would send it."""
    return frame(fields(b"remove", b"home", str(seat.home.root).encode(), b"owner", owner.encode()))


@swept
def test_a_remove_killed_before_any_system_call_is_finished_by_the_next(every: int, rack: Seat) -> None:
    """One run for each deletion: what is half gone can't be opened as whole, and the next remove leaves no trace."""
    require(rack.cli.with_prefix("strace", "-o", "/dev/null", "true")().code == 0, "strace, and the right to use it")
    killed = 0
    for name in ("unlink", "unlinkat", "rmdir", "fsync"):
        for number in range(1, 30, every):
            owner = f"crab{name}{number}"
            wallet = rack.cli("init", "--for", owner, "--json", check=True).json()["wallet"]
            rack.cli("set", "TOKEN", "--for", owner, input=b"x" * 20_000, check=True)
            rack.cli("owner", "alias", owner, f"also-{owner}"[:32], check=True)
            inject = f"inject={name}:signal=KILL:when={number}"
            runner = rack.cli.with_prefix(
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                f"trace={CHANGING},rmdir",
                "-e",
                inject,
                sys.executable,
                "-I",
                WORKER,
            )
            child = runner.start(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            child.communicate(job(rack, owner), timeout=60)
            if child.returncode != -signal.SIGKILL:
                assert traces(rack, owner, wallet) == []
                break
            killed += 1
            done = rack.cli("owner", "remove", owner, "--yes")
            assert done.code == 0 or (done.code == 2 and b"no owner" in done.err), (name, number, done.err)
            assert traces(rack, owner, wallet) == [], (name, number)
            again = rack.cli("init", "--for", owner, "--json", check=True).json()
            assert again["wallet"] != wallet
            rack.cli("owner", "remove", owner, "--yes", check=True)
    assert killed > 5
    rack.cli("list", check=True)


def test_a_remove_killed_at_random_is_finished_by_the_next(rack: Seat) -> None:
    """Ten instants: afterwards either whole, or gone once it is removed again."""
    dice = random.Random()
    for number in range(10):
        owner = f"crab{number}"
        wallet = rack.cli("init", "--for", owner, "--json", check=True).json()["wallet"]
        runner = rack.cli.with_prefix(sys.executable, "-I", WORKER)
        child = runner.start(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdin
        child.stdin.write(job(rack, owner))
        child.stdin.close()
        time.sleep(dice.uniform(0.0, 0.1))
        child.kill()
        child.wait()
        assert rack.cli("owner", "remove", owner, "--yes").code in (0, 2)
        assert traces(rack, owner, wallet) == []


def test_remove_leaves_an_ssh_key_alone(human: Seat) -> None:
    """What is the user's own stays the user's."""
    key = human.home.path / "id"
    human.cli.with_prefix("ssh-keygen")("-q", "-t", "ed25519", "-N", "", "-f", key, check=True)
    human.cli("init", "--via", "ssh", "--pubkey", f"{key}.pub", check=True)
    before = (key.read_bytes(), Path(f"{key}.pub").read_bytes())
    done = human.cli("owner", "remove", "human", "--yes", check=True)
    assert b"ssh key stays" in done.err
    assert (key.read_bytes(), Path(f"{key}.pub").read_bytes()) == before
