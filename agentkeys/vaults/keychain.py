"""keychain: each value an item of its own in the user's keychain, named by chance and authenticated by the manifest.

Items are write-once: a new value is a new item, and the old one goes after the commit. A keychain can't be listed
everywhere, so a ledger beside it (`keychain.json`, names only) holds every item that may exist, before it does: what
it names and the state doesn't is a leftover of a crash.
"""

import json
import os

from agentkeys.core import derive
from agentkeys.core.sealed_json import RESTORE_HINT
from agentkeys.errors import AgentkeysError, VaultFault
from agentkeys.stores import atomic
from agentkeys.stores.keychain import Keychain, locked
from agentkeys.stores.keychain_here import open_keychain
from agentkeys.vaults.base import Fetched, Place, State, Vault

LEDGER = "keychain.json"

ID_SIZE = 16
"""Bytes of an item's random name: no two ever meet."""


class KeychainVault(Vault):
    """State: {"items": {slug: [account, mac]}}."""

    name = "keychain"
    protection = "encrypted"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._opened: Keychain | None = None

    def read(self, state: State) -> "dict[str, bytes]":
        """See Vault."""
        values: dict[str, bytes] = {}
        for slug, found in self.fetch(state, list(self._items(state))).items():
            if isinstance(found, AgentkeysError):
                raise found
            values[slug] = found
        for slug, (account, _mac) in self._items(state).items():
            if slug not in values:
                raise VaultFault(f"the keychain has lost {account}, the value of {slug}", f"agentkeys set {slug}")
        return values

    def fetch(self, state: State, slugs: "list[str]") -> Fetched:
        """See Vault; one call for each of `slugs`. A locked or missing keychain is the fault of all."""
        items = self._items(state)
        found: Fetched = {}
        for slug in slugs:
            if slug not in items:
                continue
            account, mac = items[slug]
            value = self._keychain().read(account)
            if value is None:
                self._require_open()  # gone is what an open keychain doesn't have; some hide all while they are locked
                continue
            if self.place.mac_key and not derive.same(self._mac(slug, value), mac):
                found[slug] = VaultFault(f"{account} in the keychain is not what the manifest names", RESTORE_HINT)
            else:
                found[slug] = value
        return found

    def write(self, state: State, changes: "dict[str, bytes | None]") -> State:
        """See Vault; refused while the keychain can't be changed, for what is replaced must go from it, too."""
        if any(value is not None or slug in self._items(state) for slug, value in changes.items()):
            self._require_open()
        self._sweep(state)
        items = {slug: item for slug, item in self._items(state).items() if slug not in changes}
        new: dict[str, tuple[str, bytes]] = {}
        for slug, value in changes.items():
            if value is not None:
                account = self._prefix() + os.urandom(ID_SIZE).hex()
                new[account] = (slug, value)
                items[slug] = [account, self._mac(slug, value)]
        if new:
            self._write_ledger([*self._ledger(), *new])
        for account, (_slug, value) in new.items():
            self._keychain().write(account, value)
        return {"items": items}

    def rewrite(self, state: State, values: "dict[str, bytes]") -> State:
        """See Vault; the items stay, their MACs are another key's now."""
        return {"items": {slug: [item[0], self._mac(slug, values[slug])] for slug, item in self._items(state).items()}}

    def settle(self, state: State) -> None:
        """See Vault."""
        self._sweep(state)

    def discard(self) -> None:
        """See Vault."""
        self._sweep({})

    def _sweep(self, state: State) -> None:
        """Remove the items that `state` doesn't name, each before the ledger forgets it."""
        wanted = {item[0] for item in self._items(state).values()}
        known = self._ledger()
        stale = [account for account in known if account not in wanted]
        for account in stale:
            self._keychain().delete(account)
        if stale:
            self._write_ledger([account for account in known if account in wanted])

    def _require_open(self) -> None:
        """Raise Locked or VaultFault unless the keychain can be read and written now; TimedOut for one that hangs."""
        state = self._keychain().state()
        if state == "locked":
            raise self._keychain().left_locked or locked(f"what {self.place.owner} keeps there")
        if state != "ready":
            raise VaultFault("no keychain answers here", "unlock it by logging in to the desktop, then again")

    def _items(self, state: State) -> "dict[str, list[str]]":
        """Slug → account and MAC. Raises VaultFault for an account that isn't one of this vault's.

        A rack that `restore` can't verify could name any other, such as an owner's identity, and so make it a value.
        """
        items = state.get("items", {})
        if not isinstance(items, dict) or not all(map(self._is_item, items.values())):
            raise VaultFault(f"what the rack says of {self.name} is damaged", RESTORE_HINT)
        return items

    def _is_item(self, item: object) -> bool:
        if type(item) is not list or len(item) != 2 or type(item[0]) is not str or type(item[1]) is not str:
            return False
        return item[0].startswith(self._prefix())

    def _prefix(self) -> str:
        """How the accounts of this owner's values begin."""
        return f"key-{self.place.owner}-"

    def _keychain(self) -> Keychain:
        if self._opened is None:
            self._opened = open_keychain()
        return self._opened

    def _mac(self, slug: str, value: bytes) -> str:
        return derive.mac(self.place.mac_key, slug.encode("ascii"), value)

    def _ledger(self) -> "list[str]":
        path = f"{self.place.directory}/{LEDGER}"
        data = atomic.read_file(path)
        if data is None:
            return []
        try:
            found = json.loads(data)
            return [str(account) for account in found["accounts"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise VaultFault(f"{path} is damaged", f"rm {path}") from None

    def _write_ledger(self, accounts: "list[str]") -> None:
        if not accounts:
            atomic.remove_file(f"{self.place.directory}/{LEDGER}")
            return
        atomic.make_private_dir(self.place.directory)
        text = json.dumps({"accounts": accounts}, indent=1)
        atomic.write_file(f"{self.place.directory}/{LEDGER}", text.encode("ascii") + b"\n")
