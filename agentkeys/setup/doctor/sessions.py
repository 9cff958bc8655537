"""Sessions: where each owner's is and why, whether it is good there, and copies and records that count for nothing."""

import json
from collections.abc import Iterator

from agentkeys.core import session
from agentkeys.errors import MALFUNCTION, AgentkeysError
from agentkeys.setup.doctor.findings import Finding, error, note, ok, quoted, warning
from agentkeys.setup.doctor.scene import Scene
from agentkeys.stores.slots import FILE, slot_ids, where

LOOK = 10.0
"""Seconds for the look: a silent keychain costs two of them, once."""

Facts = dict[str, object]

KEYCHAINS = {
    "ready": "now there is one",
    "locked": "now there is one, which is locked",
    "asleep": "now there is one, which the first use starts",
    "silent": "now there is one, which doesn't answer",
}
"""How the keychain stands, for a session that is in a file; no word of one that isn't there or holds nothing yet."""


def check_sessions(scene: Scene) -> Iterator[Finding]:
    """Every session of this home, and owners that have none."""
    if not scene.is_ours or not (scene.there or slot_ids(scene.root)):
        return
    fields: list[tuple[str, bytes | str]] = [("home", scene.root)]
    store = scene.env("AGENTKEYS_SESSION_STORE")
    fields += [("store", store)] if store in ("file", "keychain") else []
    try:
        found = json.loads(scene.work("session-look", fields, min(LOOK, scene.left))["found"])
    except AgentkeysError as fault:
        if fault.exit_code != MALFUNCTION:  # a worker that doesn't run is the keychain's and the racks' finding
            yield error("session-index", fault.message, fault.hint)
        return
    rows = [row for row in found["sessions"] if row["owner"] in scene.owners or not row["owner"]]
    for row in rows:
        yield from _judge(row, found["keychain"])
    have = {row["owner"] for row in rows}
    for owner in scene.owners:
        if owner not in have:
            what = "it has no session, so no robot's start finds it"
            yield note("session-none", what, f"agentkeys init --for {owner}", owner)
    yield from _besides(found)


def _judge(row: Facts, keychain: str) -> Iterator[Finding]:
    owner, name, state = str(row["owner"] or ""), str(row["id"]), row["state"]
    problem, again = str(row["problem"]), f"agentkeys init --for {owner}" if owner else ""
    if state in (session.READY, session.UNASKED):
        yield _whole(row, owner, keychain)
    elif state == session.LOCKED:
        yield warning("session-locked", problem, "agentkeys session list", owner)
    elif state == session.UNREACHABLE:
        # a session that can't be had for good is given up by hand, and only then is another one made
        give_up = f"agentkeys session clear {name} --leave" + (f" && {again}" if again else "")
        yield error("session-unreachable", problem, give_up, owner)
    elif state == session.NEWER:
        yield error("session-newer", problem, "pipx upgrade agentkeysd", owner)
    elif state == session.EXPIRED:
        yield warning("session-expired", problem, again or f"agentkeys session clear {name}", owner)
    elif state == session.GONE:
        yield error("session-gone", problem, again or f"agentkeys session clear {name}", owner)
    else:
        yield error("session-damaged", problem, again or f"agentkeys session clear {name}", owner)
    if not owner:
        what = f"session {name} is of a wallet that no owner here has"
        yield note("session-orphan", what, f"agentkeys session clear {name}")
    if row["copy"]:
        what = f"{row['copy']}: an older copy, which counts for nothing"
        yield warning("session-copy", what, f"rm {quoted(str(row['copy']))}", owner)
    if row["left_behind"]:
        what = "the keychain may hold an older copy, which counts for nothing"
        yield note("session-left", what, "", owner)


def _whole(row: Facts, owner: str, keychain: str) -> Finding:
    """Where a good one is, and why; what would be better."""
    place = str(row["place"])
    what = f"{row['id']} is {where(place)}: {row['why']}, until {str(row['expires_at'])[:10]}"
    if place != FILE or keychain not in KEYCHAINS:
        return ok("session-kept", what, owner)
    fix = f"agentkeys session move {row['id']} --to keychain" if keychain in ("ready", "asleep") else ""
    return note("session-file", f"{what}; {KEYCHAINS[keychain]}", fix, owner)


def _besides(found: Facts) -> Iterator[Finding]:
    """What lies in the home and is no session of it."""
    strange, legacy = found["strange"], found["legacy"]
    for name in found["unindexed"] if isinstance(found["unindexed"], list) else []:
        yield note("session-unindexed", f"session {name} has lost its index, or is new here", "agentkeys session list")
    for name in strange if isinstance(strange, list) else []:
        yield note("session-strange", f"{name}/session.json: no session's id, so nothing reads it", "")
    if legacy:
        what = f"{legacy}: no session can be moved out of it, or its slot has a newer one; nothing reads it"
        yield note("session-legacy", what, f"rm {quoted(str(legacy))}")
