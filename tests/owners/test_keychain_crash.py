"""kill -9 in the middle of a change of keychain keys: no item outlives the next change, and none is missing."""

import json
import re
from pathlib import Path

import pytest

from agentkeys import paths
from agentkeys.vaults.keychain import LEDGER
from tests.owners.bus import Bus
from tests.stores.syscalls import CALLS, Point, Tracer, lines
from tests.support.homes import Home
from tests.support.plugin import Plant
from tests.support.runner import Runner
from tests.support.sweeps import sample, swept
from tests.worker.office import WORKER, Office

SLUG, OTHER = "@all.all.A", "acme.prod.B"

TELLING = re.compile(r"CreateItem|Item.*Delete")
"""What a message to the keychain holds that changes it."""


def points(tracer: Tracer) -> "list[Point]":
    """Every call that changes a file or the keychain, and the one after each that changes the keychain."""
    tracer.calls = (*CALLS, "sendto")
    assert tracer.run("-s", "4096").code == 0, "an undisturbed run works"
    found = []
    seen: dict[str, int] = {}
    told = False
    for name, rest in lines(tracer.log):
        seen[name] = seen.get(name, 0) + 1
        changes = "= -1 E" not in rest and (name != "openat" or "O_CREAT" in rest)
        tells = name == "sendto" and TELLING.search(rest) is not None
        if (changes and name != "sendto") or tells or (told and name == "sendto"):
            found.append(Point(name, seen[name]))
        told = tells or (told and name != "sendto")
    return found


@swept
@pytest.mark.parametrize("verb", ["set", "del"])
def test_killed_at_each_system_call_no_item_leaks(
    every: int,
    verb: str,
    wallet: Bus,
    cli: Runner,
    home: Home,
    tmp_path: Path,
    canary: Plant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Old or new counts; after the next change the ledger, the manifest and the keychain name the same items."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", wallet.address)
    office = Office(cli.with_prefix(), home.root)
    office.do("init", ("via", "file"))
    old, new, other = canary("OLD"), canary("NEW"), canary("OTHER")

    def accounts() -> "list[str]":
        """What the rack names; the ledger and the keychain must agree with it."""
        items = office.manifest().vaults["keychain"]["items"]
        assert isinstance(items, dict)
        named = sorted(account for account, _mac in items.values())
        ledger = Path(paths.vault_dir(str(office.root), office.owner)) / LEDGER
        assert sorted(json.loads(ledger.read_bytes())["accounts"]) == named
        there = [it["account"] for _label, it in wallet.items(service="agentkeys")]
        assert sorted(account for account in there if account.startswith("key-")) == named
        return named

    office.set(SLUG, old, vault="keychain")
    office.set(OTHER, other, vault="keychain")
    fields = [("slug", SLUG), ("value", new)] if verb == "set" else [("slug", SLUG)]
    tracer = Tracer(office.program, tmp_path / "strace", *WORKER, stdin=office.request(verb, *fields))
    states = []
    kills = points(tracer)
    assert "sendto" in {point.name for point in kills}
    office.set(SLUG, old, vault="keychain")
    for point in sample(kills, every):
        done = tracer.kill_at(point)
        found = office.values()
        assert found[OTHER] == other, f"after {point}"
        assert found.get(SLUG) in ((old, new) if verb == "set" else (old, None)), f"torn at {point}"
        states.append(found.get(SLUG) != old)
        assert states[-1] or not done.out, f"lost at {point}"
        office.set(SLUG, old, vault="keychain")
        assert len(accounts()) == 2, f"after {point}"
    assert states == sorted(states), "once it counts, it stays"
    assert (states[0], states[-1]) == (False, True)
