"""`agentkeys agent --unlock` and `--print-socket`, and which flags go together."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.agent.seat import Seat, eventually
from tests.agent.test_start import exported


def test_a_start_that_unlocks(rack: Seat) -> None:
    """The exports as usual, and the default env's keys are there; stderr says nothing of them off a terminal."""
    done = rack.cli("agent", "--unlock", check=True)
    assert exported(done.out) == (str(rack.socket), rack.pid)
    assert b"unlocked" not in done.err
    assert rack.get("GITHUB_TOKEN").out == rack.values["GITHUB_TOKEN"]
    assert set(rack.states().values()) == {"unlocked"}


def test_a_re_use_that_unlocks(locked: Seat) -> None:
    """A running agent is filled; a second time renews."""
    pid = locked.pid
    assert exported(locked.cli("agent", "--unlock", check=True).out)[1] == pid
    assert set(locked.states().values()) == {"unlocked"}
    locked.unlock("--duration", "1m")
    locked.cli("agent", "--unlock", check=True)
    assert all(key["expires_in_seconds"] > 60 for key in locked.status()["keys"])


def test_it_unlocks_the_default_env_and_no_sudo(rack: Seat) -> None:
    """As `unlock` without arguments: not another env's keys, and never those that are given by name only."""
    rack.set("PROD", b"prod's own value", "--env", "prod")
    rack.set("ROOT", b"a value that hurts", "--env", "sudo")
    rack.cli("agent", "--unlock", check=True)
    states = {key["slug"]: key["state"] for key in rack.status()["keys"]}
    assert states["@all.prod.PROD"] == states["@all.sudo.ROOT"] == "locked"
    assert states["@all.all.GITHUB_TOKEN"] == "unlocked"


def test_an_unlock_that_fails_makes_eval_fail(rack: Seat) -> None:
    """`false;`, the unlock's own code and reason; the agent stays, empty, for the next try."""
    identity = rack.home.root / "identity" / "human.key"
    identity.rename(identity.with_name("aside"))
    done = rack.cli("agent", "--unlock")
    assert (done.code, done.out) == (7, b"false;\n")
    assert b"agentkeys: error: the identity " in done.err
    assert rack.status()["unlocked"] is False
    identity.with_name("aside").rename(identity)
    pid = rack.pid
    assert exported(rack.cli("agent", "--unlock", check=True).out)[1] == pid


def test_only_the_path(rack: Seat) -> None:
    """--print-socket: the path and a newline, at a start and at a re-use, so that `sock=$(…)` is all a script needs."""
    for _ in range(2):
        assert rack.cli("agent", "--print-socket", check=True).out == f"{rack.socket}\n".encode()
    done = rack.cli("agent", "--print-socket", "--for", "nosuch")
    assert (done.code, done.out) == (2, b"")


def test_only_the_path_of_a_private_one(rack: Seat, short_path: Path) -> None:
    """With -a and --unlock, in one line."""
    sock = short_path / "it's here $(touch ran)"
    done = rack.cli("agent", "-a", sock, "--print-socket", "--unlock", check=True)
    assert done.out == f"{sock}\n".encode()
    assert rack.cli("get", "GITHUB_TOKEN", "--sock", sock, reveals=True).out == rack.values["GITHUB_TOKEN"]
    assert list(short_path.iterdir()) == [sock]


TOGETHER = [
    ["-k", "--unlock"], ["-k", "-D"], ["-k", "--print-socket"], ["-k", "--login-session", "uid"], ["-k", "--reload"],
    ["-k", "--", "true"], ["--reload", "-D"], ["--reload", "--unlock"], ["--reload", "-a", "x"],
    ["--reload", "--", "true"], ["-D", "--unlock"], ["-d", "--unlock"], ["-D", "--", "true"], ["-d", "--", "true"],
    ["--print-socket", "--", "true"], ["--login-session", "both"], ["--login-session", ""], ["-a", ""], ["-a"],
    ["--"], ["--unlock", "--"], ["true"], ["--unlock", "true"], ["-Dk"], ["-kd"], ["--unlock=yes"], ["--print"],
    ["-a", "x", "stray"],
]  # fmt: skip


@pytest.mark.parametrize("args", TOGETHER, ids=" ".join)
def test_flags_that_contradict_each_other_are_refused(args: list[str], rack: Seat) -> None:
    """2 with a hint; no agent, no command, and on stdout nothing that an eval would take for success."""
    done = rack.cli("agent", *args)
    assert done.code == 2, done
    assert done.out == (b"" if {"--", "--print-socket", "--reload"} & set(args) else b"false;\n")
    assert done.err.startswith(b"agentkeys: error: ")
    assert b"\nagentkeys: hint: agentkeys agent" in done.err
    assert rack.home.agents() == []
    assert not (rack.home.path / "x").exists()


@pytest.mark.parametrize("args", [["-Dd"], ["-dD"], ["-d", "-D"]], ids=" ".join)
def test_letters_may_be_clustered(args: list[str], rack: Seat) -> None:
    """As ssh-agent's."""
    child = rack.cli.start("agent", *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    eventually(rack.status)
    assert rack.pid == child.pid
    child.terminate()
    _, err = child.communicate(timeout=20)
    assert b"agentkeys: debug: " in err


@pytest.mark.parametrize(
    "form", [["--for=human"], ["--owner", "human"], ["-s"], ["-s", "--for", "human"]], ids=" ".join
)
def test_other_spellings_start_the_same_agent(form: list[str], rack: Seat) -> None:
    """With = or without, by either name, with the default said aloud."""
    assert exported(rack.cli("agent", *form, "--unlock", check=True).out)[0] == str(rack.socket)


def test_twenty_first_starts_at_once_row_3(rack: Seat) -> None:
    """Plain, for the path, and with an unlock, all at the same time: one agent, 20 × 0, the same socket."""
    forms = ([], ["--print-socket"], ["--unlock"], ["-s"])
    children = [rack.cli.start("agent", *forms[at % 4], stdout=subprocess.PIPE) for at in range(20)]
    outputs = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 20
    assert len(set(outputs)) == 2
    assert len(rack.home.agents()) == 1
    assert rack.get("GITHUB_TOKEN").out == rack.values["GITHUB_TOKEN"]


def test_twenty_private_ones_at_once(rack: Seat) -> None:
    """Each command has its own agent, each with the keys; they sweep, lock and leave without treading on another."""
    show = ("--", "sh", "-c", 'echo "$AGENTKEYS_SOCK"')
    children = [rack.cli.start("agent", "--unlock", *show, stdout=subprocess.PIPE) for _ in range(20)]
    outputs = [child.communicate(timeout=120)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 20
    assert len(set(outputs)) == 20
    eventually(lambda: not rack.home.agents())
    assert list(rack.home.root.glob("run/*/*/private-*")) == []
    assert os.listdir(rack.home.runtime / "agentkeys") == []


def test_a_life_that_is_no_duration_leads_back_to_the_agent(rack: Seat) -> None:
    """Not to another verb's --duration."""
    for life in ("foo", "8h:foo"):
        done = rack.cli("agent", "-t", life)
        assert (done.code, done.out) == (2, b"false;\n")
        assert done.err.endswith(b"agentkeys: hint: agentkeys agent -t 8h:30m\n")
