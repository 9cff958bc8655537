"""Names are exactly what the documents say, and a text that isn't one is shown harmlessly."""

import ast
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentkeys.core import refs
from agentkeys.errors import UsageFault

NEAR = st.text(alphabet="ab09AZ_-.@x/= \n\0é", max_size=6)
"""Texts of which many are almost names."""

OWNER = r"(?!agentkeys\Z)(?!0x)[a-z0-9][a-z0-9_-]{0,31}"
ENV = r"[a-z][a-z0-9_-]{0,63}"
ORG = r"@all|[a-z0-9][a-z0-9_-]{0,63}"
NAME = r"[A-Za-z_][A-Za-z0-9_]{0,127}"


@given(NEAR | st.from_regex(OWNER, fullmatch=True) | st.sampled_from(["agentkeys", "agentkeysd", "0x", "0", "a" * 33]))
def test_an_owner_is_what_the_design_says(text: str) -> None:
    """`[a-z0-9][a-z0-9_-]{0,31}`, not `agentkeys`, not beginning `0x`."""
    assert refs.is_owner(text) == bool(re.fullmatch(OWNER, text))


@given(NEAR | st.from_regex(ENV, fullmatch=True) | st.sampled_from(["all", "sudo", "a" * 64, "a" * 65]))
def test_an_env_is_a_letter_and_more(text: str) -> None:
    """`[a-z][a-z0-9_-]*`, at most 64 characters."""
    assert refs.is_env(text) == bool(re.fullmatch(ENV, text))


@given(NEAR | st.from_regex(ORG, fullmatch=True) | st.sampled_from(["@all", "@al", "@", "9", "a" * 64, "a" * 65]))
def test_an_org_is_a_label_or_all(text: str) -> None:
    """`@all` or `[a-z0-9][a-z0-9_-]*`, at most 64 characters."""
    assert refs.is_org(text) == bool(re.fullmatch(ORG, text))


@given(NEAR | st.from_regex(NAME, fullmatch=True) | st.sampled_from(["A" * 128, "A" * 129, "_", "9A", "A-B"]))
def test_a_name_is_a_variable_s_name(text: str) -> None:
    """IEEE 1003.1, 8.1, at most 128 characters."""
    assert refs.is_name(text) == bool(re.fullmatch(NAME, text))


CHECKS = {
    "owner": (refs.check_owner, "seaturtle", "Sea"),
    "env": (refs.check_env, "prod", "Prod"),
    "org": (refs.check_org, "acme", "@acme"),
    "name": (refs.check_name, "GITHUB_TOKEN", "1A"),
}


@pytest.mark.parametrize(("check", "good", "bad"), CHECKS.values(), ids=CHECKS)
def test_a_check_hands_on_or_refuses(check: object, good: str, bad: str) -> None:
    """What can be comes back as it was; what can't is quoted, with a hint."""
    assert check(good) == good
    with pytest.raises(UsageFault, match=re.escape(refs.shown(bad))) as refusal:
        check(bad)
    assert refusal.value.hint


@given(st.from_regex(ORG, fullmatch=True), st.from_regex(ENV, fullmatch=True), st.from_regex(NAME, fullmatch=True))
def test_a_slug_comes_apart_as_it_was_made(org: str, env: str, name: str) -> None:
    """org.env.NAME, each part whole."""
    assert refs.split_slug(refs.slug(org, env, name)) == (org, env, name)


@given(NEAR | st.from_regex(r"[a@]{0,2}\.[a0]{0,2}\.[A0]{0,2}(\.A)?", fullmatch=True))
def test_what_is_no_slug_is_refused(text: str) -> None:
    """Only three parts that each can be."""
    assume(not re.fullmatch(rf"({ORG})\.({ENV})\.({NAME})", text))
    with pytest.raises(UsageFault):
        refs.split_slug(text)


def test_candidates_go_from_the_most_specific_outwards() -> None:
    """Four of them, fewer where two are one."""
    assert refs.candidates("acme", "prod", "A") == ["acme.prod.A", "acme.all.A", "@all.prod.A", "@all.all.A"]
    assert refs.candidates("acme", "all", "A") == ["acme.all.A", "@all.all.A"]
    assert refs.candidates("@all", "prod", "A") == ["@all.prod.A", "@all.all.A"]
    assert refs.candidates("@all", "all", "A") == ["@all.all.A"]
    assert refs.candidates("@all", "sudo", "A") == ["@all.sudo.A", "@all.all.A"]
    assert refs.candidates("@all", "all", "acme.prod.A") == ["acme.prod.A"]


@pytest.mark.parametrize("key", ["", "1A", "A B", "a.b", "acme.prod.", "..", "acme.prod.A.B", "acme.Prod.A", "A="])
def test_a_key_that_cannot_be_has_no_candidates(key: str) -> None:
    """It is refused before anything is looked up."""
    with pytest.raises(UsageFault):
        refs.candidates("@all", "all", key)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("9h", 32400), ("7d", 604800), ("1h30m", 5400), ("1d1s", 86401), ("366d", 366 * 86400)],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: int) -> None:
    """TIME FORMATS of sshd_config(5)."""
    assert refs.parse_duration(text) == seconds


NO_DURATIONS = [
    "", "0s", "5", "m", "5 m", " 5m", "5m ", "-5m", "+5m", "1.5h", "5M", "5w", "1h30", "5ms", "²s", "367d", "0d0h",
    "1h-5m", "\N{ARABIC-INDIC DIGIT THREE}m", "9" * 9 + "s", "9" * 5000 + "s",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Nothing is guessed: no bare number, no other digits, no zero, nothing over a year."""
    with pytest.raises(UsageFault, match="not a duration"):
        refs.parse_duration(text)


@given(st.integers(1, 366 * 86400))
def test_a_duration_is_shown_in_its_two_largest_units(seconds: int) -> None:
    """What is shown reads back, short by less than its smallest unit."""
    text = refs.show_duration(seconds)
    smallest = {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]
    assert len(re.findall("[dhms]", text)) <= 2
    assert 0 <= seconds - refs.parse_duration(text) < smallest


def test_no_time_is_shown_as_such() -> None:
    """Not as an empty text."""
    assert refs.show_duration(0) == "0s"


@given(st.text(alphabet=st.characters(codec=None), max_size=64))
def test_foreign_text_is_shown_quoted_and_printable(text: str) -> None:
    """No control character, direction mark or quote of it acts, and what it was can be told."""
    shown = refs.shown(text)
    assert shown.isprintable()
    assert ast.literal_eval(shown) == text


def test_long_foreign_text_is_cut() -> None:
    """And marked as cut."""
    assert refs.shown("x" * 65) == "'" + "x" * 64 + "…'"


@pytest.mark.parametrize(
    ("org", "key", "said"),
    [
        ("@all", "STRIPE", "; it is in env prod, test"),
        ("acme", "STRIPE", "; it is in env prod, stage, test"),
        ("acme", "acme.all.STRIPE", "; it is in env prod, stage, test"),
        ("@all", "RIPE", ""),
        ("@all", "NOPE", ""),
    ],
)
def test_a_key_of_another_env_is_said_to_be_there(org: str, key: str, said: str) -> None:
    """Every env of this org or the machine's that has a key of that name."""
    slugs = ["@all.prod.STRIPE", "@all.test.STRIPE", "acme.stage.STRIPE", "other.more.STRIPE", "acme.test.STRIPE"]
    assert refs.elsewhere(slugs, org, key) == said
