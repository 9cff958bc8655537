"""The chain: who lacks the key can cut its tail, and change nothing else unnoticed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkeys.core import audit

KEY = memoryview(bytes(range(32)))


def make_chain(count: int, key: memoryview = KEY, verb: str = "get") -> "list[bytes]":
    """Lines 1 to `count`, each about another key."""
    lines, mac = [], audit.FIRST_MAC
    for seq in range(1, count + 1):
        body = audit.line_body(
            seq,
            f"2026-11-22T20:50:{seq:02}.000Z",
            "1f0e2d3c",
            verb,
            1000,
            42,
            "ana",
            [f"@all.all.K{seq}"],
            "allow",
            "",
        )
        line, mac = audit.seal_line(body, mac, key)
        lines.append(line)
    return lines


CHAIN = make_chain(6)


def test_a_whole_chain_holds() -> None:
    """From its first line, from the middle with what came before, and when it is empty."""
    assert audit.verify(CHAIN, KEY) is None
    assert audit.verify([], KEY) is None
    _seq, mac = audit.read_tail(CHAIN[2])
    assert audit.verify(CHAIN[3:], KEY, mac, 4) is None


@pytest.mark.parametrize("at", range(6))
def test_any_changed_byte_is_found_at_its_line(at: int) -> None:
    """Each bit of each byte of each line, what isn't ASCII included; verify names the sequence number."""
    for position in range(len(CHAIN[at])):
        for bit in range(8):
            line = bytearray(CHAIN[at])
            line[position] ^= 1 << bit
            assert audit.verify([*CHAIN[:at], bytes(line), *CHAIN[at + 1 :]], KEY) == at + 1


@pytest.mark.parametrize("at", range(5))
def test_a_deleted_line_is_found(at: int) -> None:
    """At the number that is missing; only the tail can go unnoticed, and the docs say so."""
    assert audit.verify(CHAIN[:at] + CHAIN[at + 1 :], KEY) == at + 1
    assert audit.verify(CHAIN[:at], KEY) is None


@pytest.mark.parametrize("at", range(5))
def test_a_reordered_line_is_found(at: int) -> None:
    """Neighbours that changed places."""
    assert audit.verify([*CHAIN[:at], CHAIN[at + 1], CHAIN[at], *CHAIN[at + 2 :]], KEY) == at + 1


@pytest.mark.parametrize("at", range(6))
def test_an_inserted_line_is_found(at: int) -> None:
    """A copy of another line, a line made with another key, and an empty one."""
    forged = make_chain(at + 1, memoryview(bytes(32)))[at]
    for line in (CHAIN[0] if at else CHAIN[5], forged, b"\n", b""):
        assert audit.verify([*CHAIN[:at], line, *CHAIN[at:]], KEY) == at + 1


def test_a_whole_foreign_chain_is_found() -> None:
    """Made by someone without this owner's state key, at its first line."""
    assert audit.verify(make_chain(3, memoryview(bytes(32))), KEY) == 1


@pytest.mark.parametrize("at", range(1, 6))
def test_lines_of_another_chain_of_the_same_owner_are_found(at: int) -> None:
    """Another machine's log has the same key and the same numbers: one line of it, or its whole end, doesn't fit in."""
    other = make_chain(6, verb="exec")
    assert audit.verify(other, KEY) is None
    assert audit.verify([*CHAIN[:at], other[at], *CHAIN[at + 1 :]], KEY) == at + 1
    assert audit.verify([*CHAIN[:at], *other[at:]], KEY) == at + 1


