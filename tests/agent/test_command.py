"""`agentkeys agent -- command`: a private agent that lives exactly as long as its command, whatever ends that."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.agent.seat import Seat, eventually, watched
from tests.support.uids import require

SHOW = 'printenv AGENTKEYS_SOCK AGENTKEYS_OWNER AGENTKEYS_AGENT_PID; test -S "$AGENTKEYS_SOCK"'


def ak(seat: Seat) -> str:
    """The program under test, for a shell."""
    return shlex.join(os.fsdecode(word) for word in seat.cli.prefix)


def leftovers(seat: Seat) -> list[Path]:
    """Sockets and locks of private agents that are there."""
    locks = seat.home.root.glob("run/*/*/private-*")
    return [*locks, *seat.home.runtime.glob("**/*private-*")]


def its_agent(seat: Seat) -> psutil.Process:
    """The one agent that lives; a shell whose script speaks of agentkeys is none."""
    (found,) = [process for process in seat.home.agents() if "-IS" in process.cmdline()]
    return found


def nothing_is_left(seat: Seat) -> None:
    """No process, no socket, no lock: at once, or as soon as the agent has looked up."""
    eventually(lambda: not seat.home.agents() and not leftovers(seat))


def test_an_agent_for_one_command_row_27(rack: Seat) -> None:
    """The command and its children have socket, owner and pid of a live agent; code 7 is 7; nothing is left."""
    done = rack.cli("agent", "--", "sh", "-c", f"sh -c {shlex.quote(SHOW)} && {ak(rack)} status --json; exit 7")
    assert (done.code, done.err) == (7, b"")
    path, owner, pid, status = done.out.decode().split("\n", 3)
    assert Path(path).parent == rack.home.runtime / "agentkeys"
    assert owner == "human"
    assert f'"pid":{pid},' in status
    assert f'"socket":"{path}"' in status
    nothing_is_left(rack)
    assert rack.status() is None


@pytest.mark.parametrize("code", [0, 1, 2, 3, 126, 127, 130, 255])
def test_the_exit_code_is_the_commands_own(code: int, rack: Seat) -> None:
    """Also where it looks like one of ours, and stdout is the command's alone."""
    done = rack.cli("agent", "--", "sh", "-c", f"echo said; exit {code}")
    assert (done.code, done.out) == (code, b"said\n")


@pytest.mark.parametrize("command", [["nosuch"], ["/nonexistent/x"], ["./nosuch"], [""]], ids=repr)
def test_a_command_that_is_not_there_row_28(command: list[str], rack: Seat) -> None:
    """127, nothing on stdout, and no agent was made for it."""
    done = rack.cli("agent", "--", *command)
    assert (done.code, done.out) == (127, b"")
    assert b"is not a command" in done.err
    assert rack.home.agents() == []
    assert leftovers(rack) == []


def test_a_command_that_can_not_be_executed_is_126(rack: Seat) -> None:
    """A file without the bit, a directory: 126 before any start. A missing interpreter shows only at its execution."""
    script = rack.home.path / "script"
    script.write_text("#!/bin/sh\n")
    for path in (script, rack.home.path):
        done = rack.cli("agent", "--", path)
        assert (done.code, done.out) == (126, b"")
        assert leftovers(rack) == []
    script.write_text("#!/nonexistent/interpreter\n")
    script.chmod(0o755)
    done = rack.cli("agent", "--", script)
    assert (done.code, done.out) == (127, b"")
    nothing_is_left(rack)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL, signal.SIGABRT])
def test_a_signal_is_the_commands_own_row_29(number: signal.Signals, rack: Seat) -> None:
    """The command dies of it, so a shell says 128 + its number; the agent goes with it."""
    done = rack.cli("agent", "--", "sh", "-c", f"kill -{number.name[3:]} $$")
    assert done.code == -number
    shell = rack.cli.with_prefix("sh", "-c", f'{ak(rack)} agent -- sh -c "kill -{number.name[3:]} \\$\\$"; exit $?')
    assert shell().code == 128 + number
    nothing_is_left(rack)


def test_the_caller_becomes_the_command(rack: Seat) -> None:
    """Same process: what is sent to the one that was started reaches the command; it is no child that we forward to."""
    child = rack.cli.start("agent", "--", "sh", "-c", "echo $$ $PPID; exec sleep 60", stdout=subprocess.PIPE)
    assert child.stdout
    line = child.stdout.readline().split()
    assert line == [b"%d" % child.pid, b"%d" % os.getpid()]
    agent = its_agent(rack)
    assert agent.ppid() != child.pid
    assert psutil.Process(child.pid).children() == []
    with watched(agent.pid) as gone:
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == -signal.SIGTERM
        gone()
    nothing_is_left(rack)


