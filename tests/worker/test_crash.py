"""A worker that dies at any instant leaves nothing that the next one doesn't finish or clean, and loses nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys.core import session
from agentkeys.core.session import PREFIX
from agentkeys.errors import MALFUNCTION, OK, VAULT, AgentkeysError
from agentkeys.stores.sessions import SessionStore
from agentkeys.worker.job import Answer
from tests.stores.syscalls import Point, Tracer
from tests.support.plugin import Plant
from tests.support.runner import Result, Runner
from tests.support.sweeps import sample, swept
from tests.worker.office import WORKER, Office

SLUG, OTHER = "@all.all.A", "acme.prod.B"

Trace = Callable[[bytes], Tracer]


@pytest.fixture
def trace(program: Runner, tmp_path: Path) -> Trace:
    """One job of a worker, to be disturbed."""
    return lambda request: Tracer(program, tmp_path / "strace", *WORKER, stdin=request)


@pytest.fixture
def reset(office: Office, tmp_path: Path) -> Callable[[], None]:
    """Put ana's home back as it was when this was first called."""
    copy = tmp_path / "before"

    def put_back() -> None:
        if not copy.exists():
            shutil.copytree(office.root, copy, symlinks=True)
        shutil.rmtree(office.root)
        shutil.copytree(copy, office.root, symlinks=True)

    return put_back


def session_token(office: Office) -> bytes | None:
    """Of the session that lies there, whole, or None. Nothing is mended on the way."""
    files = list(office.root.glob(f"{PREFIX}*/session.json"))
    return session.from_bytes(files[0].read_bytes()).token if files else None


@pytest.mark.parametrize("third", [0, *[pytest.param(third, marks=pytest.mark.soak) for third in (1, 2)]])
def test_an_init_killed_at_each_system_call_is_finished_by_the_next(third: int, empty: Office, trace: Trace) -> None:
    """One identity, one wallet and a rack that it opens, whatever was there; nothing unfinished is left."""
    tracer = trace(empty.request("init", ("via", "file")))
    points = tracer.points()
    effects, tokens = [], []
    for point in points[third::3]:  # in parts, for the sake of who tests on several processors
        shutil.rmtree(empty.root)
        tracer.kill_at(point)
        before = session_token(empty)
        effects.append(empty.facts("init", ("via", "file"))["effect"])
        manifest = empty.manifest()
        assert (manifest.version, len(list((empty.root / "identity").iterdir()))) == (1, 1), f"after {point}"
        assert empty.leftovers() == [], f"after {point}"
        names = [path.name for path in (empty.root / "names").iterdir()]
        assert names == [manifest.wallet.lower()], f"after {point}"
        kept = SessionStore(str(empty.root), "file").load_session(PREFIX + manifest.wallet.lower()).token
        assert before in (None, kept), f"a session was made twice at {point}"
        tokens.append(before)
    assert (effects[0], effects[-1]) == ("created", "found")
    assert effects == sorted(effects), "once the rack is there, it stays"
    there = [token is not None for token in tokens]
    assert (there[0], there[-1], there == sorted(there)) == (False, True, True), "the session is the last that is made"


@swept
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_a_set_killed_at_each_system_call_leaves_old_or_new(
    every: int, large: bool, office: Office, trace: Trace, reset: Callable[[], None], canary: Plant
) -> None:
    """The replaced key has its old or its new value, the others theirs; what was acknowledged is there."""
    fill = b"x" * 20_000 if large else b""
    old, new, other = canary("OLD", suffix=fill), canary("NEW", suffix=fill), canary("OTHER")
    office.set(SLUG, old)
    office.set(OTHER, other)
    reset()
    tracer = trace(office.request("set", ("slug", SLUG), ("value", new)))
    states = []
    for point in sample(tracer.points(), every):
        reset()
        done = tracer.kill_at(point)
        found = office.values()
        assert found in ({SLUG: old, OTHER: other}, {SLUG: new, OTHER: other}), f"torn at {point}"
        states.append(found[SLUG] == new)
        assert states[-1] or not done.out, f"lost at {point}"
    assert states == sorted(states), "once it counts, it stays"
    assert (states[0], states[-1]) == (False, True)


@pytest.mark.parametrize("verb", ["set", "del"])
def test_a_change_is_on_record_before_it_happens(verb: str, office: Office, trace: Trace) -> None:
    """The intent is durable before the first byte of the vault, and the commit before the answer."""
    office.set(SLUG, b"old")
    fields = [("slug", SLUG), ("value", b"new")] if verb == "set" else [("slug", SLUG)]
    names = [point.name for point in trace(office.request(verb, *fields)).points()]
    calls = [name for name in names if name in ("write", "fdatasync", "fsync", "rename")]
    assert calls[:2] == ["write", "fdatasync"]
    assert "fsync" in calls[calls.index("rename") + 1 : -1]
    assert calls[-1] == "write"


@pytest.mark.parametrize("verb", ["set", "del"])
def test_what_a_killed_worker_left_goes_with_the_next_change(
    verb: str, office: Office, trace: Trace, reset: Callable[[], None]
) -> None:
    """Temporary files, half generations and a torn line of audit; and the marker is never one too few."""
    office.set(OTHER, b"other" * 5000)
    if verb == "del":
        office.set(SLUG, b"gone" * 5000)
    reset()
    fields = [("slug", SLUG), ("value", b"new" * 8000)] if verb == "set" else [("slug", SLUG)]
    tracer = trace(office.request(verb, *fields))
    for point in every_third(tracer.points()):
        reset()
        tracer.kill_at(point)
        assert office.marked(SLUG) or SLUG not in office.manifest().keys, f"after {point}"
        office.set(OTHER, b"again")
        assert office.leftovers() == [], f"after {point}"
        lines = office.chain()
        assert b'"decision":"done"' in lines[-1]
        assert (SLUG in office.values()) == (SLUG in office.manifest().keys)


def every_third(points: "list[Point]") -> "list[Point]":
    """Enough of them: the next change cleans by listing, not by history."""
    return [*points[::3], points[-1]]


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_an_error_at_each_system_call_of_a_set_is_said(
    error: str, office: Office, trace: Trace, reset: Callable[[], None], canary: Plant
) -> None:
    """A typed fault or success, never a crash; success means it is there, and no message holds the value."""
    old, new = canary("BEFORE"), canary("AFTER")
    office.set(SLUG, old)
    reset()
    tracer = trace(office.request("set", ("slug", SLUG), ("value", new)))
    for point in tracer.points():
        reset()
        done = tracer.fail_at(point, error)
        assert new not in done.out + done.err, f"shown after {error} at {point}"
        found = office.values()[SLUG]
        if not done.out:
            assert point.name == "write", f"no answer after {error} at {point}"
            assert found == new  # its own answer couldn't be written
            continue
        fault = fault_in(done)
        assert "internal" not in fault.message, f"{fault.message} after {error} at {point}"
        assert fault.exit_code in (OK, MALFUNCTION, VAULT), f"{fault.message} after {error} at {point}"
        assert found == new or fault.exit_code, f"acknowledged despite {error} at {point}"


def fault_in(done: Result) -> AgentkeysError:
    """What a worker answered, as an error; of code 0 when it was none."""
    try:
        Answer(done.out)
    except AgentkeysError as fault:
        return fault
    return AgentkeysError("", exit_code=OK)
