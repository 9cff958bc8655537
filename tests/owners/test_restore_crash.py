"""kill -9 in the middle of `restore`: the owner of before or the new one, and no value is lost."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentkeys.errors import VaultFault
from agentkeys.stores import age, identity
from agentkeys.stores.card import read_card
from agentkeys.stores.rack import open_rack
from agentkeys.vaults import open_vault
from agentkeys.worker.rack_jobs import place_of
from tests.agent.dialogue import fields, frame
from tests.agent.seat import Seat
from tests.cli.test_crash_safety import WORKER
from tests.owners.backups import assert_values, backup_key, own, sealed_files
from tests.owners.bus import Bus
from tests.owners.plugins import key_file
from tests.support.sweeps import sample, swept
from tests.support.uids import require

CHANGING = "openat,mkdir,write,pwrite64,rename,unlink,symlink"
"""What leaves another state on the disk for who comes after a kill; a call that only syncs or locks doesn't."""

ROUNDS = 60
"""Kills at most; a restore of two keys makes half as many of these calls."""


class Restore:
    """The job of a restore with a backup key, and the home as it was before it."""

    def __init__(self, seat: Seat, place: Path, via: str = "", plugin_identity: Path | None = None) -> None:
        traced = seat.cli.with_prefix("strace", "-o", "/dev/null", "true")
        require(traced().code == 0, "strace, and the right to use it")
        self.seat = seat
        self.place = place
        self.key, public = backup_key(seat)
        seat.cli("recipient", "set", "--pubkey", public, check=True)
        self.options = ["--identity", str(self.key), "--yes"]
        words = ["restore", "home", str(seat.home.root), "owner", "human", "identity-path", str(self.key)]
        if via:
            words += ["via", via]
            self.options += ["--via", via]
        if plugin_identity:
            words += ["plugin-identity", str(plugin_identity)]
            self.options += ["--plugin-identity", str(plugin_identity)]
        self.job = frame(fields(*[word.encode() for word in words]))

    def save(self) -> None:
        """What reset() puts back."""
        shutil.copytree(self.seat.home.root, self.place / "saved", symlinks=True)

    def reset(self) -> None:
        """The home as it was."""
        self.seat.home.end_agents()
        shutil.rmtree(self.seat.home.root)
        shutil.copytree(self.place / "saved", self.seat.home.root, symlinks=True)

    def run(self, *options: str) -> int:
        """The worker under strace; its exit code. Not the plugins that it starts."""
        runner = self.seat.cli.with_prefix("strace", "-qq", *options, sys.executable, "-I", WORKER)
        env = {"TMPDIR": str(self.place)}  # the binding makes a directory for each plugin, and a kill leaves it
        child = runner.start(env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.communicate(self.job, timeout=60)
        return child.returncode

    def again(self) -> None:
        """The same on the command line, to its end."""
        self.seat.cli("restore", *self.options, check=True)

    def points(self, but: str = "") -> list[tuple[str, int]]:
        """(system call, its how-many-th) for each that changes something in the home, and the answer's."""
        trace = self.place / "trace"
        assert self.run("-y", "-o", str(trace), "-e", f"trace={CHANGING}") == 0
        counts: dict[str, int] = {}
        found = []
        for line in trace.read_text().splitlines():
            name = re.match(r"(\w+)\(", line)
            if not name:
                continue
            counts[name[1]] = counts.get(name[1], 0) + 1
            changes = name[1] != "openat" or "O_CREAT" in line
            ours = str(self.seat.home.root) in line or line.startswith("write(1<")
            if changes and ours and "EEXIST" not in line and name[1] != but:
                found.append((name[1], counts[name[1]]))
        return found

    def commit(self) -> int:
        """The rename that is the rack's, in a run to its end."""
        self.points()
        renames = [line for line in (self.place / "trace").read_text().splitlines() if line.startswith("rename(")]
        return next(number for number, line in enumerate(renames, 1) if "host.human.yml.age" in line)

    def kill_at_rename(self, number: int) -> None:
        """Kill it before that one."""
        inject = f"inject=rename:signal=KILL:when={number}"
        assert self.run("-o", "/dev/null", "-e", "trace=rename", "-e", inject) == -signal.SIGKILL


@pytest.mark.parametrize("call", ["rename", "unlink"])
def test_a_restore_of_a_lost_identity_killed_at_a_rename_or_an_unlink_is_finished_by_the_next(
    call: str, rack: Seat, tmp_path: Path
) -> None:
    """One run for each such call: with the backup key the rack comes back whole, whatever was done before."""
    restore = Restore(rack, tmp_path)
    own(rack).unlink()
    restore.save()
    killed = 0
    for number in range(1, ROUNDS):
        restore.reset()
        code = restore.run("-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}")
        if code == 0:
            break
        assert code == -signal.SIGKILL, (call, number)
        killed += 1
        restore.again()
        assert_values(rack)
        rack.set("AFTER", b"x")
        assert leftovers(rack) == []
    assert killed >= (7 if call == "rename" else 2)


@swept
@pytest.mark.parametrize("via", ["file", "plugin:akteststub"])
def test_a_restore_killed_before_any_of_its_changes_leaves_the_old_owner_or_the_new(
    every: int, via: str, rack: Seat, plugin: Path, tmp_path: Path
) -> None:
    """The old identity still there: whoever opens the rack next opens it whole, by that one or by the new one.

    One run for each call that changes something. Old: the identity and the card are as they were, and restore works.
    New: nothing opens by the old identity any more. After the next change no trace of the kill is left.
    """
    restore = Restore(rack, tmp_path, via, key_file(rack) if via.startswith("plugin") else None)
    restore.save()
    old_key, old_card = own(rack).read_bytes(), card_file(rack).read_bytes()
    # How often a plugin is written to is left to chance, by age's grease, so that no write is the same in each run.
    points = restore.points("write" if via.startswith("plugin") else "")
    assert len(points) > 15
    assert {"rename", "unlink", "openat"} <= {name for name, _ in points}
    states = []
    for name, number in sample(points[:ROUNDS], every):
        restore.reset()
        inject = f"inject={name}:signal=KILL:when={number}"
        at = (name, number)
        assert restore.run("-o", "/dev/null", "-e", f"trace={name}", "-e", inject) == -signal.SIGKILL, at
        assert values(rack) == rack.values, at
        assert opened_by(rack, restore.key.read_bytes()), (*at, "the backup opens it in any case")
        new = card_file(rack).read_bytes() != old_card
        states.append(new)
        if new:
            assert rack.cli("list", check=True).code == 0
            rack.cli("set", "AFTER", input=b"x", check=True)
        else:
            assert own(rack).read_bytes() == old_key, at
            restore.again()
        card = read_card(str(rack.home.root), "human")
        assert card
        assert card.via == via
        assert values(rack, "AFTER") == rack.values, at
        assert not any(opened_by(rack, old_key)), at
        assert [path.read_bytes() for path in own(rack).parent.glob("*.lost-*")] == [old_key], at
        assert leftovers(rack) == [], at
    assert set(states) == {False, True}
    assert states == sorted(states), "once new, it stays new"


def card_file(seat: Seat) -> Path:
    """The owner's public card."""
    return seat.home.root / "owners" / "human.json"


def values(seat: Seat, *but: str) -> dict[str, bytes]:
    """Every value of the rack by its name, as the next job would read it; asking nobody."""
    rack = open_rack(str(seat.home.root), "human")
    manifest = rack.require()
    place = place_of(rack, manifest)
    found: dict[str, bytes] = {}
    for name, state in manifest.vaults.items():
        found.update(open_vault(name, place).read(state))
    names = {slug.rpartition(".")[2]: value for slug, value in found.items()}
    return {name: value for name, value in names.items() if name not in but}


def opened_by(seat: Seat, key: bytes) -> list[Path]:
    """The sealed files that an identity opens."""
    opened = identity.parse_file(key, "it")
    found = []
    for path in sealed_files(seat):
        try:
            age.open_sealed(path.read_bytes(), opened.decryptor, "it")
            found.append(path)
        except VaultFault:
            pass
    return found


def leftovers(seat: Seat) -> list[Path]:
    """Whatever is unfinished in the home, and values of another generation than the rack's."""
    root = seat.home.root
    unfinished = [path for path in root.rglob("*") if path.suffix in (".tmp", ".next")]
    return unfinished + sorted((root / "vault" / "human").iterdir())[1:]


@pytest.mark.parametrize(
    "verb",
    [
        "list",
        "init",
        "set NEW --from-env HOME",
        "recipient get",
        "owner alias human turtle",
        "owner remove human --yes",
    ],
)
def test_whichever_verb_comes_next_finishes_a_killed_restore(verb: str, rack: Seat, tmp_path: Path) -> None:
    """The rack is the new owner's already, identity and card aren't: each verb puts them in place before it begins."""
    restore = Restore(rack, tmp_path, "file")
    restore.save()
    old_key = own(rack).read_bytes()
    commit = restore.commit()
    restore.reset()
    restore.kill_at_rename(commit + 1)
    assert own(rack).read_bytes() == old_key
    assert (rack.home.root / "owners" / "human.next").exists()
    rack.cli(*verb.split(), check=True)
    if verb.startswith("owner remove"):
        assert [
            path for path in rack.home.root.rglob("human*") if "audit" not in path.parts and "lock" not in path.parts
        ] == []
        return
    assert own(rack).read_bytes() != old_key
    assert not list(rack.home.root.rglob("*.next"))
    shown = rack.cli("owner", "show", "human", "--json", check=True).json()
    assert shown["aliases"] == (["turtle"] if "alias" in verb else [])
    assert values(rack, "NEW") == rack.values


@pytest.mark.parametrize("after", [0, 1], ids=["before the rack's rename", "after it"])
def test_a_restore_to_the_keychain_that_was_killed_is_finished_by_the_next_verb(
    after: int, rack: Seat, wallet: Bus, tmp_path: Path
) -> None:
    """The entry that was prepared goes, or is moved to the owner's own; none but that is left."""
    restore = Restore(rack, tmp_path, "keychain")
    restore.save()
    commit = restore.commit()
    wallet.delete(service="agentkeys", account="identity-human")
    restore.reset()
    restore.kill_at_rename(commit + after)
    assert [it["account"] for _, it in wallet.items(service="agentkeys")] == ["identity-human.next"]
    rack.cli("list", check=True)
    assert [it["account"] for _, it in wallet.items(service="agentkeys")] == ["identity-human"][:after]
    assert rack.cli("owner", "show", "human", "--json", check=True).json()["via"] == ("file", "keychain")[after]
    assert_values(rack)


def test_a_note_that_is_damaged_is_said_and_nothing_is_lost(rack: Seat) -> None:
    """Exit 7 naming the file to remove; with it gone the rack opens as before."""
    note = rack.home.root / "owners" / "human.next"
    for text in (b"", b"{}", b"[]", b'{"rack": "", "via": "file", "card": {}}', b"\xff"):
        note.write_bytes(text)
        note.chmod(0o600)
        done = rack.cli("list")
        assert done.code == 7, text
        assert f"agentkeys: hint: rm {note}".encode() in done.err
    note.unlink()
    assert values(rack) == rack.values
