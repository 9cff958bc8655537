"""Jobs about sessions: list, show, move and clear them, issue one at `init`, choose the one that a robot resumes.

No job's answer holds a token.
"""

import json
import os
import sys

from agentkeys import paths
from agentkeys.core import session, wallet
from agentkeys.errors import Absent, UsageFault, VaultFault
from agentkeys.stores.card import Card, read_card
from agentkeys.stores.keychain_here import open_keychain
from agentkeys.stores.session_finder import show_time
from agentkeys.stores.sessions import SessionStore
from agentkeys.stores.slots import FILE, KEYCHAIN, NOWHERE, Slot, owner_of, read_slot, slot_ids, strange_slots
from agentkeys.stores.wallet_key import keccak256
from agentkeys.worker.job import Job

Rows = list[tuple[str, bytes | str]]

BEGIN = "agentkeys init --for seaturtle"


def list_(job: Job) -> Rows:
    """A row of JSON for each session."""
    store = _store(job)
    return [("row", json.dumps(_facts(store, slot))) for slot in store.list_sessions()]


def show(job: Job) -> Rows:
    """The row of one session. Raises Absent."""
    store, session_id = _store(job), _session_id(job)
    return [("row", json.dumps(_facts(store, store.require(store.slot(session_id), session_id))))]


def move(job: Job) -> Rows:
    """Put a session into the other place. Raises as SessionStore.move_session()."""
    store, session_id, place = _store(job), _session_id(job), job.text("to")
    before = store.require(store.slot(session_id), session_id).place
    slot = store.move_session(session_id, place)
    effect = "found" if before == place else "moved"
    return [("session", session_id), ("effect", effect), ("left-behind", "1" if slot.left_behind else "")]


def clear(job: Job) -> Rows:
    """Forget a session. Raises as SessionStore.clear_session()."""
    store, session_id = _store(job), _session_id(job)
    there = store.clear_session(session_id, leave=bool(job.text("leave", "")))
    left = store.slot(session_id)
    effect = "cleared" if there else "absent"
    return [("session", session_id), ("effect", effect), ("left-behind", "1" if left and left.left_behind else "")]


def look(job: Job) -> Rows:
    """Everything that `session doctor` judges, as one JSON object. Changes nothing, asks nobody and starts nothing."""
    store = SessionStore(job.text("home"), job.text("store", ""))
    keychain = "absent" if store.only == FILE else open_keychain().probe().state
    quiet = sys.platform != "darwin" and keychain in ("ready", "locked")  # macOS may put a dialog before an entry
    slots = [(name, read_slot(store.root, name)) for name in slot_ids(store.root)]
    legacy = paths.legacy_session(store.root)
    found = {
        "keychain": keychain,
        "sessions": [
            {**_facts(store, slot, asks=quiet or slot.place == FILE), "copy": _older_copy(store, slot)}
            for _, slot in slots
            if slot is not None and slot.place != NOWHERE
        ],
        "unindexed": [name for name, slot in slots if slot is None],
        "strange": strange_slots(store.root),
        "legacy": legacy if os.path.isfile(legacy) else "",
    }
    return [("found", json.dumps(found))]


def renew(job: Job) -> Rows:
    """Give a self-issued session that is half over another token and a new term; the slot keeps its place."""
    store, session_id = _store(job), job.text("session")
    found = store.load_session(session_id)
    if found.half_over(store.now):
        issue(store, found.wallet, session_id)
    return []


def choose(job: Job) -> Rows:
    """The robot that a start resumes: the named owner, or the only one that has a session. The session is opened.

    Raises Absent where there is none, UsageFault where there are several, and as SessionStore.load_session().
    """
    store, owner = _store(job), job.text("owner", "")
    if owner:
        card = read_card(store.root, owner)
        session_id = session.id_of(owner, card.wallet if card else "")
        if not card or not card.wallet:
            raise Absent(f"{owner} has no wallet yet, and so no session", f"agentkeys init --for {owner}")
    else:
        session_id = _only_robot(store)
        owner = owner_of(store.root, session_id)
    found = store.load_session(session_id)
    if found.half_over(store.now):
        issue(store, found.wallet, session_id)
    return [("owner", owner), ("session", session_id), ("wallet", _shown_wallet(store, session_id, found.wallet))]


