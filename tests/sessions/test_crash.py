"""kill -9 at any instant of a save, a move or a clear: the old session or the new one, and only ever one of them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys.errors import Absent
from agentkeys.stores import atomic
from agentkeys.stores.sessions import SessionStore
from tests.sessions.standin import NOW, A, StandIn, id_of, session
from tests.stores.syscalls import Tracer
from tests.support.runner import Runner

REPO = Path(__file__).parents[2]

OPENING = f"""
import os, sys
sys.path.insert(0, {str(REPO)!r})
from agentkeys.core.session import Session
from agentkeys.stores.sessions import SessionStore
store = SessionStore(sys.argv[1], "file", now={NOW})
"""

SAVE = f'store.save_session(Session({A!r}, b"n" * 32, {NOW}, {NOW} + 9), {id_of(A)!r})\nos.write(1, b"done")\n'

CLEAR = f'store.clear_session({id_of(A)!r})\nos.write(1, b"done")\n'


def held(root: Path) -> bytes | None:
    """The token that a new process finds, or None for none."""
    try:
        return SessionStore(str(root), "file", now=NOW).load_session(id_of(A)).token
    except Absent:
        return None


@pytest.mark.parametrize(("act", "then"), [(SAVE, b"n" * 32), (CLEAR, None)], ids=["save", "clear"])
def test_killed_at_each_system_call_a_session_is_old_or_new(
    act: str, then: bytes | None, program: Runner, root: Path, tmp_path: Path
) -> None:
    """What was said to be done is done; what follows works, and leaves no unfinished file."""
    store = SessionStore(str(root), "file", now=NOW)
    old = session(expires=NOW + 9)
    store.save_session(old, id_of(A))
    command = (sys.executable, "-IS", "-c", OPENING + act, str(root))
    tracer = Tracer(program, tmp_path / "strace", *command)
    states = []
    for point in tracer.points():
        store.save_session(session(expires=NOW + 9), id_of(A))
        before = held(root)
        done = tracer.kill_at(point)
        found = held(root)
        assert found in (before, then), f"torn at {point}"
        states.append(found == then)
        assert states[-1] or not done.out, f"lost at {point}"
        store.save_session(old, id_of(A))
        assert held(root) == old.token, f"after {point}"
        assert list(root.rglob("*.tmp")) == [], f"after {point}"
    assert states == sorted(states), "once it counts, it stays"
    assert (states[0], states[-1]) == (False, True)


class Killed(BaseException):
    """The process is gone, in the middle of an act."""


class Death:
    """Kills an act before the `at`th of its changes, to a file or to the keychain."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, change: "Callable[..., object]") -> "Callable[..., object]":
        """That change, or the end before it."""

        def dying(*args: object) -> object:
            if self.left == 0:
                raise Killed
            self.left -= 1
            return change(*args)

        return dying


ACTS: "dict[str, tuple[str, Callable[[SessionStore], object], str]]" = {
    "a save in the keychain": ("keychain", lambda store: store.save_session(session(), id_of(A)), "keychain"),
    "a move to a file": ("keychain", lambda store: store.move_session(id_of(A), "file"), "file"),
    "a move to the keychain": ("file", lambda store: store.move_session(id_of(A), "keychain"), "keychain"),
    "a clear of an entry": ("keychain", lambda store: store.clear_session(id_of(A)), ""),
}


@pytest.mark.parametrize("act", ACTS)
def test_killed_between_file_and_keychain_one_of_them_counts(
    act: str, root: Path, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each change to either place: a session is found, but for a clear; the act can be done again."""
    place, doing, end = ACTS[act]
    for at in range(20):
        store = SessionStore(str(root), "", standin, NOW)
        store.clear_session(id_of(A))
        store.save_session(session(), id_of(A))
        if place == "file":
            store.move_session(id_of(A), "file")
        death = Death(at)
        with monkeypatch.context() as patch:
            for name in ("write_file", "remove_file"):
                patch.setattr(atomic, name, death(getattr(atomic, name)))
            for name in ("write", "delete"):
                patch.setattr(standin, name, death(getattr(standin, name)))
            try:
                doing(SessionStore(str(root), "", standin, NOW))
                done = True
            except Killed:
                done = False
        after = SessionStore(str(root), "", standin, NOW)
        if end:
            assert after.load_session(id_of(A)), f"lost before change {at}"
        doing(after)
        copies = (id_of(A) in standin.entries) + (root / id_of(A) / "session.json").exists()
        assert copies == (1 if end else 0), f"after a death before change {at}"
        if end:
            assert after.list_sessions()[0].place == end
        if done:
            break
    assert done
    assert at > 1
