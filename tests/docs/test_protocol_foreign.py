"""agentkeys-protocol(7) is enough to speak to an agent: a client in another language does, and its hexdump is real."""

import io
import re
import shutil
import socket
from collections.abc import Callable

import pytest

from agentkeys import wire
from tests.docs.pages import REPO, man, section
from tests.support.homes import Home
from tests.support.runner import Runner
from tests.support.uids import require

CLIENT = REPO / "tests" / "docs" / "client.pl"

Plant = Callable[..., bytes]


@pytest.fixture
def agent(cli: Runner, home: Home) -> str:
    """The socket of seaturtle's agent, which holds nothing yet."""
    cli("init", "--for", "seaturtle", check=True)
    cli("agent", "--for", "seaturtle", check=True)
    return str(cli("status", "--for", "seaturtle", "--json", check=True).json()["socket"])


@pytest.fixture
def client(cli: Runner) -> Runner:
    """Runs the Perl client."""
    require(shutil.which("perl"), "perl")
    return cli.with_prefix("perl", "-w", CLIENT)


def test_forty_lines_of_perl_get_a_key(agent: str, client: Runner, cli: Runner, canary: Plant) -> None:
    """Hello and get, written after the page; the value comes out byte for byte."""
    assert len(CLIENT.read_text().splitlines()) <= 40
    value = canary("GITHUB_TOKEN", suffix=b"\n\0\xff'\"")
    cli("set", "GITHUB_TOKEN", "--for", "seaturtle", input=value, check=True)
    cli("unlock", "--for", "seaturtle", check=True)
    assert client(agent, "seaturtle", "GITHUB_TOKEN", check=True, reveals=True).out == value


def test_a_long_reply_in_several_frames(agent: str, client: Runner, cli: Runner, canary: Plant) -> None:
    """A value of 1 MiB, four times a frame."""
    value = canary("LONG", suffix=bytes(wire.MAX_VALUE - 39))
    cli("set", "LONG", "--for", "seaturtle", input=value, check=True)
    cli("unlock", "--for", "seaturtle", check=True)
    assert client(agent, "seaturtle", "LONG", check=True, reveals=True).out == value


def test_the_client_ends_with_the_agents_code(agent: str, client: Runner, cli: Runner, canary: Plant) -> None:
    """Locked, absent, and another owner's agent, each with the agent's own words."""
    cli("set", "GITHUB_TOKEN", "--for", "seaturtle", input=canary("GITHUB_TOKEN"), check=True)
    assert client(agent, "seaturtle", "GITHUB_TOKEN").code == 4
    cli("unlock", "--for", "seaturtle", check=True)
    absent = client(agent, "seaturtle", "NOPE")
    assert (absent.code, absent.err) == (5, b"seaturtle has no key 'NOPE' in env all\n")
    assert client(agent, "mechanic", "GITHUB_TOKEN").code == 2


def test_the_page_shows_that_client() -> None:
    """What the page prints is what the tests above ran."""
    shown = section(man("agentkeys-protocol.7"), "EXAMPLES").rpartition(".Bd -literal\n")[2].partition(".Ed")[0]
    assert shown.replace("\\e", "\\") == CLIENT.read_text()


def dumps() -> list[bytes]:
    """The bytes of each hexdump in the page."""
    blocks = section(man("agentkeys-protocol.7"), "EXAMPLES").split(".Bd -literal\n")[1:]
    lines = [re.findall(r"^[0-9a-f]{4}  ((?:[0-9a-f]{2} ?| )+?) +\|(.*)\|$", block, re.MULTILINE) for block in blocks]
    for block in lines:
        for row, text in block:
            printable = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in bytes.fromhex(row))
            assert text.replace("\\e", "\\") == printable
    return [bytes.fromhex("".join(row for row, _ in block)) for block in lines if block]


def test_the_hexdump_is_a_real_exchange(agent: str, cli: Runner) -> None:
    """Sent as it stands, the first is answered with the second, save for version and home."""
    asked, answered = dumps()
    cli("set", "GITHUB_TOKEN", "--for", "seaturtle", input=b"demo-value", check=True)
    cli("unlock", "--for", "seaturtle", check=True)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(agent)
        connection.sendall(asked)
        with connection.makefile("rb") as stream:
            real = [message(stream.read) for _ in range(2)]
    page = io.BytesIO(answered)
    shown = [message(page.read) for _ in range(2)]
    assert page.read() == b""
    assert len(real[0]) == len(shown[0])
    # The home's id differs from home to home, but in its form it doesn't.
    assert re.sub(rb"[0-9a-f]+", b"", real[0][6]) == re.sub(rb"[0-9a-f]+", b"", shown[0][6])
    assert real[0][:5] == shown[0][:5] == [b"hello", b"agentkeys", b"1", b"1", b"seaturtle"]
    assert real[1] == shown[1] == [b"ok", b"value", b"demo-value"]


def message(read: Callable[[int], bytes]) -> list[bytes]:
    """The fields of one message of one frame."""
    length = wire.frame_length(read(4))
    flags, *payload = read(length)
    assert flags == wire.LAST
    return [bytes(field) for field in wire.split_fields(memoryview(bytes(payload)))]
