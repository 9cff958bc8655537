"""Sealed JSON: exactly what its key's holder wrote, or VaultFault."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkeys.core import derive, sealed_json
from agentkeys.errors import VaultFault

KEY = bytes(range(32))
FORMAT = "agentkeys/test/1"
MEMBERS = {"format": FORMAT, "owner": "ana", "version": 7, "rows": {"@all.all.A": {"vault": "os.secure"}, "b.c.D": 1}}
TEXT = sealed_json.dump(MEMBERS, "rows", KEY)


def load(data: bytes, key: bytes = KEY, file_format: str = FORMAT, owner: str = "ana") -> "dict[str, object]":
    """The members in `data`, with one circumstance changed."""
    return sealed_json.load(data, key, "the file", file_format, owner)


def test_what_was_dumped_is_loaded() -> None:
    """Member by member, without the MAC."""
    assert load(TEXT) == MEMBERS
    assert list(load(TEXT)) == list(MEMBERS)


def test_the_text_is_json_that_a_person_can_read() -> None:
    """A line each for members and rows, the MAC last: what `age -d` shows."""
    found = json.loads(TEXT)
    assert found.pop("mac") == sealed_json.mac_of(TEXT)
    assert found == MEMBERS
    assert TEXT.decode().splitlines()[:6] == [
        "{",
        f'  "format": "{FORMAT}",',
        '  "owner": "ana",',
        '  "version": 7,',
        '  "rows": {',
        '    "@all.all.A": {"vault": "os.secure"},',
    ]


def test_the_mac_is_over_the_text_as_it_stands() -> None:
    """Anybody with the key can check it without a parser."""
    text, _, rest = TEXT.partition(b',\n  "mac": "')
    assert rest == derive.mac(KEY, text).encode() + b'"\n}\n'


def test_any_changed_bit_is_refused() -> None:
    """Each of every byte."""
    for at in range(len(TEXT)):
        for bit in range(8):
            changed = bytearray(TEXT)
            changed[at] ^= 1 << bit
            with pytest.raises(VaultFault):
                load(bytes(changed))


def test_any_cut_is_refused() -> None:
    """At every length, from either end."""
    for length in range(len(TEXT)):
        for part in (TEXT[:length], TEXT[length + 1 :]):
            with pytest.raises(VaultFault):
                load(part)


@pytest.mark.parametrize("more", [b" ", b"\n", b"\0", b"{}", TEXT, TEXT[-80:]])
def test_anything_added_is_refused(more: bytes) -> None:
    """Behind it, before it and within."""
    for data in (TEXT + more, more + TEXT, TEXT[:9] + more + TEXT[9:]):
        with pytest.raises(VaultFault):
            load(data)


@given(st.binary(max_size=400))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    """Never another exception."""
    for text in (data, data + TEXT[-80:]):
        with pytest.raises(VaultFault):
            load(text)


@pytest.mark.parametrize("key", [bytes(32), KEY[::-1], KEY[:31], KEY + b"\0"])
def test_another_key_s_text_is_refused(key: bytes) -> None:
    """Age tells nobody who sealed; the MAC does, and the message says so."""
    with pytest.raises(VaultFault, match="the file was not written by this owner"):
        load(TEXT, key=key)


def test_another_owner_s_text_is_refused() -> None:
    """Even one made with the right key: two owners may share an ssh identity."""
    with pytest.raises(VaultFault, match="the file belongs to another owner"):
        load(TEXT, owner="bob")


def test_another_format_is_refused() -> None:
    """A manifest is no bundle, and a later version is not guessed at."""
    with pytest.raises(VaultFault, match="format"):
        load(TEXT, file_format="agentkeys/test/2")


@pytest.mark.parametrize("members", [{}, {"format": FORMAT}, {"owner": "ana"}, {"format": [FORMAT], "owner": "ana"}])
def test_a_text_without_format_or_owner_is_refused(members: "dict[str, object]") -> None:
    """Though its MAC is right."""
    with pytest.raises(VaultFault):
        load(sealed_json.dump(members, "rows", KEY))


@pytest.mark.parametrize("body", [b"{", b"[", b'{\n"a": 1, ', b"\xff\xfe", b'{"a": NaN', b"", b"[1]", b"null"])
def test_a_right_mac_over_no_json_is_refused(body: bytes) -> None:
    """A fault of the writer is told from one of the reader by its type alone."""
    data = body + b',\n  "mac": "' + derive.mac(KEY, body).encode() + b'"\n}\n'
    with pytest.raises(VaultFault):
        load(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.dictionaries(st.text(), json_values, max_size=4))
def test_any_members_come_back(members: "dict[str, object]", rows: "dict[str, object]") -> None:
    """Texts that look like the closing MAC, quotes, line ends and lone surrogates included."""
    members = {**members, "rows": rows, "format": FORMAT, "owner": "ana"}
    members.pop("mac", None)
    assert load(sealed_json.dump(members, "rows", KEY)) == members


def test_a_value_that_looks_like_the_end_ends_nothing() -> None:
    """The MAC is found from the back, and JSON escapes the line end before it."""
    members = {**MEMBERS, "rows": {"x": ',\n  "mac": "' + "0" * 64 + '"\n}\n'}}
    assert load(sealed_json.dump(members, "rows", KEY)) == members
