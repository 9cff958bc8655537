r"""What a .env file says, read strictly: nothing in it is run or expanded, and what loaders read differently is told.

    file      = line*                        lines end with LF or CRLF; a byte order mark at the start is passed over
    line      = blank | "#" anything | [ "export" ] NAME [ "=" value ] [ "#" anything ]
    value     = 'text'                       to the next ', over several lines too; nothing in it is special
              | "text"                       to the next " without a \ before it, over several lines too;
                                             \n \r \t \\ \" \$ \` are escapes, any other \ stays
              | text                         to the line's end or a blank and #, without blanks around it

There is no standard, and the loaders (dotenv for Node, python-dotenv, dotenv for Ruby, docker compose, sh) differ.
Where they agree, this agrees; a value that some of them would expand has a fault; one that some would cut or change has
a doubt. python-dotenv itself is no help: it expands variables, and passes over what it doesn't understand.
"""

import re

from agentkeys.core import refs
from agentkeys.errors import UsageFault

MAX_FILE = 1024 * 1024
"""Bytes of a whole file, as much as one value may have; the files in use are a few KiB."""

MAX_ENTRIES = 1000
"""Settings in one file; the longest in use have some hundred."""

_END = re.compile(rb"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_HEAD = re.compile(rb"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*(?:=[ \t]*|(?=[#\r\n]|\Z))")
_SINGLE = re.compile(rb"'([^']*)'")
_DOUBLE = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_COMMENT = re.compile(rb"[ \t]#")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_MARK = re.compile(rb"\\.|(\$[{(]|`)|(\$[A-Za-z_])", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", **{bytes((byte,)): bytes((byte,)) for byte in b'\\"$`'}}
_COMMENTED = re.compile(rb"[ \t]*#[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*[^ \t\r\n]")

BOM = b"\xef\xbb\xbf"

EXPANDS = "it holds ${…}, $(…) or `…`, which some programs replace by something else; single quotes keep them as text"
DOLLAR = "some programs take a $ in it for a variable; here it is part of the value"
HASH = "some programs end it at its #; here that is part of the value"


class Entry:
    """One setting of a file."""

    __slots__ = ("doubt", "end", "fault", "line", "name", "start", "value")

    def __init__(self, name: str, line: int, start: int, end: int, value: bytes) -> None:
        self.name = name
        self.line = line
        """Its first line's number, from 1."""
        self.start = start
        """Offset in the file of where the setting begins: of `export`, or of its name."""
        self.end = end
        """Offset of what follows the value."""
        self.value = value
        """Empty when there is none."""
        self.fault = ""
        """Why nobody can say what the value is."""
        self.doubt = ""
        """What some loaders would make of it."""


def parse(data: bytes, what: str) -> "list[Entry]":
    """The settings of the file `what`, in its order, doubled names too.

    Raises UsageFault, by the line's number alone: a line that can't be read may be part of a value.
    """
    if len(data) > MAX_FILE:
        raise UsageFault(f"{what} is over 1 MiB, which no .env file is", f"ls -l {what}")
    if b"\0" in data:
        raise UsageFault(f"{what} is not text: it holds NUL bytes", f"iconv -f UTF-16 -t UTF-8 {what} > {what}.utf8")
    if b"\r" in data.replace(b"\r\n", b""):
        raise UsageFault(f"{what} has carriage returns within its lines", f"cat -A {what} | less")
    entries: list[Entry] = []
    at = len(BOM) if data.startswith(BOM) else 0
    while at < len(data):
        blank = _END.match(data, at)
        if blank is not None:
            at = blank.end()
            continue
        entry, at = _entry(data, at, what)
        entries.append(entry)
        if len(entries) > MAX_ENTRIES:
            raise UsageFault(f"{what} has over {MAX_ENTRIES} settings, which no .env file has", f"wc -l {what}")
    return entries


def _entry(text: bytes, at: int, what: str) -> "tuple[Entry, int]":
    """The setting that begins at `at`, and where the next line begins. Raises UsageFault."""
    line = text.count(b"\n", 0, at) + 1
    head = _HEAD.match(text, at)
    if head is None or not refs.is_name(name := head[1].decode("ascii")):
        raise _unreadable(what, line, "is neither NAME=value nor a comment")
    start = at + len(head[0]) - len(head[0].lstrip())
    value, end, mark = _value(text, head.end()) if b"=" in head[0] else (b"", head.end(), "")
    if value is None:
        raise _unreadable(what, line, f"{name} has a quote that is never closed")
    rest = _END.match(text, end)
    if rest is None:
        raise _unreadable(what, line, f"{name} goes on behind its closing quote")
    entry = Entry(name, line, start, end, value)
    if mark == "$":
        entry.doubt = DOLLAR
    elif mark:
        entry.fault = EXPANDS
    elif mark is None and b"#" in value:
        entry.doubt = HASH
    return entry, rest.end()


def _value(text: bytes, at: int) -> "tuple[bytes | None, int, str | None]":
    """(value, where it ends, "$" or "${" for what loaders do to it); the value is None for an open quote.

    Of an unquoted value without either, the third is None, and "" of a quoted one.
    """
    quote = text[at : at + 1]
    if quote == b"'":
        found = _SINGLE.match(text, at)
        return (found[1].replace(b"\r\n", b"\n"), found.end(), "") if found else (None, at, "")
    if quote == b'"':
        found = _DOUBLE.match(text, at)
        if found is None:
            return None, at, ""
        raw = found[1].replace(b"\r\n", b"\n")
        return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[0]), raw), found.end(), _expansion(raw)
    if quote == b"#" and text[at - 1 : at] != b"=":
        return b"", at, ""
    stop = text.find(b"\n", at)
    line = text[at:] if stop < 0 else text[at:stop]
    plain = _COMMENT.split(line, 1)[0].rstrip(b" \t\r")
    return plain, at + len(plain), _expansion(plain) or None


def _expansion(raw: bytes) -> str:
    """`${` when loaders would put something in, `$` when some would, "" when none would."""
    found = ""
    for mark in _MARK.finditer(raw):
        if mark[1]:
            return "${"
        if mark[2]:
            found = "$"
    return found


def _unreadable(what: str, line: int, why: str) -> UsageFault:
    return UsageFault(f"{what}, line {line}: {why}", editing(what, line))


STANDARD_INPUT = "standard input"
"""What errors call it."""


def editing(what: str, line: int) -> str:
    """The command that opens a file at a line, as vi(1) takes it (POSIX), and most other editors."""
    if what == STANDARD_INPUT:
        return "agentkeys import FILE"
    return f"${{EDITOR:-vi}} +{line} {what}"


def replaced(data: bytes, entries: "list[Entry]", references: "dict[str, str]") -> bytes:
    """The file with a comment in the place of each of `entries` whose name has a reference; all else as it was."""
    parts = []
    at = 0
    for entry in entries:
        if entry.name in references and entry.value:
            parts += [data[at : entry.start], f"# {entry.name}: {references[entry.name]}".encode("ascii")]
            at = entry.end
    return b"".join([*parts, data[at:]])


def commented(data: bytes) -> "list[tuple[int, str]]":
    """(line, name) of each comment that looks like a setting with a value: it would stay in the file."""
    found = []
    for number, line in enumerate(data.split(b"\n"), 1):
        match = _COMMENTED.match(line)
        if match is not None:
            found.append((number, match[1].decode("ascii")))
    return found
