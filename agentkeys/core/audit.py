"""The audit chain: one JSON line for each event, each line's MAC over the one before it.

    {"seq":7,"time":"2026-11-22T20:50:01.123Z","boot":"1f0e…","verb":"get","uid":1000,"pid":4242,
     "owner":"seaturtle","keys":["@all.all.GITHUB_TOKEN"],"decision":"allow","mac":"<32 hex>"}

mac = BLAKE2b-128, keyed with the owner's state key (RFC 7693), over the previous line's mac and this line up to
the comma before its own. Whoever lacks the key can cut the tail but can't change, insert, drop or reorder a line.
Names only: no value, body or query string has a way in here.
"""

from _blake2 import blake2b
from _json import encode_basestring_ascii as quote

MAC_SIZE = 16
"""Bytes: 128 bits, as AES-GCM's tag."""

MAX_KEYS_SHOWN = 1000
"""Slugs in one line: what a 2 MiB environment holds in practice; beyond it the line says how many more."""

MAX_WHY = 300
"""Characters of a refusal's reason."""

MAX_LINE = 300 * 1024
"""Bytes of the longest line: MAX_KEYS_SHOWN slugs of 258 characters, their quotes, and a reason."""

FIRST_MAC = "0" * (MAC_SIZE * 2)
"""What the first line chains to."""


def line_body(
    seq: int,
    time: str,
    boot: str,
    verb: str,
    uid: int,
    pid: int,
    owner: str,
    keys: "list[str]",
    decision: str,
    why: str,
) -> str:
    """A line up to its MAC. `time` is RFC 3339 in UTC; `pid` 0 means unknown (another pid namespace)."""
    shown = ",".join([quote(key) for key in keys[:MAX_KEYS_SHOWN]])
    more = f',"more":{len(keys) - MAX_KEYS_SHOWN}' if len(keys) > MAX_KEYS_SHOWN else ""
    reason = f',"why":{quote(why[:MAX_WHY])}' if why else ""
    return (
        f'{{"seq":{seq},"time":"{time}","boot":"{boot}","verb":{quote(verb)},"uid":{uid},"pid":{pid},'
        f'"owner":{quote(owner)},"keys":[{shown}]{more},"decision":"{decision}"{reason}'
    )


def seal_line(body: str, previous_mac: str, key: memoryview) -> "tuple[bytes, str]":
    """(the finished line, its MAC as hex)."""
    mac = blake2b(f"{previous_mac}{body}".encode("ascii"), key=key, digest_size=MAC_SIZE).hexdigest()
    return f'{body},"mac":"{mac}"}}\n'.encode("ascii"), mac


def unsealed_line(body: str) -> bytes:
    """A line written before the state key is known; linked into the chain by its file's hash at unlock."""
    return f"{body}}}\n".encode("ascii")


def link_body(seq: int, time: str, boot: str, owner: str, file: str, lines: int, digest: str) -> str:
    """The line that ties a file of unsealed lines into the chain."""
    return (
        f'{{"seq":{seq},"time":"{time}","boot":"{boot}","verb":"link","owner":{quote(owner)},'
        f'"file":{quote(file)},"lines":{lines},"blake2b":"{digest}"'
    )


def recovery_body(seq: int, time: str, boot: str, owner: str, cut: int) -> str:
    """The line that says how many bytes of a torn last line were cut (a crash in the middle of a write)."""
    return f'{{"seq":{seq},"time":"{time}","boot":"{boot}","verb":"recover","owner":{quote(owner)},"cut_bytes":{cut}'


def read_tail(tail: bytes) -> "tuple[int, str] | None":
    """(seq, mac) of the last whole line in `tail`, or None when it has no line of ours."""
    line = tail.removesuffix(b"\n").rpartition(b"\n")[2]
    start, end = b'{"seq":', b'"}'
    mac_at = len(line) - MAC_SIZE * 2 - 2
    number = line[len(start) :].partition(b",")[0]
    if not (
        line.startswith(start)
        and line.endswith(end)
        and line[mac_at - 7 : mac_at] == b'"mac":"'
        and number.isdigit()
        and len(number) < 19
    ):
        return None
    return int(number), line[mac_at:-2].decode("ascii", "replace")


def verify(lines: "list[bytes]", key: memoryview, previous: str = FIRST_MAC, first_seq: int = 1) -> "int | None":
    """The sequence number of the first line that is wrong, or None when the chain holds."""
    for at, line in enumerate(lines):
        seq = first_seq + at
        tail = read_tail(line)
        body = line.rpartition(b',"mac":"')[0]
        if tail is None or tail[0] != seq or not body.isascii():
            return seq
        if seal_line(body.decode("ascii"), previous, key)[0] != line:
            return seq
        previous = tail[1]
    return None
