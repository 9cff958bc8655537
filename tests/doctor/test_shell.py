"""What doctor says of the shell and of direnv: values in DIRENV_DIFF, shims, start-up files, linger."""

import base64
import json
import zlib
from pathlib import Path

import pytest

from agentkeys.setup.doctor import shell
from agentkeys.setup.doctor.scene import Scene
from tests.agent.seat import Seat
from tests.doctor.clinic import Clinic


def packed(old: dict[str, str], new: dict[str, str]) -> str:
    """DIRENV_DIFF as direnv writes it."""
    return base64.urlsafe_b64encode(zlib.compress(json.dumps({"p": old, "n": new}).encode())).decode()


def test_a_value_in_direnv_diff_is_found_in_either_half(seat: Seat) -> None:
    """Named, with the key it is of and how it came there; not shown, and no use of the key."""
    before = seat.chain()
    one, two = (seat.values[name].decode() for name in ("GITHUB_TOKEN", "OPENAI_API_KEY"))
    diff = packed({"OLD_NAME": two, "EDITOR": "vi"}, {"GITHUB_TOKEN": one, "PATH": "/bin"})
    rows = Clinic(seat).look({"DIRENV_DIFF": diff, "DIRENV_FILE": "/home/x/.envrc"})
    found = {row["what"]: row["fix"] for row in rows if row["name"] == "direnv-secret"}
    assert found == {
        "DIRENV_DIFF, which every child inherits, holds the value of @all.all.GITHUB_TOKEN as GITHUB_TOKEN: "
        "an .envrc exports it": "${EDITOR:-vi} /home/x/.envrc",
        "DIRENV_DIFF, which every child inherits, holds the value of @all.all.OPENAI_API_KEY as OLD_NAME: "
        "it was set before an .envrc changed it": "cd / && unset OLD_NAME",
    }
    assert seat.chain() == before


def test_a_locked_value_is_known_by_its_shape_alone(locked: Seat) -> None:
    """An agent that holds nothing can compare nothing."""
    diff = packed({}, {"A": locked.values["GITHUB_TOKEN"].decode(), "B": "ghp_0123456789abcdef0123"})
    rows = [row for row in Clinic(locked).look({"DIRENV_DIFF": diff}) if row["name"] == "direnv-secret"]
    assert [row["what"].partition(" holds ")[2].partition(":")[0] for row in rows] == [
        "a GitHub personal access token (classic) as B"
    ]


@pytest.mark.parametrize("diff", ["x", "eJyzAA", packed({}, {})[:-8], base64.b64encode(zlib.compress(b"[1]")).decode()])
def test_a_direnv_diff_that_is_none_is_no_failure(diff: str, clinic: Clinic) -> None:
    """It is said, or holds nothing."""
    names = {row["name"] for row in clinic.look({"DIRENV_DIFF": diff})}
    assert names & {"direnv-unreadable", "direnv"}
    assert "direnv-secret" not in names


def test_a_bomb_in_direnv_diff_is_bounded() -> None:
    """It unpacks to its limit and no further."""
    bomb = base64.urlsafe_b64encode(zlib.compress(bytes(8 * shell.MAX_DIFF))).decode()
    with pytest.raises(ValueError, match=r"Extra data|Expecting value|Invalid"):
        shell.unpacked(bomb)


def test_another_versions_library_is_found(clinic: Clinic) -> None:
    """Nothing is said without one, and the fix mends it."""
    assert "direnv-library" not in {row["name"] for row in clinic.look()}
    clinic.cli("direnv", "install", check=True)
    path = clinic.home.path / ".config" / "direnv" / "lib" / "agentkeys.sh"
    path.write_bytes(path.read_bytes() + b"# old\n")
    clinic.treat("direnv-library", "warning")


def test_a_start_up_file_that_loads_the_hook_wrongly_is_found(clinic: Clinic) -> None:
    """Twice, or before the agent is there; once behind it is right, and comments don't count."""
    path = clinic.home.path / ".bashrc"
    agent, hook = 'eval "$(agentkeys agent)"\n', 'eval "$(agentkeys hook bash)"\n'
    for text, name in ((agent + hook + hook, "hook-twice"), (hook + agent, "hook-early")):
        path.write_text(text)
        assert clinic.find(name)["fix"] == f"${{EDITOR:-vi}} {path}"
    path.write_text(f"# {hook}{agent}{hook}")
    assert not {"hook-twice", "hook-early"} & clinic.names()


def test_a_shim_that_nobody_meets_is_found(clinic: Clinic) -> None:
    """Its directory isn't in PATH, or the program stands before it; the fix mends both."""
    clinic.cli("shim", "tool", check=True)
    clinic.treat("shims-unused", "note")
    tool = clinic.home.path / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    path = f"{tool.parent}:{clinic.root}/shims/bin:{clinic.cli.env['PATH']}"
    clinic.treat("shim-behind", "warning", env={"PATH": path})


def test_an_agent_that_goes_with_the_last_logout_is_told(
    seat: Seat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where systemd runs, for a socket below /run/user, unless its user lingers."""
    scene = Scene({name.encode(): text.encode() for name, text in seat.home.env.items()}, lambda *_: {})
    scene.there = scene.owners = ["human"]
    (spot, _call), *_ = scene.agents()
    monkeypatch.setattr(shell, "SYSTEMD", str(tmp_path))
    monkeypatch.setattr(shell, "LINGER", str(tmp_path / "linger"))
    assert list(shell._linger(scene)) == []
    spot.path = f"/run/user/{scene.uid}/agentkeys/human.sock"
    (found,) = shell._linger(scene)
    assert (found.name, found.fix) == ("linger-off", "loginctl enable-linger")
    (tmp_path / "linger").mkdir()
    (tmp_path / "linger" / seat.home.user).touch()
    assert list(shell._linger(scene)) == []


def test_a_shell_that_is_another_than_shell_says_is_told(clinic: Clinic) -> None:
    """By the process that started doctor, since other programs go by SHELL; the fix names that one."""
    inside = clinic.cli.with_prefix("bash", "-c", "agentkeys doctor --json; exit $?")
    rows = {row["name"]: row for row in clinic.read(inside(env={"SHELL": "/usr/bin/fish"}))}
    assert rows["shell-other"]["severity"] == "note"
    assert rows["shell-other"]["fix"].startswith("export SHELL=/")
    assert rows["shell-other"]["fix"].endswith("/bash")
    assert "shell-other" not in {row["name"] for row in clinic.read(inside(env={"SHELL": "/bin/bash"}))}
