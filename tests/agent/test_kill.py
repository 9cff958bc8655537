"""`agentkeys agent -k`: which agent is meant, what is said when there is none, and that it is gone afterwards."""

import os
import shlex
import shutil
import signal
import socket
from pathlib import Path

import pexpect
import psutil
import pytest

from tests.agent.seat import Seat, eventually
from tests.agent.test_start import exported
from tests.support.uids import require

UNSET = b"unset AGENTKEYS_SOCK;\nunset AGENTKEYS_AGENT_PID;\nunset AGENTKEYS_OWNER;\n"


@pytest.mark.parametrize("pid", [None, "", "garbage", "-1", "1", "99999999"])
def test_there_is_no_agent_whatever_the_pid_row_14(pid: str | None, rack: Seat) -> None:
    """3 with the command that starts one: the variable is advice, and nobody is signalled on its word."""
    bystander = rack.cli.with_prefix("sleep", "60").start()
    for value in (pid, str(bystander.pid)):
        done = rack.cli("agent", "-k", env={"AGENTKEYS_AGENT_PID": value})
        assert (done.code, done.out) == (3, b"false;\n")
        assert done.err == (
            b"agentkeys: error: no agent for human\n"
            b'agentkeys: hint: eval "$(agentkeys agent --for human)"\n'
        )  # fmt: skip
    assert bystander.poll() is None


def test_when_it_returns_the_agent_is_gone_row_15(rack: Seat) -> None:
    """Socket and lock are removed before the last word; what is printed unsets the three names."""
    for _ in range(5):
        rack.start()
        done = rack.cli("agent", "-k", check=True)
        assert done.out == UNSET
        assert not rack.socket.exists()
        assert list(rack.home.root.glob("run/*/*/*.lock")) == []


def test_a_start_right_after_is_a_new_one(rack: Seat) -> None:
    """Nothing of the old one is in its way, however quickly it follows."""
    shell = rack.cli.with_prefix(
        "sh", "-c", 'for i in 1 2 3 4 5; do "$@" -k >/dev/null && "$@" --print-socket; done', "sh"
    )
    rack.start()
    done = shell(*rack.cli.prefix, "agent", check=True)
    assert done.out == f"{rack.socket}\n".encode() * 5


def test_the_agent_that_the_variable_names_is_meant(rack: Seat, short_path: Path) -> None:
    """AGENTKEYS_SOCK of that owner comes before the discoverable agent, which stays."""
    pid = rack.start().pid
    sock = short_path / "mine.sock"
    rack.cli("agent", "-a", sock, check=True)
    env = {"AGENTKEYS_SOCK": str(sock), "AGENTKEYS_OWNER": "human"}
    rack.cli("agent", "-k", env=env, check=True)
    assert not sock.exists()
    assert rack.pid == pid


def test_a_variable_that_leads_nowhere_is_named_row_14(rack: Seat) -> None:
    """What is explicit is final: 3, the message names the variable and who else is there, who stays."""
    pid = rack.start().pid
    done = rack.cli("agent", "-k", env={"AGENTKEYS_SOCK": "/nonexistent", "AGENTKEYS_OWNER": "human"})
    assert (done.code, done.out) == (3, b"false;\n")
    said = "no agent answers at /nonexistent, which AGENTKEYS_SOCK names"
    said += f"; there is another agent of human at {rack.socket}"
    assert f"agentkeys: error: {said}\n".encode() in done.err
    assert b"agentkeys: hint: unset AGENTKEYS_SOCK\n" in done.err
    assert rack.pid == pid


def test_another_owners_variable_does_not_count(rack: Seat, short_path: Path) -> None:
    """--for says whose agent; the variables of another owner in this shell lead to none of it."""
    rack.cli("init", "--for", "crab", "--via", "file", check=True)
    crabs, _ = exported(rack.cli("agent", "--for", "crab", check=True).out)
    env = {"AGENTKEYS_SOCK": crabs, "AGENTKEYS_OWNER": "crab"}
    assert rack.cli("agent", "-k", "--for", "human", env=env).code == 3
    assert Path(crabs).is_socket()
    rack.start()
    rack.cli("agent", "-k", "--for", "human", env=env, check=True)
    assert Path(crabs).is_socket()


