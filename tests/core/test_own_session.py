"""What an agent is told of its owner's session, and how `status` shows it: facts, and no token."""

import json

import pytest

from agentkeys.core import own_session
from agentkeys.errors import USAGE, UsageFault
from tests.core.playbook import Playbook, ask, error, ok

FIELDS = {"id": "daemon-0x" + "a" * 40, "place": "keychain", "grant": "", "left": "90"}


def test_it_is_shown_as_it_was_told() -> None:
    """None before; then id, place, state, grant, and the seconds that are left, which pass; then none again."""
    kept = own_session.read(FIELDS["id"], "keychain", "", "90", 10)
    assert json.loads(own_session.as_json(kept, 40)) == {
        "id": FIELDS["id"],
        "place": "keychain",
        "state": "ready",
        "grant": None,
        "expires_in_seconds": 60,
    }
    assert json.loads(own_session.as_json(None, 0)) is None
    assert json.loads(own_session.as_json(kept, 100))["state"] == "expired"
    assert own_session.as_text(kept, "ana", 40) == "in the keychain, issued by itself, 1m left"
    assert own_session.as_text(kept, "ana", 100) == "expired: agentkeys init --for ana"


def test_an_agent_takes_all_four_or_none() -> None:
    """Told, moved, cleared; a request that lacks one or has another is refused and changes nothing."""
    book = Playbook()
    assert book.step(ask("session", **FIELDS), 5_000) == [ok()]
    kept = book.state.facts.own_session
    assert kept is not None
    assert (kept.id, kept.place, kept.grant, kept.ends) == (FIELDS["id"], "keychain", "", 95)
    for fields in ({**FIELDS, "token": "x"}, {"id": "master"}, {**FIELDS, "place": "cloud"}):
        assert book.step(ask("session", **fields), 5_000) == [error(USAGE)]
        assert book.state.facts.own_session is kept
    assert book.step(ask("session"), 5_000) == [ok()]
    assert book.state.facts.own_session is None


@pytest.mark.parametrize(
    "field", [("place", "nowhere"), ("place", ""), ("left", "-1"), ("left", "1e9"), ("left", "1" * 11), ("left", "٣"),
              ("id", "x" * 65), ("grant", "x" * 65)]
)  # fmt: skip
def test_what_cant_be_is_refused(field: "tuple[str, str]") -> None:
    """A place that isn't one, a time that isn't one, and texts without end."""
    with pytest.raises(UsageFault):
        own_session.read(*{**FIELDS, **dict([field])}.values(), 0)
