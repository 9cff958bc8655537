"""Which keys an unlock brings, and for how long."""

import pytest

from agentkeys.core.manifest import KeyRecord, Manifest
from agentkeys.core.refs import DEFAULT_TTL, MAX_TTL, SUDO_TTL
from agentkeys.errors import Absent, UsageFault
from agentkeys.worker.times import time_to_live
from agentkeys.worker.unlock_job import choose

SLUGS = (
    "@all.all.A", "@all.prod.A", "@all.sudo.ROOT", "acme.all.A", "acme.all.B", "acme.prod.A", "acme.prod.C",
    "acme.sudo.ROOT", "acme.test.A", "other.prod.D",
)  # fmt: skip


def rack() -> Manifest:
    """A rack of SLUGS."""
    made = Manifest("ana", "", "", "file", [])
    made.keys = {slug: KeyRecord(slug, "os.secure", "copy", "", "") for slug in SLUGS}
    return made


EVERYTHING = [
    ("@all", "all", "@all.all.A"),
    ("@all", "prod", "@all.all.A @all.prod.A"),
    ("acme", "all", "@all.all.A acme.all.A acme.all.B"),
    ("acme", "prod", "@all.all.A @all.prod.A acme.all.A acme.all.B acme.prod.A acme.prod.C"),
    ("acme", "test", "@all.all.A acme.all.A acme.all.B acme.test.A"),
    ("other", "prod", "@all.all.A @all.prod.A other.prod.D"),
    ("nobody", "nowhere", "@all.all.A"),
]


@pytest.mark.parametrize(("org", "env", "expected"), EVERYTHING)
def test_an_unlock_brings_all_that_fits(org: str, env: str, expected: str) -> None:
    """org ∪ @all in env ∪ all, sorted; never sudo, never another org's or env's."""
    assert choose(rack(), org, env, []) == expected.split()


BY_NAME = [
    ("acme", "prod", "A", "acme.prod.A"),
    ("acme", "prod", "B", "acme.all.B"),
    ("acme", "test", "A B", "acme.test.A acme.all.B"),
    ("@all", "prod", "A", "@all.prod.A"),
    ("@all", "all", "acme.prod.C", "acme.prod.C"),
    ("acme", "prod", "C A C acme.prod.C", "acme.prod.C acme.prod.A"),
    ("acme", "sudo", "ROOT", "acme.sudo.ROOT"),
    ("@all", "all", "@all.sudo.ROOT", "@all.sudo.ROOT"),
    ("acme", "sudo", "A", "acme.all.A"),
]


@pytest.mark.parametrize(("org", "env", "keys", "expected"), BY_NAME)
def test_named_keys_are_resolved_as_a_get_resolves_them(org: str, env: str, keys: str, expected: str) -> None:
    """The first candidate that exists, each once, in the order named; sudo by its name."""
    assert choose(rack(), org, env, keys.split()) == expected.split()


def test_sudo_is_never_brought_as_a_whole() -> None:
    """The hint names one."""
    with pytest.raises(UsageFault, match="only unlocked by name") as refusal:
        choose(rack(), "acme", "sudo", [])
    assert "--env sudo --key NAME" in refusal.value.hint


@pytest.mark.parametrize(("org", "env", "key"), [("acme", "prod", "D"), ("@all", "all", "B"), ("x", "all", "@all.x.A")])
def test_a_key_that_is_not_there_is_absent(org: str, env: str, key: str) -> None:
    """One absent name keeps back all."""
    with pytest.raises(Absent, match=key):
        choose(rack(), org, env, ["A", key])


@pytest.mark.parametrize(("org", "env", "key"), [("@acme", "all", "A"), ("acme", "Prod", "A"), ("acme", "all", "1A")])
def test_a_name_that_cannot_be_is_refused(org: str, env: str, key: str) -> None:
    """As everywhere."""
    with pytest.raises(UsageFault):
        choose(rack(), org, env, [key])


def test_an_empty_rack_brings_nothing() -> None:
    """Which is no error: the unlock then still tells the agent that the rack is empty."""
    assert choose(Manifest("ana", "", "", "file", []), "@all", "all", []) == []


HOUR = 3600
TIMES = [
    ("@all.all.A", None, 0, DEFAULT_TTL),
    ("@all.all.A", None, HOUR, HOUR),
    ("@all.all.A", None, 24 * HOUR, 24 * HOUR),
    ("@all.all.A", None, MAX_TTL, MAX_TTL),
    ("@all.all.A", None, MAX_TTL + 1, MAX_TTL),
    ("@all.all.A", None, 366 * 24 * HOUR, MAX_TTL),
    ("@all.all.A", HOUR, 0, HOUR),
    ("@all.all.A", HOUR, 60, 60),
    ("@all.all.A", HOUR, 2 * HOUR, HOUR),
    ("@all.all.A", 30 * 24 * HOUR, 20 * 24 * HOUR, MAX_TTL),
    ("acme.sudo.ROOT", None, 0, SUDO_TTL),
    ("acme.sudo.ROOT", None, 60, 60),
    ("acme.sudo.ROOT", 600, 0, 600),
    ("acme.sudo.ROOT", 600, HOUR, 600),
    ("acme.sudoers.ROOT", None, 0, DEFAULT_TTL),
]


@pytest.mark.parametrize(("slug", "cap", "asked", "expected"), TIMES)
def test_a_key_lives_as_long_as_asked_within_its_caps(slug: str, cap: int | None, asked: int, expected: int) -> None:
    """9 hours, or 30 minutes for sudo, unless asked; never over the key's own cap or a week."""
    assert time_to_live(KeyRecord(slug, "os.secure", "copy", "", "", cap), asked) == expected


def test_the_usual_times_are_the_documented_ones() -> None:
    """A working day, half an hour, a week."""
    assert (DEFAULT_TTL, SUDO_TTL, MAX_TTL) == (9 * HOUR, 1800, 7 * 24 * HOUR)
