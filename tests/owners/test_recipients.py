"""recipient set and del seal manifest and values anew, all or nothing; stock age is the judge."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.dialogue import fields, frame
from tests.agent.seat import Seat
from tests.cli.test_crash_safety import CHANGING, WORKER
from tests.owners.backups import assert_values, backup_key, opens, sealed_files
from tests.support.plugin import Plant
from tests.support.sweeps import sample, swept
from tests.support.uids import require


@pytest.fixture
def full(rack: Seat, canary: Plant) -> Seat:
    """A rack with small, large and binary values, in both vaults of this disk."""
    require(shutil.which("age"), "age")
    rack.values["LARGE"] = canary("LARGE", suffix=bytes(range(256)) * 100)
    rack.values["BINARY"] = canary("BINARY", suffix=b"\xff\0\n\r\n")
    for name in ("LARGE", "BINARY"):
        rack.set(name, rack.values[name])
    return rack


def test_a_backup_key_opens_manifest_and_every_value_and_none_after_del(full: Seat) -> None:
    """Stock age opens all with it after set, what is written later too, and nothing new after del."""
    key, public = backup_key(full)
    before = sealed_files(full)
    assert len(before) == 3
    assert not any(opens(full, key, path) for path in before)
    full.cli("recipient", "set", "--label", "backup", "--pubkey", public, check=True)
    after = sealed_files(full)
    assert len(after) == 3
    assert [path for path in after if not opens(full, key, path)] == []
    full.set("LATER", b"z" * 20_000)
    full.values["LATER"] = b"z" * 20_000
    later = sealed_files(full)
    assert len(later) == 4
    assert [path for path in later if not opens(full, key, path)] == []
    assert_values(full)
    full.cli("recipient", "del", "--label", "backup", check=True)
    last = sealed_files(full)
    assert len(last) == 4
    assert [path for path in last if opens(full, key, path)] == []
    own = full.home.root / "identity" / "human.key"
    assert [path for path in last if not opens(full, own, path)] == []
    assert_values(full)


def test_get_lists_the_owner_and_its_backups(full: Seat) -> None:
    """As text and as JSON; del takes it off the list."""
    key, public = backup_key(full)
    (own,) = full.cli("recipient", "get", "--json", check=True).json()
    assert own["label"] == "owner"
    full.cli("recipient", "set", "--pubkey", public, check=True)
    rows = full.cli("recipient", "get", "--json", check=True).json()
    assert rows == [own, {"label": "backup", "recipient": public}]
    assert public.encode() in full.cli("recipient", "get", check=True).out
    full.cli("recipient", "del", "--label", "backup", check=True)
    assert full.cli("recipient", "get", "--json", check=True).json() == [own]
    assert key.exists()


def test_what_can_not_be_a_recipient_changes_nothing(full: Seat) -> None:
    """A label twice, a key twice, a bad key, a bad label, an unknown label, a private key: exit 2, same files."""
    key, public = backup_key(full)
    _, second = backup_key(full, "second")
    full.cli("recipient", "set", "--label", "backup", "--pubkey", public, check=True)
    (own, _backup) = full.cli("recipient", "get", "--json", check=True).json()
    before = {path: path.read_bytes() for path in sealed_files(full)}
    for args in (
        ["set", "--label", "backup", "--pubkey", second],
        ["set", "--label", "again", "--pubkey", public],
        ["set", "--label", "own", "--pubkey", own["recipient"]],
        ["set", "--label", "bad", "--pubkey", second[:-1] + ("q" if second[-1] != "q" else "p")],
        ["set", "--label", "bad", "--pubkey", "age1"],
        ["set", "--label", "bad", "--pubkey", "/nonexistent.pub"],
        ["set", "--label", "bad", "--pubkey", str(key)],
        ["set", "--label", "../x", "--pubkey", second],
        ["set", "--label", "owner", "--pubkey", second],
        ["set", "--label", "more"],
        ["del", "--label", "nobody"],
        ["del", "--label", "owner"],
        ["del"],
    ):
        done = full.cli("recipient", *args)
        assert done.code == 2, (args, done.err)
        assert b"AGE-SECRET" not in done.err
    assert {path: path.read_bytes() for path in sealed_files(full)} == before


def test_an_ssh_key_may_be_a_backup(full: Seat) -> None:
    """Its .pub file is taken; stock age opens all with the private half."""
    key = full.home.path / "id_backup"
    full.cli.with_prefix("ssh-keygen")("-q", "-t", "ed25519", "-N", "", "-f", key, check=True)
    full.cli("recipient", "set", "--pubkey", f"{key}.pub", check=True)
    assert [path for path in sealed_files(full) if not opens(full, key, path)] == []


def test_a_live_agent_keeps_what_it_holds(full: Seat, canary: Plant) -> None:
    """Re-sealing is about the rest on disk: an unlocked agent goes on."""
    _, public = backup_key(full)
    full.start().unlock()
    full.cli("recipient", "set", "--pubkey", public, check=True)
    assert full.get("LARGE", check=True).out == full.values["LARGE"]


def job(seat: Seat, public: str) -> bytes:
    """A worker's job, as the command line would send it."""
    return frame(
        fields(
            b"recipient-set",
            b"home",
            str(seat.home.root).encode(),
            b"owner",
            b"human",
            b"label",
            b"backup",
            b"recipient",
            public.encode(),
        )
    )