def _only_robot(store: SessionStore) -> str:
    """The id of the only robot's session. One that is gone doesn't count; one that is locked does: nobody guesses."""
    slots = [slot for slot in store.list_sessions() if slot.id != session.MASTER]
    owned = [(owner_of(store.root, slot.id), slot, store.state_of(slot)[0]) for slot in slots]
    owned.sort(key=lambda row: row[0])
    live = [row for row in owned if row[0] and row[2] != session.GONE]
    if len(live) == 1:
        return live[0][1].id
    if live:
        named = ", ".join([_named(*row) for row in live])
        raise UsageFault(
            f"{len(live)} robots have a session here: {named}", f"agentkeys agent --robot --for {live[0][0]}"
        )
    others = [_named(*row) for row in owned] + [f"{name}/session.json" for name in strange_slots(store.root)]
    besides = f"; of no use is {', '.join(others)}" if others else ""
    gone = [owner for owner, _, _ in owned if owner]
    raise Absent(f"no robot has a session here{besides}", f"agentkeys init --for {gone[0]}" if gone else BEGIN)


def _named(owner: str, slot: Slot, state: str) -> str:
    """A robot in a list of them."""
    short = f"{slot.wallet[:6]}…{slot.wallet[-4:]}"
    return f"{owner or 'a wallet without an owner'} {short}" + ("" if state == session.READY else f" ({state})")


def ensure(root: str, only: str, card: Card, without: str = "") -> Slot:
    """The session of an owner, issued where it has none, or where that is gone, expired or damaged.

    `only` and `without` are SessionStore's. Raises Locked, TimedOut or VaultFault where one is out of reach, and
    UsageFault for one of another wallet.
    """
    store = SessionStore(root, only)
    session_id = session.id_of(card.owner, card.wallet)
    slot = store.slot(session_id)
    if slot is None or slot.place == NOWHERE:
        return issue(store, card.wallet, session_id, without)
    if slot.wallet != card.wallet.lower():
        raise UsageFault(f"session {session_id} is of another wallet", f"agentkeys session clear {session_id}")
    state, _problem = store.state_of(slot)
    if state in (session.GONE, session.EXPIRED, session.DAMAGED) and not slot.grant:
        return issue(store, card.wallet, session_id)
    if store.load_session(session_id).half_over(store.now):
        return issue(store, card.wallet, session_id)
    return slot


def forget(root: str, only: str, card: Card) -> None:
    """Clear the session of an owner that is being removed. Raises as SessionStore.clear_session()."""
    SessionStore(root, only).clear_session(session.id_of(card.owner, card.wallet))


def issue(store: SessionStore, address: str, session_id: str, without: str = "") -> Slot:
    """Save a session that an owner issues to itself: a new token, no grant, a year. Raises as save_session()."""
    token = os.urandom(session.TOKEN_SIZE)
    made = session.Session(address.lower(), token, store.now, store.now + session.LIFE)
    return store.save_session(made, session_id, without)


def _store(job: Job) -> SessionStore:
    store = SessionStore(job.text("home"), job.text("store", ""))
    store.settle_legacy()
    return store


def _session_id(job: Job) -> str:
    """The id that a job is about, which may be given as a wallet in any letter case. Raises UsageFault."""
    text = job.text("session")
    return session.PREFIX + wallet.check_address(text, keccak256) if wallet.is_address(text) else session.check_id(text)


def _facts(store: SessionStore, slot: Slot, asks: bool = True) -> "dict[str, object]":
    """What `session list` and `session show` tell of one."""
    state, problem = store.state_of(slot) if asks else (session.UNASKED, "")
    in_file = slot.place == FILE
    return {
        "id": slot.id,
        "owner": owner_of(store.root, slot.id) or None,
        "wallet": _shown_wallet(store, slot.id, slot.wallet),
        "place": slot.place,
        "path": paths.session_file(store.root, slot.id) if in_file else None,
        "why": slot.why,
        "state": state,
        "problem": problem or None,
        "grant": slot.grant or None,
        "issued_at": show_time(slot.issued),
        "expires_at": show_time(slot.expires),
        "left_behind": slot.left_behind,
    }


def _shown_wallet(store: SessionStore, session_id: str, address: str) -> str:
    """A wallet as EIP-55 writes it; by the owner's card where there is one, because Keccak takes 40 ms to load."""
    owner = owner_of(store.root, session_id)
    try:
        card = read_card(store.root, owner) if owner else None
    except VaultFault:
        card = None
    if card is not None and card.wallet.lower() == address:
        return card.wallet
    return wallet.checksummed(address, keccak256)


def _older_copy(store: SessionStore, slot: Slot) -> str:
    """A file that lies beside a session in the keychain, or ""."""
    path = paths.session_file(store.root, slot.id)
    return path if slot.place == KEYCHAIN and paths.exists(path) else ""


JOBS = {
    "session-list": list_,
    "session-show": show,
    "session-move": move,
    "session-clear": clear,
    "session-look": look,
    "session-renew": renew,
    "session-choose": choose,
}
