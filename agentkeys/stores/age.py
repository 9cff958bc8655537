"""The age binding: seal to recipients, open with an identity.

The format is age-encryption.org/v1: the stock `age` opens what we seal, and we open what it seals. Only the binary
form is ours: nothing of a rack is armored, and the binding would take either.
"""

import re

import pyrage

from agentkeys.core.sealed_json import RESTORE_HINT
from agentkeys.errors import VaultFault

HEADER = b"age-encryption.org/v1\n"

SHAPE = re.compile(
    rb"age-encryption\.org/v1\n"
    rb"(?:->(?: [!-~]+)+\n(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)+"
    rb"--- [A-Za-z0-9+/]{43}\n"
)
"""A whole header, by the grammar of age-encryption.org/v1. The binding opens files whose stanzas lack their last, short
line, as age did before 1.0; two programs must not read one header in two ways."""

Identity = pyrage.x25519.Identity | pyrage.ssh.Identity | pyrage.plugin.IdentityPluginV1
Recipient = pyrage.x25519.Recipient | pyrage.ssh.Recipient | pyrage.plugin.RecipientPluginV1


def plugin_of(text: str) -> str:
    """The plugin that a recipient `age1NAME1…` names, or "": Bech32's data has no 1, and X25519's prefix is age."""
    return text[4 : text.rindex("1")] if text.startswith("age1") and text.count("1") > 1 else ""


def recipient(text: str) -> Recipient:
    """An age recipient from `age1…`, `age1NAME1…`, `ssh-ed25519 …` or `ssh-rsa …`. Raises VaultFault."""
    plugin = plugin_of(text)
    if plugin:
        from agentkeys.stores.identity_plugin import encryptor

        return encryptor(plugin, text)
    try:
        if text.startswith("ssh-"):
            return pyrage.ssh.Recipient.from_str(text)
        return pyrage.x25519.Recipient.from_str(text)
    except (pyrage.RecipientError, ValueError):
        raise VaultFault(
            "not an age recipient (age1…, ssh-ed25519 …, ssh-rsa …)", "age-keygen -y identity.key"
        ) from None


def seal(data: bytes, recipients: "list[str]") -> bytes:
    """Encrypt to every one of `recipients`. Raises VaultFault."""
    try:
        return pyrage.encrypt(data, [recipient(text) for text in recipients])
    except (pyrage.EncryptError, ValueError):
        raise VaultFault("age can't seal to these recipients", "agentkeys init") from None


def open_sealed(data: bytes, identity: Identity, what: str) -> bytes:
    """Decrypt. Raises VaultFault when it is no age file, damaged, or not sealed to this identity; `what` names it."""
    if not data.startswith(HEADER):
        raise VaultFault(f"{what} is no age file", RESTORE_HINT)
    if not SHAPE.match(data):
        raise _unopened(what)
    try:
        return pyrage.decrypt(data, [identity])
    except (pyrage.DecryptError, ValueError):
        raise _unopened(what) from None


def _unopened(what: str) -> VaultFault:
    return VaultFault(f"{what} can't be opened: it is damaged, or not sealed to this identity", RESTORE_HINT)
