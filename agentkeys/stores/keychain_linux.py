"""The freedesktop Secret Service (gnome-keyring, KWallet, KeePassXC), by secretstorage over D-Bus.

The specification's ReadAlias and SearchItems open no dialog; CreateItem and GetSecret on a locked collection would,
so those are only called once the collection is known to be open.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from agentkeys.errors import VaultFault
from agentkeys.stores.keychain import (
    PROBE_SECONDS,
    PROMPT_SECONDS,
    SERVICE,
    Keychain,
    check_account,
    deadline,
    locked,
    read_back,
)

NO_COLLECTION = "/"
"""What ReadAlias answers when no default collection exists (Secret Service API, 0.2)."""


class SecretService(Keychain):
    """The session's Secret Service."""

    def state(self) -> str:
        """See Keychain."""
        if not os.environ.get("DBUS_SESSION_BUS_ADDRESS") and not os.path.exists(f"/run/user/{os.geteuid()}/bus"):
            return "absent"
        try:
            with _service(PROBE_SECONDS) as (connection, path):
                if path == NO_COLLECTION:
                    return "absent"
                return "locked" if _collection(connection, path).is_locked() else "ready"
        except VaultFault:
            return "absent"

    def read(self, account: str) -> bytes | None:
        """See Keychain."""
        attributes = {"service": SERVICE, "account": check_account(account)}
        with _service(PROBE_SECONDS) as (connection, path):
            if path == NO_COLLECTION:
                return None
            for item in _collection(connection, path).search_items(attributes):
                if item.is_locked():
                    raise locked(account)
                return bytes(item.get_secret())
        return None

    def holds(self, account: str) -> bool:
        """See Keychain; attributes can be searched without unlocking."""
        attributes = {"service": SERVICE, "account": check_account(account)}
        with _service(PROBE_SECONDS) as (connection, path):
            return path != NO_COLLECTION and any(True for _ in _collection(connection, path).search_items(attributes))

    def write(self, account: str, value: bytes) -> None:
        """See Keychain."""
        attributes = {"service": SERVICE, "account": check_account(account)}
        with _service(PROBE_SECONDS) as (connection, path):
            if path == NO_COLLECTION:
                raise VaultFault("the keychain has no default collection", "log in to the desktop once, or --via file")
            collection = _collection(connection, path)
            if collection.is_locked():
                raise locked(account)
            collection.create_item(f"agentkeys {account}", attributes, value, replace=True)
        read_back(self, account, value)

    def delete(self, account: str) -> None:
        """See Keychain."""
        attributes = {"service": SERVICE, "account": check_account(account)}
        with _service(PROBE_SECONDS) as (connection, path):
            if path == NO_COLLECTION:
                return
            for item in _collection(connection, path).search_items(attributes):
                if item.is_locked():
                    raise locked(account)
                item.delete()

    def unlock(self) -> bool:
        """Let the service ask the person in its own dialog; whether it is open now. For a person at a display only."""
        with _service(PROMPT_SECONDS) as (connection, path):
            if path == NO_COLLECTION:
                return False
            return not _collection(connection, path).unlock()


@contextmanager
def _service(seconds: float) -> "Iterator[tuple[object, str]]":
    """(connection, path of the default collection), all within `seconds`.

    Raises VaultFault when there is no service; D-Bus's own texts stay out of the message.
    """
    import secretstorage
    from jeepney import DBusErrorResponse
    from secretstorage.util import DBusAddressWrapper

    with deadline(seconds):
        try:
            connection = secretstorage.dbus_init()
        except (secretstorage.SecretServiceNotAvailableException, OSError, KeyError):
            raise _no_service() from None
        try:
            service = DBusAddressWrapper("/org/freedesktop/secrets", "org.freedesktop.Secret.Service", connection)
            (path,) = service.call("ReadAlias", "s", "default")
            yield connection, path
        except (secretstorage.SecretStorageException, DBusErrorResponse, OSError):
            raise _no_service() from None
        finally:
            connection.close()


def _no_service() -> VaultFault:
    return VaultFault("no keychain answers on this session's D-Bus", "AGENTKEYS_SESSION_STORE=file keeps to files")


def _collection(connection: object, path: str):  # type: ignore[no-untyped-def]  # secretstorage's own type
    from secretstorage import Collection

    return Collection(connection, path)
