"""Jobs of `agentkeys doctor`: look at the keychain and into a rack, asking nobody and changing nothing.

A rack is opened only where its identity needs no person, and only its version leaves the worker.
"""

import os
import sys

from agentkeys import paths
from agentkeys.core import manifest, refs
from agentkeys.errors import AgentkeysError, Locked, VaultFault
from agentkeys.stores import atomic, identities
from agentkeys.stores.asking import Means
from agentkeys.stores.card import Card, read_card
from agentkeys.stores.keychain_here import open_keychain
from agentkeys.stores.rack import Rack, seen_version
from agentkeys.worker.job import Job

Rows = list[tuple[str, bytes | str]]


def probe(_job: Job) -> Rows:
    """The keychain's state, and the program behind it."""
    found = open_keychain().probe()
    return [("state", found.state), ("program", found.program), ("pid", str(found.pid))]


def inspect(job: Job) -> Rows:
    """How an owner's rack stands: `state`, and where it was opened the `version`; `seen` is this machine's memory.

    absent       there is no manifest                  unsettled    a restore was killed, and the next verb ends it
    person       somebody would have to be asked       locked       the keychain is, or there is none
    gone         the identity is not where it was      identity     it is there and can't be used; `message`
    rack         the manifest can't be; `message`      unclaimed    the manifest waits for its identity's first use
    opened       all is well                           waiting      likewise, and the identity isn't here either
    """
    root, owner = job.text("home"), refs.check_owner(job.text("owner"))
    rows: Rows = []
    try:
        rows.append(("seen", str(seen_version(root, owner))))
    except VaultFault as fault:
        rows.append(("seen-fault", fault.message))
    card = read_card(root, owner)
    data = atomic.read_file(paths.manifest(root, owner))
    if card is None or data is None:
        return [*rows, ("state", "absent")]
    if paths.exists(paths.next_card(root, owner)):
        return [*rows, ("state", "unsettled")]
    return [*rows, *_opened(root, card, data, job)]


def _opened(root: str, card: Card, data: bytes, job: Job) -> Rows:
    kept = _identity_state(root, card)
    if kept:
        return [("state", kept)]
    means = Means(_nobody, job.means().given)
    try:
        rack = Rack(root, card.owner, identities.open_identity(root, card, means))
    except Locked:
        return [("state", "person")]
    except AgentkeysError as fault:
        return [("state", "identity"), ("message", fault.message), ("hint", fault.hint)]
    try:
        text = rack.unseal(data, rack.path)
        if manifest.is_unclaimed(text):
            return [("state", "unclaimed")]
        version = manifest.from_bytes(text, rack.keys.manifest, card.owner).version
    except AgentkeysError as fault:
        return [("state", "rack"), ("message", fault.message)]
    return [("state", "opened"), ("version", str(version))]


def _identity_state(root: str, card: Card) -> str:
    """Why the identity isn't opened, or an empty text when that can be tried without disturbing anybody."""
    if identities.is_file(card.via) and not paths.exists(paths.identity(root, card.owner)):
        return "gone"
    if card.via == "ssh" and not os.path.exists(card.key_path):
        return "gone" if card.wallet else "waiting"
    if card.via == "passphrase" or card.via.startswith("plugin:"):
        return "person"
    if card.via == "keychain":
        if sys.platform == "darwin":
            return "person"  # macOS may put a dialog before it
        keychain = open_keychain()
        if keychain.probe().state != "ready":
            return "locked"
        return "" if keychain.holds(identities.slot(card.owner)) else "gone"
    return ""


def _nobody(_question: str) -> bytes:
    raise Locked("somebody would have to be asked")
