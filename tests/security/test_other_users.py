"""Another user of the machine gets nothing: not from our agents, and not by posing as one."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.agent.dialogue import Dialogue, hello, message
from tests.agent.seat import Seat
from tests.support.homes import Home
from tests.support.runner import Runner
from tests.support.uids import SYSTEM_PYTHON, User

pytestmark = pytest.mark.serial

INTRUDER = """
import socket, sys
for line in sys.stdin.buffer.read().split(b"|"):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(sys.argv[1])
    got = b""
    try:
        client.sendall(bytes.fromhex(line.decode()))
        while part := client.recv(65536):
            got += part
    except (BrokenPipeError, ConnectionResetError):
        pass
    print(len(got))
"""

SQUATTER = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen()
print("listening", flush=True)
while True:
    connection = listener.accept()[0]
    print(len(connection.recv(65536)), flush=True)
    connection.close()
"""

REQUESTS = [
    [b"ping"],
    [b"query"],
    [b"status"],
    [b"get", b"key", b"GITHUB_TOKEN"],
    [b"exec"],
    [b"relock"],
    [b"unlock"],
    [b"forget", b"slug", b"@all.all.GITHUB_TOKEN"],
    [b"replace", b"slug", b"@all.all.GITHUB_TOKEN", b"cap", b"0", b"value", b"x"],
    [b"stop"],
]


def test_an_agent_closes_another_users_connection_before_any_byte(seat: Seat, other_user: User) -> None:
    """Socket 0666 and every directory above it open: each verb is met with the end, and each try is on record once."""
    seat.socket.chmod(0o666)
    for directory in (seat.socket.parent, seat.home.runtime):
        directory.chmod(0o755)
    before = len(seat.chain())
    sent = b"|".join((hello() + message(*request)).hex().encode() for request in REQUESTS)
    done = other_user.run(SYSTEM_PYTHON, "-c", INTRUDER, seat.socket, input=sent, check=True)
    assert done.out.split() == [b"0"] * len(REQUESTS)
    records = seat.chain()[before:]
    assert [record["verb"] for record in records] == ["connect"] * len(REQUESTS)
    assert {(record["uid"], record["decision"]) for record in records} == {(other_user.uid, "deny")}
    assert all(record["pid"] > 0 for record in records)
    for directory in (seat.socket.parent, seat.home.runtime):
        directory.chmod(0o700)
    assert seat.states() == {"GITHUB_TOKEN": "unlocked", "OPENAI_API_KEY": "unlocked"}


def test_another_user_can_not_even_look(seat: Seat, other_user: User) -> None:
    """With the modes we give: neither socket, nor directory, nor any file of the home."""
    for path in (seat.socket, seat.socket.parent, seat.home.root, seat.home.root / "host.human.yml.age"):
        assert other_user.run("/usr/bin/stat", path).code != 0
    before = len(seat.chain())
    assert other_user.run(SYSTEM_PYTHON, "-c", INTRUDER, seat.socket, input=b"00").code != 0
    assert len(seat.chain()) == before


def test_root_is_another_user(users_agent: Seat) -> None:
    """Root can connect, since nothing stops root from that; the agent hangs up and writes it down."""
    before = len(users_agent.chain())
    with Dialogue(users_agent.socket) as client:
        assert client.wait_for_end() == b""
    (record,) = users_agent.chain()[before:]
    assert (record["verb"], record["uid"], record["decision"]) == ("connect", 0, "deny")
    assert users_agent.get("GITHUB_TOKEN").out == users_agent.values["GITHUB_TOKEN"]


def test_root_is_served_when_the_users_config_says_so(users_agent: Seat, other_user: User) -> None:
    """allow_root = true in config.toml, and nothing else, opens that door."""
    config = users_agent.home.path / ".config" / "agentkeys" / "config.toml"
    write = 'mkdir -p "$(dirname "$1")" && echo "allow_root = true" >"$1"'
    other_user.run("/bin/sh", "-c", write, "sh", config, check=True)
    users_agent.cli("agent", "-k", check=True)
    users_agent.start().unlock()
    with Dialogue(users_agent.socket).greet() as client:
        assert client.ask(b"get", b"key", b"GITHUB_TOKEN")[2] == users_agent.values["GITHUB_TOKEN"]
    record = users_agent.chain()[-1]
    assert (record["verb"], record["uid"], record["decision"]) == ("get", 0, "allow")


