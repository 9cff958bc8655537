"""exec and get of keys that a repository wants: optional ones, minimum grades, and what never widens."""

import pytest

from agentkeys.errors import ABSENT, DENIED, LOCKED, USAGE
from tests.core.playbook import Playbook, ask, audit, error, secret

SLUG = "acme.test.TOKEN"


def unlocked(grade: str = "encrypted/permanent") -> Playbook:
    """An agent that holds SLUG, and knows of acme.test.LOCKED."""
    return Playbook().unlock_slugs({SLUG: b"value"}, locked="acme.test.LOCKED", grade=grade)


def want(verb: str, *wants: str) -> object:
    """A request as a client makes it in a repository of acme."""
    return ask(verb, *[("want", each) for each in wants], org="acme", env="test")


def test_a_wanted_key_goes_by_the_name_the_repository_gives_it() -> None:
    """NAME=VARIABLE, as --key has it."""
    unlocked().play((want("exec", "TOKEN=OTHER"), 0, [audit("exec", SLUG, "allow"), secret("OTHER", "value")]))
    unlocked().play((want("get", "TOKEN=OTHER"), 0, [audit("get", SLUG, "allow"), secret("value", "value")]))


def test_an_optional_key_may_be_absent_and_not_locked() -> None:
    """Absent it is passed over; locked it holds up everything, as any other."""
    book = unlocked()
    wants = ("TOKEN=TOKEN", "NONE=NONE optional")
    book.play((want("exec", *wants), 0, [audit("exec", SLUG, "allow"), secret("TOKEN", "value")]))
    book.play((want("exec", "LOCKED=LOCKED optional"), 0, [audit("exec", "LOCKED", "deny"), error(LOCKED)]))


def test_a_request_whose_keys_are_all_absent_gives_nothing_and_never_everything() -> None:
    """A request that names nothing means all keys; one whose names all fall away doesn't."""
    unlocked().play((want("exec", "NONE=NONE optional"), 0, [audit("exec", "", "allow"), secret()]))
    unlocked().play((want("exec", "NONE=NONE"), 0, [audit("exec", "NONE", "deny"), error(ABSENT)]))


@pytest.mark.parametrize(
    ("minimum", "grade", "code"),
    [
        ("encrypted/permanent", "encrypted/permanent", 0),
        ("encrypted/permanent", "reference/ephemeral", 0),
        ("encrypted/permanent", "plaintext/permanent", DENIED),
        ("plaintext/ephemeral", "encrypted/permanent", DENIED),
    ],
)
def test_a_minimum_grade_is_enforced_where_the_grade_is_known(minimum: str, grade: str, code: int) -> None:
    """By the agent, for exec and for get; the refusal is on record and names both grades."""
    for verb in ("exec", "get"):
        book = unlocked(grade)
        field = "TOKEN" if verb == "exec" else "value"
        given = [audit(verb, SLUG, "allow"), secret(field, "value")]
        refused = [audit(verb, "TOKEN", "deny"), error(DENIED)]
        book.play((want(verb, f"TOKEN=TOKEN {minimum}"), 0, refused if code else given))
        if code:
            assert grade in book.said
            assert minimum in book.said


@pytest.mark.parametrize(
    "flags", ["always", "optional optional", "encrypted", "encrypted/permanent reference/transient"]
)
def test_a_flag_that_is_not_known_is_refused(flags: str) -> None:
    """A word that was skipped would be a gap in the firewall."""
    unlocked().play((want("exec", f"TOKEN=TOKEN {flags}"), 0, [audit("exec", "TOKEN", "deny"), error(USAGE)]))


def test_a_named_key_has_no_flags() -> None:
    """Only the field that a repository's keys travel in has them; a space in a --key is no key."""
    asked = ask("exec", key="TOKEN=TOKEN optional", org="acme", env="test")
    unlocked().play((asked, 0, [audit("exec", "TOKEN", "deny"), error(USAGE)]))


def test_a_lenient_request_leaves_out_what_is_kept_too_badly() -> None:
    """And says which and why."""
    book = unlocked("plaintext/permanent")
    asked = ask("exec", ("want", "TOKEN=TOKEN encrypted/permanent"), org="acme", env="test", lenient="1")
    said = f"{SLUG} is plaintext/permanent, and encrypted/permanent is the least that will do here"
    book.play((asked, 0, [audit("exec", "TOKEN", "deny"), secret("left-out", said)]))
