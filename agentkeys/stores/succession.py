"""One identity after another: a restore gives an owner a new one, and a kill leaves the old owner or the new.

owners/<owner>.next         a note: the card to come, and the hash of the rack as it was
identity/<owner>.next       the new identity, where that is a file of ours
identity-<owner>.next       the same in the keychain

Rule 1: nothing of the old identity is touched before the rack is sealed to the new one.
Rule 2: the manifest's rename decides. While the rack is the one that the note names, the old identity counts, and
        what was made for the new one goes; else the new one is put in its place.
Rule 3: every job settles what a killed restore left, under the rack's lock, before it reads the card.
Rule 4: an identity that lies where the new one goes is kept beside it, never overwritten.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from agentkeys import paths
from agentkeys.errors import AgentkeysError, VaultFault
from agentkeys.stores import age, atomic, identities
from agentkeys.stores.card import Card, card_from_json, publish, timestamp
from agentkeys.stores.identities import Making
from agentkeys.stores.identity import OpenIdentity
from agentkeys.stores.keychain_here import open_keychain

HASH_SIZE = 32
"""Bytes of the rack's hash."""

PROBE_SIZE = 16
"""Bytes sealed to an identity and opened by it, before a rack is trusted to it; as long as age's own file key."""


class Succession:
    """A restore under way: what is to be, and where it is prepared."""

    def __init__(self, root: str, owner: str, rack: bytes, via: str) -> None:
        self.root = root
        self.owner = owner
        self.rack = paths.digest(rack, HASH_SIZE)
        """Of the manifest that the old identity counts with."""
        self.via = via
        self.card: Card | None = None
        """The owner as it will be; None while its identity is still being made."""

    def announce(self, card: Card) -> None:
        """Write down who the owner will be; its identity is durable. Raises VaultFault."""
        self.card = card
        self.write()

    def write(self) -> None:
        """Make the note durable. Raises VaultFault."""
        path = paths.next_card(self.root, self.owner)
        card = self.card.as_json() if self.card else None
        atomic.make_private_dir(os.path.dirname(path))
        text = json.dumps({"rack": self.rack, "via": self.via, "card": card}, indent=2) + "\n"
        atomic.write_file(path, text.encode("ascii"))

    def abandon(self) -> None:
        """Remove what was made for an identity that never counted. Raises VaultFault."""
        atomic.remove_file(paths.next_identity(self.root, self.owner))
        if self.via == "keychain":
            try:
                open_keychain().delete(_next_slot(self.owner))
            except AgentkeysError:
                pass  # it opens nothing, and the next restore to the keychain replaces it
        self._forget()

    def complete(self, card: Card) -> None:
        """Put the new identity in its place, then the card; cut short, it can be done again.

        Raises VaultFault, and Locked or TimedOut of a keychain.
        """
        prepared, place = paths.next_identity(self.root, self.owner), paths.identity(self.root, self.owner)
        if not identities.is_file(card.via):
            _set_aside(place)
        elif paths.exists(prepared):
            _set_aside(place)
            atomic.move_file(prepared, place)
        if card.via == "keychain":
            _move_in_keychain(self.owner)
        publish(self.root, card)
        self._forget()

    def _forget(self) -> None:
        """Remove the note, durable: found again beside a rack that was changed since, it would tell a lie."""
        path = paths.next_card(self.root, self.owner)
        atomic.remove_file(path)
        atomic.sync_dir(os.path.dirname(path))


@contextmanager
def succeeding(root: str, card: Card, rack: bytes, via: str) -> Iterator[Succession]:
    """For the time in which an owner's identity is made anew; `rack` is the manifest's file as it is now.

    Call it under the rack's lock, with nothing left to settle. Raises VaultFault, Locked, TimedOut.
    """
    if via == "keychain":
        open_keychain().delete(_next_slot(card.owner))
    made = Succession(root, card.owner, rack, via)
    made.write()
    try:
        yield made
    finally:
        settle(root, card.owner)


