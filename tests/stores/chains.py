"""An audit log as its reader has it: the lines, the proof that they are whole, and what they say."""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

from agentkeys.core import audit
from agentkeys.core.secret import Secret
from agentkeys.stores.audit_log import CHAIN, AuditLog

STATE_KEY = bytes(range(32))


def open_log(directory: Path, sealed: bool = True) -> AuditLog:
    """The log of ana there, before or after her unlock."""
    log = AuditLog(str(directory), "ana")
    if sealed:
        log.seal(Secret(STATE_KEY))
    return log


def say(log: AuditLog, *names: str) -> None:
    """A line about some keys, by which the tests know it again."""
    log.append("get", 1000, 42, [f"@all.all.{name}" for name in names], "allow")


def whole_chain(directory: Path) -> "list[dict[str, Any]]":
    """Every line, after the whole was verified: MACs, numbers, and the files that it links in."""
    lines = (directory / CHAIN).read_bytes().splitlines(keepends=True)
    assert audit.verify(lines, memoryview(STATE_KEY)) is None
    rows = [json.loads(line) for line in lines]
    for row in rows:
        if row["verb"] == "link":
            data = (directory / row["file"]).read_bytes()
            assert blake2b(data, digest_size=16).hexdigest() == row["blake2b"], "a linked file was changed"
            assert data.count(b"\n") == row["lines"]
    return rows


def said(directory: Path) -> "list[str]":
    """What the tests said, in order: the linked files' lines where they are linked in."""
    names = []
    for row in whole_chain(directory):
        if row["verb"] == "link":
            linked = (directory / row["file"]).read_text().splitlines()
            names += [key for line in linked for key in json.loads(line)["keys"]]
        names += row.get("keys", [])
    return [name.rpartition(".")[2] for name in names]
