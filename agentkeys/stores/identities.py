"""Every way to keep an identity, behind two functions: make() for `init`, open_identity() for everything after.

keychain      an X25519 identity in the user's keychain
file          the same in a file of ours, 0600
passphrase    the same in a file sealed by a passphrase, asked for at each verb that opens the rack
env           the same, handed in by the caller's $AGENTKEYS_IDENTITY; nothing of it rests here
ssh           the user's own ssh key, ed25519 or RSA, with or without a passphrase
plugin:NAME   on hardware or elsewhere, through age-plugin-NAME
"""

import os

from agentkeys import paths
from agentkeys.core import refs
from agentkeys.core.sealed_json import RESTORE_HINT
from agentkeys.errors import AgentkeysError, Locked, TimedOut, UsageFault, VaultFault
from agentkeys.stores import atomic, identity, identity_plugin, identity_sealed
from agentkeys.stores.asking import Means
from agentkeys.stores.card import Card
from agentkeys.stores.identity import OpenIdentity
from agentkeys.stores.keychain_here import open_keychain

VIAS = ("keychain", "file", "ssh", "passphrase", "env")
"""Beside plugin:NAME."""

HUMANLESS = ("keychain", "file", "ssh")
"""Kinds that an agent may open again by itself (`--auto-unlock`); an ssh key only without a passphrase."""


class Making:
    """What `init` or `restore` was asked for."""

    def __init__(self, root: str, owner: str, means: Means) -> None:
        self.root = root
        self.owner = owner
        self.means = means
        self.path = paths.identity(root, owner)
        """Where a file goes."""
        self.slot = slot(owner)
        """The keychain's account."""
        self.command = f"agentkeys init --for {owner}"
        """What hints say to run again."""
        self.file_option = "--identity"
        """What that command calls identity_file."""
        self.via = ""
        """As --via says it; "" leaves it to us: keychain first, file otherwise."""
        self.pubkey = ""
        """The ssh public key's path, or a plugin's recipient."""
        self.identity_file = ""
        """The file that a plugin's own tool wrote."""
        self.store = ""
        """$AGENTKEYS_SESSION_STORE: file, keychain (no fallback), or "" for keychain first."""
        self.may_generate = True
        """Whether a new identity may be made: not beside a rack that it couldn't open."""
        self.opened: OpenIdentity | None = None
        """What make() made or found, so that nobody is asked for it again."""
        self.fallback = ""
        """Why the keychain couldn't be asked; "" where it was, or wasn't to be."""
        self.notes: list[str] = []
        """What the person should know of how it went."""

    def generate(self) -> str:
        """A fresh identity's file. Raises VaultFault where one was and is gone: locked or lost is not absent."""
        if not self.may_generate:
            raise VaultFault(f"{self.owner} has a rack, but its identity is gone", RESTORE_HINT)
        return identity.generate()


def make(making: Making) -> Card:
    """Make the identity, durable, and its owner's card (not written yet). What an earlier, killed init made is used.

    Raises UsageFault, VaultFault, Locked, TimedOut.
    """
    via = making.via or _usual_via(making)
    by_plugin = via.startswith("plugin:")
    if (making.pubkey and not by_plugin and via != "ssh") or (making.identity_file and not by_plugin):
        raise UsageFault(
            f"--pubkey goes with ssh and plugin identities, {making.file_option} with a plugin's",
            f"{making.command} --via ssh --pubkey KEY.pub",
        )
    if via == "ssh":
        return _make_ssh(making)
    if by_plugin:
        return _make_plugin(making, via.removeprefix("plugin:"))
    if via == "keychain":
        return _card(making, via, _make_in_keychain(making))
    if via == "passphrase":
        return _card(making, via, _make_sealed(making))
    if via == "env":
        return _card(making, via, _given(making.owner, making.means, f"{making.command} --via env"))
    if via != "file":
        known = ", ".join((*VIAS, "plugin:NAME"))
        raise UsageFault(
            f"no way to keep an identity: {refs.shown(via)}; there is {known}", f"{making.command} --via file"
        )
    if atomic.read_file(making.path) is None:
        atomic.make_private_dir(os.path.dirname(making.path))
        atomic.write_file(making.path, making.generate().encode("ascii"))
    return _card(making, via, identity.open_file(making.path))


