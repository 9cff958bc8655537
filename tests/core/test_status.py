"""What `status` prints: JSON that any parser reads, text for people, and no value in either."""

import json

from hypothesis import given
from hypothesis import strategies as st

from agentkeys.core import status
from agentkeys.core.status import AgentFacts, KeyState, Limits, Report, Use

FACTS = AgentFacts(77, "/run/ana.sock", "0xAb", "0.1.0", "", False)
LIMITS = Limits(604_800, 0)
KEYS = [
    KeyState("@all.all.A", "unlocked", 3661, "os.secure", "encrypted/permanent"),
    KeyState("acme.prod.LONGER", "locked", 0, "", ""),
    KeyState("acme.sudo.X", "expired", 0, "", ""),
]

MEMBERS = [
    "owner", "wallet", "pid", "socket", "version", "login_session", "uptime_seconds", "max_seconds", "idle_seconds",
    "auto_unlock_in_seconds", "auto_unlock_fault", "locked", "given", "last_given_seconds_ago", "denied", "unlocked",
    "memory_protected", "memory_locked", "session", "keys",
]  # fmt: skip
"""An interface: added to, never renamed."""


def report(owner: str, facts: AgentFacts, up: int, unlocked: bool, keys: "list[KeyState]") -> Report:
    """What an agent that was started 5 s after boot says of itself `up` seconds later."""
    made = Report(owner, facts, 5000, 5000 + up * 1000, LIMITS, Use())
    made.unlocked, made.keys = unlocked, keys
    return made


def test_json_has_the_promised_members() -> None:
    """In this order, with plain types."""
    text = status.as_json(report("ana", FACTS, 75, True, KEYS))
    found = json.loads(text)
    assert list(found) == MEMBERS
    assert found["keys"][0] == {
        "slug": "@all.all.A",
        "org": "@all",
        "env": "all",
        "name": "A",
        "state": "unlocked",
        "expires_in_seconds": 3661,
        "vault": "os.secure",
        "grade": "encrypted/permanent",
    }
    assert [row["expires_in_seconds"] for row in found["keys"]] == [3661, None, None]
    assert (found["pid"], found["uptime_seconds"], found["unlocked"], found["memory_protected"]) == (77, 75, True, True)
    assert text.endswith(b"}\n")


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)), st.booleans(), st.booleans())
def test_json_is_json_whatever_a_path_holds(socket: str, text: str, unlocked: bool, dumpable: bool) -> None:
    """Quotes, backslashes, control characters and undecodable bytes come back as they were, on one ASCII line."""
    facts = AgentFacts(1, socket, text, text, text, dumpable)
    keys = [KeyState("@all.all.A", "unlocked", 1, text, text)]
    line = status.as_json(report(text, facts, 0, unlocked, keys))
    assert line.isascii()
    assert line.count(b"\n") == 1
    found = json.loads(line)
    assert (found["socket"], found["owner"], found["keys"][0]["vault"]) == (socket, text, text)
    assert (found["unlocked"], found["memory_protected"]) == (unlocked, not dumpable)


def test_no_keys_are_an_empty_list() -> None:
    """Not null: a script counts them."""
    assert json.loads(status.as_json(report("ana", FACTS, 0, False, [])))["keys"] == []


def test_text_says_what_a_person_asks() -> None:
    """Whose, where, since when, who may call, and each key's state with its time in words."""
    lines = status.as_text(report("ana", FACTS, 3700, True, KEYS)).decode().splitlines()
    assert lines == [
        "owner    ana  0xAb",
        "agent    pid 77, up 1h1m, /run/ana.sock",
        "callers  every process of this user",
        "keys     1 unlocked of 3",
        "  @all.all.A        unlocked, 1h1m left  os.secure  encrypted/permanent",
        "  acme.prod.LONGER  locked",
        "  acme.sudo.X       expired",
    ]


def test_text_warns_when_memory_is_open() -> None:
    """And tells a login session, an unknown wallet and a rack that nobody opened yet."""
    facts = AgentFacts(77, "/s", "", "0.1.0", "12", True)
    lines = status.as_text(report("ana", facts, 0, False, [])).decode().splitlines()
    assert lines == [
        "owner    ana",
        "agent    pid 77, up 0s, /s",
        "callers  login session 12",
        "keys     locked: nothing was unlocked yet",
        "memory   readable by other processes of this user",
    ]


@given(st.text(st.characters(codec=None)))
def test_text_can_always_be_written(socket: str) -> None:
    """A path with undecodable bytes must not cost anybody their status."""
    assert status.as_text(report("ana", AgentFacts(1, socket, "", "", "", False), 0, True, KEYS)).decode()


def test_use_is_told() -> None:
    """How often values were given and refused, and how long ago the last was; an agent that gave none says null."""
    made = report("ana", FACTS, 600, True, [])
    found = json.loads(status.as_json(made))
    assert (found["given"], found["last_given_seconds_ago"], found["denied"]) == (0, None, 0)
    assert not {"used", "denied"} & {line.split()[0] for line in status.as_text(made).decode().splitlines()}
    made.use.given, made.use.last, made.use.denied = 3, 5000 + 540_000, 1
    found = json.loads(status.as_json(made))
    assert (found["given"], found["last_given_seconds_ago"], found["denied"]) == (3, 60, 1)
    lines = status.as_text(made).decode().splitlines()
    assert lines[-2:] == ["used     3 times, last 1m ago", "denied   once"]
