"""get, exec of named keys and status: which value a name means, and what is said when there is none."""

import json

import pytest

from agentkeys.core.events import Tick
from agentkeys.errors import ABSENT, DENIED, LOCKED, USAGE
from tests.core.playbook import Playbook, ask, audit, error, ok, secret, timer, wipe

KEY = "GITHUB_TOKEN"
CANDIDATES = [f"acme.prod.{KEY}", f"acme.all.{KEY}", f"@all.prod.{KEY}", f"@all.all.{KEY}"]
"""What GITHUB_TOKEN can mean for acme in prod, most specific first."""


def got(slug: str, value: str, verb: str = "get") -> list[object]:
    """The effects of a read that was allowed."""
    return [audit(verb, slug, "allow"), secret("value" if verb == "get" else slug.rpartition(".")[2], value)]


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("verb", ["get", "exec"])
def test_the_first_candidate_that_exists_wins(first: int, verb: str) -> None:
    """org.env, org.all, @all.env, @all.all, in this order, whatever the order in the rack."""
    values = {slug: slug.encode() for slug in reversed(CANDIDATES[first:])}
    book = Playbook().unlock_slugs(values)
    book.play((ask(verb, key=KEY, org="acme", env="prod"), 0, got(CANDIDATES[first], CANDIDATES[first], verb)))


@pytest.mark.parametrize("verb", ["get", "exec"])
def test_a_locked_key_never_falls_through(verb: str) -> None:
    """The next candidate is another credential, so the first that exists is the answer even when it isn't held."""
    book = Playbook().unlock_slugs({CANDIDATES[3]: b"other"}, locked=CANDIDATES[0])
    book.play((ask(verb, key=KEY, org="acme", env="prod"), 0, [audit(verb, KEY, "deny"), error(LOCKED)]))
    assert book.said == f"{CANDIDATES[0]} is locked"
    assert book.hint == f"agentkeys unlock --for ana --org acme --env prod --key {KEY}"


@pytest.mark.parametrize("verb", ["get", "exec"])
def test_an_expired_key_is_named_and_never_falls_through(verb: str) -> None:
    """Expired is told from locked."""
    book = Playbook().unlock_slugs({CANDIDATES[1]: b"mine"}, ttl=1)
    book.unlock_slugs({CANDIDATES[3]: b"other"}, ttl=9, locked=CANDIDATES[1])
    book.play(
        (Tick(), 1000, [wipe("mine"), timer(9000)]),
        (ask(verb, key=KEY, org="acme"), 1000, [audit(verb, KEY, "deny"), error(LOCKED)]),
    )
    assert book.said == f"{CANDIDATES[1]} is expired"


@pytest.mark.parametrize("where", [{"org": "acme"}, {"env": "prod"}, {"org": "other", "env": "all"}, {}])
def test_a_key_elsewhere_is_absent(where: dict[str, str]) -> None:
    """Another org's or another env's key is no candidate; the hint would put one here."""
    book = Playbook().unlock_slugs({f"acme.prod.{KEY}": b"mine"})
    book.play((ask("get", key=KEY, **where), 0, [audit("get", KEY, "deny"), error(ABSENT)]))
    assert book.hint.startswith(f"agentkeys set {KEY} --for ana")


def test_a_full_slug_means_itself() -> None:
    """Neither org nor env of the request changes what org.env.NAME is."""
    book = Playbook().unlock_slugs({f"acme.prod.{KEY}": b"mine", f"@all.all.{KEY}": b"other"})
    book.play(
        (ask("get", key=f"acme.prod.{KEY}", org="other", env="test"), 0, got(f"acme.prod.{KEY}", "mine")),
        (ask("get", key=f"acme.test.{KEY}"), 0, [audit("get", f"acme.test.{KEY}", "deny"), error(ABSENT)]),
    )


def test_before_the_first_unlock_the_client_is_left_to_judge() -> None:
    """An agent that knows no directory can't tell locked from absent: it answers locked, with every candidate."""
    book = Playbook()
    refusal = [audit("get", KEY, "deny"), error(LOCKED, *CANDIDATES)]
    book.play((ask("get", key=KEY, org="acme", env="prod"), 0, refusal))
    assert "nothing was unlocked for ana yet" in book.said
    assert book.hint == "agentkeys unlock --for ana --org acme --env prod"


def test_a_value_is_any_bytes() -> None:
    """An empty value, NUL, invalid UTF-8 and a line end leave as they came."""
    for value in (b"", b"\0", b"\xff\xfe", b"line\n", bytes(range(256)) * 4096):
        book = Playbook().unlock_slugs({"@all.all.A": value})
        assert book.step(ask("get", key="A"))[-1] == secret("value", value)


def test_exec_answers_names_and_values_in_the_order_asked() -> None:
    """One line of audit names every slug that left."""
    book = Playbook().unlock(A="one", B="two")
    effects = [audit("exec", "@all.all.B @all.all.A", "allow"), secret("B", "two", "A", "one")]
    book.play((ask("exec", ("key", "B"), ("key", "@all.all.A")), 0, effects))


