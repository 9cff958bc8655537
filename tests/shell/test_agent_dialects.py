"""`agentkeys agent` in the caller's own dialect: what its shell runs exports the socket, or fails in that shell."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentkeys import paths
from agentkeys.cli import shells as cli_shells
from agentkeys.client import Unclear, shells
from tests.agent.seat import Seat
from tests.shell.shells import EXPORTED, PLAINLY, line, run, shell_named
from tests.support.uids import require

PRINTED = {
    "sh": "AGENTKEYS_SOCK={socket}; export AGENTKEYS_SOCK;\n"
    "AGENTKEYS_AGENT_PID={pid}; export AGENTKEYS_AGENT_PID;\n"
    "AGENTKEYS_OWNER=human; export AGENTKEYS_OWNER;\n",
    "csh": "setenv AGENTKEYS_SOCK {socket};\nsetenv AGENTKEYS_AGENT_PID {pid};\nsetenv AGENTKEYS_OWNER human;\n",
    "fish": "set -gx AGENTKEYS_SOCK '{socket}';\n"
    "set -gx AGENTKEYS_AGENT_PID '{pid}';\n"
    "set -gx AGENTKEYS_OWNER 'human';\n",
    "json": '{{"AGENTKEYS_SOCK":"{socket}","AGENTKEYS_AGENT_PID":"{pid}","AGENTKEYS_OWNER":"human"}}\n',
}

ODD = b"sp  ace'$(touch ran)`touch ran`*!!\"\\$HOME;{a,b}~#caf\xc3\xa9"


def printed(seat: Seat, dialect: str) -> bytes:
    """What that agent prints in a dialect."""
    return PRINTED[dialect].format(socket=seat.socket, pid=seat.pid).encode()


@pytest.mark.parametrize("dialect", PRINTED)
def test_the_dialect_asked_for_wins_over_the_caller(dialect: str, rack: Seat) -> None:
    """When it starts the agent and when it re-uses it, whatever $SHELL and the parent are."""
    env = {"SHELL": "/usr/bin/fish" if dialect == "sh" else "/bin/bash"}
    first = rack.cli("agent", "--shell", dialect, env=env, check=True).out
    assert first == printed(rack, dialect)
    for parent in ("bash", "fish", "tcsh"):
        done = run(rack.cli, shell_named(parent), line(rack.cli, "agent", "--shell", dialect) + "; true", env=env)
        assert done.out == first, parent
    short = {"sh": "-s", "csh": "-c"}.get(dialect)
    assert not short or rack.cli("agent", short, env=env, check=True).out == first


@pytest.mark.parametrize("login", ["/bin/bash", "/usr/bin/fish", "/bin/tcsh", "/bin/nologin", None])
@pytest.mark.parametrize("name", PLAINLY)
def test_a_shell_is_answered_in_its_own_dialect(name: str, login: str | None, locked: Seat) -> None:
    """The parent process says which it is, not $SHELL: a fish that bash started gets fish."""
    shell = shell_named(name)
    done = run(locked.cli, shell, line(locked.cli, "agent") + "; true", env={"SHELL": login})
    assert done.out == printed(locked, shell.dialect)


@pytest.mark.parametrize(
    ("login", "dialect"),
    [
        ("/usr/bin/fish", "fish"),
        ("/bin/tcsh", "csh"),
        ("/bin/csh", "csh"),
        ("/bin/zsh", "sh"),
        ("", "sh"),
        (None, "sh"),
    ],
)
def test_a_caller_that_is_no_shell_gets_the_login_shells(login: str | None, dialect: str, locked: Seat) -> None:
    """As ssh-agent; sh when $SHELL says nothing."""
    assert locked.cli("agent", env={"SHELL": login}, check=True).out == printed(locked, dialect)


def test_a_script_is_known_by_its_interpreter(locked: Seat, tmp_path: Path) -> None:
    """The name of a script tells nothing; nor does the name of a link to a shell that is called something else."""
    script = tmp_path / "fish"
    script.write_text(f"#!/bin/bash\n{line(locked.cli, 'agent')}\ntrue\n")
    script.chmod(0o755)
    env = {"SHELL": "/bin/tcsh"}
    assert locked.cli.with_prefix(script)(env=env, check=True).out == printed(locked, "sh")


def test_busybox_is_known_by_the_name_it_was_called_by(locked: Seat, tmp_path: Path) -> None:
    """Its one program is every shell and none."""
    copy = tmp_path / "busybox"
    shutil.copy(shell_path("bash"), copy)
    env = {"SHELL": "/usr/bin/fish"}
    (tmp_path / "ash").symlink_to(copy)
    shell = locked.cli.with_prefix(tmp_path / "ash", "-c")
    assert shell(line(locked.cli, "agent") + "; true", env=env, check=True).out == printed(locked, "sh")
    shell = locked.cli.with_prefix(copy, "-c")
    assert shell(line(locked.cli, "agent") + "; true", env=env, check=True).out == printed(locked, "fish")


def shell_path(name: str) -> str:
    """Where a shell's program is."""
    path = shutil.which(name)
    require(path, name)
    return str(path)