def make_next(making: Making) -> "tuple[Card, OpenIdentity]":
    """Make an identity beside the one that counts; what is sealed to it was opened by it. Within succeeding().

    Raises as identities.make() does, and VaultFault for one that doesn't open its own.
    """
    making.path = paths.next_identity(making.root, making.owner)
    making.slot = _next_slot(making.owner)
    made = identities.make(making)
    opened = making.opened or identities.open_identity(making.root, made, making.means, making.path)
    if not opens_its_own(opened):
        raise VaultFault(
            f"the new identity doesn't open what is sealed to {opened.recipient}",
            f"{making.command} --via {made.via} --pubkey KEY {making.file_option} FILE",
        )
    return made, opened


def opens_its_own(opened: OpenIdentity) -> bool:
    """Whether an identity opens what is sealed to its recipient: of a plugin, only its hardware can tell.

    Raises why a plugin's question couldn't be put, and VaultFault for a plugin that isn't there.
    """
    probe = os.urandom(PROBE_SIZE)
    sealed = age.seal(probe, [opened.recipient])
    try:
        return age.open_sealed(sealed, opened.decryptor, "a probe") == probe
    except VaultFault:
        refusal = opened.refusal()
        if refusal is not None:
            raise refusal from None
        return False


def settle(root: str, owner: str) -> None:
    """End what a restore began, one way or the other; call it under the rack's lock, before the card is read.

    Raises VaultFault, and Locked or TimedOut while the new identity lies in a keychain that can't be read.
    """
    found = _read(root, owner)
    if found is None:
        return
    rack = atomic.read_file(paths.manifest(root, owner))
    if rack is None:
        return  # it is looked for elsewhere, and the note stays true until it is back
    if found.card is None or paths.digest(rack, HASH_SIZE) == found.rack:
        found.abandon()
    else:
        found.complete(found.card)


def settle_if_needed(root: str, owner: str) -> None:
    """As settle(), taking the rack's lock itself, for the few times that there is something to settle."""
    if paths.exists(paths.next_card(root, owner)):
        with atomic.FileLock(paths.rack_lock(root, owner)):
            settle(root, owner)


def drop(root: str, owner: str) -> None:
    """Remove every trace of a succession, of an owner that is removed. Raises VaultFault."""
    found = _read(root, owner)
    if found is not None:
        found.abandon()


def _read(root: str, owner: str) -> Succession | None:
    path = paths.next_card(root, owner)
    data = atomic.read_file(path)
    if data is None:
        return None
    try:
        members = json.loads(data)
        found = Succession(root, owner, b"", str(members["via"]))
        found.rack = str(members["rack"])
        if members["card"] is not None:
            found.card = card_from_json(owner, members["card"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise VaultFault(f"{path} is damaged", f"rm {path}") from None
    return found


def _set_aside(path: str) -> None:
    """Keep an identity that is replaced: it opens older copies of the rack."""
    if not paths.exists(path):
        return
    beside = f"{path}.lost-{timestamp().replace(':', '')}"
    while paths.exists(beside):
        beside += "-"
    atomic.move_file(path, beside)


def _next_slot(owner: str) -> str:
    """The keychain's account of the identity that is prepared; no owner's name has a dot."""
    return f"{identities.slot(owner)}.next"


def _move_in_keychain(owner: str) -> None:
    """Put the prepared entry in its place, whose own is kept beside it; moved before, there is nothing to do."""
    keychain = open_keychain()
    prepared = keychain.read(_next_slot(owner))
    if prepared is None:
        return
    slot = identities.slot(owner)
    replaced = keychain.read(slot)
    if replaced is not None and replaced != prepared:
        keychain.write(f"{slot}.lost-{timestamp().replace(':', '')}", replaced)
    keychain.write(slot, prepared)
    keychain.delete(_next_slot(owner))
