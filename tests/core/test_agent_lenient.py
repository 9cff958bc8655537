"""A lenient exec gives what it can and names what it can't; what is wrong with the request itself is still refused."""

import pytest

from agentkeys.core.events import Tick
from agentkeys.errors import LOCKED, USAGE
from tests.core.playbook import Playbook, ask, audit, error, ok, secret, timer, wipe

LENIENT = ("lenient", "1")


def keys(*names: str) -> "list[tuple[str, str]]":
    """The fields that name keys."""
    return [("key", name) for name in names]


def test_what_is_held_is_given_and_what_is_not_is_named() -> None:
    """Absent and locked; one line of the log for each decision, both before the reply."""
    book = Playbook().unlock_slugs({"@all.all.A": b"one"}, locked="@all.all.B")
    book.play(
        (
            ask("exec", LENIENT, *keys("NOPE", "A", "B", "A=C")),
            0,
            [
                audit("exec", "@all.all.A @all.all.A", "allow"),
                audit("exec", "NOPE B", "deny"),
                secret(
                    *("A", "one", "C", "one"),
                    *("left-out", "ana has no key 'NOPE' in env all", "left-out", "@all.all.B is locked"),
                ),
            ],
        )
    )
    assert book.why == "ana has no key 'NOPE' in env all; @all.all.B is locked"


def test_an_expired_key_is_left_out() -> None:
    """Named, and among all; a strict request of the same is refused before and after."""
    book = Playbook().unlock(A="one", ttl=60).unlock(B="two", ttl=600, locked="@all.all.A")
    book.step(Tick(), 60_000)
    effects = [
        audit("exec", "@all.all.B", "allow"),
        audit("exec", "@all.all.A", "deny"),
        secret("B", "two", "left-out", "@all.all.A is expired"),
    ]
    refused = [audit("exec", "", "deny"), error(LOCKED)]
    book.play((ask("exec"), 60_000, refused), (ask("exec", LENIENT), 60_000, effects), (ask("exec"), 60_000, refused))


def test_what_no_environment_may_or_can_hold_is_left_out() -> None:
    """A name that loads code, a NUL byte."""
    values = {"@all.all.A": b"one", "@all.all.PATH": b"/x", "@all.all.NUL": b"a\0b"}
    book = Playbook().unlock_slugs(values)
    *audits, reply = book.step(ask("exec", LENIENT))
    assert audits == [audit("exec", "@all.all.A", "allow"), audit("exec", "@all.all.NUL @all.all.PATH", "deny")]
    assert reply[:5] == secret("A", "one")
    assert [field[:4] for field in reply[5:]] == [b"left", b"NUL ", b"left", b"PATH"]
    book = Playbook(allowed_names="PATH").unlock_slugs({"@all.all.PATH": b"/x"})
    book.play((ask("exec", LENIENT), 0, [audit("exec", "@all.all.PATH", "allow"), secret("PATH", "/x")]))


def test_with_nothing_to_give_the_reply_says_why() -> None:
    """No line says that something was allowed."""
    book = Playbook().unlock(A="one")
    book.play(
        (
            ask("exec", LENIENT, key="B"),
            0,
            [audit("exec", "B", "deny"), secret("left-out", "ana has no key 'B' in env all")],
        )
    )


def test_nothing_unlocked_is_an_error_still() -> None:
    """The agent can't tell locked from absent before the first unlock, and says what each key could mean."""
    book = Playbook()
    slugs = ("@all.all.A",)
    book.play(
        (ask("exec", LENIENT, *keys("A", "B")), 0, [audit("exec", "A B", "deny"), error(LOCKED, *slugs)]),
        (ask("exec", LENIENT), 0, [audit("exec", "", "deny"), error(LOCKED)]),
    )
    book.unlock(A="one").play(
        (ask("relock"), 0, [wipe("one"), timer(None), ok("slug", "@all.all.A")]),
        (ask("exec", LENIENT), 0, [audit("exec", "", "deny"), error(LOCKED)]),
    )


@pytest.mark.parametrize(
    "fields",
    [keys("a-b"), keys("A=1"), keys("A", "B=A"), [("env", "sudo")], [("env", "Prod")], [("org", "a/b")], [LENIENT]],
)
def test_a_request_that_is_wrong_is_refused_all_the_same(fields: "list[tuple[str, str]]") -> None:
    """Names that can't be, two keys for one variable, sudo without a name, a field given twice."""
    book = Playbook().unlock(A="one", B="two")
    assert book.step(ask("exec", LENIENT, *fields))[-1] == error(USAGE)


@pytest.mark.parametrize("value", ["0", "", "yes", "true"])
def test_lenient_has_one_value(value: str) -> None:
    """What reads like a no must not be taken for a yes."""
    assert Playbook().unlock(A="one").step(ask("exec", lenient=value))[-1] == error(USAGE)


def test_a_lenient_answer_is_not_kept_for_others() -> None:
    """The next strict exec looks for itself."""
    book = Playbook().unlock(A="one", PATH="/x")
    assert book.step(ask("exec", LENIENT))[-1][0] == "secret reply"
    assert book.step(ask("exec"))[-1] == error(6)
    assert book.step(ask("get", LENIENT, key="A"))[-1] == error(USAGE)
