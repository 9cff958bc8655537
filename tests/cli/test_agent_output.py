"""What `agentkeys agent` prints is fed to eval: exports on success, `false;` and nothing else on failure."""

import fcntl
import os
import shlex
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.agent.seat import Seat, eventually
from tests.support.homes import Home
from tests.support.runner import Runner
from tests.support.uids import require

SHELLS = ("sh", "bash", "dash", "zsh", "mksh")
EXPORTED = ("AGENTKEYS_SOCK", "AGENTKEYS_AGENT_PID", "AGENTKEYS_OWNER")


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, cli: Runner) -> Runner:
    """A shell without the user's start files: `shell(script)`."""
    path = f"/bin/{request.param}"
    require(os.path.exists(path), request.param)
    return cli.with_prefix(path, *(["-f"] if request.param == "zsh" else []), "-c")


def command(cli: Runner, *args: str) -> str:
    """`agentkeys …` as a shell line."""
    return shlex.join([os.fsdecode(word) for word in cli.prefix] + list(args))


def open_dir(seat: Seat) -> list[str]:
    """The socket's directory is there, and others can enter it."""
    (seat.home.runtime / "agentkeys").mkdir(mode=0o755)
    (seat.home.runtime / "agentkeys").chmod(0o755)
    return []


def file_in_the_way(seat: Seat) -> list[str]:
    """A file has the socket's name."""
    seat.socket.parent.mkdir(mode=0o700)
    seat.socket.write_text("")
    return []


def broken_config(seat: Seat) -> list[str]:
    """The operator's config can't be read."""
    (seat.home.path / ".config" / "agentkeys").mkdir()
    (seat.home.path / ".config" / "agentkeys" / "config.toml").write_text("nonsense = ")
    return []


FAILURES: dict[str, Callable[[Seat], list[str]]] = {
    "no such owner": lambda _seat: ["--for", "nosuch"],
    "no owner's name": lambda _seat: ["--for", "a/b"],
    "unknown option": lambda _seat: ["--nonsense"],
    "option without its value": lambda _seat: ["--for"],
    "stray argument": lambda _seat: ["extra"],
    "nobody to stop": lambda _seat: ["-k"],
    "socket directory open to others": open_dir,
    "file where the socket goes": file_in_the_way,
    "config that is no TOML": broken_config,
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_agent_prints_false_and_nothing_else(failure: str, rack: Seat) -> None:
    """Stdout is the one word that makes eval fail; the reason is on stderr, and no agent is left."""
    args = FAILURES[failure](rack)
    done = rack.cli("agent", *args)
    assert done.out == b"false;\n"
    assert done.code not in (0, 1)
    assert done.err.startswith(b"agentkeys: error: ")
    assert b"Traceback" not in done.err
    assert rack.home.agents() == []


@pytest.mark.parametrize("value", ["relative", "/nonexistent/dir", "", "/tmp\n", "/etc"])
def test_a_runtime_directory_that_can_not_serve_is_no_silent_success(value: str, rack: Seat) -> None:
    """Either an agent answers at the path that is printed, or stdout is `false;` and the exit code says why."""
    rack.cli("init", "--for", "drifter", check=True)
    done = rack.cli("agent", "--for", "drifter", env={"XDG_RUNTIME_DIR": value})
    if done.code:
        assert done.out == b"false;\n"
        return
    path = shlex.split(done.out.decode())[0].removeprefix("AGENTKEYS_SOCK=").removesuffix(";")
    assert path.startswith("/")
    assert not path.startswith(str(rack.home.path))
    assert rack.cli("status", "--for", "drifter", "--sock", path, "--json", check=True).json()["socket"] == path


def test_an_eval_of_a_failing_agent_fails(shell: Runner, rack: Seat) -> None:
    """In every shell, quoted or not, and `set -e` stops the script there."""
    failing = command(rack.cli, "agent", "--for", "nosuch")
    assert shell(f'eval "$({failing})"; echo "code $?"').out == b"code 1\n"
    assert shell(f"eval $({failing}); echo code $?").out == b"code 1\n"
    stopped = shell(f'set -e; eval "$({failing})"; echo "went on"')
    assert (stopped.code, stopped.out) == (1, b"")


@pytest.mark.parametrize("form", ['eval "$({})"', "eval $({})", "eval `{}`"])
def test_an_eval_exports_the_agent(form: str, shell: Runner, rack: Seat) -> None:
    """Quoted, unquoted or in backquotes: socket, pid and owner reach a child of that shell."""
    show = "printenv AGENTKEYS_SOCK AGENTKEYS_AGENT_PID AGENTKEYS_OWNER"
    done = shell(f"set -eu; {form.format(command(rack.cli, 'agent'))}; {show}", check=True)
    assert done.out.decode().split("\n") == [str(rack.socket), str(rack.pid), "human", ""]


def test_a_plain_path_is_printed_without_quotes(rack: Seat) -> None:
    """Three lines of ssh-agent's shape, and the second start prints the same."""
    first = rack.cli("agent", check=True)
    wanted = f"AGENTKEYS_SOCK={rack.socket}; export AGENTKEYS_SOCK;\n"
    wanted += f"AGENTKEYS_AGENT_PID={rack.pid}; export AGENTKEYS_AGENT_PID;\n"
    wanted += "AGENTKEYS_OWNER=human; export AGENTKEYS_OWNER;\n"
    assert first.out.decode() == wanted
    again = rack.cli("agent", "-s", check=True)
    assert (again.out, again.err) == (first.out, b"")


def test_stopping_an_agent_unsets_what_it_exported(shell: Runner, rack: Seat) -> None:
    """`eval "$(agentkeys agent -k)"` leaves none of the three names."""
    start, stop = command(rack.cli, "agent"), command(rack.cli, "agent", "-k")
    script = f'set -eu; eval "$({start})"; eval "$({stop})"; set +u; '
    script += " ".join(f'echo "${{{name}-unset}}";' for name in EXPORTED)
    assert shell(script, check=True).out == b"unset\n" * 3
    assert rack.status() is None
    assert not rack.socket.exists()


def test_a_ctrl_c_while_it_waits_makes_eval_fail(rack: Seat) -> None:
    """Interrupted behind another start, it prints `false;` and exits 130; nothing is left behind."""
    rack.start().cli("agent", "-k", check=True)
    (run,) = (rack.home.root / "run").glob("*/human")
    with (run / "start").open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        child = rack.cli.start("agent", stdout=subprocess.PIPE)
        opened = f"/proc/{child.pid}/fd"
        eventually(lambda: any(os.path.realpath(f"{opened}/{fd}") == str(run / "start") for fd in os.listdir(opened)))
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=10)
    assert (child.returncode, out) == (130, b"false;\n")
    assert rack.home.agents() == []


def test_home_of_the_caller_does_not_leak_into_the_agent(rack: Seat, home: Home) -> None:
    """The daemon's environment is new: of the caller's variables only those that say where things are."""
    caller = {"LD_LIBRARY_PATH": "/tmp", "PYTHONPATH": "/tmp", "MARK": "x", "GITHUB_TOKEN": "x"}
    rack.cli("agent", env=caller, check=True)
    with open(f"/proc/{rack.pid}/environ", "rb") as file:
        names = {entry.partition(b"=")[0].decode() for entry in file.read().split(b"\0") if entry}
    assert names <= {"HOME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "TMPDIR", "PATH"}
    assert os.readlink(f"/proc/{rack.pid}/cwd") == "/"
