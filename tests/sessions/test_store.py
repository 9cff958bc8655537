"""The session store: one interface over two places; no failure of one makes an old session count in the other."""

import json
import os
from pathlib import Path

import pytest

from agentkeys.core.session import LIFE, MASTER
from agentkeys.errors import Absent, AgentkeysError, Locked, TimedOut, UsageFault, VaultFault
from agentkeys.stores.sessions import SessionStore
from tests.sessions.standin import NOW, A, B, C, StandIn, id_of, session


def store_of(root: Path, standin: StandIn, only: str = "", now: int = NOW) -> SessionStore:
    """A store as a new worker makes it."""
    return SessionStore(str(root), only, standin, now)


@pytest.fixture
def store(root: Path, standin: StandIn) -> SessionStore:
    """A store with a keychain that works."""
    return store_of(root, standin)


def files(root: Path) -> "list[str]":
    """Every file of a home but its locks."""
    found = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return sorted(name for name in found if not name.startswith("lock/"))


def refused(store: SessionStore, session_id: str, error: type[AgentkeysError]) -> str:
    """What load says to that."""
    with pytest.raises(error) as fault:
        store.load_session(session_id)
    assert fault.value.hint
    return fault.value.message


# --- where it rests ------------------------------------------------------------------------------------------


def test_a_keychain_comes_first(store: SessionStore, standin: StandIn, root: Path) -> None:
    """The entry is there, no file holds the token, and the index lists it."""
    saved = session()
    slot = store.save_session(saved, id_of(A))
    assert (slot.place, files(root)) == ("keychain", [f"{id_of(A)}/slot.json"])
    assert saved.token.hex().encode() in standin.entries[id_of(A)]
    assert saved.token.hex() not in (root / id_of(A) / "slot.json").read_text()
    assert store.load_session(id_of(A)).token == saved.token
    assert [it.id for it in store.list_sessions()] == [id_of(A)]


def test_file_mode_asks_no_keychain(root: Path, standin: StandIn) -> None:
    """save, load, list, clear: a file, 0600, in a directory, 0700, whatever the umask; the keychain isn't called."""
    before = os.umask(0)
    try:
        store = store_of(root, standin, "file")
        saved = session()
        assert store.save_session(saved, MASTER).place == "file"
    finally:
        os.umask(before)
    path = root / MASTER / "session.json"
    modes = [it.stat().st_mode & 0o777 for it in (path, path.parent, path.with_name("slot.json"))]
    assert modes == [0o600, 0o700, 0o600]
    assert store.load_session(MASTER).token == saved.token
    assert [store.state_of(slot)[0] for slot in store.list_sessions()] == ["ready"]
    assert store.clear_session(MASTER)
    assert standin.calls == []


def test_a_directory_that_is_open_is_closed(root: Path, standin: StandIn) -> None:
    """It was 0755 before: the save makes it 0700."""
    (root / MASTER).mkdir(mode=0o755)
    store_of(root, standin, "file").save_session(session(), MASTER)
    assert (root / MASTER).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("broken", "why"),
    [("away", "no keychain"), ("silent", "didn't answer"), ("locked", "locked"), ("refusing", "refused")],
)
def test_without_a_keychain_a_new_session_is_in_a_file(broken: str, why: str, root: Path, standin: StandIn) -> None:
    """And the slot says why; with the keychain back it is loaded from the file all the same."""
    standin.broken = {broken}
    saved = session()
    slot = store_of(root, standin).save_session(saved, id_of(A))
    assert slot.place == "file"
    assert why in slot.why
    for state in ({broken}, set()):
        standin.broken = set(state)
        assert store_of(root, standin).load_session(id_of(A)).token == saved.token


@pytest.mark.parametrize("broken", ["away", "silent", "locked", "refusing"])
def test_keychain_mode_allows_no_file(broken: str, root: Path, standin: StandIn) -> None:
    """The save fails, and nothing is there."""
    standin.broken = {broken}
    with pytest.raises(VaultFault, match="allows no file"):
        store_of(root, standin, "keychain").save_session(session(), MASTER)
    assert files(root) == []


