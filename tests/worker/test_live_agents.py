"""What live agents hold follows the rack: unlock brings it whole, and set and del leave no old value behind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys import paths
from agentkeys.core.manifest import KeyRecord
from agentkeys.errors import ABSENT, LOCKED, UNKNOWN_OUTCOME, USAGE, AgentkeysError
from agentkeys.stores import atomic
from agentkeys.vaults import open_vault
from agentkeys.worker.rack_jobs import place_of
from tests.stores.syscalls import Tracer
from tests.support.plugin import Plant
from tests.support.runner import Runner
from tests.worker.agents import StubAgent
from tests.worker.office import WORKER, Office

SLUG, OTHER = "@all.all.A", "acme.prod.B"


def refusal(office: Office, name: str, *fields: "tuple[str, bytes | str]") -> AgentkeysError:
    """The error of a job that must fail."""
    with pytest.raises(AgentkeysError) as refused:
        office.do(name, *fields)
    return refused.value


def unlock(office: Office, agent: StubAgent, *keys: str) -> None:
    """Bring everything, or these keys, into that agent."""
    office.do("unlock", ("socket", str(agent.path)), *[("key", key) for key in keys])


def test_set_and_del_reach_every_agent_before_they_answer(
    office: Office, make_agent: Callable[[str], StubAgent]
) -> None:
    """The new value where the old one was held, nothing where it wasn't; and what is deleted is forgotten."""
    office.set(SLUG, b"old")
    office.set(OTHER, b"other")
    holding, locked = make_agent("one"), make_agent("two")
    unlock(office, holding)
    office.set(SLUG, b"new")
    assert (holding.held(), locked.held()) == ({SLUG: b"new"}, {})
    assert "replace" in locked.verbs
    office.do("del", ("slug", SLUG))
    assert holding.held() == {}
    assert SLUG not in holding.state.holdings.directory


def test_an_agent_that_refuses_keeps_no_other_from_being_told(
    office: Office, make_agent: Callable[[str], StubAgent]
) -> None:
    """All are told; then it is said, as an unknown outcome, which of them may hold the old value."""
    office.set(SLUG, b"old")
    agents = [make_agent(name) for name in ("one", "two", "three")]
    for agent in agents:
        unlock(office, agent)
    agents[1].refusing = {"replace"}
    error = refusal(office, "set", ("slug", SLUG), ("value", b"new"))
    assert error.exit_code == UNKNOWN_OUTCOME
    assert str(agents[1].path) in error.message
    assert [agent.held()[SLUG] for agent in agents] == [b"new", b"old", b"new"]
    assert office.values() == {SLUG: b"new"}


def test_a_dead_agent_s_lock_hinders_nobody(office: Office, make_agent: Callable[[str], StubAgent]) -> None:
    """What it held died with it."""
    office.set(SLUG, b"old")
    dead, alive = make_agent("dead"), make_agent("live")
    unlock(office, alive)
    dead.end()
    office.set(SLUG, b"new")
    assert alive.held() == {SLUG: b"new"}


@pytest.mark.parametrize("verb", ["set", "del"])
def test_a_fault_after_the_commit_leaves_no_agent_with_the_old_value(
    verb: str, office: Office, agent: StubAgent, program: Runner
) -> None:
    """Once the manifest is renamed the rack is changed, whatever fails then: an agent holds the new value or none."""
    fields = [("slug", SLUG), ("value", b"new")] if verb == "set" else [("slug", SLUG)]
    tracer = Tracer(program, office.root.parent / "strace", *WORKER, stdin=office.request(verb, *fields))
    office.set(SLUG, b"old")
    points = tracer.points()
    renamed = next(at for at, point in enumerate(points) if point.name == "rename")
    for point in points[renamed + 1 : -1]:
        office.set(SLUG, b"old")
        unlock(office, agent)
        tracer.fail_at(point, "EIO")
        rack = office.values().get(SLUG)
        assert agent.held().get(SLUG, rack) == rack, f"an agent serves the old value after EIO at {point}"


def test_unlock_brings_what_fits_and_the_whole_directory(office: Office, agent: StubAgent, canary: Plant) -> None:
    """One transaction: values with their vault and time, and every slug of the rack by name."""
    value = canary("UNLOCKED")
    office.set(SLUG, value, max_ttl="600")
    office.set(OTHER, b"other", vault="os.direct")
    office.set("@all.sudo.ROOT", b"root")
    answer = office.do("unlock", ("socket", str(agent.path)), ("org", "acme"), ("env", "prod"), ("duration", "3600"))
    assert agent.held() == {SLUG: value, OTHER: b"other"}
    assert list(agent.state.holdings.directory) == sorted([SLUG, OTHER, "@all.sudo.ROOT"])
    held = agent.state.holdings.held
    assert (held[SLUG].deadline, held[SLUG].vault) == (600_000, "os.secure")
    assert (held[OTHER].deadline, held[OTHER].vault) == (3_600_000, "os.direct")
    assert sorted(answer.rows) == [
        ("capped", f"600\n{SLUG}".encode()),
        ("code", b"0"),
        ("unlocked", f"3600\n{OTHER}".encode()),
    ]
    asked = [verb for verb in agent.verbs if verb != "replace"]
    assert (asked[0], asked[-1], set(asked[1:-1])) == ("unlock", "unlock-commit", {"unlock-add"})


