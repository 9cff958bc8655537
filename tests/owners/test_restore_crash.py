"""kill -9 in the middle of `restore`: the next one finishes, and no value is lost."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.dialogue import fields, frame
from tests.agent.seat import Seat
from tests.cli.test_crash_safety import WORKER
from tests.owners.backups import assert_values, backup_key
from tests.support.uids import require

pytestmark = pytest.mark.serial


@pytest.mark.parametrize("call", ["rename", "unlink"])
def test_a_restore_killed_before_a_rename_or_an_unlink_is_finished_by_the_next(
    call: str, rack: Seat, tmp_path: Path
) -> None:
    """One run for each such call: with the backup key the rack comes back whole, whatever was done before."""
    require(rack.cli.with_prefix("strace", "-o", "/dev/null", "true")().code == 0, "strace, and the right to use it")
    key, public = backup_key(rack)
    rack.cli("recipient", "set", "--pubkey", public, check=True)
    (rack.home.root / "identity" / "human.key").unlink()
    saved = tmp_path / "saved"
    shutil.copytree(rack.home.root, saved, symlinks=True)
    data = frame(
        fields(
            b"restore", b"home", str(rack.home.root).encode(), b"owner", b"human", b"identity-path", str(key).encode()
        )
    )
    killed = 0
    for number in range(1, 40):
        rack.home.end_agents()
        shutil.rmtree(rack.home.root)
        shutil.copytree(saved, rack.home.root, symlinks=True)
        inject = f"inject={call}:signal=KILL:when={number}"
        runner = rack.cli.with_prefix(
            "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, sys.executable, "-I", WORKER
        )
        child = runner.start(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.communicate(data, timeout=60)
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL, (call, number)
        killed += 1
        done = rack.cli("restore", "--identity", key, "--yes")
        assert done.code == 0, (call, number, done.err)
        assert_values(rack)
        rack.set("AFTER", b"x")
    assert killed >= (3 if call == "rename" else 1)
