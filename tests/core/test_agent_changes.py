"""replace, forget and relock: what a set, a del and a person take away, and never more."""

from agentkeys.core.events import Tick
from agentkeys.core.holdings import MAX_HELD
from agentkeys.errors import ABSENT, LOCKED, USAGE
from tests.core.playbook import Playbook, ask, audit, error, ok, replacing, secret, timer, wipe


def replace(slug: str, value: str, cap: str = "0") -> object:
    """What a worker says after a `set`."""
    return replacing(slug, value, cap)


def test_replace_brings_the_new_value_for_the_remaining_time() -> None:
    """The old one is wiped, its deadline stays."""
    book = Playbook().unlock(A="old", ttl=60)
    book.play(
        (replace("@all.all.A", "new"), 20_000, [wipe("old"), ok()]),
        (ask("get", key="A"), 20_000, [audit("get", "@all.all.A", "allow"), secret("value", "new")]),
        (Tick(), 60_000, [wipe("new")]),
    )


def test_replace_shortens_to_the_key_s_own_cap() -> None:
    """`cap` counts from now, and never lengthens."""
    book = Playbook().unlock(A="old", ttl=60)
    book.play(
        (replace("@all.all.A", "new", cap="30"), 10_000, [wipe("old"), timer(40_000), ok()]),
        (replace("@all.all.A", "newer", cap="3600"), 10_000, [wipe("new"), ok()]),
    )


def test_replace_brings_nothing_where_nothing_was_held() -> None:
    """Locked stays locked and expired stays expired: a `set` is no unlock; the new value is wiped."""
    book = Playbook().unlock(A="old", ttl=60, locked="@all.all.B")
    book.play(
        (replace("@all.all.B", "new"), 0, [wipe("new"), ok()]),
        (Tick(), 60_000, [wipe("old")]),
        (replace("@all.all.A", "newer"), 60_000, [wipe("newer"), ok()]),
        (ask("get", key="B"), 60_000, [audit("get", "B", "deny"), error(LOCKED)]),
        (ask("get", key="A"), 60_000, [audit("get", "A", "deny"), error(LOCKED)]),
    )
    assert book.said == "@all.all.A is expired"


def test_a_new_key_is_known_at_once() -> None:
    """After a `set` of a slug the directory lacks it is locked, not absent; before any unlock nothing is known."""
    book = Playbook()
    book.play((replace("@all.all.N", "new"), 0, [wipe("new"), ok()]))
    assert book.state.holdings.directory is None
    book.unlock(A="one").play(
        (ask("get", key="N"), 0, [audit("get", "N", "deny"), error(ABSENT)]),
        (replace("@all.all.N", "new"), 0, [wipe("new"), ok()]),
        (ask("get", key="N"), 0, [audit("get", "N", "deny"), error(LOCKED)]),
    )


def test_replace_never_passes_the_limit() -> None:
    """Values that grow one by one make an agent hold no more than one unlock could; either way the old one goes."""
    book = Playbook().unlock_slugs({f"@all.all.A{number}": b"x" for number in range(40)})
    for number in range(40):
        book.step(replacing(f"@all.all.A{number}", "y" * (MAX_HELD // 32)))
    held = book.state.holdings.held
    assert sum(len(it.secret) for it in held.values()) <= MAX_HELD
    assert b"x" not in [bytes(it.secret.view()) for it in held.values()]


def test_forget_drops_value_and_slug() -> None:
    """After a `del` the key is absent; others are untouched, and what isn't there is no error."""
    book = Playbook().unlock(A="one", B="two", C="three")
    book.play(
        (ask("forget", ("slug", "@all.all.A\n@all.all.B"), ("slug", "x.y.Z")), 0, [wipe("one", "two"), ok()]),
        (ask("get", key="A"), 0, [audit("get", "A", "deny"), error(ABSENT)]),
        (ask("get", key="C"), 0, [audit("get", "@all.all.C", "allow"), secret("value", "three")]),
        (ask("forget", slug="@all.all.C"), 0, [wipe("three"), timer(None), ok()]),
    )


def test_forget_before_any_unlock_is_no_error() -> None:
    """A worker tells every agent, also those that hold nothing."""
    Playbook().play((ask("forget", slug="@all.all.A"), 0, [ok()]))


def test_relock_forgets_all() -> None:
    """Values are wiped and named in the answer; the slugs stay known, so they are locked, not absent."""
    book = Playbook().unlock(A="one", B="two")
    book.play(
        (ask("relock"), 0, [wipe("one", "two"), timer(None), ok("slug", "@all.all.A", "slug", "@all.all.B")]),
        (ask("get", key="A"), 0, [audit("get", "A", "deny"), error(LOCKED)]),
        (ask("relock"), 0, [ok()]),
    )
    assert book.said == "@all.all.A is locked"


def test_relock_names_a_key_an_env_or_a_slug() -> None:
    """A name is every slug of that name; name and env narrow each other."""
    slugs = {"@all.all.A": b"1", "acme.prod.A": b"2", "acme.prod.B": b"3", "acme.test.A": b"4"}
    book = Playbook().unlock_slugs(slugs)
    book.play((ask("relock", key="A", env="prod"), 0, [wipe("2"), ok("slug", "acme.prod.A")]))
    book.play((ask("relock", env="prod"), 0, [wipe("3"), ok("slug", "acme.prod.B")]))
    book.play((ask("relock", key="@all.all.A"), 0, [wipe("1"), ok("slug", "@all.all.A")]))
    book.play((ask("relock", key="A"), 0, [wipe("4"), timer(None), ok("slug", "acme.test.A")]))


def test_relock_of_what_is_not_held_changes_nothing() -> None:
    """An unknown name or an env without keys is an empty answer."""
    book = Playbook().unlock(A="one")
    book.play((ask("relock", key="B"), 0, [ok()]), (ask("relock", env="prod"), 0, [ok()]))
    book.play((ask("get", key="A"), 0, [audit("get", "@all.all.A", "allow"), secret("value", "one")]))


def test_relock_reaches_expired_keys() -> None:
    """They are locked afterwards, so that exec no longer waits for them."""
    book = Playbook().unlock(A="one", ttl=60)
    book.step(Tick(), 60_000)
    book.play((ask("relock"), 60_000, [ok("slug", "@all.all.A")]))
    assert book.step(ask("get", key="A"), 60_000)[-1] == error(LOCKED)
    assert book.said == "@all.all.A is locked"


def test_a_replace_that_is_refused_keeps_the_old_value() -> None:
    """A cap that is no number must not cost anybody the key."""
    book = Playbook().unlock(A="old")
    book.play(
        (replace("@all.all.A", "new", cap="x"), 0, [error(USAGE)]),
        (ask("get", key="A"), 0, [audit("get", "@all.all.A", "allow"), secret("value", "old")]),
    )