HOSTILE = {
    "no JSON": b"hello\n",
    "a number without end": b'{"seq":' + b"9" * 5000 + CHAIN[0][8:],
    "a number below zero": b'{"seq":-1' + CHAIN[0][8:],
    "a number in other digits": '{"seq":\N{ARABIC-INDIC DIGIT ONE}'.encode() + CHAIN[0][8:],
    "a MAC that isn't ASCII": CHAIN[0].replace(CHAIN[0][-35:-3], b"\xff" * 32),
    "no MAC": b'{"seq":1}\n',
    "only a MAC": b',"mac":"' + b"0" * 32 + b'"}\n',
    "a NUL": b"\0",
    "no line end": CHAIN[0].rstrip(b"\n"),
    "two line ends": CHAIN[0] + b"\n",
    "two lines in one": CHAIN[0] + CHAIN[1],
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_line_is_found_and_nothing_else_happens(line: bytes) -> None:
    """Whatever stands there: the answer is its number, never an exception."""
    assert audit.verify([line, *CHAIN[1:]], KEY) == 1


@given(st.binary(max_size=300))
def test_the_tail_of_any_bytes_can_be_read(tail: bytes) -> None:
    """A last line of ours, or None; never an exception."""
    assert audit.read_tail(tail) is None
    assert audit.read_tail(tail + b"\n" + CHAIN[4]) == audit.read_tail(CHAIN[4])


def test_the_tail_is_the_last_whole_line() -> None:
    """Its number and MAC are where the next line goes on."""
    whole = b"".join(CHAIN)
    mac = json.loads(CHAIN[5])["mac"]
    assert audit.read_tail(whole) == (6, mac)
    assert audit.read_tail(whole[100:]) == (6, mac)
    assert audit.read_tail(b"") is None
    assert audit.read_tail(CHAIN[5][1:]) is None


def test_a_line_is_what_the_docstring_shows() -> None:
    """JSON members by name, in this order."""
    assert json.loads(CHAIN[0]) == {
        "seq": 1,
        "time": "2026-11-22T20:50:01.000Z",
        "boot": "1f0e2d3c",
        "verb": "get",
        "uid": 1000,
        "pid": 42,
        "owner": "ana",
        "keys": ["@all.all.K1"],
        "decision": "allow",
        "mac": json.loads(CHAIN[0])["mac"],
    }


@given(st.text(st.characters(codec=None), min_size=1, max_size=audit.MAX_WHY))
def test_no_reason_breaks_a_line(why: str) -> None:
    """Quotes, line breaks, ESC and U+2028 stay inside one ASCII line of JSON, which a reader gives back whole."""
    body = audit.line_body(1, "t", "b", "get", 0, 0, "ana", ["@all.all.A", "acme.prod.B"], "deny", why)
    line, _mac = audit.seal_line(body, audit.FIRST_MAC, KEY)
    assert line.isascii()
    assert line.count(b"\n") == 1
    found = json.loads(line)
    assert (found["keys"], found["decision"], found["why"]) == (["@all.all.A", "acme.prod.B"], "deny", why)
    assert audit.verify([line], KEY) is None
    assert json.loads(audit.unsealed_line(body))["why"] == why


@pytest.mark.parametrize("keys", [[], ["@all.all.A"], ["@all.all.A", "b.c.D"]])
def test_keys_are_a_list_of_any_length(keys: "list[str]") -> None:
    """None, one and more."""
    assert json.loads(audit.line_body(1, "t", "b", "unlock", 0, 0, "ana", keys, "allow", "") + "}")["keys"] == keys


def test_a_line_has_a_bound_whatever_it_is_about() -> None:
    """Of 10,000 keys of the longest names it shows 1,000 and counts the rest; a long reason is cut."""
    keys = [f"{'o' * 64}.{'e' * 64}.{number:0128}" for number in range(10_000)]
    body = audit.line_body(
        10**15,
        "2026-11-22T20:50:01.123Z",
        "1f0e2d3c",
        "unlock",
        2**32,
        2**22,
        "o" * 32,
        keys,
        "allow",
        "\N{GRINNING FACE}" * 10_000,
    )
    line, _mac = audit.seal_line(body, audit.FIRST_MAC, KEY)
    assert len(line) <= audit.MAX_LINE
    found = json.loads(line)
    assert found["keys"] == keys[:1000]
    assert found["more"] == 9000


def test_link_and_recovery_lines_are_links_of_the_chain() -> None:
    """The two lines that speak of the log itself are chained, JSON, and say what they tie in or cut."""
    first, mac = audit.seal_line(audit.link_body(1, "t", "b", "ana", "unsealed-1.jsonl", 3, "ab"), audit.FIRST_MAC, KEY)
    second, _mac = audit.seal_line(audit.recovery_body(2, "t", "b", "ana", 17), mac, KEY)
    assert audit.verify([first, second], KEY) is None
    assert audit.verify([second], KEY) == 1
    assert {"verb": "link", "file": "unsealed-1.jsonl", "lines": 3, "blake2b": "ab"}.items() <= json.loads(
        first
    ).items()
    assert {"verb": "recover", "cut_bytes": 17}.items() <= json.loads(second).items()