def test_unlock_of_an_empty_rack_is_an_unlock(office: Office, agent: StubAgent) -> None:
    """The agent then knows that everything is absent."""
    unlock(office, agent)
    assert list(agent.state.holdings.directory) == []


def test_unlock_of_an_absent_key_brings_nothing(office: Office, agent: StubAgent) -> None:
    """Absent is told apart from every other fault, and the agent is as it was."""
    office.set(SLUG, b"value")
    error = refusal(office, "unlock", ("socket", str(agent.path)), ("key", "A"), ("key", "MISSING"))
    assert error.exit_code == ABSENT
    assert agent.state.holdings.directory is None


@pytest.mark.parametrize("value", ["x", "-1", "1e3", "9" * 20])
def test_a_duration_that_is_no_number_is_refused(value: str, office: Office, agent: StubAgent) -> None:
    """Usage, not a crash; and nothing comes."""
    office.set(SLUG, b"value")
    assert refusal(office, "unlock", ("socket", str(agent.path)), ("duration", value)).exit_code == USAGE
    assert agent.held() == {}


def test_values_over_a_message_come_in_several(office: Office, agent: StubAgent) -> None:
    """A large one and many small ones: each batch within what an agent takes at once, all in one transaction."""
    values = {f"@all.all.L{number}": bytes((number,)) * 150_000 for number in range(4)} | {SLUG: b"\xff" * 1024 * 1024}
    for slug, value in values.items():
        office.set(slug, value)
    unlock(office, agent)
    assert agent.held() == values
    assert agent.verbs.count("unlock-add") > 2
    assert agent.verbs.count("unlock-commit") == 1


def test_an_unlock_never_overtakes_a_set(office: Office, agent: StubAgent) -> None:
    """Values read before a `set` must not come after it: whatever the order, the agent ends with the rack's."""
    office.set(SLUG, b"old")
    office.set(OTHER, b"other")
    child = office.program.with_prefix(*WORKER)

    def meanwhile() -> None:
        setter = child.start(stdin=-1, stdout=-1)
        setter.stdin.write(office.request("set", ("slug", SLUG), ("value", b"new")))
        setter.stdin.close()
        setters.append(setter)
        if (office.root / "lock" / "ana.lock").read_text() == before:
            setter.wait()  # nobody holds the lock, so it isn't waiting for us

    setters: list[object] = []
    before = (office.root / "lock" / "ana.lock").read_text()
    agent.before["unlock-commit"] = meanwhile
    unlock(office, agent)
    assert [setter.wait() for setter in setters] == [0]
    assert agent.held()[SLUG] == office.values()[SLUG] == b"new"


def test_a_vault_that_lost_a_value_is_said(office: Office, agent: StubAgent) -> None:
    """The rest is brought, and the agent has no such key any more."""
    office.set(SLUG, b"value")
    office.set(OTHER, b"large" * 5000)
    for path in (office.root / "vault" / "ana").glob("*-*.age"):
        path.unlink()
    answer = office.do("unlock", ("socket", str(agent.path)), ("org", "acme"), ("env", "prod"))
    assert answer.text("undone").split("\n")[:2] == ["lost", OTHER]
    assert answer.text("code") == "0"
    assert agent.held() == {SLUG: b"value"}
    assert list(agent.state.holdings.directory) == [SLUG]


def test_unlock_without_an_agent_is_said(office: Office) -> None:
    """No agent, not a crash."""
    office.set(SLUG, b"value")
    assert refusal(office, "unlock", ("socket", str(office.root / "none.sock"))).exit_code not in (LOCKED, ABSENT)


def test_ten_thousand_keys_are_unlocked(office: Office, agent: StubAgent) -> None:
    """The number that the budgets speak of: all are brought, and all are in the answer."""
    rack = office.rack()
    manifest = rack.require()
    slugs = [f"@all.all.KEY_NUMBER_{number}" for number in range(10_000)]
    manifest.keys = {slug: KeyRecord(slug, "os.secure", "copy", "t", "t", 600) for slug in slugs}
    vault = open_vault("os.secure", place_of(rack, manifest))
    manifest.vaults["os.secure"] = vault.write({}, dict.fromkeys(slugs, b"value"))
    rack.commit(manifest)
    atomic.make_private_dir(paths.inventory_dir(rack.root, "ana"))
    for slug in slugs:
        Path(paths.inventory_marker(rack.root, "ana", slug)).touch()
    answer = office.do("unlock", ("socket", str(agent.path)), ("duration", "3600"))
    answered = [slug for _effect, row in answer.rows for slug in row.decode().split("\n")[1:]]
    assert (len(answered), len(set(answered)), len(agent.held())) == (10_000, 10_000, 10_000)
