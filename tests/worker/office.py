"""Jobs given to the real worker process, in a home of the test's own, with everything it prints kept and searched."""

import sys
from pathlib import Path

from agentkeys import paths, wire
from agentkeys.cli.work import SCRIPT
from agentkeys.core import audit
from agentkeys.core.manifest import Manifest
from agentkeys.stores.audit_log import CHAIN
from agentkeys.stores.rack import Rack, open_rack
from agentkeys.vaults import open_vault
from agentkeys.worker.job import Answer, encode
from agentkeys.worker.rack_jobs import place_of
from tests.support.runner import Result, Runner

WORKER = (sys.executable, "-I", SCRIPT)

Field = tuple[str, "bytes | str"]


class Office:
    """One owner's home, and the workers that are sent into it."""

    def __init__(self, program: Runner, root: Path, owner: str = "ana") -> None:
        self.program = program
        self.root = root
        self.owner = owner

    def of(self, owner: str) -> "Office":
        """The same home for another owner."""
        return Office(self.program, self.root, owner)

    def request(self, name: str, *fields: Field) -> bytes:
        """A job as the CLI sends it."""
        return encode(name, [("home", str(self.root)), ("owner", self.owner), *fields])

    def send(self, data: bytes) -> Result:
        """What a worker makes of these bytes on its stdin."""
        return self.program.with_prefix(*WORKER)(input=data)

    def do(self, name: str, *fields: Field) -> Answer:
        """The answer to a job. Raises what the worker answered."""
        done = self.send(self.request(name, *fields))
        assert (done.code, done.err) == (0, b""), "a worker answers, and says nothing else"
        return Answer(done.out)

    def facts(self, name: str, *fields: Field) -> "dict[str, str]":
        """The answer's fields by name."""
        return {field: value.decode() for field, value in self.do(name, *fields).rows}

    def set(self, slug: str, value: bytes, **more: str) -> "dict[str, str]":
        """Put a key into the rack."""
        return self.facts("set", ("slug", slug), ("value", value), *[(it.replace("_", "-"), more[it]) for it in more])

    # --- looking, without a worker

    def rack(self) -> Rack:
        """The rack, opened here."""
        return open_rack(str(self.root), self.owner)

    def manifest(self) -> Manifest:
        """The rack's list of keys."""
        return self.rack().require()

    def values(self) -> "dict[str, bytes]":
        """What every vault holds."""
        rack = self.rack()
        manifest = rack.require()
        found = {}
        for name, state in manifest.vaults.items():
            found |= open_vault(name, place_of(rack, manifest)).read(state)
        return found

    def marked(self, slug: str) -> bool:
        """Whether the client takes `slug` for one of the rack."""
        return paths.exists(paths.inventory_marker(str(self.root), self.owner, slug))

    def chain(self) -> "list[bytes]":
        """The lines on record, verified."""
        lines = (Path(paths.audit_dir(str(self.root), self.owner)) / CHAIN).read_bytes().splitlines(keepends=True)
        assert audit.verify(lines, memoryview(self.rack().keys.state)) is None
        return lines

    def leftovers(self) -> "list[str]":
        """Files that a writer didn't finish, and files of a vault that the rack doesn't name."""
        found = [path.name for path in self.root.rglob("*.tmp")]
        named = set()
        for state in self.manifest().vaults.values():
            named |= {f"{state['generation']}.age", f"direct.{state['generation']}.json"}
            named |= {row[0] for row in state["large"].values()}
        place = Path(paths.vault_dir(str(self.root), self.owner))
        return found + [path.name for path in place.glob("*") if path.name not in named]


def error_in(done: Result) -> "dict[str, str]":
    """The members of an error that a worker answered."""
    fields = [bytes(field) for field in wire.split_fields(memoryview(done.out)[wire.HEADER :])]
    assert fields[0] == b"error"
    return {name.decode(): value.decode() for name, value in zip(fields[1::2], fields[2::2], strict=True)}
