"""A .env file is read as its loaders agree to read it, and what they don't agree on is said, not guessed."""

import pytest

from agentkeys.core import dotenv
from agentkeys.errors import USAGE, AgentkeysError


def read(text: bytes) -> dict[str, bytes]:
    """The file's settings; the last of a name counts."""
    return {entry.name: entry.value for entry in dotenv.parse(text, ".env")}


AGREED = {
    "plain": (b"A=one\n", b"one"),
    "exported": (b"export A=one\n", b"one"),
    "exported, with a tab": (b"\texport\tA=one\n", b"one"),
    "blanks around": (b"  A \t=  one two \t\n", b"one two"),
    "no newline at the end": (b"A=one", b"one"),
    "a comment behind": (b"A=one # two\n", b"one"),
    "a comment behind a tab": (b"A=one\t# two\n", b"one"),
    "only a comment": (b"A= # two\n", b""),
    "nothing": (b"A=\n", b""),
    "no sign": (b"A\n", b""),
    "no sign, a comment": (b"export A # two\n", b""),
    "an equals sign in it": (b"A=cGFkZGVk==\n", b"cGFkZGVk=="),
    "quotes within": (b'A=it\'s "so"\n', b'it\'s "so"'),
    "a backslash": (b"A=C:\\new\n", b"C:\\new"),
    "single quotes": (b"A=' one # \\n $two ' # three\n", b" one # \\n $two "),
    "empty single quotes": (b"A=''\n", b""),
    "double quotes": (b'A=" one # two "\n', b" one # two "),
    "double quotes, a comment without a blank": (b'A="one"#two\n', b"one"),
    "escapes": (b'A="\\n\\r\\t\\\\\\"\\$\\`"\n', b'\n\r\t\\"$`'),
    "no escapes": (b'A="\\d \\x41 \\\'"\n', b"\\d \\x41 \\'"),
    "an escaped backslash before the quote": (b'A="one\\\\" # two\n', b"one\\"),
    "several lines": (b'A="one\n two\n\nthree"\nB=1\n', b"one\n two\n\nthree"),
    "several lines in single quotes": (b"A='one\n#two\nB=3'\n", b"one\n#two\nB=3"),
    "a blank at the end of a line in quotes": (b"A='one \ntwo'\n", b"one \ntwo"),
    "CRLF": (b"A=one\r\nB=two\r\n", b"one"),
    "CRLF, quoted": (b'A="one"\r\n', b"one"),
    "CRLF, in quotes": (b'A="one\r\ntwo"\r\n', b"one\ntwo"),
    "CRLF, nothing": (b"A=\r\nB=\r\n", b""),
    "CRLF, no sign": (b"A\r\nB=\r\n", b""),
    "a byte order mark": (b"\xef\xbb\xbfA=one\n", b"one"),
    "not UTF-8": (b"A=\xff\xfe\n", b"\xff\xfe"),
    "UTF-8": ("A=\N{LATIN SMALL LETTER E WITH ACUTE}\n".encode(), b"\xc3\xa9"),
    "set twice": (b"A=one\nA=two\n", b"two"),
    "comments and empty lines": (b"#A=0\n\n   \n \t# A=0\nA=one\n", b"one"),
}


@pytest.mark.parametrize(("text", "value"), AGREED.values(), ids=AGREED)
def test_what_loaders_agree_on_is_read_so(text: bytes, value: bytes) -> None:
    """To the byte, without a doubt."""
    (*_, entry) = [entry for entry in dotenv.parse(text, ".env") if entry.name == "A"]
    assert (entry.value, entry.fault, entry.doubt) == (value, "", "")


EXPANDED = [b"A=$(id)", b"A=${B}", b'A="x${B}"', b"A=`id`", b'A="`id`"', b"A=x$(", b'A="\\\\${B}"']


@pytest.mark.parametrize("text", EXPANDED)
def test_nothing_is_expanded_and_that_is_said(text: bytes) -> None:
    """What some loaders replace has a fault, so that the wrong text is never taken for a key."""
    (entry,) = dotenv.parse(text, ".env")
    assert entry.fault == dotenv.EXPANDS


@pytest.mark.parametrize("text", [b"A='${B}'", b"A='`id`'", b'A="\\${B}"', b'A="\\`id\\`"', b"A=5$", b"A=5$%"])
def test_what_no_loader_expands_is_taken_as_it_is(text: bytes) -> None:
    """Single quotes and escapes say so; a $ that begins nothing is one."""
    (entry,) = dotenv.parse(text, ".env")
    assert (entry.fault, entry.doubt) == ("", "")


