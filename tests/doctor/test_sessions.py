"""What doctor says of sessions: each state by its name, and a command where there is one."""

import json
from typing import Any

import pytest

from agentkeys.errors import AgentkeysError, VaultFault
from agentkeys.setup.doctor.scene import Scene
from agentkeys.setup.doctor.sessions import check_sessions
from tests.support.homes import Home

ROW = {
    "id": "master", "owner": "human", "wallet": "0x", "place": "file", "why": "there was no keychain", "state": "ready",
    "problem": None, "expires_at": "2027-01-01T00:00:00Z", "copy": "", "left_behind": False,
}  # fmt: skip

FOUND: "dict[str, Any]" = {"keychain": "absent", "unindexed": [], "strange": [], "legacy": ""}

CASES: "list[tuple[str, str, dict[str, Any], dict[str, Any]]]" = [
    ("session-kept", "ok", {}, {}),
    ("session-file", "note", {}, {"keychain": "ready"}),
    ("session-locked", "warning", {"state": "locked", "place": "keychain"}, {}),
    ("session-unreachable", "error", {"state": "unreachable", "place": "keychain"}, {}),
    ("session-expired", "warning", {"state": "expired"}, {}),
    ("session-gone", "error", {"state": "gone"}, {}),
    ("session-damaged", "error", {"state": "damaged"}, {}),
    ("session-newer", "error", {"state": "newer"}, {}),
    ("session-orphan", "note", {"owner": None, "id": "daemon-0x"}, {}),
    ("session-copy", "warning", {"place": "keychain", "copy": "/p/session.json"}, {}),
    ("session-left", "note", {"left_behind": True}, {}),
    ("session-strange", "note", {}, {"strange": ["robot7"]}),
    ("session-legacy", "note", {}, {"legacy": "/h/session"}),
    ("session-unindexed", "note", {}, {"unindexed": ["master"]}),
]
"""(name, severity, what differs in its row, what differs besides)."""


def look(home: Home, answer: "dict[str, Any] | AgentkeysError") -> "list[tuple[str, str, str]]":
    """(name, severity, fix) of what is found when the worker answers so."""

    def work(_name: str, _fields: object, _seconds: float) -> "dict[str, str]":
        if isinstance(answer, AgentkeysError):
            raise answer
        return {"found": json.dumps(answer)}

    home.root.mkdir(mode=0o700, exist_ok=True)
    scene = Scene({b"HOME": str(home.path).encode()}, work)
    scene.there = scene.owners = ["human"]
    return [(it.name, it.severity, it.fix) for it in check_sessions(scene)]


@pytest.mark.parametrize(("name", "severity", "row", "besides"), CASES, ids=[case[0] for case in CASES])
def test_each_state_is_a_finding(
    name: str, severity: str, row: "dict[str, Any]", besides: "dict[str, Any]", home: Home
) -> None:
    """By its name and severity; what is worse than a note has a command."""
    found = look(home, {**FOUND, **besides, "sessions": [{**ROW, **row}]})
    assert (name, severity) in [(it[0], it[1]) for it in found]
    assert [it[0] for it in found if it[1] in ("warning", "error") and not it[2]] == []


def test_an_owner_without_one_is_a_note(home: Home) -> None:
    """With the command that makes it."""
    assert look(home, {**FOUND, "sessions": []}) == [("session-none", "note", "agentkeys init --for human")]


def test_an_index_that_cant_be_read_is_an_error(home: Home) -> None:
    """The store's own words; a worker that doesn't run is another check's finding."""
    assert look(home, VaultFault("slot.json is damaged", "rm slot.json")) == [
        ("session-index", "error", "rm slot.json")
    ]
    assert look(home, AgentkeysError("the worker died")) == []
