"""`agentkeys agent` where people meet it: at a prompt, in a shell's start-up file, inside a direnv .envrc."""

import os
import shlex
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.agent.seat import Seat, eventually
from tests.cli.test_exec_terminal import code
from tests.owners.tty import converse
from tests.support.plugin import Plant
from tests.support.runner import Runner
from tests.support.uids import require


def command(cli: Runner, *args: str) -> str:
    """`agentkeys …` as a shell line."""
    return shlex.join([os.fsdecode(word) for word in cli.prefix] + list(args))


@pytest.fixture
def bash(rack: Seat) -> Iterator["pexpect.spawn[bytes]"]:
    """An interactive bash with `ak` for the program under test."""
    shell = rack.cli.with_prefix("bash", "--norc", "--noprofile", "-i").on_tty(env={"PS1": "ready> ", "TERM": "dumb"})
    shell.expect_exact(b"ready> ")
    shell.sendline(f'ak() {{ {command(rack.cli)} "$@"; }}'.encode())
    shell.expect_exact(b"ready> ")
    yield shell
    shell.close(force=True)


def test_ctrl_c_ends_the_command_and_its_agent(rack: Seat, bash: "pexpect.spawn[bytes]") -> None:
    """130, the shell goes on, and nothing is left."""
    bash.sendline(b"ak agent --unlock -- sh -c 'echo started; exec sleep 60'")
    bash.expect_exact(b"started\r\n")
    bash.sendintr()
    assert code(bash) == 130
    eventually(lambda: not rack.home.agents())


def test_ctrl_z_and_fg_are_the_shells(rack: Seat, bash: "pexpect.spawn[bytes]") -> None:
    """The command stops and goes on; its agent waits for it meanwhile, and the terminal's keys never reach that."""
    bash.sendline(b"ak agent -- sh -c 'echo started; read line; echo got $line; test -S $AGENTKEYS_SOCK'")
    bash.expect_exact(b"started\r\n")
    bash.sendcontrol("z")
    bash.expect_exact(b"Stopped")
    bash.expect_exact(b"ready> ")
    assert [process for process in rack.home.agents() if "-IS" in process.cmdline()]
    bash.sendline(b"fg")
    bash.expect_exact(b"agentkeys")
    bash.sendline(b"hello")
    bash.expect_exact(b"got hello")
    assert code(bash) == 0


def test_ctrl_c_ends_an_agent_in_the_foreground(rack: Seat, bash: "pexpect.spawn[bytes]") -> None:
    """It says what to paste elsewhere, serves, and ends with 0, leaving no socket."""
    bash.sendline(b"ak agent -D")
    bash.expect_exact(b"export AGENTKEYS_OWNER;")
    assert rack.status()
    bash.sendintr()
    assert code(bash) == 0
    assert not rack.socket.exists()


def test_a_daemon_survives_the_terminal_it_was_started_from(rack: Seat, bash: "pexpect.spawn[bytes]") -> None:
    """Ctrl-C there, and its hang-up, are no concern of the agent's."""
    bash.sendline(b'eval "$(ak agent)"')
    bash.expect_exact(b"ready> ")
    pid = rack.pid
    bash.sendline(b"sh -c 'echo started; exec sleep 60'")
    bash.expect_exact(b"started\r\n")
    bash.sendintr()
    bash.expect_exact(b"ready> ")
    bash.kill(signal.SIGHUP)
    bash.close(force=True)
    assert rack.pid == pid


def test_a_person_is_told_how_many_keys_were_unlocked(rack: Seat, bash: "pexpect.spawn[bytes]") -> None:
    """One line on the terminal, and the exports go to eval alone."""
    bash.sendline(b'eval "$(ak agent --unlock)"')
    bash.expect_exact(b"agentkeys: 2 keys unlocked\r\n")
    assert code(bash) == 0
    bash.sendline(b'echo "<$AGENTKEYS_SOCK>"')
    bash.expect_exact(f"<{rack.socket}>".encode())