def test_exec_renames() -> None:
    """NAME=OTHER puts the value into OTHER; the audit line names the key."""
    book = Playbook().unlock(A="one")
    book.play((ask("exec", key="A=GH_TOKEN"), 0, [audit("exec", "@all.all.A", "allow"), secret("GH_TOKEN", "one")]))


@pytest.mark.parametrize("keys", [("A", "A"), ("A", "B=A"), ("A=X", "B=X"), ("A", "acme.all.A")])
def test_two_keys_for_one_variable_are_refused(keys: tuple[str, str]) -> None:
    """Which of them the command would see is nothing to guess about."""
    book = Playbook().unlock_slugs({"@all.all.A": b"1", "@all.all.B": b"2", "acme.all.A": b"3"})
    asked = " ".join([key.partition("=")[0] for key in keys])
    book.play((ask("exec", *[("key", key) for key in keys]), 0, [audit("exec", asked, "deny"), error(USAGE)]))
    assert book.said.startswith("two keys for one variable: ")


@pytest.mark.parametrize("key", ["PATH", "LD_PRELOAD", "A=NODE_OPTIONS", "PYTHONSTARTUP", "A=GIT_SSH_COMMAND"])
def test_a_name_that_loads_code_is_denied(key: str) -> None:
    """As a key's own name and as a new one; the line on record names the key, and so does the way out."""
    name = key.partition("=")[0]
    book = Playbook().unlock_slugs({f"@all.all.{name}": b"1"})
    book.play((ask("exec", key=key), 0, [audit("exec", name, "deny"), error(DENIED)]))
    assert f"--key {name}=OTHER_NAME" in book.hint


def test_a_name_that_loads_code_can_be_allowed_by_the_operator() -> None:
    """By the very name, and by no other."""
    book = Playbook(allowed_names="NODE_OPTIONS").unlock(NODE_OPTIONS="--x", NODE_PATH="/x")
    allowed = [audit("exec", "@all.all.NODE_OPTIONS", "allow"), secret("NODE_OPTIONS", "--x")]
    book.play(
        (ask("exec", key="NODE_OPTIONS"), 0, allowed),
        (ask("exec", key="NODE_PATH"), 0, [audit("exec", "NODE_PATH", "deny"), error(DENIED)]),
    )


def test_what_the_kernel_would_refuse_is_refused_first() -> None:
    """NUL can't be in a variable, and NAME=value with its NUL is 128 KiB at most; `get` still gives both."""
    fits = b"x" * (128 * 1024 - len("A=") - 1)
    book = Playbook().unlock_slugs({"@all.all.A": fits, "@all.all.B": fits, "@all.all.N": b"a\0b"})
    assert book.step(ask("exec", key="A"))[-1] == secret("A", fits)
    assert book.step(ask("exec", key="B=BB"))[-1] == error(USAGE)
    assert "128 KiB" in book.said
    assert book.step(ask("exec", key="N"))[-1] == error(USAGE)
    assert "NUL" in book.said
    assert book.step(ask("get", key="N"))[-1] == secret("value", b"a\0b")


def test_one_bad_key_keeps_back_all() -> None:
    """Everything is resolved before anything leaves."""
    book = Playbook().unlock(A="one", locked="@all.all.B")
    for key, code in (("B", LOCKED), ("C", ABSENT), ("A=PATH", DENIED), ("1", USAGE)):
        seen = book.step(ask("exec", ("key", "A"), ("key", key)))
        assert [plain[0] for plain in seen] == ["audit", "error"]
        assert seen[-1] == error(code)


def test_status_tells_names_and_times_only() -> None:
    """Without an audit line, and never a value."""
    book = Playbook().unlock(A="canary-one", ttl=60, locked="acme.prod.B")
    [(kind, _conn, _ok, name, text)] = book.step(ask("status", format="json"), 30_000)
    assert (kind, name) == ("reply", b"text")
    assert b"canary" not in text
    keys = {row["slug"]: (row["state"], row["expires_in_seconds"]) for row in json.loads(text)["keys"]}
    assert keys == {"@all.all.A": ("unlocked", 30), "acme.prod.B": ("locked", None)}


def test_status_never_extends_anything() -> None:
    """Asking is free: the timer stands, and what is due goes."""
    book = Playbook().unlock(A="one", ttl=60)
    book.step(ask("status"), 59_999)
    book.play((Tick(), 60_000, [wipe("one")]))


def test_status_counts_its_own_uptime_never_backwards() -> None:
    """A clock read before the start is shown as 0."""
    book = Playbook()
    book.state.started = 10_000
    assert json.loads(book.step(ask("status", format="json"), 5_000)[0][4])["uptime_seconds"] == 0
    assert book.step(ask("status"), 75_000) == [ok("text", book.step(ask("status"), 75_000)[0][4])]
    assert b"up 1m5s" in book.step(ask("status"), 75_000)[0][4]
