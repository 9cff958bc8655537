"""docs/reference/errors.md lists every error that the program can print, with its exit code, and no other."""

import re

import pytest

from tests.docs.messages import Saying, rows, sayings
from tests.docs.pages import REPO
from tests.docs.test_troubleshooting import HEADINGS, PATTERNS

PAGE = REPO / "docs" / "reference" / "errors.md"

ROWS = rows(PAGE)

SAYINGS = sayings()

RELAYED = {
    "answer[2]": "what a new agent said; it made the error",
    "fault.message": "another error's message, as it was",
    "found.get('message', b'the worker failed').decode('utf-8', 'replace')": "what the worker said; it made the error",
    "found.message": "another error's message, as it was",
    "found['message']": "what the agent said; it made the error",
    "hardening.describe(fault)": "another error's message, or the row `internal fault, …`",
    "text[:1].lower() + text[1:].rstrip('.')": "typer's; the page says so in its text",
}
"""Messages that are made elsewhere: the expression, and by whom."""

UNSEEN = {
    "''": "only tells a caller that no agent is there",
    '"not a slot\'s name in the keychain"': "owners, slugs and ids are checked before",
    '"the place isn\'t taken"': "an agent listens once it has taken its place, not before",
    "'nobody is asked here'": "agent --all says what was wanted, in the line of its owner",
    "'sealing asks nobody'": "a plugin seals to a public key, and has nothing to ask",
    "'somebody would have to be asked'": "doctor takes it as a finding",
    "'the worker has no pipes'": "it was started with them",
    "f'another agent holds {path}'": "whoever starts an agent uses the other one, or says that one runs already",
    "f'the job {self.name} lacks {name}'": "both ends are of one version and name the same fields",
    "f'{name} is not a number'": "likewise; the CLI writes the number",
}
"""Messages that nobody is shown, or that only a bug could print: the expression, and why."""

ELSEWHERE = {
    ("the agent refused", 1): "stands for the message that an error reply lacks",
    ("not an age recipient (age1…, ssh-ed25519 …, ssh-rsa …)", 2): "of `recipient set`, which relays it as wrong usage",
    ("internal fault, ERROR at FILE:N in FUNCTION", 1): "worded by hardening.describe()",
}
"""Rows for which no error is made in one place with that text, and why."""


def known(saying: Saying) -> bool:
    """Whether a saying needs no row."""
    return saying.source in UNSEEN or saying.source in RELAYED


@pytest.mark.parametrize("saying", [one for one in SAYINGS if not known(one)], ids=lambda one: one.where)
def test_each_error_has_a_row(saying: Saying) -> None:
    """One for each exit code that it can have."""
    covered = {code for message, code in ROWS if saying.is_said_by(message, code)}
    missing = sorted((saying.codes or set()) - covered) or ([] if covered else ["any"])
    assert not missing, (
        f"{saying.where} makes an error that docs/reference/errors.md has no row for: {saying.source}, "
        f"exit code {', '.join(map(str, missing))}. Add one, with a word of capitals for each thing that differs"
    )


@pytest.mark.parametrize(("message", "code"), [row for row in ROWS if row not in ELSEWHERE])
def test_each_row_is_an_error(message: str, code: int) -> None:
    """Word for word, and with its exit code."""
    assert any(saying.is_said_by(message, code) for saying in SAYINGS), f"no error of {code} says: {message}"


def test_the_others_are_said_too() -> None:
    """By a function that words them."""
    assert set(ELSEWHERE) <= set(ROWS)
    for message, _code in ELSEWHERE:
        assert any(re.match(pattern, message) for pattern in PATTERNS)


def test_exceptions_are_in_use() -> None:
    """An entry that no error needs any more is removed."""
    assert {*UNSEEN, *RELAYED} <= {saying.source for saying in SAYINGS}


def test_rows_are_in_order() -> None:
    """By letter in each table, without regard to quotes and case, and once each."""
    for table in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        messages = re.findall(r"^\| `(.+?)` \| \d+ \|", table, re.MULTILINE)
        assert messages == sorted(set(messages), key=lambda message: message.strip("'-").casefold())


def test_each_section_has_its_code() -> None:
    """The heading's number is that of its rows."""
    for table in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        codes = re.findall(r"^\| `.+?` \| (\d+) \|", table, re.MULTILINE)
        assert set(codes) == set(re.findall(r"^\d+", table))


def test_what_is_explained_is_listed() -> None:
    """Each heading of the troubleshooting page that has an exit code links from a row of that code, or is one."""
    text = PAGE.read_text()
    for message, code in HEADINGS:
        if code:
            anchor = re.sub(r"[^\w\- ]", "", f"{message} {code}".lower()).replace(" ", "-")
            assert f"troubleshooting.md#{anchor})" in text, message
