"""The worker's side of the unlock transaction: values and names into one agent, all or nothing."""

from agentkeys.client.connection import Connection
from agentkeys.core.manifest import KeyRecord, Manifest
from agentkeys.errors import VaultFault
from agentkeys.stores.rack import Rack
from agentkeys.vaults import OURS, vault_class
from agentkeys.worker import times

BATCH = 192 * 1024
"""Bytes of values in one unlock-add: below a frame's 256 KiB, so that the agent handles it in place."""

MAX_DIRECTORY = 1900 * 1024
"""Bytes of all slugs of a rack, which one unlock-commit carries: 40,000 usual ones, and below wire.MAX_REQUEST."""

Groups = dict[tuple[str, str, int], list[str]]
"""Slugs by their vault, grade and seconds to live."""


def begin(connection: Connection) -> int:
    """Begin a transaction; the seconds that this agent lets anything stay at most."""
    reply = connection.ask(b"unlock", waits=True)
    return int(bytes(reply[1]))


def add(connection: Connection, groups: Groups, values: "dict[str, bytes]") -> None:
    """Send each group's slugs and values, BATCH bytes at a time."""
    for (vault, grade, ttl), slugs in groups.items():
        facts = (b"vault", vault.encode("ascii"), b"grade", grade.encode("ascii"), b"ttl", b"%d" % ttl)
        rows = [values[slug] for slug in slugs]
        sizes = list(map(len, rows))
        start = size = 0
        for at, slug in enumerate(slugs):
            more = len(slug) + sizes[at] + 8
            if size and size + more > BATCH:
                connection.ask(b"unlock-add", *facts, *_batch(slugs, sizes, rows, start, at), waits=True)
                start, size = at, 0
            size += more
        connection.ask(b"unlock-add", *facts, *_batch(slugs, sizes, rows, start, len(slugs)), waits=True)


def _batch(slugs: "list[str]", sizes: "list[int]", rows: "list[bytes]", start: int, end: int) -> "tuple[bytes, ...]":
    """The fields of one unlock-add that hold the slugs and values themselves."""
    lengths = " ".join(map(str, sizes[start:end])).encode("ascii")
    return (b"slugs", lines(slugs[start:end]), b"sizes", lengths, b"values", b"".join(rows[start:end]))


def lines(slugs: "list[str]") -> bytes:
    """Slugs as a field of the protocol."""
    return "\n".join(slugs).encode("ascii")


def commit(connection: Connection, rack: Rack, manifest: Manifest, *more: bytes) -> "list[str]":
    """Make it count; `more` are further fields. Returns the slugs that were to be kept and that nobody holds."""
    directory = lines(sorted(manifest.keys))
    if len(directory) > MAX_DIRECTORY:
        raise VaultFault("the names in this rack are over 1.9 MiB together", f"agentkeys list --for {rack.owner}")
    pairs = [b"directory", directory] if directory else []
    memory = in_memory(manifest)
    if memory:
        pairs += [b"memory", lines(memory)]
    reply = connection.ask(b"unlock-commit", b"state-key", rack.keys.state, *pairs, *more, waits=True)
    return str(reply[1], "ascii").split("\n") if len(reply) > 1 else []


def in_memory(manifest: Manifest) -> "list[str]":
    """The keys of the rack whose values rest nowhere."""
    names = {record.vault for record in manifest.keys.values()}
    volatile = {name for name in names if name in OURS and vault_class(name).in_memory}
    return sorted([slug for slug, record in manifest.keys.items() if record.vault in volatile]) if volatile else []


def some(
    connection: Connection,
    longest: int,
    rack: Rack,
    manifest: Manifest,
    brought: "list[tuple[KeyRecord, str, bytes]]",
) -> None:
    """The rest of a transaction that brings each (key, grade, value); begin() said `longest`."""
    for record, grade, value in brought:
        ttl = max(1, min(times.time_to_live(record, 0), longest))
        add(connection, {(record.vault, grade, ttl): [record.slug]}, {record.slug: value})
    commit(connection, rack, manifest)
