"""read_file gives the bytes of a regular file of ours, and refuses anything else by name, without hanging."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys.errors import VaultFault
from agentkeys.stores import atomic
from tests.stores.conftest import Script
from tests.support.runner import Runner
from tests.support.uids import require


def make_symlink(path: Path) -> None:
    """A link to a good file."""
    target = path.with_name("target")
    target.write_bytes(b"victim")
    path.symlink_to(target)


def make_socket(path: Path) -> None:
    """What an agent leaves when it is killed."""
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(path.parent)  # a socket's path is short
        listener.bind(path.name)


def make_large(path: Path) -> None:
    """A file over every limit that takes no room."""
    with path.open("wb") as file:
        file.truncate(atomic.MAX_FILE + 1)


def make_foreign(path: Path) -> None:
    """Another user's file."""
    require(os.geteuid() == 0, "root, to give a file away")
    path.write_bytes(b"foreign")
    os.chown(path, 12345, 12345)


REFUSED: "dict[str, tuple[Callable[[Path], None], str]]" = {
    "symlink": (make_symlink, "it is a symlink"),
    "dangling symlink": (lambda path: path.symlink_to("nowhere"), "it is a symlink"),
    "symlink to a device": (lambda path: path.symlink_to("/dev/zero"), "it is a symlink"),
    "FIFO": (os.mkfifo, "not a regular file"),
    "directory": (os.mkdir, "not a regular file|Is a directory"),
    "socket": (make_socket, "can't be read|not a regular file"),
    "foreign": (make_foreign, "belongs to uid 12345"),
    "large": (make_large, "larger than anything"),
}


@pytest.mark.parametrize(("make", "cause"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_file_of_ours_is_refused(
    make: Callable[[Path], None], cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause is named, with a command to look at it; nothing is read and nothing hangs."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file"
    make(path)
    with pytest.raises(VaultFault, match=cause) as refusal:
        atomic.read_file(str(path))
    assert str(path) in refusal.value.message
    assert refusal.value.hint == f"ls -l {path}"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_refused(device: str) -> None:
    """An endless one isn't read, and a terminal isn't waited for."""
    with pytest.raises(VaultFault):
        atomic.read_file(device)


@pytest.mark.parametrize("size", [0, 1, 4096, 100_000])
def test_a_file_of_ours_is_read_whole(size: int, tmp_path: Path) -> None:
    """Up to its limit and not beyond."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (size // 256 + 1))
    os.truncate(path, size)
    assert atomic.read_file(str(path), size) == path.read_bytes()
    if size:
        with pytest.raises(VaultFault, match="larger"):
            atomic.read_file(str(path), size - 1)


def test_no_file_is_none(tmp_path: Path) -> None:
    """Absence is no fault; who needs the file says what is missing."""
    assert atomic.read_file(str(tmp_path / "missing")) is None
    assert atomic.read_file(str(tmp_path / "no" / "directory")) is None


def test_what_is_read_is_what_was_judged(tmp_path: Path, program: Runner, script: Script) -> None:
    """While another process swaps the path between our file and a link to a victim, the victim is never read."""
    path, victim = tmp_path / "file", tmp_path / "victim"
    victim.write_bytes(b"victim")
    swap = f"""
import itertools
os.chdir({str(tmp_path)!r})
for turn in itertools.count():
    if turn % 2:
        os.symlink("victim", "next")
    else:
        with open("next", "wb") as file:
            file.write(b"ours")
    os.rename("next", "file")
    if turn == 1:
        os.write(1, b"swapping")
"""
    child = program.start(*script(swap), stdout=-1)
    assert child.stdout.read(8) == b"swapping"
    seen = {b"refused": 0, b"ours": 0, b"": 0}
    while min(seen[b"refused"], seen[b"ours"]) < 500:
        try:
            data = atomic.read_file(str(path))
        except VaultFault:
            data = b"refused"
        seen[data] += 1
    assert set(seen) == {b"refused", b"ours", b""}
