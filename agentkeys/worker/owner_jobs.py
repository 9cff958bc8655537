"""Jobs about an owner: init makes it, resolve finds it by a name the client can't judge."""

import os

from agentkeys import paths
from agentkeys.core import refs, wallet
from agentkeys.core.manifest import Manifest
from agentkeys.errors import UsageFault
from agentkeys.stores import atomic, identity, inventory, wallet_key
from agentkeys.stores.rack import Card, Rack, open_identity, read_card, timestamp
from agentkeys.worker.job import Job

Rows = list[tuple[str, bytes | str]]

VIAS = ("file", "ssh")


def init(job: Job) -> Rows:
    """Make what is missing of an owner and leave what is there: identity, wallet, rack, card, in this order.

    Each step is durable before the next, so an init that was killed is finished by the next one.
    """
    root, owner = job.text("home"), refs.check_owner(job.text("owner"))
    via = job.text("via", "")
    if via and via not in VIAS:
        raise UsageFault(
            f"an identity is kept via {' or '.join(VIAS)}, not {refs.shown(via)}", "agentkeys init --via file"
        )
    atomic.make_private_dir(root)
    _refuse_taken_name(root, owner)
    with atomic.FileLock(paths.rack_lock(root, owner)):
        inventory.prepare(root)
        card = read_card(root, owner)
        if card is None:
            card = _new_card(root, owner, via or "file", job.text("pubkey", ""))
        elif via and via != card.via:
            raise UsageFault(f"{owner} was made via {card.via}", f"agentkeys init --for {owner}")
        rack = Rack(root, owner, open_identity(root, card))
        manifest = rack.read()
        effect = "found"
        if manifest is None:
            effect = "created"
            manifest = Manifest(owner, *wallet_key.generate(), card.via, card.recipients)
            rack.commit(manifest)
        card.wallet = manifest.wallet
        _publish(root, card)
    return [
        ("owner", owner),
        ("effect", effect),
        ("wallet", manifest.wallet),
        ("via", card.via),
        ("recipient", card.recipients[0]),
        ("manifest", paths.manifest(root, owner)),
        ("keys", str(len(manifest.keys))),
    ]


def resolve(job: Job) -> Rows:
    """The owner behind a wallet in any letter case. Raises UsageFault for a wrong checksum and for no such owner."""
    root, text = job.text("home"), job.text("text")
    if not text.lower().startswith("0x"):
        refs.check_owner(text.lower())
    address = wallet.check_address(text, wallet_key.keccak256)
    try:
        return [("owner", os.readlink(paths.name_link(root, address)))]
    except OSError:
        raise UsageFault("no owner here has that wallet", "agentkeys status") from None


def _refuse_taken_name(root: str, owner: str) -> None:
    try:
        other = os.readlink(paths.name_link(root, owner))
    except OSError:
        return
    raise UsageFault(f"{owner} is already another name for {other}", f"agentkeys init --for {other}")


def _new_card(root: str, owner: str, via: str, pubkey: str) -> Card:
    if via == "ssh":
        public = os.path.expanduser(pubkey or "~/.ssh/id_ed25519.pub")
        if not os.path.isabs(public):
            raise UsageFault("the ssh key's path is not absolute", 'agentkeys init --via ssh --pubkey "$PWD/key.pub"')
        private = identity.ssh_private_path(public)
        recipient = identity.read_ssh_recipient(public if public != private else public + ".pub")
        return Card(owner, "", via, [recipient], private, timestamp())
    if pubkey:
        raise UsageFault("--pubkey goes with --via ssh", f"agentkeys init --for {owner} --via ssh --pubkey {pubkey}")
    path = paths.identity(root, owner)
    if atomic.read_file(path) is None:
        atomic.make_private_dir(os.path.dirname(path))
        atomic.write_file(path, identity.generate().encode("ascii"))
    return Card(owner, "", via, [identity.open_file(path).recipient], "", timestamp())


def _publish(root: str, card: Card) -> None:
    """Write the card and the wallet's name, where they aren't as they should be."""
    path = paths.owner_card(root, card.owner)
    if atomic.read_file(path) != card.to_bytes():
        atomic.make_private_dir(os.path.dirname(path))
        atomic.write_file(path, card.to_bytes())
    link = paths.name_link(root, card.wallet.lower())
    if not os.path.islink(link):
        atomic.make_private_dir(os.path.dirname(link))
        os.symlink(card.owner, link)
        atomic.sync_dir(os.path.dirname(link))