def test_root_is_let_in_and_turned_away_by_a_reload(users_agent: Seat, other_user: User) -> None:
    """`agent --reload` makes allow_root count at once; without it the open connection is closed as well."""
    config = users_agent.home.path / ".config" / "agentkeys" / "config.toml"
    write = 'mkdir -p "$(dirname "$1")" && echo "$2" >"$1"'
    other_user.run("/bin/sh", "-c", write, "sh", config, "allow_root = true", check=True)
    users_agent.cli("agent", "--reload", check=True)
    with Dialogue(users_agent.socket).greet() as client:
        assert client.ask(b"ping") == [b"ok"]
        other_user.run("/bin/sh", "-c", write, "sh", config, "", check=True)
        users_agent.cli("agent", "--reload", check=True)
        assert client.wait_for_end() == b""
    assert users_agent.get("GITHUB_TOKEN").out == users_agent.values["GITHUB_TOKEN"]


def test_the_clients_own_check_refuses_another_users_agent(users_agent: Seat, home: Home, cli: Runner) -> None:
    """The user's live agent named by root's --sock or AGENTKEYS_SOCK: exit 6, whatever that agent would have said."""
    cli("init", check=True)
    for done in (
        cli("get", "GITHUB_TOKEN", "--sock", users_agent.socket),
        cli("get", "GITHUB_TOKEN", env={"AGENTKEYS_SOCK": str(users_agent.socket)}),
        cli("unlock", "--sock", users_agent.socket),
        cli("exec", "--sock", users_agent.socket, "--", "true"),
    ):
        assert (done.code, done.out) == (6, b"")
        assert b"served by uid" in done.err


def test_a_listener_of_another_user_gets_no_byte(seat: Seat, other_user: User, short_path: Path) -> None:
    """A repository's variables name a stranger's socket: exit 6 at every verb, and nothing is sent."""
    short_path.chmod(0o777)
    trap = short_path / "trap.sock"
    squatter = other_user.run.start(SYSTEM_PYTHON, "-c", SQUATTER, trap, stdout=subprocess.PIPE)
    assert squatter.stdout
    assert squatter.stdout.readline() == b"listening\n"
    env = {"AGENTKEYS_SOCK": str(trap)}
    verbs = (["get", "GITHUB_TOKEN"], ["exec", "--", "true"], ["status"], ["unlock"], ["agent", "-k"])
    for args in verbs:
        done = seat.cli(*args, env=env)
        assert done.code == 6, args
        assert done.out in (b"", b"false;\n")
    with socket.socket(socket.AF_UNIX) as last:
        last.connect(str(trap))
        last.sendall(b"end")
    received = []
    while (line := squatter.stdout.readline()) != b"3\n":
        received.append(line)
    assert set(received) == {b"0\n"}
    assert len(received) >= len(verbs)


def test_a_squatter_in_our_socket_directory_is_not_asked(rack: Seat, other_user: User) -> None:
    """The directory was open for a moment, and a stranger's socket lies at our path: neither removed nor spoken to."""
    rack.socket.parent.mkdir()
    for directory in (rack.home.runtime, rack.socket.parent):
        directory.chmod(0o777)
    squatter = other_user.run.start(SYSTEM_PYTHON, "-c", SQUATTER, rack.socket, stdout=subprocess.PIPE)
    assert squatter.stdout
    assert squatter.stdout.readline() == b"listening\n"
    for directory in (rack.home.runtime, rack.socket.parent):
        directory.chmod(0o700)
    for args, code in ((["agent"], 6), (["get", "GITHUB_TOKEN"], 6), (["unlock"], 6)):
        assert rack.cli(*args).code == code, args
    assert rack.socket.lstat().st_uid == other_user.uid
