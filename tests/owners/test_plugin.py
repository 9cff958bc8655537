"""An identity behind an age plugin, with a stand-in that speaks the real protocol."""

from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.owners.plugins import INSTALLED, key_file
from tests.owners.tty import converse
from tests.support.plugin import Plant


def init(seat: Seat, path: Path) -> tuple[str, ...]:
    """The arguments of init."""
    return ("init", "--via", "plugin:akteststub", "--identity", str(path))


def test_a_rack_whose_identity_is_behind_a_plugin_works(plugin: Path, human: Seat, canary: Plant) -> None:
    """init, set, list, unlock and get; the file we keep is the owner's alone."""
    value = canary("behind a plugin")
    made = human.cli(*init(human, key_file(human)), "--json", check=True).json()
    assert made["via"] == "plugin:akteststub"
    assert made["recipient"].startswith("age1akteststub1")
    assert (human.home.root / "identity" / "human.key").stat().st_mode & 0o777 == 0o600
    human.set("TOKEN", value)
    assert [row["name"] for row in human.cli("list", "--json", check=True).json()] == ["TOKEN"]
    human.start().unlock()
    assert human.get("TOKEN", check=True).out == value


def test_a_plugin_that_asks_for_a_pin_gets_it_from_the_terminal(plugin: Path, human: Seat) -> None:
    """Its question is put to the person; without a terminal exit 4; a wrong PIN opens nothing and isn't shown."""
    path = key_file(human, asks=True)
    child = human.cli.on_tty(*init(human, path))
    assert child.wait() == 0
    pin = (b"PIN of the stub", b"1234")
    code, shown = converse(human.cli, "list", replies=[pin])
    assert (code, b"nothing in the rack" in shown) == (0, True), shown
    code, shown = converse(human.cli, "list", replies=[(b"PIN of the stub", b"98765")])
    assert (code, b"98765" in shown) == (7, False), shown
    assert human.cli("list").code == 4


def test_a_plugin_that_is_not_there_is_exit_7(free: None, human: Seat) -> None:
    """Saying where it was looked for; no owner is made."""
    done = human.cli(*init(human, key_file(human)))
    assert done.code == 7
    for part in (b"age-plugin-akteststub", b"/usr/local/bin", b"/usr/bin"):
        assert part in done.err
    assert not (human.home.root / "owners").exists()


def test_a_plugin_that_went_away_is_exit_7(plugin: Path, human: Seat) -> None:
    """The owner stays; with the plugin back it works."""
    human.cli(*init(human, key_file(human)), check=True)
    kept = plugin.with_name("kept-by-the-test")
    plugin.rename(kept)
    done = human.cli("list")
    kept.rename(plugin)
    assert done.code == 7
    assert b"/usr/local/bin" in done.err
    human.cli("list", check=True)


def test_the_plugins_file_is_found_from_where_the_caller_stands(plugin: Path, human: Seat) -> None:
    """`--identity yubi.txt` in its own directory; the worker stands elsewhere."""
    path = key_file(human)
    human.cli("init", "--via", "plugin:akteststub", "--identity", path.name, cwd=path.parent, check=True)
    human.cli("list", check=True)


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_plugin_that_others_could_replace_is_not_run(mode: int, plugin: Path, human: Seat) -> None:
    """Group- or world-writable: exit 7 before it is started."""
    path = key_file(human)
    plugin.write_text(f"#!/bin/sh\ntouch {human.home.path}/ran\n")
    plugin.chmod(mode)
    assert human.cli(*init(human, path)).code == 7
    assert not (human.home.path / "ran").exists()


def test_a_plugin_of_the_callers_path_is_never_run(plugin: Path, human: Seat) -> None:
    """The first in the caller's PATH is an impostor: the one in the system's place is used."""
    place = human.home.path / "bin"
    place.mkdir()
    impostor = place / INSTALLED.name
    impostor.write_text(f'#!/bin/sh\ntouch {human.home.path}/ran\nexec {INSTALLED} "$@"\n')
    impostor.chmod(0o755)
    env = {"PATH": f"{place}:{human.home.env['PATH']}"}
    human.cli(*init(human, key_file(human)), env=env, check=True)
    human.cli("list", env=env, cwd=place, check=True)
    assert not (human.home.path / "ran").exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "x y", "-x", "é"])
def test_what_can_not_be_a_plugins_name_is_exit_2(name: str, human: Seat) -> None:
    """No path, no option."""
    assert human.cli("init", "--via", f"plugin:{name}", "--identity", key_file(human)).code == 2
    assert not (human.home.root / "owners").exists()
