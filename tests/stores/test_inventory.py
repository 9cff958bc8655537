"""Markers tell locked from absent, and tell a reader of the disk nothing."""

import os
from pathlib import Path

import pytest

from agentkeys import paths
from agentkeys.stores import inventory
from tests.stores.conftest import Script
from tests.support.runner import Runner

SLUG = "@all.all.GITHUB_TOKEN"


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A home whose markers can be made."""
    path = tmp_path / "root"
    path.mkdir(mode=0o700)
    inventory.prepare(str(path))
    return str(path)


def there(root: str, *slugs: str) -> "list[bool]":
    """Which of them are marked, as the client asks."""
    return [paths.exists(paths.inventory_marker(root, "ana", slug)) for slug in slugs]


def test_a_marker_comes_and_goes_with_its_key(root: str) -> None:
    """Twice is no error; other keys and other owners have their own."""
    inventory.add(root, "ana", SLUG)
    inventory.add(root, "ana", SLUG)
    assert there(root, SLUG, "@all.all.OTHER") == [True, False]
    assert not paths.exists(paths.inventory_marker(root, "bob", SLUG))
    inventory.remove(root, "ana", SLUG)
    inventory.remove(root, "ana", SLUG)
    assert there(root, SLUG) == [False]


def test_a_marker_s_name_tells_nothing(root: str, tmp_path: Path) -> None:
    """32 hex digits, empty, 0600; the same key is called otherwise in another home."""
    inventory.add(root, "ana", SLUG)
    [name] = os.listdir(paths.inventory_dir(root, "ana"))
    facts = os.stat(f"{paths.inventory_dir(root, 'ana')}/{name}")
    assert (len(bytes.fromhex(name)), facts.st_size, facts.st_mode & 0o7777) == (16, 0, 0o600)
    other = str(tmp_path / "other")
    os.mkdir(other, 0o700)
    inventory.prepare(other)
    assert os.path.basename(paths.inventory_marker(other, "ana", SLUG)) != name


def test_the_key_of_the_names_is_made_once(root: str) -> None:
    """32 bytes, ours alone; a second start leaves it, or every marker would be lost."""
    path = Path(paths.install_key(root))
    before = path.read_bytes()
    inventory.prepare(root)
    assert path.read_bytes() == before
    assert len(before) == 32
    assert path.stat().st_mode & 0o7777 == 0o600


def test_starts_at_once_make_one_key(tmp_path: Path, program: Runner, script: Script) -> None:
    """Ten processes, and each then knows the same name."""
    (tmp_path / "root").mkdir(mode=0o700)
    text = f"""
from agentkeys import paths
from agentkeys.stores import inventory
inventory.prepare(sys.argv[1])
os.write(1, paths.inventory_marker(sys.argv[1], "ana", {SLUG!r}).encode())
"""
    children = [program.start(*script(text), str(tmp_path / "root"), stdout=-1) for _ in range(10)]
    names = {child.communicate()[0] for child in children}
    assert names == {paths.inventory_marker(str(tmp_path / "root"), "ana", SLUG).encode()}


@pytest.mark.parametrize(
    "marked", [["@all.all.A"], ["@all.all.A", "@all.all.GONE", "@all.all.MORE"], [], ["@all.all.GONE"]]
)
def test_an_unlock_sets_the_markers_right(marked: "list[str]", root: str) -> None:
    """Too many after a crash, none after a restored backup, or others: they become those of the rack."""
    for slug in marked:
        inventory.add(root, "ana", slug)
    for slugs in (["@all.all.A", "@all.all.B"], ["@all.all.B"], []):
        inventory.reconcile(root, "ana", slugs)
        assert there(root, "@all.all.A", "@all.all.B", "@all.all.GONE") == [
            it in slugs for it in ("@all.all.A", "@all.all.B", "@all.all.GONE")
        ]


def test_as_many_markers_of_other_keys_are_set_right(root: str) -> None:
    """A backup put back may hold another key for each that was deleted since."""
    inventory.add(root, "ana", "@all.all.GONE")
    inventory.reconcile(root, "ana", ["@all.all.A"])
    assert there(root, "@all.all.A", "@all.all.GONE") == [True, False]


def test_before_the_first_init_there_is_no_marker(tmp_path: Path) -> None:
    """A home without its key answers absent, not an error."""
    assert paths.inventory_marker(str(tmp_path), "ana", SLUG) == ""