def test_a_variable_that_forbids_the_place_is_an_error(root: Path, standin: StandIn) -> None:
    """What is in the keychain isn't looked for in files, and the other way round; the hint moves it."""
    store_of(root, standin).save_session(session(A), id_of(A))
    store_of(root, standin, "file").save_session(session(B), id_of(B))
    refused(store_of(root, standin, "file"), id_of(A), UsageFault)
    refused(store_of(root, standin, "keychain"), id_of(B), UsageFault)
    with pytest.raises(UsageFault):
        store_of(root, standin, "file").clear_session(id_of(A))
    assert store_of(root, standin).load_session(id_of(A)).wallet == A


def test_sessions_are_listed_by_id_the_masters_first(store: SessionStore) -> None:
    """In whatever order they were saved."""
    for wallet in (C, A, B):
        store.save_session(session(wallet), id_of(wallet))
    store.save_session(session("0x" + "f" * 40), MASTER)
    assert [it.id for it in store.list_sessions()] == [MASTER, id_of(A), id_of(B), id_of(C)]


# --- five states ---------------------------------------------------------------------------------------------


def test_five_states_have_five_answers(root: Path, standin: StandIn) -> None:
    """Absent, locked, expired, damaged, of a later version: five messages, codes 5, 4, 4, 7, 7, and a way out each."""
    store = store_of(root, standin)
    for wallet in (A, B, C):
        store.save_session(session(wallet), id_of(wallet))
    store.save_session(session("0x" + "d" * 40, NOW + 1), "daemon-0x" + "d" * 40)
    standin.entries[id_of(B)] = b"{"
    record = json.loads(standin.entries[id_of(C)])
    standin.entries[id_of(C)] = json.dumps({**record, "version": 2}).encode()
    answers = [
        refused(store, "daemon-0x" + "e" * 40, Absent),
        refused(store_of(root, standin, now=NOW + 1), "daemon-0x" + "d" * 40, Locked),
        refused(store, id_of(B), VaultFault),
        refused(store, id_of(C), VaultFault),
    ]
    standin.broken = {"locked"}
    answers.append(refused(store_of(root, standin), id_of(A), Locked))
    assert len(set(answers)) == 5
    for answer, word in zip(answers, ("no session", "expired", "damaged", "later version", "locked"), strict=True):
        assert word in answer


DAMAGES = {
    "empty": b"",
    "truncated": b'{"version": 1, "tok',
    "no JSON": b"\xff\xfe",
    "a list": b"[]",
    "a number": b"1",
    "deep": b"[" * 100_000,
    "wrong types": b'{"version": 1, "serial": "1", "token": 5, "wallet": [], "grant": {}, "issued_at": null}',
    "a short token": json.dumps(
        {"version": 1, "serial": 1, "token": "ab", "wallet": A, "grant": "", "issued_at": 1, "expires_at": 2}
    ).encode(),
    "huge numbers": json.dumps(
        {"version": 1, "serial": 1, "token": "ab" * 32, "wallet": A, "grant": "", "issued_at": 1, "expires_at": 10**30}
    ).encode(),
    "too large": b'{"a": "' + b"x" * 20_000 + b'"}',
}


