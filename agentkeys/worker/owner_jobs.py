"""Jobs about an owner: init makes it, alias names it, remove forgets it, resolve finds it by a wallet."""

import os
import shutil

from agentkeys import paths
from agentkeys.client.connection import Connection, agent_sockets
from agentkeys.client.near import no_owner
from agentkeys.core import refs, wallet
from agentkeys.core.manifest import Manifest
from agentkeys.errors import AgentkeysError, NoAgent, OutcomeUnknown, UsageFault, VaultFault
from agentkeys.stores import atomic, identities, inventory, succession, wallet_key
from agentkeys.stores.card import Card, linked_names, publish, read_card
from agentkeys.stores.keychain import locked
from agentkeys.stores.keychain_here import open_keychain
from agentkeys.stores.rack import Rack, sweep, write_unclaimed
from agentkeys.vaults import names as vault_names
from agentkeys.vaults import open_vault
from agentkeys.vaults.base import Place
from agentkeys.vaults.keychain import LEDGER
from agentkeys.worker.job import Job

Rows = list[tuple[str, bytes | str]]


def init(job: Job) -> Rows:
    """Make what is missing of an owner and leave what is there: identity, wallet, rack, card, in this order.

    Each step is durable before the next, so an init that was killed is finished by the next one.
    """
    root, owner = job.text("home"), refs.check_owner(job.text("owner"))
    making = identities.Making(root, owner, job.means())
    making.via, making.pubkey = job.text("via", ""), job.text("pubkey", "")
    making.identity_file, making.store = job.text("identity-file", ""), job.text("store", "")
    atomic.make_private_dir(root)
    _refuse_taken_name(root, owner)
    with atomic.FileLock(paths.rack_lock(root, owner)):
        inventory.prepare(root)
        sweep(root, owner)
        succession.settle(root, owner)
        card = read_card(root, owner)
        making.may_generate = not paths.exists(paths.manifest(root, owner))
        if card is None:
            card = identities.make(making)
            card.aliases = linked_names(root, owner)
        elif making.via and making.via != card.via:
            raise UsageFault(f"{owner} was made via {card.via}", f"agentkeys owner show {owner}")
        effect, keys = _make_rack(root, card, making)
        publish(root, card)
        kept = _open_session(root, card, making)
    return [
        ("owner", owner),
        ("effect", effect),
        ("wallet", card.wallet),
        ("session", kept),
        ("via", card.via),
        ("recipient", card.recipients[0]),
        ("manifest", paths.manifest(root, owner)),
        ("keys", str(keys)),
        *[("note", note) for note in making.notes],
    ]


def _make_rack(root: str, card: Card, making: identities.Making) -> "tuple[str, int]":
    """Make the rack if there is none, and fill in the card's wallet; (what happened, keys in the rack).

    A rack made without its private key waits, unclaimed, for the first use of that key.
    """
    if card.via == "ssh" and not paths.exists(card.key_path):
        if paths.exists(paths.manifest(root, card.owner)):
            return "found", 0
        write_unclaimed(root, card)
        return "unclaimed", 0
    rack = Rack(root, card.owner, making.opened or identities.open_identity(root, card, making.means))
    manifest = rack.read(locked=True)
    effect = "found"
    if manifest is None:
        effect = "created"
        manifest = Manifest(card.owner, *wallet_key.generate(), card.via, card.recipients)
        rack.commit(manifest)
    card.wallet = manifest.wallet
    return effect, len(manifest.keys)


def _open_session(root: str, card: Card, making: identities.Making) -> str:
    """Where the owner's session is kept, made if need be; "" where there is none, which its notes explain.

    A rack that waits for its private key has no wallet yet, and without a wallet there is no session.
    """
    if not card.wallet:
        return ""
    from agentkeys.worker import session_jobs

    try:
        return session_jobs.ensure(root, making.store, card, making.fallback).place
    except AgentkeysError as fault:
        making.notes.append(f"no session was made: {fault.message}; agentkeys session doctor")
        return ""


def resolve(job: Job) -> Rows:
    """The owner behind a wallet in any letter case. Raises UsageFault for a wrong checksum and for no such owner."""
    root, text = job.text("home"), job.text("text")
    if not text.lower().startswith("0x"):
        refs.check_owner(text.lower())
    address = wallet.check_address(text, wallet_key.keccak256)
    try:
        return [("owner", os.readlink(paths.name_link(root, address)))]
    except OSError:
        raise UsageFault("no owner here has that wallet", "agentkeys owner list") from None


