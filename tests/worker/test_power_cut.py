"""A power cut at any instant leaves the old state or the new one, and takes nothing that was acknowledged.

Each deed is done once, under strace. Its calls are replayed on a model of a disk that keeps no more than was synced;
after each call, everything that a power cut might leave is laid out and looked at. What kill -9 leaves is among it.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys.errors import AgentkeysError
from agentkeys.worker.job import Answer
from tests.stores.disk import OPTIONS, Disk, lay_out
from tests.support.homes import Home
from tests.support.runner import Runner
from tests.support.uids import require
from tests.worker.deeds import DEEDS, Deed
from tests.worker.office import WORKER, Office


@pytest.fixture
def cut(home: Home, program: Runner, tmp_path: Path, undurable: None) -> "Callable[[Deed, bool], None]":
    """Do a deed, cut the power after each of its calls, and hold its promises."""
    require(shutil.which("strace"), "strace")

    def do(deed: Deed, all_of_them: bool) -> None:
        office = Office(program, home.root)
        fields = deed.prepare(office)
        before = None if deed.again else deed.look(office)
        disk = Disk(home.path)
        log = tmp_path / "strace"
        done = program("strace", "-o", str(log), *OPTIONS, "--", *WORKER, input=office.request(deed.job, *fields))
        Answer(done.check().out)
        after = deed.look(office)
        there = Office(program, tmp_path / "after" / home.root.name)
        looks = []
        for call in disk.replay(log):
            for tree in disk.cuts(random.Random(call), all_of_them):
                lay_out(tree, there.root.parent)
                look = see(deed, there, call)
                looks.append(look)
                assert look == after or (look == before and not deed.again), f"torn after {call}"
                assert look == after or not disk.answered, f"lost after {call}"
                if look == after and not deed.again:
                    assert intents(there) == intents(office), f"done, and not on record, after {call}"
                if disk.answered and deed.gone:
                    assert not holding(deed.gone, there.root), f"deleted, and there again, after {call}"
        assert disk.answered
        assert len(looks) > 10
        assert deed.again or before in looks

    return do


@pytest.mark.parametrize("deed", DEEDS, ids=str)
def test_after_a_power_cut_a_deed_is_done_or_not(deed: Deed, cut: "Callable[[Deed, bool], None]") -> None:
    """Whatever the disk kept of it, the next who looks sees before or after; after, once it was acknowledged."""
    cut(deed, False)


@pytest.mark.soak
@pytest.mark.parametrize("deed", DEEDS, ids=str)
def test_after_any_power_cut_a_deed_is_done_or_not(deed: Deed, cut: "Callable[[Deed, bool], None]") -> None:
    """As above, and everything is looked at that the model says may be found."""
    cut(deed, True)


def see(deed: Deed, there: Office, call: str) -> object:
    """A look, which no power cut may make impossible."""
    try:
        return deed.look(there)
    except AgentkeysError as fault:
        raise AssertionError(f"after {call}: {fault.message}") from fault


def intents(office: Office) -> int:
    """Changes that are on record as meant, before they were made; a line that was cut is none."""
    (chain,) = office.root.glob("audit/*/ana/chain.jsonl")
    return sum(
        b'"decision":"intent"' in line for line in chain.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")
    )


def holding(value: bytes, root: Path) -> "list[str]":
    """The files that have a value in plain text."""
    return [path.name for path in root.rglob("*") if path.is_file() and value in path.read_bytes()]
