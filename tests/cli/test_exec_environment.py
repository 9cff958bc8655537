"""What a command's environment holds besides the keys: the caller's own, and of ours only what it may know."""

import os
import sys

import pytest

from tests.agent.seat import Seat
from tests.cli.test_exec_keys import given
from tests.support.plugin import Plant

DOUBLE = """
import ctypes, os, sys
argv = [os.fsencode(word) for word in sys.argv[1:]]
twice = [b"GITHUB_TOKEN=first", b"GITHUB_TOKEN=second", b"MARK=first", b"MARK=second"]
envp = [name + b"=" + value for name, value in os.environb.items()] + twice
c_argv, c_envp = (ctypes.c_char_p * (len(argv) + 1))(*argv), (ctypes.c_char_p * (len(envp) + 1))(*envp)
ctypes.CDLL(None).execve(argv[0], c_argv, c_envp)
"""
"""Becomes a command with two entries of two names, which no ordinary call of Python can do."""

SHOW = "import os, sys; sys.stdout.buffer.write(open('/proc/self/environ', 'rb').read())"


def test_the_callers_environment_is_passed_on(seat: Seat) -> None:
    """Every variable with its exact bytes, and nothing made up."""
    odd = {"PLAIN": "x", "EMPTY": "", "SPACES": " a b ", "LINES": "a\nb", "BYTES": os.fsdecode(b"\xff\xfe=\xe9")}
    env = given(seat, **odd)
    own = {name: os.fsencode(value) for name, value in (seat.cli.env | odd).items()}
    shells_own = {"PWD", "OLDPWD", "SHLVL", "_"}
    given_on = {name: value for name, value in env.items() if name not in shells_own}
    assert given_on == own | seat.values | {"AGENTKEYS_OWNER": b"human"}


def test_of_ours_a_command_learns_owner_and_socket_only(seat: Seat, canary: Plant) -> None:
    """No token, session, passphrase or home of agentkeys is passed on; the owner is the one injected for."""
    ours = {
        "AGENTKEYS_OWNER": "nobody",
        "AGENTKEYS_HOME": str(seat.home.root),
        "AGENTKEYS_AGENT_PID": "1",
        "AGENTKEYS_TOKEN": canary("a token of ours").decode(),
        "AGENTKEYS_PASSPHRASE": canary("a passphrase").decode(),
        "AGENTKEYS_SESSION_STORE": "file",
    }
    env = given(seat, "--for", "human", **ours)
    assert {name for name in env if name.startswith("AGENTKEYS")} == {"AGENTKEYS_OWNER"}
    assert env["AGENTKEYS_OWNER"] == b"human"


def test_a_command_gets_the_socket_that_was_named(seat: Seat) -> None:
    """AGENTKEYS_SOCK when it is that owner's, or what --sock said; not another owner's."""
    sock = str(seat.socket)
    assert given(seat, AGENTKEYS_SOCK=sock)["AGENTKEYS_SOCK"] == sock.encode()
    assert given(seat, AGENTKEYS_SOCK=sock, AGENTKEYS_OWNER="human")["AGENTKEYS_SOCK"] == sock.encode()
    assert given(seat, "--sock", sock)["AGENTKEYS_SOCK"] == sock.encode()
    foreign = given(seat, "--for", "human", AGENTKEYS_SOCK="/run/other.sock", AGENTKEYS_OWNER="crab")
    assert "AGENTKEYS_SOCK" not in foreign


def test_a_clean_environment_keeps_what_programs_need(seat: Seat) -> None:
    """--clean-env: HOME LANG LC_* LOGNAME PATH SHELL TERM TMPDIR TZ USER XDG_RUNTIME_DIR, the keys, and the owner."""
    kept = dict.fromkeys(["LANG", "LC_ALL", "LC_TIME", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TZ", "USER"], "kept")
    dropped = dict.fromkeys(["AWS_SECRET_ACCESS_KEY", "LCX", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "path"], "x")
    done = seat.cli(
        "exec", "--clean-env", "--key", "GITHUB_TOKEN", "--", sys.executable, "-IS", "-c", SHOW,
        env=kept | dropped, reveals=True, check=True,
    )  # fmt: skip
    names = {entry.partition(b"=")[0].decode() for entry in done.out.split(b"\0") if entry}
    assert names == {*kept, "HOME", "PATH", "XDG_RUNTIME_DIR", "GITHUB_TOKEN", "AGENTKEYS_OWNER"}


def test_a_variable_given_twice_arrives_once(seat: Seat) -> None:
    """execve takes two entries of one name; what programs make of them differs, so exactly one goes on: ours."""
    words = [*seat.cli.prefix, "exec", "--key", "GITHUB_TOKEN", "--", sys.executable, "-IS", "-c", SHOW]
    doubled = seat.cli.with_prefix(sys.executable, "-IS", "-c", DOUBLE, *words)
    entries = doubled(reveals=True, check=True).out.split(b"\0")
    assert [entry for entry in entries if entry.startswith(b"GITHUB_TOKEN=")] == [
        b"GITHUB_TOKEN=" + seat.values["GITHUB_TOKEN"]
    ]
    assert len([entry for entry in entries if entry.startswith(b"MARK=")]) == 1


def test_the_inner_exec_of_two_wins(seat: Seat, canary: Plant) -> None:
    """exec in exec: the inner owner's value under a shared name, and the inner owner's name."""
    crab = Seat(seat.home, seat.cli, {"GITHUB_TOKEN": canary("inner")}, "crab")
    seat.cli("init", "--for", "crab", check=True)
    crab.set("GITHUB_TOKEN", crab.values["GITHUB_TOKEN"])
    crab.start().unlock()
    program = [os.fsdecode(word) for word in seat.cli.prefix]
    env = given(seat, "--key", "GITHUB_TOKEN", "--", *program, "exec", "--for", "crab")
    assert env["GITHUB_TOKEN"] == crab.values["GITHUB_TOKEN"]
    assert env["AGENTKEYS_OWNER"] == b"crab"
    mixed = given(seat, "--", *program, "exec", "--for", "crab", "--key", "GITHUB_TOKEN=INNER")
    assert mixed["INNER"] == crab.values["GITHUB_TOKEN"]
    assert mixed["GITHUB_TOKEN"] == seat.values["GITHUB_TOKEN"]


def test_an_exec_inside_serves_the_same_owner_unasked(seat: Seat) -> None:
    """The inner exec without --for is the outer owner's: AGENTKEYS_OWNER goes along."""
    seat.cli("init", "--for", "crab", check=True)
    crab = Seat(seat.home, seat.cli, {}, "crab")
    crab.set("ONLY_THE_CRABS", b"claw")
    crab.start().unlock()
    program = [os.fsdecode(word) for word in seat.cli.prefix]
    show = ("get", "ONLY_THE_CRABS")
    assert seat.cli("exec", "--for", "crab", "--", *program, *show, check=True).out == b"claw"


@pytest.mark.parametrize("name", ["XDG_RUNTIME_DIR", "HOME"])
def test_what_finds_the_agent_stays_the_callers(name: str, seat: Seat) -> None:
    """exec changes no variable but the keys' and its own two."""
    assert given(seat)[name] == seat.cli.env[name].encode()
