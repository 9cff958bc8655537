"""The freedesktop Secret Service (gnome-keyring, KWallet, KeePassXC), by secretstorage over D-Bus.

The specification's ReadAlias and SearchItems open no dialog; CreateItem and GetSecret on a locked collection would,
so those are only called once the collection is known to be open. unlock() alone opens one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from agentkeys import paths
from agentkeys.errors import Locked, TimedOut, VaultFault
from agentkeys.stores.keychain import (
    FILES_HINT,
    OPEN_HINT,
    PROBE_SECONDS,
    PROMPT_SECONDS,
    SERVICE,
    Keychain,
    Probe,
    check_account,
    deadline,
    locked,
    read_back,
)

SECRETS = "org.freedesktop.secrets"
"""The well-known name on the bus of whatever keeps secrets."""

NO_COLLECTION = "/"
"""What ReadAlias answers when no default collection exists (Secret Service API, 0.2)."""


NO_PROMPT = "/"
"""What Unlock answers where no dialog is needed (same)."""


class NoService(VaultFault):
    """Nothing on this session's bus keeps secrets: `absent`, and no fault of a keychain's."""


class SecretService(Keychain):
    """The session's Secret Service."""

    def state(self) -> str:
        """See Keychain."""
        if not _has_bus():
            return "absent"
        try:
            with _service(PROBE_SECONDS) as (connection, path):
                if path == NO_COLLECTION:
                    return "absent"
                return "locked" if _collection(connection, path).is_locked() else "ready"
        except NoService:
            return "absent"

    def probe(self) -> Probe:
        """See Keychain. Only the bus itself is asked, until it is known that the service runs."""
        found = Probe("absent")
        if not _has_bus():
            return found
        try:
            with _bus(PROBE_SECONDS) as connection:
                _probe(found, connection)
        except TimedOut:
            found.state = "silent"
        except VaultFault:
            found.state = "absent"
        return found

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
        if self.holds(account):
            raise VaultFault(
                f"the keychain said that {account} is deleted, and still has it",
                "delete the entry in the keychain's own program, then again",
            )

    def unlock(self) -> None:
        """See Keychain. Another process shows the dialog, and D-Bus knows its display: nothing of ours has to."""
        with _service(PROMPT_SECONDS) as (connection, path):
            if path == NO_COLLECTION:
                return
            try:
                dismissed = _ask_person(connection, path)
            except TimedOut:  # the dialog goes with our connection
                raise TimedOut(
                    f"nobody answered the keychain's dialog within {PROMPT_SECONDS:g} s", OPEN_HINT
                ) from None
            if dismissed:
                raise Locked("the keychain is locked still: its dialog was dismissed, or couldn't be shown", OPEN_HINT)
            if _collection(connection, path).is_locked():
                raise VaultFault("the keychain ended its dialog, and is locked still", OPEN_HINT)


def _has_bus() -> bool:
    return bool(os.environ.get("DBUS_SESSION_BUS_ADDRESS")) or os.path.exists(f"/run/user/{os.geteuid()}/bus")


def _probe(found: Probe, connection: object) -> None:
    """Fill in `found`, as far as it comes. Raises TimedOut, VaultFault."""
    owner = _ask_bus(connection, "GetNameOwner", "s", SECRETS)
    if owner is None:
        startable = _ask_bus(connection, "ListActivatableNames") or []
        found.state = "asleep" if SECRETS in startable else "absent"
        return
    found.pid = _ask_bus(connection, "GetConnectionUnixProcessID", "s", owner) or 0
    found.program = _program(found.pid)
    path = _default_collection(connection)
    if path == NO_COLLECTION:
        found.state = "empty"
    else:
        found.state = "locked" if _collection(connection, path).is_locked() else "ready"


def _ask_bus(bus, method: str, signature: "str | None" = None, *words: str):  # type: ignore[no-untyped-def]  # jeepney's
    """The answer of the bus itself (D-Bus specification, org.freedesktop.DBus), or None when it is an error."""
    from jeepney import DBusAddress, MessageType, new_method_call

    address = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
    reply = bus.send_and_get_reply(new_method_call(address, method, signature, words))
    return None if reply.header.message_type == MessageType.error else reply.body[0]


def _program(pid: int) -> str:
    """The name of a process's program, or empty where it can't be seen."""
    first = paths.read_small(f"/proc/{pid}/cmdline").partition(b"\0")[0] if pid else b""
    return first.rpartition(b"/")[2].decode("utf-8", "replace")


@contextmanager
def _service(seconds: float) -> "Iterator[tuple[object, str]]":
    """(connection, path of the default collection), all within `seconds`.

    Raises NoService, TimedOut, and what _bus() makes of everything after the first answer.
    """
    from secretstorage import SecretServiceNotAvailableException

    with _bus(seconds) as connection:
        try:
            path = _default_collection(connection)
        except (SecretServiceNotAvailableException, OSError):
            raise _no_service() from None
        yield connection, path


@contextmanager
def _bus(seconds: float) -> "Iterator[object]":
    """A connection to the session's bus, for so long.

    Raises NoService without a bus, VaultFault for a keychain that refuses or vanishes, Locked for one that was locked
    meanwhile, and TimedOut; none with D-Bus's own texts.
    """
    import secretstorage
    from jeepney import DBusErrorResponse

    with deadline(seconds):
        try:
            connection = secretstorage.dbus_init()
        except TimeoutError:  # jeepney's own, for a bus that doesn't say hello within a second
            raise TimedOut("the session's D-Bus doesn't answer", FILES_HINT) from None
        except (secretstorage.SecretServiceNotAvailableException, OSError, KeyError):
            raise _no_service() from None
        try:
            yield connection
        except secretstorage.LockedException:
            raise locked("what is asked for") from None
        except secretstorage.PromptDismissedException:
            raise _refused("its dialog was dismissed") from None
        except DBusErrorResponse as error:
            # D-Bus specification, names of errors: letters, digits and _ between dots
            raise _refused(error.name.rpartition(".")[2]) from None
        except (secretstorage.SecretStorageException, OSError):
            raise VaultFault("the keychain went away while it was asked", "log in to the desktop, then again") from None
        finally:
            connection.close()


def _default_collection(connection: object) -> str:
    """The path of the default collection, or NO_COLLECTION."""
    (path,) = _secrets(connection).call("ReadAlias", "s", "default")
    return str(path)


def _ask_person(connection: object, path: str) -> bool:
    """Let the service unlock a collection by a dialog, if that takes one; whether it was dismissed.

    secretstorage's own Collection.unlock() asserts what a result looks like, and KWallet's of a dismissal doesn't.
    """
    from secretstorage.util import exec_prompt

    _unlocked, prompt = _secrets(connection).call("Unlock", "ao", [path])
    return prompt != NO_PROMPT and bool(exec_prompt(connection, prompt)[0])


def _secrets(connection: object):  # type: ignore[no-untyped-def]  # secretstorage's own type
    from secretstorage.util import DBusAddressWrapper

    return DBusAddressWrapper("/org/freedesktop/secrets", "org.freedesktop.Secret.Service", connection)


def _no_service() -> NoService:
    return NoService("no keychain answers on this session's D-Bus", FILES_HINT)


def _refused(why: str) -> VaultFault:
    return VaultFault(f"the keychain refused: {why}", "allow it in the keychain's own program, then again")


def _collection(connection: object, path: str):  # type: ignore[no-untyped-def]  # secretstorage's own type
    from secretstorage import Collection

    return Collection(connection, path)
