"""shelf: a vault that keeps each value in a sealed file of its own, for directories that are copied file by file.

A file is written once, under a random name, and never changed; the state in the manifest says which ones count.
"""

import hashlib
import hmac
import os

from agentkeys.errors import AgentkeysError, VaultFault
from agentkeys.vaults.base import Fetched, State, Vault

PREFIX = "shelf-"
"""How our files' names begin: other vaults keep theirs in the same directory."""


class Shelf(Vault):
    """State: {"files": {slug: [file, mac]}}."""

    name = "shelf"
    protection = "encrypted"

    def read(self, state: State) -> "dict[str, bytes]":
        """See Vault."""
        values: dict[str, bytes] = {}
        for slug, (file, mac) in _files(state).items():
            value = self._open(slug, file, mac)
            if value is None:
                raise VaultFault(f"{file}, the value of {slug}, is gone", f"agentkeys set {slug}")
            values[slug] = value
        return values

    def fetch(self, state: State, slugs: "list[str]") -> Fetched:
        """See Vault; a file that can't be read is the fault of its own key alone, and one that is gone no answer."""
        files = _files(state)
        found: Fetched = {}
        for slug in slugs:
            if slug not in files:
                continue
            try:
                value = self._open(slug, *files[slug])
            except AgentkeysError as fault:
                found[slug] = fault
            else:
                if value is not None:
                    found[slug] = value
        return found

    def write(self, state: State, changes: "dict[str, bytes | None]") -> State:
        """See Vault."""
        self.settle(state)  # what a crash left behind goes before more is added
        files = {slug: row for slug, row in _files(state).items() if slug not in changes}
        files |= {slug: self._add(slug, value) for slug, value in changes.items() if value is not None}
        return {"files": files}

    def rewrite(self, state: State, values: "dict[str, bytes]") -> State:
        """See Vault; every file anew, since those that are there are sealed to the recipients of before."""
        return {"files": {slug: self._add(slug, values[slug]) for slug in _files(state)}}

    def settle(self, state: State) -> None:
        """See Vault."""
        wanted = {file for file, _mac in _files(state).values()}
        try:
            for file in os.listdir(self.place.directory):
                if file.startswith(PREFIX) and file not in wanted:
                    os.remove(f"{self.place.directory}/{file}")
        except FileNotFoundError:
            return  # nothing was ever written
        except OSError as error:
            raise self._fault("cleaned", error) from None

    def _add(self, slug: str, value: bytes) -> "list[str]":
        """A new file, durable when this returns; its row in the state."""
        file = f"{PREFIX}{os.urandom(16).hex()}.age"
        try:
            os.makedirs(self.place.directory, 0o700, exist_ok=True)
            fd = os.open(f"{self.place.directory}/{file}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with open(fd, "wb") as sealed:
                sealed.write(self.place.seal(value))
                sealed.flush()
                os.fsync(fd)
            directory = os.open(self.place.directory, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(directory)
            os.close(directory)
        except OSError as error:
            raise self._fault("written", error) from None
        return [file, self._mac(slug, value)]

    def _open(self, slug: str, file: str, mac: str) -> bytes | None:
        """The value in a file, None when that is gone. Raises VaultFault."""
        path = f"{self.place.directory}/{file}"
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as sealed:
                data = sealed.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._fault("read", error) from None
        value = self.place.unseal(data, path)
        # Anybody can seal to a public recipient; only the owner can make this MAC. A lost identity's can't be checked.
        if self.place.mac_key and not hmac.compare_digest(mac, self._mac(slug, value)):
            raise VaultFault(f"{path} is not the file that the manifest names", "restore it from a backup")
        return value

    def _mac(self, slug: str, value: bytes) -> str:
        text = slug.encode() + b"\0" + value
        return hashlib.blake2b(text, key=self.place.mac_key, digest_size=32, person=b"agentkeys-shelf").hexdigest()

    def _fault(self, what: str, error: OSError) -> VaultFault:
        """An error of the system, in our words: its own text may name what nobody should see."""
        where = self.place.directory
        return VaultFault(f"{where} can't be {what}: {os.strerror(error.errno or 0)}", f"ls -ld {where}")


def _files(state: State) -> "dict[str, list[str]]":
    files = state.get("files", {})
    return files if isinstance(files, dict) else {}
