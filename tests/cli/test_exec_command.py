"""The command is found, started and ended as if exec weren't there: pipes, signals and exit code are its own."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.seat import Seat


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    """An executable file."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_every_exit_code_is_the_commands_own(shared: Seat) -> None:
    """0 and 255, those that are ours before it runs, those that shells make of signals, and some between."""
    codes = [0, *range(1, 9), 42, 100, 124, 126, 127, 128, 130, 137, 143, 200, 254, 255]
    assert [shared.cli("exec", "--", "sh", "-c", f"exit {code}").code for code in codes] == codes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV, signal.SIGPIPE])
def test_a_signals_death_is_the_commands_own(number: signal.Signals, shared: Seat) -> None:
    """The parent sees the signal itself, and a shell its 128 + n."""
    assert shared.cli("exec", "--", "sh", "-c", f"kill -{number:d} $$").code == -number
    outer = shared.cli.with_prefix("sh", "-c", '"$@"; echo $?', "sh", *shared.cli.prefix)
    assert outer("exec", "--", "sh", "-c", f"kill -{number:d} $$").out.strip() == str(128 + number).encode()


def test_the_command_takes_the_process_over(shared: Seat) -> None:
    """Same pid, no parent of ours in between, nothing left running."""
    child = shared.cli.start("exec", "--", "sh", "-c", "echo $$; exec sleep 60", stdout=subprocess.PIPE)
    assert child.stdout
    assert int(child.stdout.readline()) == child.pid
    child.terminate()
    assert child.wait(10) == -signal.SIGTERM


def audited(shared: Seat) -> int:
    """How many lines the audit chain has."""
    return len(shared.chain())


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["no-such-command-0123"], 127),
        (["./no-such-file"], 127),
        (["/no/such/dir/file"], 127),
        ([""], 127),
        (["./plain"], 126),
        (["plain"], 126),
        (["/tmp"], 126),
        (["./"], 126),
        (["./plain/file"], 127),
    ],
)
def test_a_command_that_can_not_run_asks_for_no_key(command: list[str], code: int, shared: Seat) -> None:
    """127 not found, 126 not executable: known before the agent is asked, so the audit log has no line of it."""
    script(shared.home.path / "plain", "echo no\n", 0o644)
    before = audited(shared)
    done = shared.cli("exec", "--", *command, env={"PATH": f"{shared.home.path}:/usr/bin"})
    assert done.code == code
    assert done.err.startswith(b"agentkeys: error: ")
    assert b"\nagentkeys: hint: " in done.err
    assert audited(shared) == before
    shared.cli("exec", "--", "true", check=True)
    assert audited(shared) == before + 1


def test_a_command_that_can_not_run_needs_no_agent_to_say_so(rack: Seat) -> None:
    """126 and 127 outrank 3."""
    assert rack.cli("exec", "--", "no-such-command-0123").code == 127
    assert rack.cli("exec", "--", "/etc/passwd").code == 126


def test_path_is_searched_as_execvp_does(shared: Seat, tmp_path: Path) -> None:
    """In order, passing over what can't be executed; an empty entry is the current directory."""
    first, second = tmp_path / "first", tmp_path / "second"
    script(second / "tool", "#!/bin/sh\necho second\n")
    script(first / "other", "#!/bin/sh\necho other\n")
    search = {"PATH": f"/nonexistent:{first}:{second}:/usr/bin:/bin"}
    assert shared.cli("exec", "--", "tool", env=search, check=True).out == b"second\n"
    (first / "tool").mkdir()
    assert shared.cli("exec", "--", "tool", env=search, check=True).out == b"second\n"
    (first / "tool").rmdir()
    script(first / "tool", "#!/bin/sh\necho first\n")
    assert shared.cli("exec", "--", "tool", env=search, check=True).out == b"first\n"
    for empty in (":/usr/bin", "/usr/bin:", "/usr/bin::/bin"):
        assert shared.cli("exec", "--", "tool", env={"PATH": empty}, cwd=second, check=True).out == b"second\n"
    assert shared.cli("exec", "--", "tool", env={"PATH": "/usr/bin"}, cwd=second).code == 127
    assert shared.cli("exec", "--", "true", env={"PATH": None}, check=True).out == b""


def test_a_script_without_an_interpreter_line_runs_in_sh(shared: Seat, tmp_path: Path) -> None:
    """ENOEXEC, as execvp does it: with its arguments, its keys and its exit code."""
    bare = script(tmp_path / "bare", 'test -n "$GITHUB_TOKEN" && echo "$0 $# $2"\nexit 9\n')
    done = shared.cli("exec", "--", bare, "a", "b c")
    assert (done.code, done.out.decode()) == (9, f"{bare} 2 b c\n")
    empty = script(tmp_path / "empty", "")
    assert shared.cli("exec", "--", empty).code == 0


