"""This machine's Keychain, and whether a person is there to unlock it."""

import sys
from contextvars import ContextVar

from agentkeys.stores.keychain import Keychain
from agentkeys.stores.keychain_dialog import AttendedKeychain, Dialog

DIALOG: "ContextVar[Dialog | None]" = ContextVar("DIALOG", default=None)
"""The one dialog that this worker may open; None where nobody is there to answer it."""


def open_keychain() -> Keychain:
    """This machine's keychain; one that is always `absent` where there is none."""
    if sys.platform == "darwin":
        from agentkeys.stores.keychain_macos import MacKeychain

        return MacKeychain()
    from agentkeys.stores.keychain_linux import SecretService

    dialog = DIALOG.get()
    return SecretService() if dialog is None else AttendedKeychain(SecretService(), dialog)
