"""What is fuzzed. A target takes bytes, and raises only when a promise is broken.

Each compares two ways that must agree: a stream whole and in pieces, a rack read, written and read again, a value and
what a reader of the dialect makes of it. Which errors may come is part of the promise.
"""

import json
import re
import shlex
import tempfile
from collections.abc import Callable

from agentkeys import wire
from agentkeys.agent.inbox import Inbox
from agentkeys.core import derive, environment, manifest, sealed_json
from agentkeys.core.secret import Secret
from agentkeys.errors import AgentkeysError, Denied, UsageFault, VaultFault
from agentkeys.inject.dialects import DIALECTS
from agentkeys.stores.bundle import Bundle
from agentkeys.worker.job import unframe

KEY = bytes(range(32))

NAMES = ("TOKEN", "_", "A1", "LD_PRELOAD", "GIT_TOKEN", "PS1", "BASH_X", "a-b", "", "é", "1A")
"""Good ones, ones that load code, a shell's own, and what is no name at all."""


# --- frames


def frames(data: bytes) -> None:
    """The agent's reader of a stream: any cut gives the same messages and the same refusal; a worker's agrees."""
    size, stream = (data[0] % 40 + 1, data[1:]) if data else (1, b"")
    whole = _messages([stream])
    assert _messages([stream[at : at + size] for at in range(0, len(stream), size)]) == whole
    payloads, _refused = whole
    try:
        single = bytes(unframe(stream))
    except wire.WireError:
        pass
    else:
        assert payloads[:1] == [single]  # one message is all that a worker is sent
    for payload in payloads:
        try:
            fields = [bytes(field) for field in wire.split_fields(memoryview(payload))]
        except wire.WireError:
            continue
        assert _messages([wire.encode(*fields)]) == ([payload], False)


def _messages(chunks: "list[bytes]") -> "tuple[list[bytes], bool]":
    """The payloads that came whole, and whether the stream was refused then."""
    inbox = Inbox()
    found: list[bytes] = []
    try:
        for chunk in chunks:
            for payload in inbox.feed(memoryview(bytearray(chunk))):
                found.append(bytes(payload))
    except wire.WireError:
        return found, True
    return found, False


# --- racks


def rack(data: bytes) -> None:
    """A rack's text with a right MAC behind it, as a stranger may seal it to a backup's key: refused, or read alike."""
    sealed = data + b',\n  "mac": "' + derive.mac(KEY, data).encode("ascii") + b'"\n}\n'
    try:
        found = manifest.from_unverified(sealed, "ana")
    except VaultFault:
        for read in (lambda: manifest.from_bytes(sealed, KEY, "ana"), lambda: manifest.from_unverified(data, "ana")):
            try:
                read()
            except VaultFault:
                continue
        return
    again = found.to_bytes(KEY)
    assert manifest.from_bytes(again, KEY, "ana").to_bytes(KEY) == again
    assert sealed_json.mac_of(again)
    for state in found.vaults.values():
        with tempfile.TemporaryDirectory() as place:
            bundle = Bundle(f"{place}/ana", "", ".age", "ana", b"", lambda it: it, lambda it, _what: it)
            for use in (bundle.read, bundle.read_what_is_left, bundle.sweep):
                try:
                    use(state)
                except VaultFault:
                    continue


# --- values on their way to a shell


def quoting(data: bytes) -> None:
    """A value in each dialect: a reader of that dialect finds it to the byte, or it isn't printed."""
    name, value = (NAMES[data[0] % len(NAMES)], data[1:]) if data else ("TOKEN", b"")
    try:
        environment.check_injectable(name, "key", frozenset())
        environment.check_value(name, "key", Secret(value))
    except (Denied, UsageFault):
        pass
    for dialect, read in READERS.items():
        try:
            text = DIALECTS[dialect].join([DIALECTS[dialect].export(name, value)])
        except AgentkeysError:
            continue
        assert read(text) == (name.encode(), value), dialect


def _read_sh(text: bytes) -> "tuple[bytes, bytes]":
    """By Python's own reader of Bourne's quotes."""
    word, assignment = shlex.split(text.decode("latin-1"))
    assert word == "export"
    name, _, value = assignment.partition("=")
    assert value.endswith(";")
    return name.encode("latin-1"), value[:-1].encode("latin-1")


def _read_csh(text: bytes) -> "tuple[bytes, bytes]":
    """A backslash before every byte that isn't plain (tcsh(1))."""
    found = re.fullmatch(rb"setenv (\w+) (''|(?:[A-Za-z0-9/._\x80-\xff-]|\\[^\n])*);\n", text, re.DOTALL)
    assert found
    value = b"" if found[2] == b"''" else re.sub(rb"\\(.)", rb"\1", found[2], flags=re.DOTALL)
    return found[1], value


def _read_fish(text: bytes) -> "tuple[bytes, bytes]":
    r"""Single quotes, with \' and \\ in them, and \xHH between them (fish-language(1))."""
    found = re.fullmatch(rb"set -gx (\w+) ((?:'(?:[^'\\]|\\['\\])*'|\\x[0-9a-f]{2})+);\n", text, re.DOTALL)
    assert found
    pieces = re.findall(rb"'((?:[^'\\]|\\['\\])*)'|\\x([0-9a-f]{2})", found[2], re.DOTALL)
    value = b"".join(bytes.fromhex(code.decode()) or re.sub(rb"\\(.)", rb"\1", plain) for plain, code in pieces)
    return found[1], value


def _read_json(text: bytes) -> "tuple[bytes, bytes]":
    """RFC 8259."""
    ((name, value),) = json.loads(text).items()
    return name.encode(), value.encode()


READERS: "dict[str, Callable[[bytes], tuple[bytes, bytes]]]" = {
    "sh": _read_sh,
    "csh": _read_csh,
    "fish": _read_fish,
    "json": _read_json,
}

TARGETS: "dict[str, Callable[[bytes], None]]" = {"frames": frames, "rack": rack, "quoting": quoting}