@pytest.mark.parametrize(
    ("text", "value", "doubt"),
    [
        (b"A=pa$word", b"pa$word", dotenv.DOLLAR),
        (b'A="pa$word"', b"pa$word", dotenv.DOLLAR),
        (b"A=one#two", b"one#two", dotenv.HASH),
        (b"A=#one", b"#one", dotenv.HASH),
    ],
)
def test_what_loaders_disagree_on_is_taken_and_told(text: bytes, value: bytes, doubt: str) -> None:
    """The text itself, with a doubt for the person."""
    (entry,) = dotenv.parse(text, ".env")
    assert (entry.value, entry.doubt) == (value, doubt)


UNREADABLE = {
    "a word too many": (b"B=1\nA='one' two\n", "line 2: A goes on behind its closing quote"),
    "an open quote": (b'A="one\ntwo\n', "line 1: A has a quote that is never closed"),
    "an open single quote": (b"B=1\n\nA='one\n", "line 3: A has a quote that is never closed"),
    "a quote that only an escape ends": (b'A="one\\"\n', "line 1: A has a quote that is never closed"),
    "no name": (b"=one\n", "line 1: is neither NAME=value nor a comment"),
    "a name that can't be": (b"a-b=one\n", "line 1: is neither NAME=value nor a comment"),
    "a name that begins with a digit": (b"1A=one\n", "line 1: is neither NAME=value nor a comment"),
    "YAML": (b"A: one\n", "line 1: is neither NAME=value nor a comment"),
    "a second line without quotes": (b"A=MIIE\nabc/+def\n", "line 2: is neither NAME=value nor a comment"),
    "a long name": (b"A" * 129 + b"=one\n", "line 1: is neither NAME=value nor a comment"),
    "a command": (b"A=1\nsource other.env\n", "line 2: is neither NAME=value nor a comment"),
}


@pytest.mark.parametrize(("text", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_refused_by_its_line(text: bytes, message: str) -> None:
    """Number and cause, and nothing of the line itself, which may be part of a value."""
    with pytest.raises(AgentkeysError) as refused:
        dotenv.parse(text, ".env")
    assert refused.value.message == f".env, {message}"
    assert refused.value.exit_code == USAGE
    assert refused.value.hint.startswith("${EDITOR:-vi} +")


@pytest.mark.parametrize(
    "text",
    [
        b"A=1\0",
        "A=1\n".encode("utf-16"),
        b"A=1\rB=2\r",
        b"A=" + b"x" * dotenv.MAX_FILE,
        b"A=1\n" * (dotenv.MAX_ENTRIES + 1),
    ],
    ids=["NUL", "UTF-16", "CR", "large", "long"],
)
def test_what_is_no_env_file_is_refused(text: bytes) -> None:
    """As a whole."""
    with pytest.raises(AgentkeysError) as refused:
        dotenv.parse(text, ".env")
    assert refused.value.exit_code == USAGE


def test_a_file_made_to_be_slow_is_read_at_once() -> None:
    """A mebibyte of blanks, quotes or backslashes is passed over once: no pattern looks back."""
    for filling in (b" ", b"\t#", b"\\", b"'", b'\\"'):
        text = b"A=" + filling * ((dotenv.MAX_FILE - 10) // len(filling))
        for whole in (text, text + b"x"):
            try:
                dotenv.parse(whole, ".env")
            except AgentkeysError as refused:
                assert refused.exit_code == USAGE  # noqa: PT017 - either outcome is right, and quick


def test_a_replaced_file_keeps_all_but_the_values() -> None:
    """Comments, blanks, line ends and other settings stay where they were; what it sets is no more."""
    text = b'\xef\xbb\xbf# mine\r\nexport A="one\r\ntwo" # why\r\n B = 2\r\nC=3\r\n\r\nA=four\r\nE=\r\nD'
    entries = dotenv.parse(text, ".env")
    done = dotenv.replaced(text, entries, {"A": "there", "C": "here", "E": "no", "D": "no"})
    assert done == b"\xef\xbb\xbf# mine\r\n# A: there # why\r\n B = 2\r\n# C: here\r\n\r\n# A: there\r\nE=\r\nD"
    assert read(done) == {"B": b"2", "E": b"", "D": b""}


def test_a_comment_that_keeps_a_value_is_found() -> None:
    """By its line and name; a reference of ours and plain words are none."""
    text = b"# A: agentkeys exec --key A -- COMMAND\n# some words = none\n#B=one\n # export C = two\n# D=\nE=3\n"
    assert dotenv.commented(text) == [(3, "B"), (4, "C")]
