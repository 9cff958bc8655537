"""When stdout or stderr is closed, full or broken, or the locale knows nothing: no traceback, no lie, no stray byte."""

import os
import subprocess

import pytest

from tests.agent.seat import Seat
from tests.support.plugin import Plant

LISTINGS = {
    "get": ["get", "GITHUB_TOKEN"],
    "status": ["status"],
    "status as JSON": ["status", "--json"],
    "list": ["list"],
    "list as JSON": ["list", "--json"],
    "agent": ["agent"],
    "agent for fish": ["agent", "--shell", "fish"],
    "source": ["source"],
    "init": ["init"],
    "help": ["--help"],
    "help of a verb": ["set", "--help"],
    "version": ["--version"],
}


def fails_plainly(seat: Seat, args: list[str], redirection: str) -> None:
    """Exit 1 with one error of ours on stderr, if that is open."""
    shell = seat.cli.with_prefix("sh", "-c", f'exec "$@" {redirection}', "sh", *seat.cli.prefix)
    done = shell(*args)
    assert done.code == 1, done
    assert done.out == b""
    if "2>" not in redirection:
        assert done.err.startswith(b"agentkeys: error: stdout "), done.err
        assert b"a bug" not in done.err
        assert b"Traceback" not in done.err
        assert b"Exception ignored" not in done.err


@pytest.mark.parametrize("verb", LISTINGS)
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", ">&- 2>&-", ">&- <&-"])
def test_an_answer_that_nobody_gets_is_a_failure(redirection: str, verb: str, shared: Seat) -> None:
    """Stdout closed or full: exit 1 and the reason, never a success."""
    fails_plainly(shared, LISTINGS[verb], redirection)
    assert shared.states() == {"GITHUB_TOKEN": "unlocked", "OPENAI_API_KEY": "unlocked"}


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_value_goes_to_stdout_or_nowhere(streams: str, seat: Seat) -> None:
    """With a standard stream closed, the next file to be opened takes its number; no value may land there."""
    shell = seat.cli.with_prefix("sh", "-c", f'exec "$@" {streams}', "sh", *seat.cli.prefix)
    done = shell("get", "GITHUB_TOKEN", reveals=streams == "2>&-")
    assert (done.code == 0) == (streams == "2>&-")
    assert done.out == (seat.values["GITHUB_TOKEN"] if done.code == 0 else b"")
    child = shell("exec", "--", "sh", "-c", "ls /proc/self/fd | tr '\\n' ' ' >fds; exit 7")
    assert child.code == 7
    got = {int(fd) for fd in (seat.home.path / "fds").read_text().split()}
    assert max(got) <= 3, "ls itself opens one directory"
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]


def test_set_says_so_when_its_answer_is_lost(seat: Seat, canary: Plant) -> None:
    """The value is stored, which is why the exit code isn't 0 in silence: the error is about stdout alone."""
    value = canary("stored although stdout was full")
    shell = seat.cli.with_prefix("sh", "-c", 'exec "$@" >/dev/full', "sh", *seat.cli.prefix)
    done = shell("set", "GITHUB_TOKEN", input=value)
    assert done.code == 1
    assert done.err.startswith(b"agentkeys: error: stdout ")
    assert seat.get("GITHUB_TOKEN").out == value


@pytest.mark.parametrize("verb", LISTINGS)
def test_a_reader_that_left_costs_no_traceback(verb: str, shared: Seat) -> None:
    """A broken pipe ends it quietly, not with success."""
    reader, writer = os.pipe()
    os.close(reader)
    child = shared.cli.start(*LISTINGS[verb], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _, err = child.communicate(timeout=20)
    assert child.returncode != 0
    assert b"Traceback" not in err
    assert b"a bug" not in err
    assert b"Exception ignored" not in err


def test_a_reader_may_leave_in_the_middle(seat: Seat, canary: Plant) -> None:
    """`get … | head -c 5` of a large value: what was read is right, and nothing is said of the rest."""
    value = canary("large").ljust(500_000, b"x")
    seat.set("LARGE", value)
    seat.unlock("LARGE")
    child = seat.cli.start("get", "LARGE", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.read(5) == value[:5]
    child.stdout.close()
    assert child.stderr
    assert child.stderr.read() == b""
    assert child.wait(20) != 0


@pytest.mark.parametrize(
    "args", [["get", "NOPE"], ["nonsense"], ["list", "--for", "nosuch"], ["exec", "--key", "NOPE", "--", "true"]]
)
def test_an_exit_code_needs_no_stderr(args: list[str], seat: Seat) -> None:
    """With stderr closed or full, the exit code is the same and stdout stays clean."""
    wanted = seat.cli(*args).code
    for redirection in ("2>&-", "2>/dev/full"):
        done = seat.cli.with_prefix("sh", "-c", f'exec "$@" {redirection}', "sh", *seat.cli.prefix)(*args)
        assert (done.code, done.out) == (wanted, b"")


@pytest.mark.parametrize("locale", ["C", "POSIX", "xx_XX.UTF-8", ""])
def test_bytes_are_bytes_in_every_locale(locale: str, locked: Seat) -> None:
    """LC_ALL=C, PYTHONUTF8=0 and an ASCII I/O encoding change no byte of a value, in and out."""
    env = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"}
    value = "pässwörd 🔑".encode() + b"\xff\xfe"
    locked.cli("set", "PIPED", input=value, env=env, check=True)
    locked.cli("set", "FROM_ENV", "--from-env", "V", env=env | {"V": os.fsdecode(value)}, check=True)
    locked.cli("unlock", env=env, check=True)
    for name in ("PIPED", "FROM_ENV"):
        assert locked.cli("get", name, env=env, check=True).out == value
        shown = locked.cli("exec", "--", "printenv", name, env=env, check=True)
        assert shown.out == value + b"\n"


def test_a_home_may_be_called_anything(rack: Seat) -> None:
    """Non-ASCII and undecodable bytes in HOME: every verb works, in C locale too, and messages stay printable."""
    odd = os.fsencode(rack.home.path) + b"/caf\xe9 \xf0\x9f\x94\x91"
    os.mkdir(odd, 0o700)
    os.rename(rack.home.root, odd + b"/.agentkeys")
    for locale in ("C.UTF-8", "C"):
        env = {"HOME": os.fsdecode(odd), "LC_ALL": locale}
        rack.cli("init", env=env, check=True)
        rack.cli("agent", env=env, check=True)
        rack.cli("unlock", env=env, check=True)
        got = rack.cli("get", "GITHUB_TOKEN", env=env, reveals=True, check=True).out
        assert got == rack.values["GITHUB_TOKEN"]
        assert rack.cli("status", "--json", env=env, check=True).json()["keys"]
        rack.cli("agent", "-k", env=env, check=True)
    os.rename(odd + b"/.agentkeys", rack.home.root)