@pytest.mark.parametrize("name", [*PLAINLY, "fish, eval"])
def test_start_export_and_stop(name: str, rack: Seat) -> None:
    """Each shell has the three variables for its children, and after -k none of them; twice in a row is no failure."""
    shell = shell_named(name)
    start, stop = line(rack.cli, "agent"), line(rack.cli, "agent", "-k")
    script = shell.taking(start, f"env -0 {shell.then} ")
    script = f"{script}{shell.take.format(start)} {shell.then} {shell.take.format(stop)} {shell.then} env -0"
    done = run(rack.cli, shell, script, check=True)
    entries = done.out.split(b"\0")
    found = [entry.partition(b"=")[::2] for entry in entries if entry.startswith(b"AGENTKEYS_")]
    assert sorted(variable.decode() for variable, _ in found) == sorted(EXPORTED)
    assert dict(found)[b"AGENTKEYS_SOCK"] == os.fsencode(rack.socket)
    assert dict(found)[b"AGENTKEYS_OWNER"] == b"human"
    assert rack.status() is None


UNSET = {
    "sh": b"unset AGENTKEYS_SOCK;\nunset AGENTKEYS_AGENT_PID;\nunset AGENTKEYS_OWNER;\n",
    "csh": b"unsetenv AGENTKEYS_SOCK;\nunsetenv AGENTKEYS_AGENT_PID;\nunsetenv AGENTKEYS_OWNER;\n",
    "fish": b"set -e AGENTKEYS_SOCK; or true;\n"
    b"set -e AGENTKEYS_AGENT_PID; or true;\n"
    b"set -e AGENTKEYS_OWNER; or true;\n",
    "json": b'{"AGENTKEYS_SOCK":null,"AGENTKEYS_AGENT_PID":null,"AGENTKEYS_OWNER":null}\n',
}


@pytest.mark.parametrize("dialect", UNSET)
def test_stopping_prints_the_opposite_in_the_same_dialect(dialect: str, locked: Seat) -> None:
    """To the byte."""
    assert locked.cli("agent", "-k", "--shell", dialect, check=True).out == UNSET[dialect]


@pytest.mark.parametrize("name", [*PLAINLY, "bash, posix and strict", "fish, eval"])
def test_a_failure_fails_in_every_shell(name: str, rack: Seat) -> None:
    """No such owner; and no agent to stop: what follows doesn't run."""
    shell = shell_named(name)
    for args in (["agent", "--for", "nosuch"], ["agent", "-k"], ["agent", "--nonsense"]):
        done = run(rack.cli, shell, shell.taking(line(rack.cli, *args), "echo went on"))
        assert b"went on" not in done.out, args
        assert done.code != 0
        assert b"agentkeys: error: " in done.err


@pytest.mark.parametrize("dialect", PRINTED)
def test_a_failure_prints_false_in_every_dialect(dialect: str, rack: Seat) -> None:
    """And nothing else; JSON's reader finds no JSON."""
    for args in (["--for", "nosuch"], ["-k"], ["--nonsense"]):
        done = rack.cli("agent", "--shell", dialect, *args)
        assert done.code in (2, 3)
        assert done.out == b"false;\n"
    with pytest.raises(ValueError):
        json.loads(done.out)


@pytest.mark.parametrize(
    "args",
    [["-s", "-c"], ["-c", "--shell", "fish"], ["--shell", "sh", "-c"], ["--shell", "nu"], ["--shell=/bin/x"]],
    ids=" ".join,
)
def test_two_dialects_or_none_we_know_are_usage(args: list[str], locked: Seat) -> None:
    """Exit 2 before anything is started or stopped."""
    for more in ([], ["-k"]):
        done = locked.cli("agent", *args, *more)
        assert (done.code, done.out) == (2, b"false;\n")
        assert b"\nagentkeys: hint: agentkeys agent --shell sh\n" in done.err
    assert locked.status() is not None


