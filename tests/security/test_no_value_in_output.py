"""Whatever goes wrong, and however loudly Python is told to speak, no value and no control character gets out."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.agent.seat import Seat, eventually
from tests.support.canary import Canary, found_in
from tests.support.plugin import Plant
from tests.support.runner import Result

LOUD = {
    "PYTHONDEVMODE": "1",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONTRACEMALLOC": "1",
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONWARNINGS": "always",
    "PYTHONINSPECT": "",
}


def shows(done: Result, *values: bytes) -> bool:
    """Whether a value is in what was printed, in any form."""
    return bool(found_in(done.out + done.err, [Canary(str(number), value) for number, value in enumerate(values)]))


def test_a_loud_python_shows_no_value(locked: Seat, canary: Plant) -> None:
    """Development mode, verbose imports, tracemalloc: set, unlock, refusals and reads of something else stay silent."""
    value = canary("loud")
    results = [
        locked.cli("set", "GITHUB_TOKEN", input=value, env=LOUD, check=True),
        locked.cli("set", "BAD-NAME", input=value, env=LOUD),
        locked.cli("set", "X", "--vault", "nowhere", input=value, env=LOUD),
        locked.cli("set", "X", "--from-env", "V", "--max-duration", "soon", env=LOUD | {"V": value.decode()}),
        locked.cli("unlock", env=LOUD, check=True),
        locked.cli("get", "NOPE", env=LOUD),
        locked.cli("exec", "--key", "GITHUB_TOKEN=LD_PRELOAD", "--", "true", env=LOUD),
        locked.cli("exec", "--", "true", env=LOUD, check=True),
        locked.cli("source", "--key", "GITHUB_TOKEN=LD_PRELOAD", env=LOUD),
        locked.cli("source", "--key", "GITHUB_TOKEN=path", "--shell", "fish", env=LOUD),
        locked.cli("get", "GITHUB_TOKEN", "--json", env=LOUD, reveals=True, check=True),
    ]
    assert not any(shows(done, value) for done in results[:-1])
    assert shows(results[-1], value), "the control"
    assert not found_in(results[-1].err, [Canary("", value)])


@pytest.mark.parametrize(
    "line",
    [
        "get VALUE", "get NAME=VALUE", "get acme.prod.VALUE", "exec --key VALUE -- true", "exec --env VALUE/ -- true",
        "source --key NAME=VALUE", "source --org VALUE/", "unlock VALUE", "relock VALUE", "del VALUE",
    ],
)  # fmt: skip
def test_a_value_in_a_names_place_is_neither_repeated_nor_recorded(line: str, shared: Seat, canary: Plant) -> None:
    """The wrong word was pasted: it is on no screen, in no CI log and not in the audit log."""
    value = canary("in a name's place")
    done = shared.cli(*line.replace("VALUE", value.decode()).split())
    assert done.code in (2, 5), done
    assert not shows(done, value)
    assert not found_in(b"".join(path.read_bytes() for path in shared.audit.iterdir()), [Canary("", value)])


RAISES = """
import os, sys
from agentkeys import hardening
hardening.quieten()
value = sys.stdin.read()
class Odd:
    def __del__(self):
        raise ValueError(value)
    def __repr__(self):
        return value