def traced(seat: Seat, *tracer: str) -> "subprocess.Popen[bytes]":
    """A worker under strace that waits for its job."""
    runner = seat.cli.with_prefix("strace", "-f", "-qq", *tracer, sys.executable, "-I", WORKER)
    return runner.start(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def points(trace: str) -> list[tuple[str, int]]:
    """(system call, its how-many-th) for each changing call after the rack's lock was opened."""
    counts: dict[str, int] = {}
    found = []
    begun = False
    for line in trace.splitlines():
        name = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if name:
            counts[name[1]] = counts.get(name[1], 0) + 1
            begun = begun or "/lock/human.lock" in line
            if begun:
                found.append((name[1], counts[name[1]]))
    return found


@swept
def test_a_recipient_set_killed_before_any_system_call_happened_or_did_not(
    every: int, full: Seat, tmp_path: Path
) -> None:
    """One run for each call from the lock on: the old set of recipients or the new, for every file that counts."""
    require(full.cli.with_prefix("strace", "-o", "/dev/null", "true")().code == 0, "strace, and the right to use it")
    key, public = backup_key(full)
    saved = tmp_path / "saved"
    shutil.copytree(full.home.root, saved, symlinks=True)

    def reset() -> None:
        shutil.rmtree(full.home.root)
        shutil.copytree(saved, full.home.root, symlinks=True)

    trace = tmp_path / "trace"
    child = traced(full, "-o", str(trace), "-e", f"trace={CHANGING}")
    out, _ = child.communicate(job(full, public), timeout=60)
    assert b"added" in out
    where = points(trace.read_text())
    assert len(where) > 15
    seen = []
    for name, number in sample(where, every):
        reset()
        inject = f"inject={name}:signal=KILL:when={number}"
        child = traced(full, "-o", "/dev/null", "-e", f"trace={name}", "-e", inject)
        child.communicate(job(full, public), timeout=60)
        assert child.returncode == -signal.SIGKILL, (name, number)
        labels = [row["label"] for row in full.cli("recipient", "get", "--json", check=True).json()]
        assert labels in (["owner"], ["owner", "backup"]), (name, number)
        new = "backup" in labels
        manifest = full.home.root / "host.human.yml.age"
        assert opens(full, key, manifest) == new, (name, number)
        seen.append(new)
    assert seen == sorted(seen), "once new, it stays new"
    assert set(seen) == {False, True}
    assert_values(full)
    full.set("LAST", b"x")
    assert [path for path in sealed_files(full) if not opens(full, key, path)] == []
    assert len(sealed_files(full)) == 3
    assert list(full.home.root.rglob("*.tmp")) == []


def test_a_key_that_is_a_recipient_already_is_told_from_a_label_that_is_taken(rack: Seat) -> None:
    """The key: under which label. The label, which nobody need have typed: the hint names another."""
    _, one = backup_key(rack)
    _, two = backup_key(rack, "second")
    rack.cli("recipient", "set", "--pubkey", one, check=True)
    done = rack.cli("recipient", "set", "--label", "two", "--pubkey", one)
    assert (done.code, b"that key is a recipient already, backup\n" in done.err) == (2, True)
    done = rack.cli("recipient", "set", "--pubkey", two)
    assert done.code == 2
    hint = done.err.decode().partition("agentkeys: hint: agentkeys ")[2].split()
    assert hint == ["recipient", "set", "--for", "human", "--label", "another", "--pubkey", two]
    rack.cli(*hint, check=True)
