"""Identities on hardware and elsewhere, through an age plugin (C2SP age-plugin protocol): `age-plugin-NAME`.

The program is looked for in a fixed list of directories, only in a worker, and only for an owner that was made
`--via plugin:NAME`; a file that merely names a plugin starts nothing. The private half can't be read out, so the
owner's root is 32 random bytes kept beside the plugin's identity line.
"""

import os
import stat

import pyrage

from agentkeys.core.refs import is_owner
from agentkeys.core.sealed_json import RESTORE_HINT
from agentkeys.errors import AgentkeysError, UsageFault, VaultFault
from agentkeys.stores.asking import Ask

PLUGIN_DIRS = ("/usr/local/bin", "/usr/bin", "/bin")
"""Where a plugin may lie: the worker's whole PATH, and places that only the system's administrator writes."""

ROOT_LINE = "# agentkeys root: "
"""Before the hex of the random root, in our identity file; to age it is a comment."""

IDENTITY_PREFIX = "AGE-PLUGIN-"
ROOT_SIZE = 32
"""Bytes: as much as an X25519 identity would give."""


class PluginIdentity:
    """What the identity file of a plugin owner holds."""

    def __init__(self, text: str, path: str) -> None:
        """Read an identity file, ours or one that the plugin's own tool wrote. Raises VaultFault."""
        self.line = ""
        """The plugin's identity, `AGE-PLUGIN-NAME-1…`."""
        self.recipient = ""
        """The recipient that a comment names, as every plugin's tool writes it."""
        self.root = b""
        """The owner's root; empty in a file that isn't ours."""
        for line in text.splitlines():
            word = line.rpartition(" ")[2]
            if line.startswith(IDENTITY_PREFIX):
                self.line = line.strip()
            elif line.startswith(ROOT_LINE) and len(word) == 2 * ROOT_SIZE:
                self.root = bytes.fromhex(word)
            elif line.startswith("#") and word.startswith("age1"):
                self.recipient = word
        if not self.line:
            raise VaultFault(f"{path} holds no plugin identity", RESTORE_HINT)

    def to_text(self) -> str:
        """Our identity file, which age takes too."""
        return f"# recipient: {self.recipient}\n{ROOT_LINE}{self.root.hex()}\n{self.line}\n"


def plugin_of(text: str) -> str:
    """The name of the plugin that an identity file is for, or "" when it is for none."""
    for line in text.splitlines():
        if line.startswith(IDENTITY_PREFIX):
            return line.removeprefix(IDENTITY_PREFIX).rpartition("-1")[0].lower()  # Bech32's digits have no 1
    return ""


class Callbacks:
    """What a plugin may ask of the person, passed on to the terminal (age's plugin::Callbacks)."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.refusal: AgentkeysError | None = None
        """Why the person couldn't be asked: the plugin only learns that there was no answer."""

    def display_message(self, message: str) -> None:
        """Show what the plugin wants: a touch, say."""
        self._put(f"{message} (Enter) ")

    def confirm(self, message: str, yes_string: str, no_string: str | None) -> bool | None:
        """Yes, no, or None when nobody could be asked."""
        answer = self._put(f"{message} ({yes_string}{'/' + no_string if no_string else ''}) ")
        return None if answer is None else answer.strip().lower() == yes_string.lower()

    def request_public_string(self, description: str) -> str | None:
        """A text that is no secret."""
        return self._put(f"{description}: ")

    def request_passphrase(self, description: str) -> str | None:
        """A PIN or passphrase."""
        return self._put(f"{description}: ")

    def _put(self, question: str) -> str | None:
        try:
            return self.ask(question).decode("utf-8", "replace")
        except AgentkeysError as fault:
            self.refusal = fault
            return None


def require_plugin(name: str) -> None:
    """Raise VaultFault when `age-plugin-NAME` isn't there or others could replace it, UsageFault for a bad name."""
    if not is_owner(name):
        raise UsageFault("that can't be an age plugin's name", "agentkeys init --via plugin:yubikey")
    for directory in PLUGIN_DIRS:
        path = f"{directory}/age-plugin-{name}"
        try:
            facts = os.stat(path)
        except OSError:
            continue
        if not stat.S_ISREG(facts.st_mode) or facts.st_mode & 0o022 or facts.st_uid not in (0, os.geteuid()):
            raise VaultFault(f"{path} could be replaced by others, so it isn't run", f"ls -l {path}")
        return
    raise VaultFault(f"age-plugin-{name} is in none of {', '.join(PLUGIN_DIRS)}", f"command -v age-plugin-{name}")


def decryptor(name: str, line: str, callbacks: Callbacks) -> pyrage.plugin.IdentityPluginV1:
    """What decrypts through the plugin. Raises VaultFault."""
    require_plugin(name)
    try:
        identity = pyrage.plugin.Identity.from_str(line)
        if identity.plugin() != name:
            raise VaultFault(
                f"that identity is for age-plugin-{identity.plugin()}, not age-plugin-{name}", RESTORE_HINT
            )
        return pyrage.plugin.IdentityPluginV1(name, [identity], callbacks)
    except (pyrage.IdentityError, ValueError, RuntimeError):
        raise VaultFault(f"age-plugin-{name} can't be used", f"age-plugin-{name} --help") from None


def encryptor(name: str, recipient: str) -> pyrage.plugin.RecipientPluginV1:
    """What encrypts through the plugin. Raises VaultFault."""
    require_plugin(name)
    try:
        parsed = pyrage.plugin.Recipient.from_str(recipient)
        return pyrage.plugin.RecipientPluginV1(name, [parsed], [], Callbacks(_nobody))
    except (pyrage.RecipientError, ValueError, RuntimeError):
        raise VaultFault(f"age-plugin-{name} can't be used", f"age-plugin-{name} --help") from None


def _nobody(_question: str) -> bytes:
    raise UsageFault("sealing asks nobody")