Odd()
raise KeyError(value)
"""


def test_an_exception_that_nobody_catches_shows_no_value(seat: Seat, canary: Plant) -> None:
    """As in agents and workers: its kind and its place, on one line; also where Python can only note and go on."""
    value = canary("raised")
    done = seat.cli.with_prefix(sys.executable, "-c", RAISES)(input=value, env=LOUD | {"PYTHONINSPECT": None})
    assert done.code == 1
    lines = [line for line in done.err.splitlines() if line.startswith(b"agentkeys: ")]
    assert lines == [
        b"agentkeys: error: internal fault, ValueError at <string>:8 in __del__",
        b"agentkeys: error: internal fault, KeyError at <string>:12 in <module>",
    ]
    assert not shows(done, value)


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGQUIT, signal.SIGTERM, signal.SIGINT])
def test_a_client_that_dies_with_a_value_in_hand_shows_none(number: signal.Signals, seat: Seat, canary: Plant) -> None:
    """set waits for a stopped agent and is killed: faulthandler's traceback has places, not values."""
    value = canary("in hand")
    process = psutil.Process(seat.pid)
    process.suspend()
    try:
        pipe = subprocess.PIPE
        child = seat.cli.start("set", "GITHUB_TOKEN", stdin=pipe, stdout=pipe, stderr=pipe, env=LOUD)
        assert child.stdin
        child.stdin.write(value)
        child.stdin.close()
        eventually(lambda: psutil.Process(child.pid).children())
        child.send_signal(number)
        assert child.stdout
        assert child.stderr
        out, err = child.stdout.read(), child.stderr.read()
        child.wait(20)
    finally:
        process.resume()
    assert not found_in(out + err, [Canary("", value)])


@pytest.mark.parametrize("megabytes", range(24, 200, 16))
def test_out_of_memory_anywhere_shows_no_value(megabytes: int, seat: Seat, canary: Plant) -> None:
    """Memory ends at a different place each time: there is an error or success, and no traceback with a value in it."""
    value = canary("short of memory").ljust(500_000, b"x")
    shell = seat.cli.with_prefix("sh", "-c", f'ulimit -v {megabytes * 1024}; exec "$@"', "sh", *seat.cli.prefix)
    for args in (["set", "LARGE"], ["get", "GITHUB_TOKEN", "--json"], ["exec", "--", "true"]):
        done = shell(*args, input=value, env={"PYTHONFAULTHANDLER": "1"}, reveals=args[0] == "get")
        assert not found_in(done.err, [Canary("", value[:39]), Canary("", seat.values["GITHUB_TOKEN"])])
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]


ODD = "\x1b]0;title\x07\x1b[2J\x08\r\x9b31m\u202e\u2028"

ODD_ARGS = [
    ["{}"],
    ["get", "{}"],
    ["get", "X", "--for", "{}"],
    ["get", "X", "--env", "{}"],
    ["get", "X", "--org", "{}"],
    ["get", "X", "--sock", "/tmp/{}"],
    ["get", "--{}", "X"],
    ["set", "{}"],
    ["set", "X", "--vault", "{}", "--from-file", "/etc/passwd"],
    ["set", "X", "--from-file", "/{}"],
    ["set", "X", "--from-env", "{}"],
    ["set", "X", "--max-duration", "{}", "--from-file", "/etc/passwd"],
    ["del", "{}"],
    ["unlock", "{}"],
    ["unlock", "--duration", "{}"],
    ["exec", "--", "{}"],
    ["exec", "--", "/{}"],
    ["exec", "--key", "{}", "--", "true"],
    ["exec", "--key", "GITHUB_TOKEN={}", "--", "true"],
    ["init", "--for", "{}"],
    ["init", "--for", "x", "--via", "{}"],
    ["init", "--for", "x", "--via", "ssh", "--pubkey", "/{}"],
    ["list", "--env", "{}"],
    ["status", "--sock", "/{}"],
    ["relock", "{}"],
    ["agent", "{}"],
    ["agent", "--shell", "{}"],
    ["source", "--shell", "{}"],
    ["source", "--key", "{}", "--lenient"],
    ["setup", "{}"],
    ["setup", "launcher", "--to", "/proc/{}"],
]


def controls(text: bytes) -> set[str]:
    """The control, format and separator characters in `text` that a terminal might obey."""
    return {char for char in text.decode("utf-8", "replace") if not char.isprintable()} - {"\n"}