def alias(job: Job) -> Rows:
    """Give an owner one more name, or take one away. Raises UsageFault for a name that is taken."""
    root, owner = job.text("home"), job.text("owner")
    name = refs.check_owner(job.text("alias").lower())
    with atomic.FileLock(paths.rack_lock(root, owner)):
        succession.settle(root, owner)
        card = read_card(root, owner)
        if card is None:
            raise no_owner(root, owner)
        if job.text("remove", ""):
            if name not in card.aliases:
                raise UsageFault(f"{owner} has no alias {name}", f"agentkeys owner show {owner}")
            card.aliases.remove(name)
            atomic.remove_file(paths.name_link(root, name))
            atomic.sync_dir(f"{root}/names")  # a name that came back after the card would lead here for ever
            publish(root, card)
            return [("alias", name), ("effect", "removed")]
        if paths.exists(paths.owner_card(root, name)):
            raise UsageFault(f"{name} is an owner itself", "agentkeys owner list")
        effect = "found" if name in card.aliases else "added"
        if effect == "added":
            _refuse_taken_name(root, name)
            card.aliases.append(name)
        publish(root, card)
    return [("alias", name), ("effect", effect)]


def _refuse_taken_name(root: str, name: str) -> None:
    try:
        other = os.readlink(paths.name_link(root, name))
    except OSError:
        return
    raise UsageFault(f"{name} is already another name for {other}", f"agentkeys owner show {other}")


def remove(job: Job) -> Rows:
    """Forget an owner for good: its agents, keys, values, wallet and the identity that we keep.

    The manifest goes first and the card last, each step durable before the next: cut short in between, the next `owner
    remove` finishes, and nothing that is half there can be opened or mistaken for whole. The audit log stays.
    """
    root, owner = job.text("home"), job.text("owner")
    with atomic.FileLock(paths.rack_lock(root, owner)):
        succession.settle(root, owner)
        card = read_card(root, owner)
        if card is None:
            raise no_owner(root, owner)
        place = Place(owner, paths.vault_dir(root, owner), b"", lambda data: data, lambda data, _what: data)
        vaults = [open_vault(name, place) for name in vault_names()]  # one that can't be loaded is said now
        _require_open_keychain(root, card)
        _clear_session(root, card, job.text("store", ""))
        _stop_agents(root, owner)
        sweep(root, owner)
        atomic.remove_file(paths.manifest(root, owner))
        atomic.sync_dir(root)
        for vault in vaults:
            vault.discard()
        for directory in (paths.vault_dir(root, owner), paths.inventory_dir(root, owner)):
            _remove_tree(directory)
        atomic.remove_file(paths.state_file(root, owner))
        succession.drop(root, owner)
        identities.forget(root, card)
        for name in filter(None, (card.wallet.lower(), *card.aliases)):
            atomic.remove_file(paths.name_link(root, name))
        for path in (paths.vault_dir, paths.inventory_dir, paths.state_file, paths.identity, paths.name_link):
            directory = os.path.dirname(path(root, owner))
            if os.path.isdir(directory):
                atomic.sync_dir(directory)
        atomic.remove_file(paths.owner_card(root, owner))
        atomic.sync_dir(f"{root}/owners")
    return [("owner", owner), ("wallet", card.wallet)]


def _remove_tree(directory: str) -> None:
    """Remove a directory and all in it, if it is there. Raises VaultFault."""
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise VaultFault(f"{directory} can't be removed: {error.strerror}", f"rm -r {directory}") from None


def _clear_session(root: str, card: Card, store: str) -> None:
    """Its session goes first: that can be made again, if the removal ends here. Raises where it is out of reach."""
    if card.wallet:
        from agentkeys.worker import session_jobs

        session_jobs.forget(root, store, card)


def _require_open_keychain(root: str, card: Card) -> None:
    """Raise Locked or VaultFault now, while the owner is whole, rather than half way through its removal."""
    ledger = f"{paths.vault_dir(root, card.owner)}/{LEDGER}"
    values = paths.exists(ledger)
    keychain = open_keychain()
    state = keychain.state() if values or card.via == "keychain" else ""
    if state == "locked":
        raise keychain.left_locked or locked("what is to be removed")
    if state == "absent" and values:
        raise VaultFault(
            f"no keychain answers, and values of {card.owner} are in it; {ledger} lists them", f"rm {ledger}"
        )


def _stop_agents(root: str, owner: str) -> None:
    for path in agent_sockets(root, owner):
        try:
            connection = Connection(path, owner)
            connection.ask(b"stop")
        except (NoAgent, OutcomeUnknown):
            continue
        except AgentkeysError as fault:
            raise UsageFault(f"the agent at {path} doesn't stop: {fault.message}", f"kill $(fuser {path})") from None