@pytest.mark.parametrize("data", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_an_error_and_is_kept_aside(data: bytes, root: Path, standin: StandIn) -> None:
    """Each time exit 7 and no new session; the next one that is saved leaves the damaged file beside it."""
    store = store_of(root, standin, "file")
    store.save_session(session(), id_of(A))
    path = root / id_of(A) / "session.json"
    path.write_bytes(data)
    for _ in range(2):
        refused(store, id_of(A), VaultFault)
        assert path.read_bytes() == data
    assert store.state_of(store.list_sessions()[0])[0] == "damaged"
    new = session()
    store.save_session(new, id_of(A))
    assert store.load_session(id_of(A)).token == new.token
    (aside,) = path.parent.glob("session.json.damaged-*")
    assert aside.read_bytes() == data
    store.clear_session(id_of(A))
    assert files(root) == []


def test_a_later_versions_session_is_not_written_over(root: Path, standin: StandIn) -> None:
    """It may be worth more than the one we would write."""
    store = store_of(root, standin, "file")
    store.save_session(session(), id_of(A))
    path = root / id_of(A) / "session.json"
    path.write_text('{"version": 2}')
    with pytest.raises(VaultFault, match="later version"):
        store.save_session(session(), id_of(A))
    assert path.read_text() == '{"version": 2}'


@pytest.mark.parametrize("kind", ["wide", "symlink", "fifo", "directory"])
def test_a_file_that_is_no_private_file_of_ours_is_not_read(kind: str, root: Path, standin: StandIn) -> None:
    """Open to others, a symlink to a good one, a FIFO, a directory: exit 7 naming the path, without hanging."""
    store = store_of(root, standin, "file")
    store.save_session(session(), MASTER)
    path = root / MASTER / "session.json"
    good = path.rename(root / "good.json")
    if kind == "wide":
        good.rename(path).chmod(0o644)
    elif kind == "symlink":
        path.symlink_to(good)
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.mkdir()
    assert str(path) in refused(store, MASTER, VaultFault)


def test_an_expired_session_stays_where_it_is(root: Path, standin: StandIn) -> None:
    """Exit 4 from the second on at which it ends; it is listed, can be moved, and another one can be saved."""
    store_of(root, standin).save_session(session(expires=NOW + 10), id_of(A))
    assert store_of(root, standin, now=NOW + 9).load_session(id_of(A))
    late = store_of(root, standin, now=NOW + 10)
    refused(late, id_of(A), Locked)
    assert late.state_of(late.list_sessions()[0])[0] == "expired"
    assert late.move_session(id_of(A), "file").place == "file"
    refused(late, id_of(A), Locked)
    late.save_session(session(expires=NOW + LIFE), id_of(A))
    assert late.load_session(id_of(A))


# --- locked is not absent ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("broken", "error"), [("locked", Locked), ("silent", TimedOut), ("away", VaultFault)])
def test_a_keychain_that_is_closed_is_never_treated_as_empty(
    broken: str, error: type[AgentkeysError], root: Path, standin: StandIn
) -> None:
    """load, save, move and clear fail alike and change nothing; open again, the session is as it was."""
    saved = session()
    store_of(root, standin).save_session(saved, id_of(A))
    before = {name: (root / name).read_bytes() for name in files(root)}
    standin.broken = {broken}
    for attempt in (
        lambda store: store.load_session(id_of(A)),
        lambda store: store.save_session(session(), id_of(A)),
        lambda store: store.move_session(id_of(A), "file"),
        lambda store: store.clear_session(id_of(A)),
    ):
        with pytest.raises(error) as fault:
            attempt(store_of(root, standin))
        assert id_of(A) in fault.value.message
    assert {name: (root / name).read_bytes() for name in files(root)} == before
    standin.broken = set()
    assert store_of(root, standin).load_session(id_of(A)).token == saved.token


def test_a_locked_slot_that_lost_its_index_is_locked_still(root: Path, standin: StandIn) -> None:
    """The keychain says that there is an entry: exit 4 for load and save, and nothing new."""
    store_of(root, standin).save_session(session(), id_of(A))
    (root / id_of(A) / "slot.json").unlink()
    standin.broken = {"locked"}
    refused(store_of(root, standin), id_of(A), Locked)
    with pytest.raises(Locked):
        store_of(root, standin).save_session(session(), id_of(A))
    assert files(root) == []


def test_a_lost_index_is_made_again(root: Path, standin: StandIn) -> None:
    """From the keychain, from a file, and of two copies from the one that was written last."""
    store = store_of(root, standin)
    old, new = session(), session()
    store_of(root, standin, "file").save_session(old, id_of(A))
    stale = (root / id_of(A) / "session.json").read_bytes()
    store.save_session(new, id_of(A))
    store.move_session(id_of(A), "keychain")
    (root / id_of(A) / "session.json").write_bytes(stale)
    (root / id_of(A) / "session.json").chmod(0o600)
    (root / id_of(A) / "slot.json").unlink()
    assert store_of(root, standin).load_session(id_of(A)).token == new.token
    assert [it.place for it in store.list_sessions()] == ["keychain"]
    store_of(root, standin, "file").save_session(session(B), id_of(B))
    (root / id_of(B) / "slot.json").unlink()
    assert store_of(root, standin).load_session(id_of(B)).wallet == B


def test_a_session_that_is_gone_is_said_to_be_gone(root: Path, standin: StandIn) -> None:
    """Somebody removed the entry, or the file, by hand: exit 5, and it can be saved again."""
    store = store_of(root, standin)
    store.save_session(session(A), id_of(A))
    store_of(root, standin, "file").save_session(session(B), id_of(B))
    standin.entries.clear()
    (root / id_of(B) / "session.json").unlink()
    for wallet in (A, B):
        assert "gone" in refused(store, id_of(wallet), Absent)
    assert [store.state_of(slot)[0] for slot in store.list_sessions()] == ["gone", "gone"]
    for wallet in (A, B):
        store.save_session(session(wallet), id_of(wallet))
        assert store.load_session(id_of(wallet)).wallet == wallet


# --- a stale copy never wins ---------------------------------------------------------------------------------


def test_an_older_file_is_not_used_while_the_keychain_is_away(root: Path, standin: StandIn) -> None:
    """Saved in a file, moved to the keychain, the file put back: with the keychain down that is an error."""
    store_of(root, standin, "file").save_session(session(), id_of(A))
    path = root / id_of(A) / "session.json"
    old = path.read_bytes()
    store_of(root, standin).move_session(id_of(A), "keychain")
    assert not path.exists()
    path.write_bytes(old)
    path.chmod(0o600)
    for broken, error in (("away", VaultFault), ("silent", TimedOut), ("locked", Locked)):
        standin.broken = {broken}
        refused(store_of(root, standin), id_of(A), error)


def test_an_older_entry_put_back_is_refused(root: Path, standin: StandIn) -> None:
    """A keychain or a file from a backup: exit 7, it is older than the last one saved."""
    for only in ("keychain", "file"):
        store = store_of(root, standin, only)
        store.save_session(session(), MASTER)
        path = root / MASTER / "session.json"
        old = {**standin.entries}, path.read_bytes() if only == "file" else b""
        store.save_session(session(), MASTER)
        standin.entries = {**old[0]}
        if only == "file":
            path.write_bytes(old[1])
        assert "older" in refused(store, MASTER, VaultFault)
        store.clear_session(MASTER)
        later = store_of(root, standin, only, NOW + 60)
        later.save_session(session(), MASTER)  # cleared in between, the older one is known as older still
        standin.entries = old[0]
        if only == "file":
            path.write_bytes(old[1])
        assert "older" in refused(later, MASTER, VaultFault)
        later.clear_session(MASTER)


def test_a_write_that_timed_out_is_read_back(root: Path, standin: StandIn) -> None:
    """It landed: then it counts, and no file is written. It didn't: a file, and what lands later is never read."""
    standin.broken = {"late"}
    saved = session(A)
    assert store_of(root, standin).save_session(saved, id_of(A)).place == "keychain"
    assert not (root / id_of(A) / "session.json").exists()
    standin.broken = {"lost"}
    kept = session(B)
    slot = store_of(root, standin).save_session(kept, id_of(B))
    assert (slot.place, "didn't answer" in slot.why) == ("file", True)
    standin.broken = set()
    standin.entries[id_of(B)] = session(B).to_bytes()
    assert store_of(root, standin).load_session(id_of(B)).token == kept.token


def test_a_keychain_that_drops_a_write_is_an_error(root: Path, standin: StandIn) -> None:
    """Read-back finds it out; neither a slot nor a file is left, and no session is thought to be there."""
    standin.broken = {"lying"}
    with pytest.raises(VaultFault, match="didn't keep it"):
        store_of(root, standin).save_session(session(), id_of(A))
    assert files(root) == []
    refused(store_of(root, standin), id_of(A), Absent)


def test_a_keychain_that_drops_a_removal_is_an_error(root: Path, standin: StandIn) -> None:
    """The session is there still, and said to be."""
    store = store_of(root, standin)
    store.save_session(session(), id_of(A))
    standin.broken = {"clinging"}
    with pytest.raises(VaultFault, match="still"):
        store.clear_session(id_of(A))
    assert store.load_session(id_of(A))


def test_a_refused_write_leaves_the_older_session(root: Path, standin: StandIn) -> None:
    """In the keychain: no file in its stead."""
    saved = session()
    store_of(root, standin).save_session(saved, id_of(A))
    standin.broken = {"refusing"}
    with pytest.raises(VaultFault, match="refused"):
        store_of(root, standin).save_session(session(), id_of(A))
    assert store_of(root, standin).load_session(id_of(A)).token == saved.token
    assert not (root / id_of(A) / "session.json").exists()


def test_a_silent_keychain_is_waited_for_once(root: Path, standin: StandIn) -> None:
    """A list of three sessions in it asks it once."""
    store = store_of(root, standin)
    for wallet in (A, B, C):
        store.save_session(session(wallet), id_of(wallet))
    standin.broken, standin.calls = {"silent"}, []
    store = store_of(root, standin)
    assert [store.state_of(slot)[0] for slot in store.list_sessions()] == ["unreachable"] * 3
    assert standin.calls == ["state"]


def test_another_homes_entry_is_left_alone(root: Path, tmp_path: Path, standin: StandIn) -> None:
    """Two homes share a keychain, and an id: the second one's session goes to a file, and says why."""
    first = session(A)
    store_of(root, standin).save_session(first, MASTER)
    other = tmp_path / "other-root"
    other.mkdir(mode=0o700)
    second = session(B)
    slot = store_of(other, standin).save_session(second, MASTER)
    assert (slot.place, "isn't of this home" in slot.why) == ("file", True)
    with pytest.raises(UsageFault, match="isn't of this home"):
        store_of(other, standin).move_session(MASTER, "keychain")
    assert store_of(other, standin).clear_session(MASTER)
    assert store_of(root, standin).load_session(MASTER).token == first.token


# --- moving and clearing -------------------------------------------------------------------------------------


def test_a_move_leaves_one_copy(root: Path, standin: StandIn) -> None:
    """To a file and back, twice: the same token, and nothing where it was."""
    store = store_of(root, standin)
    saved = session()
    store.save_session(saved, id_of(A))
    for place in ("file", "file", "keychain", "keychain", "file"):
        assert store.move_session(id_of(A), place).place == place
        assert store.load_session(id_of(A)).token == saved.token
        assert (root / id_of(A) / "session.json").exists() == (place == "file")
        assert (id_of(A) in standin.entries) == (place == "keychain")


@pytest.mark.parametrize("broken", ["locked", "silent", "away", "refusing", "lying", "lost"])
def test_a_move_that_fails_leaves_the_session(broken: str, root: Path, standin: StandIn) -> None:
    """In its file, where it is loaded from and can be moved later."""
    saved = session()
    store_of(root, standin, "file").save_session(saved, id_of(A))
    standin.broken = {broken}
    with pytest.raises(AgentkeysError):
        store_of(root, standin).move_session(id_of(A), "keychain")
    assert store_of(root, standin).load_session(id_of(A)).token == saved.token
    standin.broken = set()
    assert store_of(root, standin).move_session(id_of(A), "keychain").place == "keychain"
    assert store_of(root, standin).load_session(id_of(A)).token == saved.token


def test_clearing_one_touches_no_other(root: Path, standin: StandIn) -> None:
    """It is gone at once; master and the other robot load, in both places."""
    for only in ("", "file"):
        store = store_of(root, standin, only)
        for saved, name in ((session(A), id_of(A)), (session(B), id_of(B)), (session(C), MASTER)):
            store.save_session(saved, name)
        assert store.clear_session(id_of(A))
        assert not store.clear_session(id_of(A))
        refused(store, id_of(A), Absent)
        assert (store.load_session(id_of(B)).wallet, store.load_session(MASTER).wallet) == (B, C)
        for name in (id_of(B), MASTER):
            store.clear_session(name)
        assert (standin.entries, files(root)) == ({}, [])


@pytest.mark.parametrize("broken", ["locked", "silent", "away"])
def test_what_is_left_in_a_closed_keychain_never_comes_back(broken: str, root: Path, standin: StandIn) -> None:
    """`clear --leave`: absent from then on, also with the keychain open again; the next session takes its place."""
    store_of(root, standin).save_session(session(), id_of(A))
    standin.broken = {broken}
    assert store_of(root, standin).clear_session(id_of(A), leave=True)
    for state in ({broken}, set()):
        standin.broken = set(state)
        refused(store_of(root, standin), id_of(A), Absent)
        assert store_of(root, standin).list_sessions() == []
    new = session()
    assert store_of(root, standin).save_session(new, id_of(A)).place == "keychain"
    assert store_of(root, standin).load_session(id_of(A)).token == new.token


# --- ids and wallets -----------------------------------------------------------------------------------------

HOSTILE = [
    "",
    ".",
    "..",
    "../escape",
    "foo/bar",
    "/etc/passwd",
    "daemon-",
    "daemon-../../escape",
    "daemon-" + A + "\n",
    "daemon-" + A[:-1],
    "daemon-" + A.upper(),
    "daemon-0X" + A[2:],
    "Master",
    "master\0",
    "x" * 500,
    "daemon-0x" + "а" * 40,
]


@pytest.mark.parametrize("session_id", HOSTILE, ids=ascii)
def test_an_id_that_could_be_a_path_is_refused(session_id: str, root: Path, standin: StandIn) -> None:
    """Each operation refuses it before it touches anything; so does one that differs in letter case alone."""
    store = store_of(root, standin)
    for attempt in (
        lambda: store.save_session(session(), session_id),
        lambda: store.load_session(session_id),
        lambda: store.move_session(session_id, "file"),
        lambda: store.clear_session(session_id),
    ):
        with pytest.raises(UsageFault):
            attempt()
    assert (list(root.iterdir()), standin.calls) == ([], [])


def test_a_session_goes_by_its_own_wallet(root: Path, standin: StandIn) -> None:
    """One robot's isn't saved as another one's, and one that was put there is refused."""
    store = store_of(root, standin)
    with pytest.raises(UsageFault):
        store.save_session(session(B), id_of(A))
    store.save_session(session(A), id_of(A))
    standin.entries[id_of(A)] = session(B).to_bytes()
    assert "another wallet" in refused(store, id_of(A), VaultFault)


# --- the one session of older programs -----------------------------------------------------------------------


def legacy(root: Path, wallet: str = A, **members: object) -> str:
    """Leave one; its token."""
    token = os.urandom(32).hex()
    record = {"token": token, "wallet": wallet, "scope": None, "created_at": NOW - 5, "ttl_seconds": 86400, **members}
    (root / "session").write_text(json.dumps(record))
    (root / "session").chmod(0o600)
    return token


@pytest.mark.parametrize("broken", ["", "away"])
def test_a_legacy_session_moves_into_its_slot(broken: str, root: Path, standin: StandIn) -> None:
    """Same token, same wallet, its end as before; the file is gone, and a second time there is nothing to do."""
    standin.broken = {broken}
    token = legacy(root)
    store = store_of(root, standin)
    assert store.settle_legacy() == id_of(A)
    assert not (root / "session").exists()
    found = store.load_session(id_of(A))
    assert (found.token.hex(), found.expires) == (token, NOW - 5 + 86400)
    assert store.settle_legacy() == ""


def test_a_legacy_session_is_never_preferred(root: Path, standin: StandIn) -> None:
    """Its slot has one: that one stays. It was cleared: it stays cleared."""
    store = store_of(root, standin)
    saved = session(A)
    store.save_session(saved, id_of(A))
    legacy(root)
    assert store.settle_legacy() == ""
    assert store.load_session(id_of(A)).token == saved.token
    standin.broken = {"silent"}
    store_of(root, standin).clear_session(id_of(A), leave=True)
    standin.broken = set()
    store = store_of(root, standin)
    assert store.settle_legacy() == ""
    refused(store, id_of(A), Absent)


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'{"token": "x"}', b'{"version": 9}'])
def test_a_legacy_file_that_is_no_session_is_left(record: bytes, root: Path, standin: StandIn) -> None:
    """Not moved, not removed, not an error that keeps everything else from working."""
    (root / "session").write_bytes(record)
    assert store_of(root, standin).settle_legacy() == ""
    assert (root / "session").read_bytes() == record


def test_a_legacy_path_that_is_no_file_is_left(root: Path, standin: StandIn) -> None:
    """A FIFO keeps nobody waiting."""
    os.mkfifo(root / "session")
    assert store_of(root, standin).settle_legacy() == ""
