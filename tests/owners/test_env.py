"""An identity handed in by AGENTKEYS_IDENTITY: used where it is needed, kept nowhere, told to nobody."""

import os
from pathlib import Path

import psutil
import pytest

from tests.agent.seat import Seat, eventually
from tests.support.plugin import Plant


@pytest.fixture
def identity(human: Seat) -> str:
    """An age identity as a CI system would hold it."""
    text = human.cli.with_prefix("age-keygen")(check=True, reveals=True).out.decode()
    return next(line for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-1"))


def key(identity: str) -> dict[str, str]:
    """The variable."""
    return {"AGENTKEYS_IDENTITY": identity}


def test_a_rack_whose_identity_is_in_a_variable_works(human: Seat, identity: str, canary: Plant) -> None:
    """init, set, list, unlock and del with it; get and exec need it no more; unset is exit 4 with a hint."""
    value = canary("of a CI job")
    made = human.cli("init", "--via", "env", "--json", env=key(identity), check=True).json()
    assert made["via"] == "env"
    assert not (human.home.root / "identity").exists()
    human.cli("set", "TOKEN", input=value, env=key(identity), check=True)
    human.start()
    human.cli("unlock", env=key(identity), check=True)
    assert human.get("TOKEN", check=True).out == value
    for args in (["list"], ["unlock"], ["set", "OTHER"], ["del", "TOKEN"]):
        for env in ({}, {"AGENTKEYS_IDENTITY": ""}):
            done = human.cli(*args, input=b"x", env=env)
            assert done.code == 4, args
            assert done.err.count(b"AGENTKEYS_IDENTITY") >= 2, "named, and in the hint"
    human.cli("del", "TOKEN", env=key(identity), check=True)


def test_init_via_env_without_the_variable_makes_nothing(human: Seat) -> None:
    """Exit 4, no owner, no identity."""
    assert human.cli("init", "--via", "env").code == 4
    assert not (human.home.root / "owners").exists()
    assert not list(human.home.root.glob("*.age"))


def test_init_via_env_with_what_is_no_identity_says_how_to_give_one(human: Seat) -> None:
    """There is no owner yet, so there is nothing to restore."""
    done = human.cli("init", "--for", "vlad", "--via", "env", env={"AGENTKEYS_IDENTITY": "garbage"})
    assert done.code == 7
    again = 'AGENTKEYS_IDENTITY="$(cat identity.key)" agentkeys init --for vlad --via env'
    assert done.err.decode().endswith(f"agentkeys: hint: {again}\n")


def test_a_wrong_identity_is_exit_7_and_not_shown(human: Seat, identity: str) -> None:
    """Another identity, a damaged one, no identity at all: refused, nothing is written, its text in no message."""
    other = human.cli.with_prefix("age-keygen")(check=True, reveals=True).out.decode()
    human.cli("init", "--via", "env", env=key(identity), check=True)
    before = (human.home.root / "host.human.yml.age").read_bytes()
    for text in (other, identity[:-1] + ("Q" if identity[-1] != "Q" else "P"), identity[:30], "nonsense"):
        for args in (["list"], ["set", "TOKEN"]):
            done = human.cli(*args, input=b"x", env=key(text))
            assert done.code == 7, (args, text[:20])
            assert b"AGE-SECRET-KEY-1" not in done.err
            assert text.encode() not in done.err + done.out
    assert (human.home.root / "host.human.yml.age").read_bytes() == before


def test_age_keygens_whole_file_is_taken(human: Seat) -> None:
    """Comments and line breaks, as `$(cat identity.key)` gives them."""
    text = human.cli.with_prefix("age-keygen")(check=True, reveals=True).out.decode()
    human.cli("init", "--via", "env", env=key(text), check=True)
    human.cli("list", env=key(text), check=True)


def test_the_identity_is_in_no_process_of_ours_and_on_no_disk(human: Seat, identity: str, canary: Plant) -> None:
    """Not in the agent's environment, a worker's, or that of a command that exec starts; no file holds it."""
    human.cli("init", "--via", "env", env=key(identity), check=True)
    human.cli("set", "TOKEN", input=canary("TOKEN"), env=key(identity), check=True)
    human.cli("agent", env=key(identity), check=True)
    human.cli("unlock", env=key(identity), check=True)
    agent = Path(f"/proc/{human.pid}/environ").read_bytes()
    assert b"HOME=" in agent
    assert b"AGENTKEYS_IDENTITY" not in agent
    assert identity.encode() not in agent
    done = human.cli("exec", "--", "env", env=key(identity), check=True, reveals=True)
    assert b"TOKEN=" in done.out
    assert b"AGENTKEYS_IDENTITY" not in done.out
    assert identity.encode() not in done.out
    for path in human.home.path.rglob("*"):
        assert not path.is_file() or identity.encode() not in path.read_bytes(), path


def test_the_identity_is_not_in_a_workers_environment(human: Seat, identity: str) -> None:
    """A worker that waits for the rack's lock is looked at: the variable's name isn't even there."""
    human.cli("init", "--via", "env", env=key(identity), check=True)
    lock = human.home.root / "lock" / "human.lock"
    holder = human.cli.with_prefix("flock", "-x", lock, "sleep", "60").start()
    eventually(lambda: psutil.Process(holder.pid).children())
    waiting = human.cli.start("set", "TOKEN", "--from-env", "HOME", env=key(identity))
    (worker,) = eventually(lambda: psutil.Process(waiting.pid).children())
    seen = Path(f"/proc/{worker.pid}")
    eventually(lambda: b"worker" in (seen / "cmdline").read_bytes())  # before that it is the command line's fork
    environ = (seen / "environ").read_bytes()
    assert b"PATH=" in environ
    assert b"AGENTKEYS_IDENTITY" not in environ
    assert identity.encode() not in environ
    os.killpg(holder.pid, 9)
    assert waiting.wait(30) == 0
