"""Values at rest: one write-once file for each generation, and one for each value too large for it.

A vault's state, kept in the manifest, names what counts: {"generation": 7, "mac": "…", "large": {slug: [file, mac]}}.
A new generation is written beside the old one, the manifest's rename commits it, and then the old one goes; whatever
in the directory no state names is a leftover of a crash.
"""

import base64
import os
from collections.abc import Callable

from agentkeys.core import derive, sealed_json
from agentkeys.errors import VaultFault
from agentkeys.stores import atomic

FORMAT = "agentkeys/bundle/1"

LARGE = 16 * 1024
"""Bytes: a larger value gets a file of its own, so that `set` of a small key doesn't rewrite a certificate store."""

MAC_SHOWN = 16
"""Hex digits of a large value's MAC in its file's name: two values of one generation never meet."""

HEX = frozenset("0123456789abcdef")

State = dict[str, object]
Values = dict[str, bytes]


class Bundle:
    """The values of one vault of one owner in one directory."""

    def __init__(
        self,
        directory: str,
        prefix: str,
        suffix: str,
        owner: str,
        key: bytes,
        seal: Callable[[bytes], bytes],
        unseal: Callable[[bytes, str], bytes],
    ) -> None:
        """Files are `<prefix><generation><suffix>`; `seal` and `unseal` encrypt or do nothing.

        `key` authenticates; b"" is that of a lost identity, and nothing is checked.
        """
        self.directory = directory
        self.prefix = prefix
        self.suffix = suffix
        self.owner = owner
        self.key = key
        self.seal = seal
        self.unseal = unseal

    def read(self, state: State) -> Values:
        """Every value. Raises VaultFault when a file is missing, damaged, or another than the manifest names."""
        return self._read_all(state, missing_is_fault=True)

    def read_what_is_left(self, state: State) -> Values:
        """As read(), without those values whose files are gone; a file that is there must be the right one."""
        return self._read_all(state, missing_is_fault=False)

    def _read_all(self, state: State, missing_is_fault: bool) -> Values:
        if not state:
            return {}
        values = self._read_small(state, missing_is_fault)
        for slug, (name, mac) in self._large(state).items():
            data = self._read(name, missing_is_fault)
            if data is None:
                continue
            if self.key and not derive.same(derive.mac(self.key, slug.encode(), data), mac):
                raise VaultFault(f"{self._path(name)} is not the file the manifest names", sealed_json.RESTORE_HINT)
            values[slug] = data
        return values

    def write(self, state: State, values: Values, keep_large: bool = True) -> State:
        """A new generation of `values`, durable but not yet committed; its state. Raises VaultFault.

        A large value that didn't change keeps its file, unless `keep_large` says that the recipients changed.
        """
        kept = self._large(state) if keep_large else {}
        same = {
            slug: row
            for slug, row in kept.items()
            if slug in values and row[1] == derive.mac(self.key, slug.encode(), values[slug])
        }
        return self._write(state, {slug: value for slug, value in values.items() if slug not in same}, same)

    def change(self, state: State, changes: "dict[str, bytes | None]") -> State:
        """As write(), of what is there with `changes` (None deletes) laid over it.

        A large value that isn't among them isn't read, so that one whose file is lost can be set again or deleted.
        """
        merged = {**(self._read_small(state, missing_is_fault=True) if state else {}), **changes}
        untouched = {slug: row for slug, row in self._large(state).items() if slug not in changes}
        return self._write(state, {slug: value for slug, value in merged.items() if value is not None}, untouched)

    def _write(self, state: State, values: Values, large: "dict[str, list[str]]") -> State:
        """A new generation of `values`, and of large ones that keep their files."""
        atomic.make_private_dir(self.directory)
        self.sweep(state)
        number = state.get("generation", 0)
        generation = (number if isinstance(number, int) else 0) + 1
        small: dict[str, object] = {}
        for slug, value in values.items():
            if len(value) <= LARGE:
                small[slug] = _to_json(value)
                continue
            mac = derive.mac(self.key, slug.encode(), value)
            large[slug] = [f"{self.prefix}{generation}-{mac[:MAC_SHOWN]}{self.suffix}", mac]
            atomic.write_once(self._path(large[slug][0]), self.seal(value))
        members: dict[str, object] = {
            "format": FORMAT,
            "owner": self.owner,
            "generation": generation,
            "values": small,
        }
        text = sealed_json.dump(members, "values", self.key)
        atomic.write_once(self._path(self._name(generation)), self.seal(text))
        atomic.sync_dir(self.directory)
        return {"generation": generation, "mac": sealed_json.mac_of(text), "large": large}

    def sweep(self, state: State) -> bool:
        """Remove files of ours that `state` doesn't name; whether there were any. Call it under the rack's lock."""
        wanted = (
            {self._name(state.get("generation")), *[row[0] for row in self._large(state).values()]} if state else set()
        )
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return False
        stale = [name for name in names if name not in wanted and self._is_ours(name)]
        for name in stale:
            atomic.remove_file(self._path(name))
        return bool(stale)

    def _is_ours(self, name: str) -> bool:
        """Whether a file is called as a generation or a large value of ours; others may keep theirs beside them."""
        if not (name.startswith(self.prefix) and name.endswith(self.suffix)):
            return False
        generation, dash, mac = name[len(self.prefix) : -len(self.suffix)].partition("-")
        return generation.isdecimal() and len(mac) == (MAC_SHOWN if dash else 0) and HEX.issuperset(mac)

    def _read_small(self, state: State, missing_is_fault: bool) -> Values:
        name = self._name(state.get("generation"))
        data = self._read(name, missing_is_fault)
        if data is None:
            return {}
        found = sealed_json.load(data, self.key or None, self._path(name), FORMAT, self.owner)
        if not derive.same(sealed_json.mac_of(data), str(state.get("mac"))):
            raise VaultFault(f"{self._path(name)} is not the bundle the manifest names", sealed_json.RESTORE_HINT)
        values = found.get("values")
        try:
            if type(values) is dict:
                return {slug: _from_json(value) for slug, value in values.items()}
        except (KeyError, TypeError, ValueError):
            pass
        raise VaultFault(f"{self._path(name)} is damaged", sealed_json.RESTORE_HINT)

    def _read(self, name: str, missing_is_fault: bool) -> bytes | None:
        path = self._path(name)
        data = atomic.read_file(path)
        if data is None:
            if not missing_is_fault:
                return None
            raise VaultFault(f"{path} is gone, and the manifest names it", sealed_json.RESTORE_HINT)
        return self.unseal(data, path)

    def _large(self, state: State) -> "dict[str, list[str]]":
        """Slug → file and MAC. Raises VaultFault for a file that isn't called as ours: it could lie anywhere."""
        rows = state.get("large", {})
        if not isinstance(rows, dict) or not all(map(self._is_row, rows.values())):
            raise self._damaged()
        return rows

    def _is_row(self, row: object) -> bool:
        if type(row) is not list or len(row) != 2 or type(row[0]) is not str or type(row[1]) is not str:
            return False
        return self._is_ours(row[0])

    def _name(self, generation: object) -> str:
        if type(generation) is not int:
            raise self._damaged()
        return f"{self.prefix}{generation}{self.suffix}"

    def _damaged(self) -> VaultFault:
        """For a state that we never wrote: a rack that `restore` can't verify may hold one."""
        return VaultFault(f"what the rack says of {self.directory} is damaged", sealed_json.RESTORE_HINT)

    def _path(self, name: str) -> str:
        return f"{self.directory}/{name}"


def _to_json(value: bytes) -> object:
    """Text as text, so that a person with `age -d` can read it; other bytes as base64."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode("ascii")}


def _from_json(member: "str | dict[str, str]") -> bytes:
    """Back from _to_json(). Raises KeyError, TypeError, ValueError for what it never made."""
    return member.encode() if isinstance(member, str) else base64.b64decode(member["base64"])