def open_identity(root: str, card: Card, means: Means, path: str = "") -> OpenIdentity:
    """The identity that opens a card's rack; `path` is where a file of ours lies, if not in its own place.

    Raises Locked, VaultFault, TimedOut, and what `ask` raises.
    """
    path = path or paths.identity(root, card.owner)
    if card.via == "ssh":
        return identity.open_ssh(card.key_path, card.recipients[0], means.ask)
    if card.via.startswith("plugin:"):
        return _open_plugin(path, card, means)
    if card.via == "keychain":
        text = open_keychain().read(slot(card.owner))
        if text is None:
            raise VaultFault(f"the keychain holds no {slot(card.owner)} any more", RESTORE_HINT)
        opened = identity.parse_file(text, "the keychain's entry")
    elif card.via == "passphrase":
        opened = _open_sealed(path, card.owner, means)
    elif card.via == "env":
        opened = _given(card.owner, means, f"agentkeys unlock --for {card.owner}")
    elif card.via == "file":
        opened = identity.open_file(path)
    else:
        raise VaultFault(
            f"{card.owner} keeps its identity in a way this version doesn't know", "pipx upgrade agentkeysd"
        )
    if opened.recipient != card.recipients[0]:
        raise VaultFault(f"that is not the identity {card.owner} was made with", f"agentkeys owner show {card.owner}")
    return opened


def forget(root: str, card: Card) -> None:
    """Delete an identity that we keep, and those it replaced; an ssh key and a plugin's hardware stay.

    What a restore put aside in the keychain stays as well. Raises as open_identity().
    """
    if card.via == "keychain":
        open_keychain().delete(slot(card.owner))
    path = paths.identity(root, card.owner)
    if os.path.isdir(os.path.dirname(path)):
        for name in os.listdir(os.path.dirname(path)):
            if name.startswith(f"{card.owner}.key.lost-"):
                atomic.remove_file(f"{os.path.dirname(path)}/{name}")
    atomic.remove_file(path)


def is_file(via: str) -> bool:
    """Whether this kind keeps a file of ours."""
    return via in ("file", "passphrase") or via.startswith("plugin:")


def slot(owner: str) -> str:
    """The keychain's account for an owner's identity."""
    return f"identity-{owner}"


def _card(making: Making, via: str, opened: OpenIdentity, key_path: str = "") -> Card:
    making.opened = opened
    return Card(making.owner, "", via, [opened.recipient], key_path)


def _usual_via(making: Making) -> str:
    """What is there already; else keychain first, and a file where there is none, or a locked one without our entry.

    A file is there after an init that was killed, and where a card that was damaged is made again.
    """
    if making.store != "keychain" and paths.exists(making.path):
        return _via_of_file(making.path)
    if making.store == "file":
        return "file"
    try:
        keychain = open_keychain()
        state = keychain.state()
        if state != "absent" and (state == "ready" or keychain.holds(slot(making.owner))):
            return "keychain"
        why = f"the keychain is {state}"
    except (TimedOut, VaultFault) as fault:
        why = making.fallback = fault.message
    if making.store == "keychain":
        raise VaultFault(f"{why}, and AGENTKEYS_SESSION_STORE=keychain allows no file", "agentkeys init --via file")
    if not why.endswith("absent"):
        making.notes.append(f"{why}, so the identity is kept in a file")
    return "file"


def _via_of_file(path: str) -> str:
    """How the identity in a file of ours is kept. Raises VaultFault, as open_identity() does."""
    data = identity.read_private(path)
    if data.startswith(identity_sealed.AGE_HEADER):
        return "passphrase"
    name = identity_plugin.plugin_of(data.decode("ascii", "replace"))
    return f"plugin:{name}" if name else "file"


def _make_in_keychain(making: Making) -> OpenIdentity:
    keychain = open_keychain()
    if keychain.state() == "absent":
        raise VaultFault("there is no keychain here", f"{making.command} --via file")
    text = keychain.read(making.slot)
    if text is None:
        text = making.generate().encode("ascii")
        keychain.write(making.slot, text)
    return identity.parse_file(text, "the keychain's entry")


