"""Each read and each refusal is one line in the owner's chain, written before the answer, and the chain holds."""

import hashlib
import hmac
import json
import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.agent.dialogue import Dialogue, code
from tests.agent.seat import Seat, watched

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def state_key(seat: Seat) -> bytes:
    """The key of the chain, derived from the identity file by RFC 5869 as the documents say."""
    text = (seat.home.root / "identity" / f"{seat.owner}.key").read_text()
    (secret,) = [line for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-1")]
    bits = 0
    for character in secret[len("AGE-SECRET-KEY-1") : -6].lower():
        bits = bits << 5 | ALPHABET.index(character)
    material = (bits >> 4).to_bytes(32, "big")

    def expand(key: bytes, info: bytes) -> bytes:
        return hmac.digest(key, info + b"\1", "sha256")

    root = expand(hmac.digest(bytes(32), material, "sha256"), b"agentkeys/v1/" + seat.owner.encode())
    return expand(root, b"state")


def verify(lines: list[bytes], key: bytes) -> int:
    """How many lines from the start are whole and chained."""
    previous = b"0" * 32
    for number, line in enumerate(lines):
        body, _, rest = line.rpartition(b',"mac":"')
        mac = hashlib.blake2b(previous + body, key=key, digest_size=16).hexdigest().encode()
        if json.loads(line)["seq"] != number + 1 or rest != mac + b'"}\n':
            return number
        previous = mac
    return len(lines)


def chain(seat: Seat) -> list[bytes]:
    """The chain's lines, with their newlines."""
    return (seat.audit / "chain.jsonl").read_bytes().splitlines(keepends=True)


def since(seat: Seat, count: int) -> list[dict[str, Any]]:
    """The records behind the first `count`."""
    return seat.chain()[count:]


def test_a_read_is_one_line_with_who_asked(seat: Seat) -> None:
    """get and exec: verb, kernel's uid and pid of the very process, owner, slug and decision; no value."""
    before = len(seat.chain())
    child = seat.cli.start("get", "GITHUB_TOKEN", stdout=subprocess.PIPE, reveals=True)
    child.communicate()
    runner = seat.cli.start("exec", "--", "true")
    runner.wait()
    first, second = since(seat, before)
    assert (first["verb"], first["uid"], first["pid"], first["owner"]) == ("get", os.getuid(), child.pid, "human")
    assert (first["keys"], first["decision"]) == (["@all.all.GITHUB_TOKEN"], "allow")
    assert (second["verb"], second["pid"], second["decision"]) == ("exec", runner.pid, "allow")
    assert second["keys"] == ["@all.all.GITHUB_TOKEN", "@all.all.OPENAI_API_KEY"]


def test_a_refusal_is_one_line_with_its_reason(seat: Seat) -> None:
    """Locked, absent and denied; a request that makes no sense is no read."""
    seat.cli("relock", "OPENAI_API_KEY", check=True)
    before = len(seat.chain())
    assert seat.get("OPENAI_API_KEY").code == 4
    assert seat.get("NOPE").code == 5
    assert seat.cli("exec", "--key", "GITHUB_TOKEN=LD_PRELOAD", "--", "true").code == 6
    lines = since(seat, before)
    assert [(line["verb"], line["decision"]) for line in lines] == [("get", "deny"), ("get", "deny"), ("exec", "deny")]
    assert lines[0]["keys"] == ["OPENAI_API_KEY"]
    assert all(line["why"] for line in lines)


def test_status_relock_and_ping_are_no_reads(seat: Seat) -> None:
    """They show names and times only and leave no line."""
    before = len(seat.chain())
    seat.status()
    seat.cli("relock", "GITHUB_TOKEN", check=True)
    seat.cli("agent", check=True)
    assert since(seat, before) == []


def test_set_and_del_are_two_lines_each(seat: Seat) -> None:
    """Intent before, done after, and the new value is in neither."""
    before = len(seat.chain())
    seat.cli("set", "NEW", input=b"value", check=True)
    seat.cli("del", "NEW", check=True)
    lines = since(seat, before)
    assert [(line["verb"], line["decision"]) for line in lines] == [
        ("set", "intent"), ("set", "done"), ("del", "intent"), ("del", "done"),
    ]  # fmt: skip
    assert {tuple(line["keys"]) for line in lines} == {("@all.all.NEW",)}


def test_who_asks_is_the_kernels_word(seat: Seat) -> None:
    """Whatever a request claims of itself, the line has the caller's own uid and pid, or there is none."""
    with Dialogue(seat.socket).greet() as client:
        before = len(seat.chain())
        assert code(client.ask(b"get", b"key", b"GITHUB_TOKEN", b"pid", b"1", b"uid", b"65533")) == 2
        assert client.ask(b"get", b"key", b"GITHUB_TOKEN")[0] == b"ok"
    lines = since(seat, before)
    assert {(line["uid"], line["pid"]) for line in lines} == {(os.getuid(), os.getpid())}


def test_the_chain_verifies_with_the_owners_key(seat: Seat) -> None:
    """From the first set of this home to the last read, under a key derived here from the identity alone."""
    for _ in range(20):
        seat.get("GITHUB_TOKEN")
    key = state_key(seat)
    lines = chain(seat)
    assert verify(lines, key) == len(lines) > 20
    assert verify(lines, b"x" * 32) == 0


@pytest.mark.parametrize("change", ["edit", "delete", "insert", "swap"])
def test_a_changed_line_is_found(change: str, seat: Seat) -> None:
    """Who lacks the key can't edit, drop, add or reorder a line unnoticed."""
    for _ in range(5):
        seat.get("GITHUB_TOKEN")
    lines = chain(seat)
    at = len(lines) - 3
    changed = {
        "edit": [*lines[:at], lines[at].replace(b"allow", b"deny"), *lines[at + 1 :]],
        "delete": [*lines[:at], *lines[at + 1 :]],
        "insert": [*lines[:at], lines[at], *lines[at:]],
        "swap": [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
    }[change]
    assert at <= verify(changed, state_key(seat)) < len(changed)


def test_the_line_is_there_before_the_answer(seat: Seat) -> None:
    """The agent killed with -9 right after an answer: that read's line is on record and the chain holds."""
    for _ in range(5):
        with Dialogue(seat.socket).greet() as client, watched(seat.pid) as gone:
            before = len(chain(seat))
            assert client.ask(b"get", b"key", b"GITHUB_TOKEN")[0] == b"ok"
            os.kill(seat.pid, signal.SIGKILL)
            gone()
        lines = chain(seat)
        assert len(lines) == before + 1
        assert verify(lines, state_key(seat)) == len(lines)
        seat.start().unlock()
    lines = chain(seat)
    assert verify(lines, state_key(seat)) == len(lines)


def test_a_torn_last_line_is_cut_and_recorded(seat: Seat) -> None:
    """Half a line, as a power cut leaves it: the next writer cuts it, says how much, and the chain goes on."""
    seat.cli("agent", "-k", check=True)
    whole = chain(seat)
    with (seat.audit / "chain.jsonl").open("ab") as file:
        file.write(b'{"seq":999,"time":"2026')
    seat.start().unlock()
    lines = chain(seat)
    assert lines[: len(whole)] == whole
    recovered = json.loads(lines[len(whole)])
    assert (recovered["verb"], recovered["cut_bytes"]) == ("recover", 23)
    assert verify(lines, state_key(seat)) == len(lines)


def test_refusals_before_the_first_unlock_are_kept_and_linked(locked: Seat) -> None:
    """Without a state key they wait in a file of their own; unlock ties that file into the chain by its hash."""
    for _ in range(3):
        assert locked.get("GITHUB_TOKEN").code == 4
    waiting = (locked.audit / "unsealed.jsonl").read_bytes()
    assert [line["decision"] for line in locked.unsealed()] == ["deny"] * 3
    locked.unlock()
    assert not (locked.audit / "unsealed.jsonl").exists()
    (link,) = [line for line in locked.chain() if line["verb"] == "link"]
    linked = (locked.audit / link["file"]).read_bytes()
    assert linked == waiting
    assert link["lines"] == 3
    assert link["blake2b"] == hashlib.blake2b(linked, digest_size=16).hexdigest()
    lines = chain(locked)
    assert verify(lines, state_key(locked)) == len(lines)


def test_lines_survive_an_agent_that_was_never_unlocked(locked: Seat) -> None:
    """Killed before any unlock: the next agent's unlock links what the first one wrote."""
    assert locked.get("GITHUB_TOKEN").code == 4
    with watched(locked.pid) as gone:
        os.kill(locked.pid, signal.SIGKILL)
        gone()
    locked.start()
    assert locked.get("OPENAI_API_KEY").code == 4
    locked.unlock()
    (link,) = [line for line in locked.chain() if line["verb"] == "link"]
    assert link["lines"] == 2


def blocked(seat: Seat) -> Path:
    """Put a file where the audit directory was."""
    audit = seat.home.root / "audit"
    moved = audit.with_name("audit-moved")
    audit.rename(moved)
    audit.write_text("")
    return moved


def test_without_an_audit_log_nothing_is_read(rack: Seat) -> None:
    """It can't be opened: unlock, get and exec fail with exit 1 naming the place, and the command doesn't run."""
    moved = blocked(rack)
    rack.start()
    marker = rack.home.path / "ran"
    for args in (["get", "GITHUB_TOKEN"], ["exec", "--", "touch", str(marker)], ["unlock"]):
        done = rack.cli(*args)
        assert (done.code, done.out) == (1, b""), args
        assert b"audit" in done.err
    assert not marker.exists()
    assert rack.states() == {} or set(rack.states().values()) == {"locked"}
    (rack.home.root / "audit").unlink()
    moved.rename(rack.home.root / "audit")
    rack.unlock()
    assert rack.get("GITHUB_TOKEN").out == rack.values["GITHUB_TOKEN"]


def test_without_an_audit_log_nothing_is_changed(rack: Seat) -> None:
    """set and del fail, and the rack is as it was."""
    before = rack.cli("list", "--json", check=True).out
    moved = blocked(rack)
    assert rack.cli("set", "GITHUB_TOKEN", input=b"new").code == 1
    assert rack.cli("set", "NEW", input=b"new").code == 1
    assert rack.cli("del", "GITHUB_TOKEN").code == 1
    (rack.home.root / "audit").unlink()
    moved.rename(rack.home.root / "audit")
    assert rack.cli("list", "--json", check=True).out == before
    rack.start().unlock()
    assert rack.get("GITHUB_TOKEN").out == rack.values["GITHUB_TOKEN"]


def test_a_full_disk_stops_reads_until_there_is_room(seat: Seat) -> None:
    """The file can't grow (RLIMIT_FSIZE): exit 1, no value, no half line; with room again it goes on, chained."""
    size = (seat.audit / "chain.jsonl").stat().st_size
    for limit in (size, size + 10):
        resource.prlimit(seat.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        done = seat.get("GITHUB_TOKEN")
        assert (done.code, done.out) == (1, b"")
        assert (seat.audit / "chain.jsonl").stat().st_size == size
    resource.prlimit(seat.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]
    lines = chain(seat)
    assert verify(lines, state_key(seat)) == len(lines)


def test_agents_and_workers_write_one_chain(seat: Seat) -> None:
    """Reads and sets at the same time, from many processes: every line is whole, in order, and there."""
    before = len(chain(seat))
    readers = [seat.cli.start("get", "GITHUB_TOKEN", reveals=True) for _ in range(20)]
    writers = [seat.cli.start("set", f"KEY_{number}", "--from-env", "HOME") for number in range(5)]
    assert [child.wait(60) for child in [*readers, *writers]] == [0] * 25
    lines = chain(seat)
    assert verify(lines, state_key(seat)) == len(lines) == before + 20 + 10


def test_a_flood_of_refusals_before_an_unlock_is_bounded(locked: Seat) -> None:
    """Without a key the file of waiting lines stops growing at a mebibyte; the agent goes on refusing."""
    with Dialogue(locked.socket).greet() as client:
        for _ in range(8000):
            assert client.ask(b"get", b"key", b"GITHUB_TOKEN")[0] == b"error"
    assert (locked.audit / "unsealed.jsonl").stat().st_size < 1024 * 1024 + 4096
    locked.unlock()
    assert locked.get("GITHUB_TOKEN").out == locked.values["GITHUB_TOKEN"]


def test_the_log_is_private(seat: Seat) -> None:
    """0600 in 0700, and not followed through a symlink."""
    assert (seat.audit / "chain.jsonl").stat().st_mode & 0o777 == 0o600
    assert seat.audit.stat().st_mode & 0o777 == 0o700
    seat.cli("agent", "-k", check=True)
    victim = seat.home.path / "victim"
    victim.write_text("precious")
    (seat.audit / "chain.jsonl").rename(seat.audit / "kept")
    (seat.audit / "chain.jsonl").symlink_to(victim)
    seat.start()
    assert seat.cli("unlock").code == 1
    assert victim.read_text() == "precious"