@pytest.mark.parametrize("args", ODD_ARGS, ids=" ".join)
def test_what_was_typed_is_shown_without_its_control_characters(args: list[str], shared: Seat) -> None:
    """Escape sequences, backspaces, C1 and bidirectional marks in names and paths reach no terminal as they are."""
    done = shared.cli(*[arg.format(ODD) for arg in args])
    assert done.code != 0 or args[0] in ("relock", "status")
    assert controls(done.err) == set()
    assert controls(done.out) == set()


def test_a_home_with_control_characters_in_its_path_is_shown_escaped(rack: Seat) -> None:
    """Paths are in many messages; none of them rewrites the window's title."""
    odd = rack.home.path / "a\x1b]0;title\x07b"
    odd.mkdir(mode=0o700)
    env = {"HOME": str(odd)}
    for args in (["init"], ["list"], ["status"], ["init", "--via", "ssh"], ["get", "X"]):
        done = rack.cli(*args, env=env)
        assert controls(done.err + done.out) == set(), args


def test_a_terminal_gets_no_control_character_either(seat: Seat) -> None:
    """The same on a real terminal, where it would matter."""
    child = seat.cli.on_tty("get", f"X{ODD}", "--sock", f"/tmp/{ODD}")
    shown = child.read()
    child.close()
    assert b"agentkeys: error: " in shown
    assert controls(shown.replace(b"\r\n", b"\n")) == set()


def test_an_agent_that_answers_nonsense_causes_no_traceback(seat: Seat) -> None:
    """A listener of this user that speaks almost the protocol: an error of ours for each kind of wrong answer."""
    script = seat.home.path / "nonsense.py"
    script.write_text(NONSENSE)
    path = seat.home.runtime / "nonsense.sock"
    server = seat.cli.with_prefix(sys.executable, "-IS", script, path).start(stdout=subprocess.PIPE)
    assert server.stdout
    count = int(server.stdout.readline())
    for number in range(count):
        for args in (
            ["get", "GITHUB_TOKEN"],
            ["exec", "true"],
            ["source"],
            ["source", "--lenient"],
            ["status", "--json"],
        ):
            done = seat.cli(args[0], "--sock", path, *args[1:])
            assert done.code not in (0, 120), (number, args)
            assert b"Traceback" not in done.err, (number, args)
            assert done.err.startswith(b"agentkeys: error: "), (number, args)
            assert controls(done.err) == set()
            assert os.path.exists(path)


NONSENSE = r"""
import socket, struct, sys

def message(*parts):
    payload = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return struct.pack(">IB", len(payload) + 1, 1) + payload

hello = message(b"hello", b"agentkeys", b"1", b"1", b"human", b"0")
answers = [
    b"",
    b"\0",
    b"HTTP/1.1 200 OK\r\n\r\n",
    hello,
    hello + b"\xff" * 100,
    hello + message(b"error"),
    hello + message(b"error", b"code"),
    hello + message(b"error", b"code", b"x", b"message", b"\x1b[2J\xff", b"hint", b"\x07"),
    hello + message(b"error", b"code", b"99999999999", b"message", b"m"),
    hello + message(b"error", b"\xff\xfe", b"x"),
    hello + message(b"error", b"code", b"0", b"message", b"not an error at all"),
    hello + message(b"perhaps"),
    hello + struct.pack(">IB", 1, 1),
    hello + struct.pack(">IB", 100, 0) + b"x" * 99,
    message(b"hello", b"agentkeys", b"2", b"3", b"human", b"0"),
    message(b"hello", b"agentkeys", b"x", b"y", b"human", b"0"),
    message(b"hello", b"agentkeys", b"1", b"1", b"crab\x1b[2J", b"0"),
    message(b"hello", b"agentkeys", b"1", b"1", b"\xff", b"\xff"),
]
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print(len(answers), flush=True)
for answer in answers:
    served = 0
    while served < 5:
        connection = listener.accept()[0]
        connection.settimeout(5)
        try:
            if connection.recv(65536):
                served += 1
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
        except OSError:
            pass
        connection.close()
listener.accept()
"""
