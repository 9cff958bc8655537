"""write_file replaces a whole file by a whole file, for this user alone, or leaves everything as it was."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentkeys.errors import VaultFault
from agentkeys.stores import atomic

UMASKS = [0o000, 0o022, 0o077, 0o177, 0o777]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Another umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """RLIMIT_FSIZE: a write beyond fails as on a full disk, after what fits was written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def mode(path: Path) -> int:
    """Permission bits."""
    return path.lstat().st_mode & 0o7777


@pytest.mark.parametrize("mask", UMASKS, ids=oct)
@pytest.mark.parametrize("write", [atomic.write_file, atomic.write_once])
def test_a_file_is_0600_under_any_umask(write: Callable[[str, bytes], None], mask: int, tmp_path: Path) -> None:
    """Neither readable for others nor closed to ourselves."""
    path = tmp_path / "file"
    with umask(mask):
        write(str(path), b"new")
    assert (mode(path), path.read_bytes()) == (0o600, b"new")


@pytest.mark.parametrize("mask", UMASKS, ids=oct)
def test_directories_are_0700_under_any_umask(mask: int, tmp_path: Path) -> None:
    """Each that had to be made; an open one of ours is closed."""
    with umask(mask):
        atomic.make_private_dir(str(tmp_path / "a" / "b" / "c"))
    assert [mode(tmp_path / it) for it in ("a", "a/b", "a/b/c")] == [0o700] * 3
    (tmp_path / "a").chmod(0o755)
    atomic.make_private_dir(str(tmp_path / "a"))
    assert mode(tmp_path / "a") == 0o700


def test_two_that_make_a_directory_at_once_both_succeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another start may make it between our look and our mkdir."""
    real = os.mkdir

    def overtaken(path: str, mode: int = 0o777) -> None:
        real(path, mode)
        if path.endswith("/a"):
            real(f"{path}/b", mode)

    monkeypatch.setattr(os, "mkdir", overtaken)
    atomic.make_private_dir(str(tmp_path / "a" / "b"))
    assert mode(tmp_path / "a" / "b") == 0o700


def test_a_directory_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    """A file, a symlink to a directory, and one of another user."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link", "file/below"):
        with pytest.raises(VaultFault, match=name):
            atomic.make_private_dir(str(tmp_path / name))
    if os.geteuid() == 0:
        os.chown(tmp_path / "real", 12345, 12345)
        with pytest.raises(VaultFault, match="not a directory of this user"):
            atomic.make_private_dir(str(tmp_path / "real"))


def test_the_new_file_replaces_the_old_whole(tmp_path: Path) -> None:
    """Longer or shorter or empty, and nothing else is in the directory afterwards."""
    path = tmp_path / "file"
    for data in (b"long" * 1000, b"short", b"", bytes(range(256)) * 9000):
        atomic.write_file(str(path), data)
        assert path.read_bytes() == data
        assert os.listdir(tmp_path) == ["file"]


def test_a_symlink_is_replaced_and_its_target_untouched(tmp_path: Path) -> None:
    """Nobody gets another file written by leaving a link where ours belongs."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"victim")
    path = tmp_path / "file"
    path.symlink_to(victim)
    atomic.write_file(str(path), b"new")
    assert not path.is_symlink()
    assert (path.read_bytes(), victim.read_bytes()) == (b"new", b"victim")


def test_a_hard_link_elsewhere_keeps_the_old_bytes(tmp_path: Path) -> None:
    """A backup made of links stays what it was."""
    path, backup = tmp_path / "file", tmp_path / "backup"
    atomic.write_file(str(path), b"old")
    backup.hardlink_to(path)
    atomic.write_file(str(path), b"new")
    assert (path.read_bytes(), backup.read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize("kind", ["symlink", "file", "fifo", "directory"])
def test_something_in_the_temporary_s_place_is_not_written_through(kind: str, tmp_path: Path) -> None:
    """O_EXCL and O_NOFOLLOW: the write fails without a hang, and what stood there isn't followed; ours is as it was."""
    path, victim = tmp_path / "file", tmp_path / "victim"
    path.write_bytes(b"old")
    victim.write_bytes(b"victim")
    temp = Path(f"{path}.{os.getpid()}{atomic.TEMP_SUFFIX}")
    {"symlink": lambda: temp.symlink_to(victim), "file": lambda: temp.write_bytes(b"x"),
     "fifo": lambda: os.mkfifo(temp), "directory": temp.mkdir}[kind]()  # fmt: skip
    with pytest.raises(VaultFault):
        atomic.write_file(str(path), b"new")
    assert (path.read_bytes(), victim.read_bytes()) == (b"old", b"victim")


