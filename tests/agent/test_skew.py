"""Client and agent of different versions: they say so, lose nothing, and there is a way on that every version knows."""

import shlex
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agentkeys import __version__
from tests.agent.dialogue import Dialogue, code, fields, frame, hello, message
from tests.agent.seat import Seat, watched
from tests.support.runner import Result


class Fake(threading.Thread):
    """Listens where an agent would; says a hello of its own, and answers each request with `answer`."""

    def __init__(self, path: Path, greeting: bytes, answer: bytes = b"") -> None:
        super().__init__(daemon=True)
        self.path = path
        self.greeting = greeting
        self.answer = answer
        self.received = b""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()

    def run(self) -> None:
        """Serve one caller after the other."""
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            with caller, suppress(OSError):
                self.received += caller.recv(65536)
                caller.sendall(self.greeting + self.answer)
                while data := caller.recv(65536):
                    self.received += data

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(5)


def greeting(low: bytes = b"1", high: bytes = b"1", version: bytes = b"9.9.9", *more: bytes) -> bytes:
    """An agent's hello."""
    return message(b"hello", b"agentkeys", low, high, b"human", version, *more)


@pytest.fixture
def fakes() -> Iterator[list[Fake]]:
    """Fakes that a test started."""
    found: list[Fake] = []
    yield found
    for fake in found:
        fake.close()


def newer(rack: Seat, fakes: list[Fake]) -> Fake:
    """An agent of a later version, which speaks protocols 2 to 3, where ours would be."""
    fake = Fake(rack.socket, greeting(b"2", b"3"))
    fakes.append(fake)
    fake.start()
    return fake


def says_so(done: Result, rack: Seat) -> None:
    """2, both versions, and a hint that works with any version: a socket that is removed ends its agent."""
    said = f"the agent is version 9.9.9, this is {__version__}, and they share no protocol"
    assert done.code == 2
    assert f"agentkeys: error: {said}\n".encode() in done.err
    assert f"agentkeys: hint: rm {rack.socket}\n".encode() in done.err


@pytest.mark.parametrize(
    "args",
    [["get", "GITHUB_TOKEN"], ["exec", "--", "true"], ["status"], ["relock"], ["agent"], ["agent", "-k"],
     ["agent", "--reload"], ["agent", "--print-socket"], ["agent", "--unlock"], ["agent", "-D"], ["lock"]],
    ids=" ".join,
)  # fmt: skip
def test_an_agent_of_another_protocol_is_said_to_be_one(args: list[str], rack: Seat, fakes: list[Fake]) -> None:
    """Every verb that meets it; nothing is started beside it, and its socket stays."""
    fake = newer(rack, fakes)
    if args[0] in ("relock", "lock") or "--reload" in args:
        lock = rack.home.root / "run"
        rack.cli("agent", "-a", rack.home.runtime / "x.sock", check=True)
        (real,) = lock.glob("*/human/private-*.lock")
        real.with_name("agent.lock").write_text(f"{rack.socket}\n")
    done = rack.cli(*args)
    says_so(done, rack)
    evaluated = args[0] == "agent" and not {"--print-socket", "--reload"} & set(args)
    assert done.out in ((b"false;\n",) if evaluated else (b"", b"locked 1 agent of human: nothing was unlocked\n"))
    assert rack.socket.is_socket()
    fake.close()


def test_a_value_is_not_told_to_one(rack: Seat, fakes: list[Fake]) -> None:
    """unlock and set wait for the hello before a value goes out; a hello that doesn't fit gets none."""
    fake = newer(rack, fakes)
    says_so(rack.cli("unlock", "--sock", rack.socket), rack)
    fake.close()
    for value in rack.values.values():
        assert value not in fake.received
    assert b"hello" in fake.received


def test_the_hint_ends_a_real_one(seat: Seat) -> None:
    """Whatever it speaks: an agent whose socket is removed leaves, and the next start is ours."""
    with watched(seat.pid) as gone:
        seat.cli.with_prefix("sh", "-c", f"rm {shlex.quote(str(seat.socket))}")(check=True)
        gone()
    assert seat.start().status()


@pytest.mark.parametrize("span", [(b"1", b"1"), (b"1", b"7"), (b"0", b"99999")])
def test_ranges_that_overlap_are_enough(span: tuple[bytes, bytes], rack: Seat, fakes: list[Fake]) -> None:
    """A later agent that still speaks our protocol is spoken to, further hello fields and all."""
    reply = message(b"ok", b"text", b"a later agent\n")
    fake = Fake(rack.socket, greeting(*span, b"9.9.9", b"", b"a field from later"), reply)
    fakes.append(fake)
    fake.start()
    assert rack.cli("status", check=True).out == b"a later agent\n"


@pytest.mark.parametrize("span", [(b"2", b"3"), (b"0", b"0")])
def test_the_agent_answers_a_client_of_another_protocol(span: tuple[bytes, bytes], seat: Seat) -> None:
    """Its hello and an error, so that either side can say what is wrong; others are served."""
    with Dialogue(seat.socket) as client:
        client.send(hello(low=span[0], high=span[1]) + message(b"get", b"key", b"GITHUB_TOKEN"))
        assert client.receive()[:2] == [b"hello", b"agentkeys"]
        answer = client.receive()
        assert code(answer) == 2
        assert b"share no protocol" in b" ".join(answer)
        assert client.wait_for_end() == b""
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]


GARBAGE = {
    "a banner": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another program's hello": message(b"hello", b"otherkeys", b"1", b"1", b"human", b"1"),
    "a range in words": message(b"hello", b"agentkeys", b"one", b"two", b"human", b"1"),
    "a short hello": message(b"hello", b"agentkeys"),
    "no hello": message(b"ok"),
    "nothing": b"",
    "half a frame": frame(fields(b"hello"))[:7],
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_what_is_no_agent_is_not_taken_for_one(kind: str, rack: Seat, fakes: list[Fake]) -> None:
    """A failure that is said, within seconds and without a traceback; the listener's socket stays."""
    fake = Fake(rack.socket, GARBAGE[kind])
    fakes.append(fake)
    if kind in ("nothing", "half a frame"):
        fake.listener.close()
        rack.socket.unlink()
        fake = fakes[-1] = Hangup(rack.socket, GARBAGE[kind])
    fake.start()
    for args in (["get", "GITHUB_TOKEN"], ["agent"], ["agent", "-k"]):
        done = rack.cli(*args)
        assert done.code == 1 if kind == "a banner" else done.code > 1, (args, done)
        assert done.err.startswith(b"agentkeys: error: ")
        assert b"Traceback" not in done.err
    assert rack.socket.is_socket()


class Hangup(Fake):
    """Says its piece and hangs up."""

    def run(self) -> None:
        """Serve one caller after the other."""
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            with caller, suppress(OSError):
                caller.sendall(self.greeting)