def test_others_are_named_when_they_answer(rack: Seat, short_path: Path) -> None:
    """Private agents are, dead sockets are not: a hint should lead somewhere."""
    socks = [short_path / name for name in ("a.sock", "b.sock", "c.sock")]
    for sock in socks:
        rack.cli("agent", "-a", sock, check=True)
    os.kill(rack.cli("status", "--sock", socks[1], "--json").json()["pid"], signal.SIGKILL)
    eventually(lambda: rack.cli("status", "--sock", socks[1], "--json").out == b"null\n")
    done = rack.cli("agent", "-k")
    assert done.code == 3
    assert f"there are other agents of human at {socks[0]}, {socks[2]}\n".encode() in done.err or (
        f"there are other agents of human at {socks[2]}, {socks[0]}\n".encode() in done.err
    )
    assert len(rack.home.agents()) == 2


def test_a_path_says_which(rack: Seat, short_path: Path) -> None:
    """-k -a PATH: that agent; where none answers the message names -a, and the path is left as it is."""
    sock = short_path / "mine.sock"
    done = rack.cli("agent", "-k", "-a", sock)
    assert done.code == 3
    assert f"no agent answers at {sock}, which -a names".encode() in done.err
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(sock))
    assert rack.cli("agent", "-k", "-a", sock).code == 3
    assert sock.is_socket()
    rack.cli("agent", "-a", sock, check=True)
    assert rack.cli("agent", "-k", "-a", "mine.sock", cwd=short_path, check=True).out == UNSET
    assert not sock.exists()


def test_another_owners_agent_is_not_stopped_by_mistake(rack: Seat, short_path: Path) -> None:
    """Its socket named with the wrong owner: refused, and it lives."""
    rack.cli("init", "--for", "crab", "--via", "file", check=True)
    sock = short_path / "mine.sock"
    rack.cli("agent", "--for", "crab", "-a", sock, check=True)
    done = rack.cli("agent", "-k", "-a", sock)
    assert done.code == 2
    assert f"{sock} is crab's agent, not human's".encode() in done.err
    assert len(rack.home.agents()) == 1


def test_a_stopped_agent_is_said_to_be(seat: Seat) -> None:
    """SIGSTOP: a bounded wait, 124, and the command that lets it go on."""
    process = psutil.Process(seat.pid)
    process.suspend()
    try:
        done = seat.cli("agent", "-k")
    finally:
        process.resume()
    assert (done.code, done.out) == (124, b"false;\n")
    assert f"hint: kill -CONT {process.pid}".encode() in done.err


def test_the_right_one_of_two_homes_is_stopped(rack: Seat) -> None:
    """Another home's agent of the same name is refused: neither asked to leave nor taken for ours."""
    other = {"AGENTKEYS_HOME": str(rack.home.path / "other")}
    rack.cli("init", "--via", "file", env=other, check=True)
    rack.start()
    assert rack.cli("agent", "-k", env=other).code == 3
    assert rack.status()


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "mksh"])
def test_in_a_shell_nothing_is_left_of_it(shell: str, rack: Seat) -> None:
    """Start, stop and a failing stop, as a person types them: variables set, unset, and eval fails."""
    require(shutil.which(shell), shell)
    program = shlex.join(os.fsdecode(word) for word in rack.cli.prefix)
    script = f"""
        eval "$({program} agent)" && test -S "$AGENTKEYS_SOCK" && sock=$AGENTKEYS_SOCK || exit 1
        eval "$({program} agent -k)" && test ! -e "$sock" || exit 2
        echo "${{AGENTKEYS_SOCK-unset}} ${{AGENTKEYS_AGENT_PID-unset}} ${{AGENTKEYS_OWNER-unset}}"
        eval "$({program} agent -k)" && exit 3
        exit 0
    """
    done = rack.cli.with_prefix(shell, *(["-f"] if shell == "zsh" else []), "-c")(script, check=True)
    assert done.out == b"unset unset unset\n"


def test_agent_k_without_eval_says_what_is_left(seat: Seat) -> None:
    """On a terminal the lines went to nobody's shell: a note, where the variable is set; none in a pipe."""
    env = {"AGENTKEYS_SOCK": str(seat.socket)}
    child = seat.cli.on_tty("agent", "-k", env=env)
    child.expect_exact(b"still has the variables")
    child.expect(pexpect.EOF)
    seat.start()
    assert b"still has" not in seat.cli("agent", "-k", env=env, check=True).err
