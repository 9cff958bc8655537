"""The login keychain of macOS, by keyring's backend class. Written from its source; not run on a Mac."""

from agentkeys.errors import VaultFault
from agentkeys.stores.keychain import (
    PROMPT_SECONDS,
    SERVICE,
    Keychain,
    Probe,
    check_account,
    deadline,
    from_text,
    locked,
    read_back,
    to_text,
)


class MacKeychain(Keychain):
    """keyring.backends.macOS.Keyring, instantiated by name. macOS itself asks the person where it must."""

    def state(self) -> str:
        """See Keychain. The login keychain is there on every Mac; whether it is open only a call tells."""
        return "ready"

    def probe(self) -> Probe:
        """See Keychain."""
        return Probe(self.state(), "the login keychain")

    def read(self, account: str) -> bytes | None:
        """See Keychain."""
        from keyring.backends.macOS import Keyring
        from keyring.errors import KeyringLocked

        try:
            with deadline(PROMPT_SECONDS):
                text = Keyring().get_password(SERVICE, check_account(account))
        except KeyringLocked:
            raise locked(account) from None
        return None if text is None else from_text(text)

    def holds(self, account: str) -> bool:
        """See Keychain."""
        return self.read(account) is not None

    def write(self, account: str, value: bytes) -> None:
        """See Keychain."""
        from keyring.backends.macOS import Keyring
        from keyring.errors import KeyringLocked, PasswordSetError

        try:
            with deadline(PROMPT_SECONDS):
                Keyring().set_password(SERVICE, check_account(account), to_text(value))
        except KeyringLocked:
            raise locked(account) from None
        except PasswordSetError:
            raise VaultFault("the keychain refused the write", "agentkeys init --via file") from None
        read_back(self, account, value)

    def delete(self, account: str) -> None:
        """See Keychain."""
        from keyring.backends.macOS import Keyring
        from keyring.errors import KeyringLocked, PasswordDeleteError

        try:
            with deadline(PROMPT_SECONDS):
                Keyring().delete_password(SERVICE, check_account(account))
        except KeyringLocked:
            raise locked(account) from None
        except PasswordDeleteError:
            return  # there was none
