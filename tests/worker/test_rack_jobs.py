"""set, del and list change and show the rack as a whole, and on record."""

import json

import pytest

from agentkeys.errors import USAGE, AgentkeysError
from tests.support.plugin import Plant
from tests.worker.office import WORKER, Office

SLUG, OTHER = "@all.all.A", "acme.prod.B"


def refusal(office: Office, name: str, *fields: "tuple[str, bytes | str]") -> AgentkeysError:
    """The error of a job that must fail."""
    with pytest.raises(AgentkeysError) as refused:
        office.do(name, *fields)
    return refused.value


def on_record(office: Office) -> "list[tuple[str, str]]":
    """(verb, decision) of each line, in a chain that holds."""
    return [(row["verb"], row["decision"]) for row in map(json.loads, office.chain())]


def test_set_puts_a_key_into_the_rack(office: Office, canary: Plant) -> None:
    """It says what it did, marks the key as there, and records intent and end."""
    value = canary("VALUE", suffix=b"\xff\n")
    assert office.set(SLUG, value) == {
        "slug": SLUG,
        "vault": "os.secure",
        "grade": "encrypted/permanent",
        "effect": "added",
    }
    assert office.values() == {SLUG: value}
    assert office.marked(SLUG)
    assert not office.marked(OTHER)
    assert on_record(office) == [("set", "intent"), ("set", "done")]


def test_set_again_replaces_the_value(office: Office) -> None:
    """And keeps what isn't said anew: the vault, the cap, since when there is such a key."""
    office.set(SLUG, b"old", vault="os.direct", max_ttl="600")
    first = office.manifest().keys[SLUG]
    assert office.set(SLUG, b"new") == {
        "slug": SLUG,
        "vault": "os.direct",
        "grade": "plaintext/permanent",
        "effect": "replaced",
    }
    again = office.manifest().keys[SLUG]
    assert (again.created, again.max_ttl, again.vault) == (first.created, 600, "os.direct")
    office.set(SLUG, b"newer", max_ttl="60")
    assert office.manifest().keys[SLUG].max_ttl == 60
    assert office.values() == {SLUG: b"newer"}


def test_a_key_that_moves_leaves_its_old_vault(office: Office, canary: Plant) -> None:
    """In the same commit; nothing of the value stays readable."""
    value = canary("MOVED", allowed=["*/vault/ana/direct.*"])
    office.set(SLUG, value, vault="os.direct")
    office.set(OTHER, b"other", vault="os.direct")
    office.set(SLUG, value, vault="os.secure")
    assert office.values() == {SLUG: value, OTHER: b"other"}
    assert office.leftovers() == []
    assert not [path for path in (office.root / "vault").rglob("direct.*") if value in path.read_bytes()]


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 16 * 1024 + 1, 1024 * 1024])
def test_a_value_of_any_size_up_to_a_mebibyte_is_kept(size: int, office: Office) -> None:
    """Exactly."""
    value = (bytes(range(256)) * (size // 256 + 1))[:size]
    office.set(SLUG, value)
    assert office.values() == {SLUG: value}


REFUSED = {
    "over 1 MiB": (("slug", SLUG), ("value", b"x" * (1024 * 1024 + 1))),
    "no slug": (("value", b"x"),),
    "no value": (("slug", SLUG),),
    "a bare name": (("slug", "A"), ("value", b"x")),
    "a slug that can't be": (("slug", "@all.All.A"), ("value", b"x")),
    "a vault that isn't": (("slug", SLUG), ("value", b"x"), ("vault", "os.typo")),
    "a cap in words": (("slug", SLUG), ("value", b"x"), ("max-ttl", "soon")),
    "a cap below zero": (("slug", SLUG), ("value", b"x"), ("max-ttl", "-5")),
}


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED)
def test_a_set_that_cannot_be_changes_nothing(fields: "tuple[tuple[str, bytes | str], ...]", office: Office) -> None:
    """Usage; no key, no marker, no value, no new version, and no line that says it was meant."""
    office.set(OTHER, b"other")
    version, lines = office.manifest().version, on_record(office)
    assert refusal(office, "set", *fields).exit_code == USAGE
    assert (office.manifest().version, office.values()) == (version, {OTHER: b"other"})
    assert not office.marked(SLUG)
    assert on_record(office) == lines


def test_del_takes_a_key_and_its_value_out(office: Office) -> None:
    """Out of rack, vault and markers; again it is absent, which is no error."""
    office.set(SLUG, b"value" * 5000)
    office.set(OTHER, b"other")
    assert office.facts("del", ("slug", SLUG)) == {"slug": SLUG, "vault": "os.secure", "effect": "deleted"}
    assert office.values() == {OTHER: b"other"}
    assert not office.marked(SLUG)
    assert office.leftovers() == []
    assert on_record(office)[-2:] == [("del", "intent"), ("del", "done")]
    version = office.manifest().version
    assert office.facts("del", ("slug", SLUG)) == {"slug": SLUG, "effect": "absent"}
    assert office.manifest().version == version


def test_list_shows_every_key_and_no_value(office: Office, canary: Plant) -> None:
    """Sorted, a row of JSON each, with the promised members."""
    office.set(OTHER, canary("LISTED"), max_ttl="600")
    office.set(SLUG, b"x", vault="os.direct")
    rows = [json.loads(row) for row in office.do("list").texts("key")]
    assert [(row["slug"], row["org"], row["env"], row["name"]) for row in rows] == [
        (SLUG, "@all", "all", "A"),
        (OTHER, "acme", "prod", "B"),
    ]
    assert [(row["vault"], row["mech"], row["max_seconds"]) for row in rows] == [
        ("os.direct", "copy", None),
        ("os.secure", "copy", 600),
    ]
    assert all(row["created_at"] <= row["updated_at"] for row in rows)


def test_an_empty_rack_lists_nothing(office: Office) -> None:
    """No row, no error."""
    assert office.do("list").rows == []


@pytest.mark.parametrize("name", ["set", "del", "list", "unlock"])
def test_a_job_for_nobody_names_who_is_there(name: str, office: Office) -> None:
    """Usage, and how to make her."""
    fields = (("slug", SLUG), ("value", b"x"), ("socket", "/nowhere"))
    error = refusal(office.of("eve"), name, *fields)
    assert (error.exit_code, error.message) == (USAGE, "no owner eve here; there is ana")
    assert error.hint == "agentkeys init --for eve"
    assert refusal(office.of("Eve"), name, *fields).exit_code == USAGE


def test_writers_at_once_lose_nothing(office: Office) -> None:
    """Ten workers, each with a key of its own."""
    run = office.program.with_prefix(*WORKER)
    children = [run.start(stdin=-1) for _ in range(10)]
    for number, child in enumerate(children):
        fields = [("slug", f"@all.all.K{number}"), ("value", b"%d" % number)]
        child.stdin.write(office.request("set", *fields))
        child.stdin.close()
    assert [child.wait() for child in children] == [0] * 10
    assert office.values() == {f"@all.all.K{number}": b"%d" % number for number in range(10)}
    assert office.manifest().version == 11
    assert on_record(office) == [("set", "intent"), ("set", "done")] * 10
