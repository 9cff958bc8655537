"""kill -9 of a `set` that adds a name to the manifest, and two of them at once: nothing is torn, nothing is lost."""

import os
import re
import shutil
from pathlib import Path

from tests.agent.seat import Seat
from tests.repo.conftest import MANIFEST, Repo
from tests.support.plugin import Plant
from tests.support.runner import agentkeys_command
from tests.support.uids import require

CHANGING = "fsync,rename"
"""The calls of the command line itself, not its worker's, that make record and manifest what they are."""


def with_names(names: list[str]) -> str:
    """The manifest with more keys for prod."""
    return MANIFEST.replace("[STRIPE_KEY]", f"[{', '.join(['STRIPE_KEY', *names])}]")


def is_allowed(seat: Seat) -> bool:
    """Whether the manifest is, as it is now."""
    (row,) = seat.cli("allow", "--list", "--json", check=True).json()
    return bool(row["state"] == "allowed")


def test_a_set_killed_anywhere_is_finished_by_the_next(
    rack: Seat, repository: Repo, canary: Plant, tmp_path: Path
) -> None:
    """The value is in the rack; the manifest is the old one or the new; the same command again makes both the new."""
    require(shutil.which("strace"), "strace")
    rack.cli("allow", check=True)
    trace = tmp_path / "trace"

    def set_under(name: str, *options: str) -> int:
        strace = ("strace", "-qq", "-o", trace, "-e", f"trace={CHANGING}", *options, "--")
        program = rack.cli.with_prefix(*strace, *agentkeys_command())
        program.cwd = repository.path
        return program("set", name, "--env", "prod", input=canary(name)).code

    names = ["FIRST", "NEW_0"]
    rack.cli("set", "FIRST", "--env", "prod", input=canary("FIRST"), check=True)  # Python writes its bytecode once
    assert set_under("NEW_0") == 0
    calls = re.findall(r"^(\w+)\(", trace.read_text(), re.MULTILINE)
    points = [(call, calls[: at + 1].count(call)) for at, call in enumerate(calls)]
    assert len(points) == 6, "two files, each synced, renamed and its directory synced"
    for number, (call, count) in enumerate(points, 1):
        name, before = f"NEW_{number}", with_names(names)
        names.append(name)
        assert set_under(name, "-e", f"inject={call}:signal=KILL:when={count}") == -9, (call, count)
        rows = rack.cli("list", "--no-repo", "--json", check=True).json()
        assert f"acme.prod.{name}" in {row["slug"] for row in rows}
        assert repository.manifest.read_text() in (before, with_names(names)), (call, count)
        rack.cli("set", name, "--env", "prod", input=canary(name), check=True)
        assert repository.manifest.read_text() == with_names(names), (call, count)
        assert is_allowed(rack), (call, count)
        assert os.listdir(repository.path) == [".agentkeys.yml"], "nothing is left behind"


def test_what_another_command_was_about_to_add_is_not_taken_for_allowed(
    rack: Seat, repository: Repo, canary: Plant
) -> None:
    """Only the command that was killed finishes it; a manifest that was edited by hand is refused as ever."""
    rack.cli("allow", check=True)
    rack.cli("set", "NEW", "--env", "prod", input=canary("NEW"), check=True)
    repository.write(MANIFEST)  # as if killed before the rename
    assert rack.cli("set", "OTHER", "--env", "prod", input=b"x").code == 6
    repository.write(MANIFEST + "env.more: [ANY]\n")
    assert rack.cli("set", "NEW", "--env", "prod", input=b"x").code == 6
    repository.write(MANIFEST)
    rack.cli("set", "NEW", "--env", "prod", input=canary("NEW"), check=True)
    assert repository.manifest.read_text() == with_names(["NEW"])


def test_several_at_once_each_add_their_name(rack: Seat, repository: Repo, canary: Plant) -> None:
    """Each into the file as the others left it, and it stays allowed."""
    rack.cli("allow", check=True)
    names = [f"AT_ONCE_{number}" for number in range(4)]
    files = {name: rack.home.path / f"input-{name}" for name in names}
    children = []
    for name, file in files.items():
        file.write_bytes(canary(name))
        children.append(rack.cli.start("set", name, "--env", "prod", "--from-file", file))
    assert [child.wait() for child in children] == [0] * len(names)
    for file in files.values():
        file.unlink()
    assert sorted(re.findall(r"AT_ONCE_\d", repository.manifest.read_text())) == names
    assert is_allowed(rack)