def _make_sealed(making: Making) -> OpenIdentity:
    path = making.path
    if atomic.read_file(path) is not None:
        return _open_sealed(path, making.owner, making.means)
    first = making.means.ask(f"new passphrase for {making.owner}: ").decode("utf-8", "surrogateescape")
    if not first:
        raise UsageFault("an empty passphrase protects nothing", f"{making.command} --via file")
    if making.means.ask("the same again: ").decode("utf-8", "surrogateescape") != first:
        raise UsageFault("the two passphrases differ", f"{making.command} --via passphrase")
    text = making.generate()
    atomic.make_private_dir(os.path.dirname(path))
    sealed = identity_sealed.seal(text, first)
    identity_sealed.check_header(sealed, path)  # never write what open would refuse
    atomic.write_file(path, sealed)
    making.notes.append("the passphrase is asked at each verb that opens the rack: set, del, list, unlock")
    return identity.parse_file(text.encode("ascii"), path)


def _open_sealed(path: str, owner: str, means: Means) -> OpenIdentity:
    data = identity.read_private(path)
    identity_sealed.check_header(data, path)  # nobody is asked for what can't open it
    for tried in range(identity.PASSPHRASE_TRIES):
        again = identity.WRONG if tried else ""
        passphrase = means.ask(f"{again}passphrase for {owner}: ").decode("utf-8", "surrogateescape")
        text = identity_sealed.unseal(data, passphrase, path)
        if text is not None:
            return identity.parse_file(text, path)
    raise Locked(
        f"wrong passphrase for the identity of {owner}",
        f"agentkeys restore --for {owner} --identity backup.key, if it is forgotten",
    )


def _given(owner: str, means: Means, command: str) -> OpenIdentity:
    again = f'AGENTKEYS_IDENTITY="$(cat identity.key)" {command}'
    if not means.given:
        raise Locked(f"the identity of {owner} comes from AGENTKEYS_IDENTITY, which is unset", again)
    return identity.parse_file(means.given, "AGENTKEYS_IDENTITY", again)


def _make_ssh(making: Making) -> Card:
    public = os.path.expanduser(making.pubkey or "~/.ssh/id_ed25519.pub")
    if not os.path.isabs(public):
        usual = f"{making.command} --via ssh --pubkey ~/.ssh/id_ed25519.pub"
        raise UsageFault("--pubkey wants the ssh key's file, not the key", usual)
    private = identity.ssh_private_path(public)
    recipient = identity.read_ssh_recipient(public if public != private else public + ".pub")
    return Card(making.owner, "", "ssh", [recipient], private)


def _make_plugin(making: Making, name: str) -> Card:
    identity_plugin.require_plugin(name)
    again = f"{making.command} --via plugin:{name} {making.file_option} FILE"
    data = atomic.read_file(making.path)
    if data is None:
        if not making.identity_file:
            raise UsageFault(f"name the file that age-plugin-{name} wrote for your key", again)
        source = os.path.expanduser(making.identity_file)
        text = atomic.read_file(source, identity.MAX_KEY_FILE)
        if text is None:
            raise UsageFault(f"{source} is not there", f"age-plugin-{name} --help")
        found = identity_plugin.PluginIdentity(text.decode("ascii", "replace"), source)
        found.recipient = making.pubkey or found.recipient
        if not found.recipient.startswith(f"age1{name}1"):
            raise UsageFault(f"{source} doesn't name its recipient", f"{again} --pubkey age1{name}1…")
        found.root = os.urandom(identity_plugin.ROOT_SIZE)
        atomic.make_private_dir(os.path.dirname(making.path))
        atomic.write_file(making.path, found.to_text().encode("ascii"))
    else:
        found = identity_plugin.PluginIdentity(data.decode("ascii", "replace"), making.path)
    return Card(making.owner, "", f"plugin:{name}", [found.recipient], "")


def _open_plugin(path: str, card: Card, means: Means) -> OpenIdentity:
    found = identity_plugin.PluginIdentity(identity.read_private(path).decode("ascii", "replace"), path)
    name = card.via.removeprefix("plugin:")
    callbacks = identity_plugin.Callbacks(means.ask)
    opened = OpenIdentity(identity_plugin.decryptor(name, found.line, callbacks), found.root, found.recipient)
    opened.refusal = lambda: callbacks.refusal
    return opened


def can_open_alone(card: Card) -> bool:
    """Whether this kind needs no person."""
    return card.via in HUMANLESS


def refusal_of(opened: OpenIdentity) -> AgentkeysError | None:
    """Why a plugin's question wasn't answered, if that is why it couldn't decrypt."""
    return opened.refusal()