def test_kill_9_of_the_command_is_the_agents_end(rack: Seat) -> None:
    """Reaped or not: the agent sees a zombie as dead, wipes, and takes socket and lock along."""
    child = rack.cli.start("agent", "--unlock", "--", "sh", "-c", "echo up; exec sleep 60", stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline() == b"up\n"
    agent = its_agent(rack)
    assert len(leftovers(rack)) == 2
    with watched(agent.pid) as gone:
        os.kill(child.pid, signal.SIGKILL)
        gone()  # nobody has waited for the child yet
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert leftovers(rack) == []
    child.wait()


def test_kill_9_of_the_agent_leaves_nothing_for_long(rack: Seat) -> None:
    """The command goes on, without keys (exit 3). The next agent of the owner sweeps what the dead one left."""
    script = f"echo up; read _; {ak(rack)} get GITHUB_TOKEN; echo code $?"
    child = rack.cli.start(
        "agent", "--unlock", "--", "sh", "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, reveals=True
    )
    assert child.stdout
    assert child.stdout.readline() == b"up\n"
    agent = its_agent(rack)
    with watched(agent.pid) as gone:
        agent.kill()
        gone()
    assert len(leftovers(rack)) == 2
    out, _ = child.communicate(b"\n", timeout=20)
    assert out == b"code 3\n"
    rack.start()
    assert leftovers(rack) == []


def test_two_commands_have_two_agents(rack: Seat) -> None:
    """Each its own, beside the discoverable one; keys unlocked in one are in no other."""
    rack.start()
    probe = f"{ak(rack)} get GITHUB_TOKEN >/dev/null 2>&1; echo $?; echo $AGENTKEYS_SOCK"
    nested = f"{probe}; exec {ak(rack)} agent -- sh -c {shlex.quote(probe)}"
    done = rack.cli("agent", "--unlock", "--", "sh", "-c", nested, check=True)
    outer, outer_path, inner, inner_path = done.out.decode().split()
    assert (outer, inner) == ("0", "4")
    assert outer_path != inner_path
    assert rack.status()["unlocked"] is False
    eventually(lambda: len(rack.home.agents()) == 1)


def test_a_private_agent_is_found_by_its_variable_alone(rack: Seat) -> None:
    """Without AGENTKEYS_SOCK the owner has no agent, from the command's own environment or from elsewhere."""
    script = f"{ak(rack)} get GITHUB_TOKEN >/dev/null && unset AGENTKEYS_SOCK && {ak(rack)} get GITHUB_TOKEN"
    done = rack.cli("agent", "--unlock", "--", "sh", "-c", script)
    assert done.code == 3
    assert b"there is another agent of human at " in done.err


def test_unlock_brings_the_keys_before_the_command_runs(rack: Seat) -> None:
    """`agent --unlock -- agentkeys exec -- …` is a whole script's worth of keys in one line."""
    done = rack.cli("agent", "--unlock", "--", *rack.cli.prefix, "exec", "--", "printenv", "GITHUB_TOKEN", reveals=True)
    assert (done.code, done.out) == (0, rack.values["GITHUB_TOKEN"] + b"\n")
    done = rack.cli("agent", "--for", "human", "--unlock", "--", "true")
    assert (done.code, done.out, done.err) == (0, b"", b"")
    nothing_is_left(rack)


def test_an_unlock_that_fails_runs_nothing(rack: Seat) -> None:
    """The error and its code, nothing on stdout, no command and no agent."""
    (rack.home.root / "identity" / "human.key").unlink()
    marker = rack.home.path / "ran"
    done = rack.cli("agent", "--unlock", "--", "touch", marker)
    assert (done.code, done.out) == (7, b"")
    assert done.err.startswith(b"agentkeys: error: ")
    assert not marker.exists()
    nothing_is_left(rack)


def test_the_command_gets_its_callers_environment(rack: Seat) -> None:
    """All of it, with the three names laid over what another agent had exported."""
    old = {"AGENTKEYS_SOCK": "/nonexistent", "AGENTKEYS_OWNER": "human", "AGENTKEYS_AGENT_PID": "1", "MARK": "a b\n"}
    done = rack.cli("agent", "--", "env", "-0", env=old, check=True)
    found = dict(entry.split(b"=", 1) for entry in done.out.split(b"\0") if entry)
    assert found[b"MARK"] == b"a b\n"
    assert found[b"HOME"] == os.fsencode(rack.home.path)
    assert found[b"AGENTKEYS_SOCK"].startswith(os.fsencode(rack.home.runtime))
    assert found[b"AGENTKEYS_AGENT_PID"] != b"1"


def test_an_identity_goes_no_further_than_the_unlock(rack: Seat) -> None:
    """With --unlock AGENTKEYS_IDENTITY is used and taken out: the command can use keys and open no rack."""
    identity = (rack.home.root / "identity" / "human.key").read_text()
    rack.cli("init", "--for", "ci", "--via", "env", env={"AGENTKEYS_IDENTITY": identity}, check=True)
    show = ("--", "sh", "-c", 'echo "${AGENTKEYS_IDENTITY+set}"')
    env = {"AGENTKEYS_IDENTITY": identity}
    assert rack.cli("agent", "--for", "ci", "--unlock", *show, env=env, check=True).out == b"\n"
    assert rack.cli("agent", "--for", "ci", *show, env=env, check=True).out == b"set\n"


def test_the_commands_descriptors_are_its_own(rack: Seat) -> None:
    """Stdin, stdout and a pipe on 9 reach the command, and the agent holds none of them open."""
    reader, writer = os.pipe()
    child = rack.cli.with_prefix("bash", "-c", f'exec 9>&{writer}; "$@"', "bash")(
        *rack.cli.prefix, "agent", "--", "sh", "-c", "cat; echo nine >&9", input=b"through", pass_fds=[writer]
    )
    os.close(writer)
    assert (child.code, child.out) == (0, b"through")
    with open(reader, "rb") as pipe:
        assert pipe.read() == b"nine\n"


def test_a_command_substitution_ends_with_the_command_row_11(rack: Seat) -> None:
    """`x=$(agentkeys agent -- echo hi)` has its end of file although the agent may live a moment longer."""
    shell = rack.cli.with_prefix("sh", "-c", f'x=$({ak(rack)} agent -- echo hi); echo "<$x>"')
    assert shell(check=True).out == b"<hi>\n"


def test_signals_that_python_ignores_are_put_back(rack: Seat) -> None:
    """The command has SIGPIPE and SIGXFSZ as the caller's children usually do: `yes | head` ends."""
    direct = rack.cli.with_prefix("sh", "-c", "grep SigIgn /proc/self/status")(check=True).out
    done = rack.cli("agent", "--", "grep", "SigIgn", "/proc/self/status", check=True)
    assert done.out == direct


def test_what_follows_the_dashes_is_the_commands(rack: Seat) -> None:
    """Its own options, its own --, and words that look like ours are passed on untouched."""
    words = ["--for", "nosuch", "-k", "--", "--print-socket", "", "a b"]
    show = [sys.executable, "-IS", "-c", "import sys; print(sys.argv[1:])"]
    done = rack.cli("agent", "--", *show, *words, check=True)
    assert done.out.decode() == f"{words}\n"


def test_a_named_socket_for_one_command(rack: Seat, short_path: Path) -> None:
    """-a says where, the command says how long."""
    path = short_path / "mine.sock"
    done = rack.cli("agent", "-a", path, "--", "sh", "-c", 'test -S "$AGENTKEYS_SOCK" && echo "$AGENTKEYS_SOCK"')
    assert (done.code, done.out) == (0, f"{path}\n".encode())
    eventually(lambda: not path.exists())
    nothing_is_left(rack)


def test_as_the_first_process_of_a_container(rack: Seat) -> None:
    """The command is process 1 and adopts the agent: its code is its own, and both end with it."""
    container = rack.cli.with_prefix("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    require(container("true").code == 0, "the right to make a pid namespace")
    script = f"echo $$; {ak(rack)} exec -- printenv GITHUB_TOKEN; exit 7"
    done = container(*rack.cli.prefix, "agent", "--unlock", "--", "sh", "-c", script, reveals=True)
    assert (done.code, done.out) == (7, b"1\n" + rack.values["GITHUB_TOKEN"] + b"\n")
    eventually(lambda: not rack.home.agents())


def test_no_owner_no_command(rack: Seat) -> None:
    """A mistyped --for is 2, and nothing runs."""
    marker = rack.home.path / "ran"
    done = rack.cli("agent", "--for", "nosuch", "--", "touch", marker)
    assert (done.code, done.out) == (2, b"")
    assert not marker.exists()


def test_the_agent_waits_without_waking(rack: Seat) -> None:
    """No polling: while its command sleeps, the agent's thread is not scheduled once."""
    child = rack.cli.start("agent", "--", "sh", "-c", "echo up; exec sleep 60", stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    agent = its_agent(rack)
    eventually(lambda: agent.status() == psutil.STATUS_SLEEPING)
    before = agent.num_ctx_switches()
    rack.cli("status")  # something else goes on meanwhile
    assert agent.num_ctx_switches() == before
    child.terminate()
    nothing_is_left(rack)