def test_saying_one_dialect_twice_is_no_contradiction(locked: Seat) -> None:
    """-c is --shell csh, and zsh is sh."""
    assert locked.cli("agent", "-c", "--shell", "tcsh", check=True).out == printed(locked, "csh")
    assert locked.cli("agent", "-s", "--shell", "zsh", check=True).out == printed(locked, "sh")


@pytest.fixture
def odd_runtime(short_path: Path) -> Iterator[Path]:
    """A place for oddly named runtime directories."""
    yield short_path
    shutil.rmtree(os.fsencode(short_path))


@pytest.mark.parametrize("name", [*PLAINLY, "fish, eval"])
def test_an_odd_socket_path_arrives_exactly(name: str, rack: Seat, odd_runtime: Path) -> None:
    """Blanks, quotes, commands, globs, history, backslashes, letters that are not ASCII: nothing is run."""
    runtime = os.fsencode(odd_runtime) + b"/" + ODD
    os.mkdir(runtime, 0o700)
    env = {"XDG_RUNTIME_DIR": os.fsdecode(runtime)}
    shell = shell_named(name)
    script = shell.taking(line(rack.cli, "agent"), "printenv AGENTKEYS_SOCK")
    for _start_then_reuse in range(2):
        done = run(rack.cli, shell, script, env=env, cwd=odd_runtime, check=True)
        assert done.out == runtime + b"/agentkeys/human.sock\n"
        assert (b"with the double quotes" in done.err) == (shell.dialect in ("sh", "csh"))
    assert os.listdir(os.fsencode(odd_runtime)) == [ODD]


def test_a_plain_path_survives_csh_without_quotes(locked: Seat) -> None:
    """The way of ssh-agent's manual: eval `agentkeys agent -c`."""
    script = f"eval `{line(locked.cli, 'agent', '-c')}` && printenv AGENTKEYS_SOCK"
    assert run(locked.cli, shell_named("tcsh"), script, check=True).out == os.fsencode(locked.socket) + b"\n"


def test_a_path_that_json_cannot_hold_is_refused(rack: Seat, odd_runtime: Path) -> None:
    """Not UTF-8: exit 2, `false;`."""
    runtime = os.fsencode(odd_runtime) + b"/caf\xe9"
    os.mkdir(runtime, 0o700)
    done = rack.cli("agent", "--shell", "json", env={"XDG_RUNTIME_DIR": os.fsdecode(runtime)})
    assert (done.code, done.out) == (2, b"false;\n")
    assert b"AGENTKEYS_SOCK is not UTF-8" in done.err


NAMES = {
    "sh": "sh /bin/sh bash -bash /usr/bin/bash dash ash zsh zsh-5.9 /usr/bin/zsh5 ksh ksh93 mksh yash",
    "csh": "csh tcsh /bin/tcsh -tcsh bsd-csh",
    "fish": "fish /usr/bin/fish -fish /opt/fish/bin/fish",
    "": "python3.11 pwsh xonsh elvish nu ssh fishd catfish shx bash.sh sshd systemd",
}


@pytest.mark.parametrize("dialect", NAMES)
def test_shells_are_told_by_their_programs_name(dialect: str) -> None:
    """With a path, a version, a login shell's dash, or /proc's word for a program that was replaced."""
    for name in NAMES[dialect].split():
        assert shells.dialect_of(name) == shells.dialect_of(f"{name} (deleted)") == dialect, name


@pytest.mark.parametrize(("shell", "dialect"), [("fish", "fish"), ("tcsh", "csh"), ("zsh", "sh"), ("nu", "sh")])
def test_without_proc_the_explaining_path_asks_ps(shell: str, dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: the fast path hands over, and shellingham looks."""

    def unclear(_environ: object) -> str:
        raise Unclear

    monkeypatch.setattr(shells, "calling_shell", unclear)
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))
    assert cli_shells.calling_shell() == dialect


def test_without_proc_and_without_ps_the_login_shell_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is left."""
    import shellingham

    def nothing(*_: object) -> tuple[str, str]:
        raise shellingham.ShellDetectionFailure

    monkeypatch.setattr("shellingham.detect_shell", nothing)
    monkeypatch.setattr(paths, "MACOS", True)
    monkeypatch.setattr(shells.posix, "environ", {b"SHELL": b"/usr/bin/fish"})
    assert cli_shells.calling_shell() == "fish"