@pytest.mark.parametrize("form", ["eval", "command"])
def test_an_unlock_asks_on_the_terminal(form: str, home: object, cli: Runner, canary: Plant) -> None:
    """An identity under a passphrase: asked once, on the terminal and not on stdout, and never shown."""
    word = canary("passphrase")
    asked = [(b"new passphrase for human: ", word), (b"same again: ", word)]
    exit_code, shown = converse(cli, "init", "--via", "passphrase", replies=asked)
    assert exit_code == 0, shown
    words = ["agent", "--unlock"] if form == "eval" else ["agent", "--unlock", "--", "printenv", "AGENTKEYS_OWNER"]
    exit_code, shown = converse(cli, *words, replies=[(b"passphrase for human: ", word)])
    assert exit_code == 0, shown
    assert (b"AGENTKEYS_SOCK=" if form == "eval" else b"human\r\n") in shown
    assert word not in shown
    wrong = [(b"passphrase for human: ", b"not this one")] * 3
    exit_code, shown = converse(cli, *words, replies=wrong)
    assert exit_code == 4, shown
    assert (b"false;\r\n" in shown) == (form == "eval")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_line_in_the_start_up_file_row_2(shell: str, rack: Seat) -> None:
    """Two interactive shells, one after the other: the second re-uses the first one's agent, both export it."""
    require(shutil.which(shell), shell)
    rc = rack.home.path / (".bashrc" if shell == "bash" else ".zshrc")
    rc.write_text(f'eval "$({command(rack.cli, "agent", "--unlock")})"\nPS1="ready> "\n')
    found = []
    for _ in range(2):
        child = rack.cli.with_prefix(shell, "-i").on_tty(env={"TERM": "dumb", "ZDOTDIR": str(rack.home.path)})
        child.expect_exact(b"ready> ")
        child.sendline(b'sh -c \'echo "<$AGENTKEYS_SOCK $AGENTKEYS_AGENT_PID $AGENTKEYS_OWNER"">"\'')
        child.expect(rb"<(/\S+ \d+ human)>")
        found.append(child.match.group(1))
        child.close(force=True)
    assert found == [f"{rack.socket} {rack.pid} human".encode()] * 2
    assert len(rack.home.agents()) == 1


@pytest.mark.parametrize("line", ["agent", "agent --unlock", "agent --unlock -- true"])
def test_a_start_inside_an_envrc_does_not_hold_direnv_up_row_13(line: str, rack: Seat) -> None:
    """Direnv reads descriptor 3 to its end: a daemon that kept it open would hang every prompt (ssh-agent's did)."""
    require(shutil.which("direnv"), "direnv")
    project = rack.home.path / "project"
    project.mkdir()
    run = command(rack.cli, *line.split())
    text = f'eval "$({run})"\n' if "--" not in line.split() else f"{run}\nexport AGENTKEYS_SOCK=none\n"
    (project / ".envrc").write_text(text)
    direnv = rack.cli.with_prefix("direnv")
    direnv("allow", cwd=project, check=True)
    done = direnv("export", "bash", cwd=project, check=True)
    assert b"export AGENTKEYS_SOCK=" in done.out
    if "--" not in line.split():
        assert bytes(rack.socket) in done.out
        assert rack.status()


def test_a_failing_start_inside_an_envrc_is_a_failing_envrc_row_5(rack: Seat) -> None:
    """`false;` under direnv's `set -e`: direnv says so, exports nothing of ours, and doesn't hang."""
    require(shutil.which("direnv"), "direnv")
    project = rack.home.path / "project"
    project.mkdir()
    (project / ".envrc").write_text(f'eval "$({command(rack.cli, "agent", "--for", "nosuch")})"\nexport MARK=1\n')
    direnv = rack.cli.with_prefix("direnv")
    direnv("allow", cwd=project, check=True)
    done = direnv("export", "bash", cwd=project)
    assert b"AGENTKEYS_" not in done.out
    assert b"no owner nosuch here" in done.err


@pytest.mark.parametrize("umask", ["000", "777"])
def test_a_umask_changes_no_mode_of_a_private_one_row_23(umask: str, rack: Seat, short_path: Path) -> None:
    """-a and `-- command`: sockets 0600 whatever the caller's umask, which the command keeps."""
    shell = rack.cli.with_prefix("sh", "-c", f'umask {umask}; exec "$@"', "sh", *rack.cli.prefix)
    sock = short_path / "mine.sock"
    shell("agent", "-a", sock, "--unlock", check=True)
    assert sock.lstat().st_mode & 0o7777 == 0o600
    show = 'stat -c %a "$AGENTKEYS_SOCK" "$(dirname "$AGENTKEYS_SOCK")"; umask'
    done = shell("agent", "--unlock", "--", "sh", "-c", show, check=True)
    assert done.out.split() == [b"600", b"700", b"0" + umask.encode()]
    (lock,) = rack.home.root.glob("run/*/*/private-at-*")
    assert lock.stat().st_mode & 0o7777 == 0o600
