"""Planted secrets ("canaries"), and the search for where they got to.

A canary is a random value with a fixed beginning. Tests use canaries wherever a real secret would go; the run
records each one outside the tree it searches, and ends with `scan` over everything it wrote. A value may be
found only where its test said it belongs. Findings name the file and the canary, never the value.
"""

import base64
import fnmatch
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PREFIX = b"canary-"
RANDOM_HEX = 32
"""Hex digits after the prefix, 128 bits: never found by accident."""

PLAIN = re.compile(PREFIX + b"[0-9a-f]{%d}" % RANDOM_HEX)
"""Any canary as it is; enough to name the test at once whose child printed one."""

CHUNK = 4 * 1024 * 1024
"""Bytes searched at a time."""

OVERLAP = 512
"""Bytes of a chunk searched again with the next; the longest form has 6 bytes for each of a canary's 39."""

FOLDED = b"\0\t\n\r "
"""Dropped before a second look: line breaks of wrapped base64, and the zero bytes of UTF-16."""


@dataclass(frozen=True)
class Canary:
    """One planted secret and the only places where it may be found."""

    name: str
    value: bytes
    allowed: tuple[str, ...] = ()
    """fnmatch patterns of the paths where this value belongs."""

    def belongs_in(self, path: str) -> bool:
        """Whether a test said that this value is to be found in `path`."""
        return any(fnmatch.fnmatch(path, pattern) for pattern in self.allowed)


@dataclass(frozen=True, order=True)
class Leak:
    """A canary where it doesn't belong."""

    path: str
    """The file, or what else was searched; a value in the path itself is masked."""
    name: str


@dataclass(frozen=True)
class Search:
    """What a search found, and how much it read: a search of nothing finds nothing."""

    leaks: list[Leak]
    files: int


@dataclass
class Registry:
    """Every canary of a run, in a file that all its processes append to."""

    file: Path
    planted: list[Canary] = field(default_factory=list)
    """Those of this process."""

    def plant(self, name: str, allowed: Iterable[str] = (), suffix: bytes = b"") -> bytes:
        """Make and record a canary; `suffix` makes its value awkward (quotes, line breaks, any byte)."""
        random = secrets.token_hex(RANDOM_HEX // 2)
        canary = Canary(name, PREFIX + random.encode(), tuple(allowed))
        self.planted.append(canary)
        line = json.dumps({"name": name, "random": random, "allowed": canary.allowed}) + "\n"
        fd = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)
        return canary.value + suffix

    def recorded(self) -> list[Canary]:
        """The canaries of every process of the run."""
        if not self.file.exists():
            return []
        lines = [json.loads(line) for line in self.file.read_text().splitlines()]
        return [Canary(it["name"], PREFIX + it["random"].encode(), tuple(it["allowed"])) for it in lines]


@cache
def forms(value: bytes) -> list[bytes]:
    r"""Raw, hex, percent, \x and \u forms of `value`, and base64 at each of its three alignments.

    The forms of a beginning of `value` are beginnings of the forms of `value`.
    """
    found = [value, value.hex().encode(), value.hex().upper().encode()]
    templates = ("%%%02x", "%%%02X", "\\x%02x", "\\x%02X", "\\u%04x", "\\u%04X")
    found += ["".join([template % byte for byte in value]).encode() for template in templates]
    for shift in range(3):
        shifted = b"\0" * shift + value
        encoded = base64.b64encode(shifted[: len(shifted) // 3 * 3])
        inner = encoded[4:] if shift else encoded  # the first group mixes with what stands before the value
        found += [inner, inner.replace(b"+", b"-").replace(b"/", b"_")]
    return list(dict.fromkeys(found))


BEGINNINGS = forms(PREFIX)
"""How any form of any canary begins; most files are dismissed by these alone."""


class Forms:
    """All forms of some canaries, by how they begin: what follows a beginning is looked up, however many there are."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._owners: dict[bytes, set[Canary]] = {}
        for canary in canaries:
            for form in forms(canary.value):
                self._owners.setdefault(form, set()).add(canary)
        self._lengths = {
            beginning: {len(form) for form in self._owners if form.startswith(beginning)} for beginning in BEGINNINGS
        }

    def found_in(self, data: bytes) -> set[Canary]:
        """The canaries that `data` holds in any form."""
        found: set[Canary] = set()
        for view in (data, data.translate(None, FOLDED)):
            for beginning in BEGINNINGS:
                at = view.find(beginning)
                while at >= 0:
                    for length in self._lengths[beginning]:
                        found |= self._owners.get(view[at : at + length], set())
                    at = view.find(beginning, at + 1)
        return found


def found_in(data: bytes, canaries: Iterable[Canary]) -> set[Canary]:
    """The canaries that `data` holds in any form."""
    return Forms(canaries).found_in(data)


def scan(roots: Iterable[Path], canaries: Iterable[Canary]) -> Search:
    """Every canary in names, symlink texts and contents under `roots`, save where it belongs.

    Files that vanish meanwhile are passed over; PermissionError for what can't be read: unread is not clean.
    """
    wanted = Forms(canaries)
    leaks = set()
    files = 0
    for root in roots:
        for path in _walk(root):
            files += 1
            for canary in _found_at(path, wanted):
                if not canary.belongs_in(str(path)):
                    leaks.add(Leak(_mask(str(path), wanted), canary.name))
    return Search(sorted(leaks), files)


def _walk(root: Path) -> Iterator[Path]:
    """`root` and all below it; symlinks are named, not followed."""
    yield root
    if root.is_symlink() or not root.is_dir():
        return

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for directory, folders, files in os.walk(root, onerror=fail):
        for name in folders + files:
            yield Path(directory, name)


def _found_at(path: Path, wanted: Forms) -> set[Canary]:
    found = wanted.found_in(os.fsencode(path.name))
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found |= wanted.found_in(os.fsencode(os.readlink(path)))
        elif stat.S_ISREG(mode):
            with path.open("rb") as file:
                tail = b""
                while chunk := file.read(CHUNK):
                    found |= wanted.found_in(tail + chunk)
                    tail = chunk[-OVERLAP:]
    except FileNotFoundError:
        pass
    return found


def _mask(text: str, wanted: Forms) -> str:
    for canary in wanted.found_in(os.fsencode(text)):
        for form in forms(canary.value):
            text = text.replace(form.decode(), f"<{canary.name}>")
    return text
