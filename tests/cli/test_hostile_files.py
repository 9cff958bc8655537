"""A FIFO, a device or a directory where a file of ours belongs: no verb hangs, reads it or shows a traceback."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys import paths
from tests.agent.seat import Seat

PLACES: "dict[str, Callable[[str], str]]" = {
    "card": lambda root: paths.owner_card(root, "human"),
    "rack": lambda root: paths.manifest(root, "human"),
    "identity": lambda root: paths.identity(root, "human"),
    "version seen": lambda root: paths.state_file(root, "human"),
    "install key": paths.install_key,
    "lock": lambda root: paths.rack_lock(root, "human"),
    "values": lambda root: f"{paths.vault_dir(root, 'human')}/2.age",
    "audit log": lambda root: f"{paths.audit_dir(root, 'human')}/chain.jsonl",
    "note of a restore": lambda root: paths.next_card(root, "human"),
}

KINDS: "dict[str, Callable[[Path], None]]" = {
    "FIFO": os.mkfifo,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "directory": os.mkdir,
}

VERBS = (["list"], ["unlock"], ["set", "NEW", "--from-env", "HOME"], ["get", "GITHUB_TOKEN"], ["owner", "list"])


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_of_ours_stops_no_verb_for_long(place: str, locked: Seat) -> None:
    """Each verb ends with a code of its own and one error, or does without that file."""
    path = Path(PLACES[place](str(locked.home.root)))
    aside = locked.home.path / "aside"
    if path.exists():
        path.rename(aside)
    for kind, make in KINDS.items():
        make(path)
        for words in VERBS:
            done = locked.cli(*words, reveals=True)
            assert done.code in (0, 1, 2, 4, 7), (kind, words, done)
            assert (done.code == 0) == (b"agentkeys: error: " not in done.err), (kind, words, done)
            assert b"Traceback" not in done.err, (kind, words)
            assert b"a bug" not in done.err, (kind, words)
            assert b"internal" not in done.err, (kind, words)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if aside.exists():
        aside.rename(path)
        locked.unlock()


@pytest.mark.parametrize("kind", KINDS)
def test_a_public_key_is_a_file(kind: str, locked: Seat) -> None:
    """`init --pubkey` of something endless or silent is refused at once, and no owner is made."""
    path = locked.home.path / "key.pub"
    KINDS[kind](path)
    done = locked.cli("init", "--for", "crab", "--via", "ssh", "--pubkey", path)
    assert done.code == 2
    assert f"{path} can't be read: ".encode() in done.err
    assert not (locked.home.root / "owners" / "crab.json").exists()
