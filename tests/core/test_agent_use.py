"""What `status` says of use: how often values were given and refused. Asking for it changes nothing."""

import json

import pytest

from agentkeys.core import status
from agentkeys.core.events import Peer, PeerRefused, Tick
from agentkeys.core.padlock import SALT_SIZE
from tests.core.playbook import PEER, Playbook, ask


def use(book: Playbook, now: int = 0) -> "tuple[int, int | None, int]":
    """Given, seconds since the last, and denied, as JSON has them."""
    found = json.loads(status.as_json(book.state.report(now)))
    return found["given"], found["last_given_seconds_ago"], found["denied"]


def test_each_get_and_exec_is_one_use() -> None:
    """However many values it gave, and whether or not its answer was prepared before."""
    book = Playbook().unlock(A="one", B="two")
    assert use(book) == (0, None, 0)
    for now, request in enumerate([ask("get", key="A"), ask("exec"), ask("exec"), ask("exec", key="B")], 1):
        book.step(request, now * 1000)
        assert use(book, 60_000) == (now, 60 - now, 0)
    book.step(ask("exec", ("key", "A"), ("key", "NONE"), ("lenient", "1")), 10_000)
    assert use(book, 10_000) == (5, 0, 1)


def test_what_the_log_calls_denied_is_counted() -> None:
    """A key that isn't held or isn't there, another user, a wrong passphrase; not a request that makes no sense."""
    book = Playbook().unlock(A="one")
    for denied, event in enumerate(
        (
            ask("get", key="NONE"),
            ask("exec", key="NONE"),
            PeerRefused(1, PEER, "uid 1000"),
            ask("get", key="A", peer=Peer(PEER.uid, PEER.pid, "a process of another login session")),
            ask("status", peer=Peer(PEER.uid, PEER.pid, "a process of another login session")),
        ),
        1,
    ):
        book.step(event, 0)
        assert use(book) == (0, None, denied)
    book.step(ask("nonsense"), 0)
    book.step(ask("lock", passphrase="right", salt="x" * SALT_SIZE), 0)
    book.step(ask("open", passphrase="wrong"), 0)
    assert use(book) == (0, None, 6)


@pytest.mark.parametrize(
    "event", [ask("status"), ask("ping"), ask("relock"), Tick()], ids=["status", "ping", "relock", "tick"]
)
def test_asking_is_no_use(event: object) -> None:
    """And what was given stays counted when it is forgotten."""
    book = Playbook().unlock(A="one")
    book.step(ask("get", key="A"), 1000)
    book.step(event, 5000)
    assert use(book, 5000) == (1, 4, 0)