def test_a_script_whose_interpreter_is_missing_is_not_found(shared: Seat, tmp_path: Path) -> None:
    """127 and a message that names the script, and no traceback."""
    odd = script(tmp_path / "odd", "#!/no/such/interpreter\n")
    done = shared.cli("exec", "--", odd)
    assert done.code == 127
    assert str(odd).encode() in done.err
    assert b"Traceback" not in done.err


def test_arguments_arrive_byte_for_byte(shared: Seat) -> None:
    """Options of the command, `--`, empty words, quotes and undecodable bytes are left alone."""
    words = ["--help", "--for", "x", "--", "", "a b", "'\"$(id)", "\n", "-h", os.fsdecode(b"\xff\xe9")]
    show = "import os, sys; sys.stdout.buffer.write(b'|'.join(os.fsencode(word) for word in sys.argv[1:]))"
    wanted = b"|".join(os.fsencode(word) for word in words)
    python = (sys.executable, "-IS", "-c", show)
    assert shared.cli("exec", "--", *python, *words, check=True).out == wanted
    assert shared.cli("exec", *python, *words, check=True).out == wanted
    assert shared.cli("exec", "--for", "human", *python, *words, check=True).out == wanted


def test_pipes_pass_through_untouched(shared: Seat) -> None:
    """A mebibyte of any bytes in and out, and not a byte of ours on stdout or stderr."""
    data = os.urandom(1024 * 1024)
    done = shared.cli("exec", "--", "cat", input=data, check=True)
    assert done.out == data
    assert done.err == b""


def test_nothing_is_read_from_stdin(shared: Seat) -> None:
    """What was piped to the command is all there when it starts."""
    assert shared.cli("exec", "--", "head", "-c", "3", input=b"abcdef", check=True).out == b"abc"


def test_a_command_inherits_no_descriptor_of_ours(shared: Seat) -> None:
    """0 to 2, and what the caller itself had opened to be inherited."""
    opened = "import os; print([fd for fd in range(1000) if os.path.exists(f'/proc/self/fd/{fd}')])"
    listing = ("--", sys.executable, "-IS", "-c", opened)
    assert shared.cli("exec", *listing, check=True).out == b"[0, 1, 2]\n"
    shell = shared.cli.with_prefix("sh", "-c", 'exec 7</dev/null; exec "$@"', "sh", *shared.cli.prefix)
    assert shell("exec", *listing, check=True).out == b"[0, 1, 2, 7]\n"


def test_a_command_starts_with_the_signals_of_its_caller(shared: Seat) -> None:
    """Python ignores SIGPIPE and SIGXFSZ for itself; `yes | head` must end all the same. Nothing is blocked."""
    show = ("grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status")
    assert shared.cli("exec", "--", *show, check=True).out == shared.cli.with_prefix()(*show, check=True).out
    done = shared.cli("exec", "--", "bash", "-c", "yes | head -1; echo ${PIPESTATUS[0]}", check=True)
    assert done.out == b"y\n141\n"


def test_what_the_caller_ignored_stays_ignored(shared: Seat) -> None:
    """nohup works through exec."""
    shell = shared.cli.with_prefix("sh", "-c", 'trap "" HUP; exec "$@"', "sh", *shared.cli.prefix)
    assert shell("exec", "--", "sh", "-c", "kill -HUP $$; echo alive", check=True).out == b"alive\n"


def test_the_working_directory_and_umask_are_the_callers(shared: Seat, tmp_path: Path) -> None:
    """exec changes neither."""
    shell = shared.cli.with_prefix("sh", "-c", 'umask 027; exec "$@"', "sh", *shared.cli.prefix)
    done = shell("exec", "--", "sh", "-c", "pwd; umask", cwd=tmp_path, check=True)
    assert done.out.decode().split() == [str(tmp_path), "0027"]


def test_a_file_that_changes_between_look_and_start_is_an_error(shared: Seat, tmp_path: Path) -> None:
    """A program that is open for writing (ETXTBSY) can't be started: 126, and no traceback."""
    busy = tmp_path / "busy"
    busy.write_bytes(Path("/bin/true").read_bytes())
    busy.chmod(0o755)
    with busy.open("r+b"):
        done = shared.cli("exec", "--", busy)
    assert done.code == 126
    assert os.strerror(errno.ETXTBSY).encode() in done.err
    assert b"Traceback" not in done.err