@pytest.mark.parametrize("where", ["directory", "missing/file", "victim/file"])
def test_a_place_that_cannot_be_written_is_a_vault_fault(where: str, tmp_path: Path) -> None:
    """A directory, a missing one, a file for a directory: named, with a hint, nothing left behind."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "victim").write_bytes(b"victim")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(VaultFault, match=where) as refusal:
        atomic.write_file(str(tmp_path / where), b"new")
    assert refusal.value.hint
    assert sorted(tmp_path.rglob("*")) == before


def test_a_write_that_does_not_fit_leaves_the_old_file(tmp_path: Path) -> None:
    """Also when the kernel took the first part of it; the temporary is gone."""
    path = tmp_path / "file"
    atomic.write_file(str(path), b"old")
    with no_file_over(1000), pytest.raises(VaultFault, match="can't be written"):
        atomic.write_file(str(path), bytes(5000))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_write_once_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    """A half file would be in the way of the next try."""
    path = tmp_path / "file"
    with no_file_over(1000), pytest.raises(VaultFault, match="can't be written"):
        atomic.write_once(str(path), bytes(5000))
    assert os.listdir(tmp_path) == []
    atomic.write_once(str(path), b"new")
    with pytest.raises(VaultFault, match="exists"):
        atomic.write_once(str(path), b"newer")
    assert path.read_bytes() == b"new"


def test_a_full_disk_leaves_the_old_file(tiny_disk: Path, full_disk: Callable[[], None]) -> None:
    """ENOSPC is said, the old file is whole, and the temporary doesn't keep the last room."""
    path = tiny_disk / "file"
    atomic.write_file(str(path), b"old" * 3000)
    full_disk()
    with pytest.raises(VaultFault, match="No space"):
        atomic.write_file(str(path), b"new" * 3000)
    assert path.read_bytes() == b"old" * 3000
    assert sorted(os.listdir(tiny_disk)) == ["ballast", "file"]


@pytest.mark.parametrize("failing", ["write", "fsync", "rename"])
def test_a_disk_that_fails_is_believed_once(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed fsync isn't tried again, since the kernel may have dropped the pages; the old file stays."""
    path = tmp_path / "file"
    atomic.write_file(str(path), b"old")
    calls = []

    def fail(*_args: object) -> None:
        calls.append(1)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(VaultFault, match="Input/output error"):
        atomic.write_file(str(path), b"new")
    assert calls == [1]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    """Unfinished files of this writer; another's, and what is finished, stay. A directory that isn't there has none."""
    for name in ("host.ana.yml.age", "host.ana.yml.age.7.tmp", "host.ana.yml.age.8.tmp", "host.bob.yml.age.7.tmp"):
        (tmp_path / name).write_bytes(b"")
    atomic.remove_leftovers(str(tmp_path), "host.ana.")
    assert sorted(os.listdir(tmp_path)) == ["host.ana.yml.age", "host.bob.yml.age.7.tmp"]
    atomic.remove_leftovers(str(tmp_path))
    assert os.listdir(tmp_path) == ["host.ana.yml.age"]
    atomic.remove_leftovers(str(tmp_path / "missing"))


def test_removing_is_done_once(tmp_path: Path) -> None:
    """What is gone is no error; what can't be removed is said."""
    (tmp_path / "file").write_bytes(b"")
    atomic.remove_file(str(tmp_path / "file"))
    atomic.remove_file(str(tmp_path / "file"))
    (tmp_path / "directory").mkdir()
    with pytest.raises(VaultFault, match="can't be removed"):
        atomic.remove_file(str(tmp_path / "directory"))
