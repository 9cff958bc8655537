"""The program itself: another one in PATH, a stale launcher, files that others can write; found and mended."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys.setup import launcher
from agentkeys.setup.doctor import program
from agentkeys.setup.doctor.scene import Scene
from tests.doctor.clinic import Clinic
from tests.doctor.editions import edition
from tests.support.homes import Home
from tests.support.uids import require

NOBODY = 12_345
"""A uid that is nobody's here."""


def mentions(clinic: Clinic, name: str, env: dict[str, str | None] | None = None) -> list[dict[str, str]]:
    """The findings of a name."""
    return [row for row in clinic.look(env) if row["name"] == name]


def test_no_program_in_path_is_found_and_mended(clinic: Clinic) -> None:
    """Where neither the shell nor scripts would find it; the fix puts this installation's first."""
    found = clinic.treat("program-absent", "warning", {"PATH": "/usr/bin:/bin"})
    assert found["fix"].startswith("export PATH=") or "setup launcher" in found["fix"]


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 0\n", "#!/usr/bin/python3\nprint()\n", "\x7fELF", ""])
def test_another_program_of_the_name_is_found_and_mended(text: str, clinic: Clinic, tmp_path: Path) -> None:
    """An old installation, or something that poses as one. It isn't run."""
    marker = tmp_path / "ran"
    other = tmp_path / "bin" / "agentkeys"
    other.parent.mkdir()
    other.write_text(text.replace("exit 0", f"touch {marker}"))
    other.chmod(0o755)
    found = clinic.find("program-other", {"PATH": f"{other.parent}:{clinic.cli.env['PATH']}"})
    assert str(other) in found["what"]
    assert not marker.exists()
    after = clinic.cli.with_prefix("/bin/sh", "-c", f"{found['fix']} >&2; {sys.executable} -m agentkeys doctor --json")(
        env={"PATH": f"{other.parent}:{clinic.cli.env['PATH']}"}
    )
    assert "program-other" not in [row["name"] for row in clinic.read(after)]


def test_our_launcher_is_all_right(clinic: Clinic) -> None:
    """The fix of the note about console scripts writes it, and then there is nothing left to say."""
    found = mentions(clinic, "program-console")
    if not found:
        pytest.skip("needs an installation with a console script")
    assert found[0]["severity"] == "note"
    clinic.mend(found[0])
    path = clinic.home.path / ".local" / "bin"
    env: dict[str, str | None] = {"PATH": f"{path}:{clinic.cli.env['PATH']}"}
    assert clinic.find("program", env)["what"] == f"{path}/agentkeys is this one, and isolated"
    done = clinic.cli.with_prefix(path / "agentkeys")("doctor", "--json", env=env)
    assert "program" in [row["name"] for row in clinic.read(done)]


def test_a_launcher_whose_interpreter_is_gone_is_found_and_written_again(clinic: Clinic, tmp_path: Path) -> None:
    """After an upgrade of Python, nothing but this can tell, since the launcher itself doesn't start."""
    path = tmp_path / "bin" / "agentkeys"
    clinic.cli("setup", "launcher", "--to", path, check=True)
    text = path.read_text().replace(sys.executable, "/opt/old/bin/python3")
    if not text.startswith("#!/opt/old/bin/python3"):
        pytest.skip("needs an interpreter whose path fits into a #! line")
    path.write_text(text)
    env: dict[str, str | None] = {"PATH": f"{path.parent}:/usr/bin:/bin"}
    found = clinic.find("launcher-stale", env)
    assert found["severity"] == "error"
    clinic.cli.with_prefix("/bin/sh", "-c", found["fix"])(env=env, check=True)
    assert not mentions(clinic, "launcher-stale", env)
    assert clinic.cli.with_prefix(path)("--version", check=True).out


@pytest.fixture
def scene(home: Home) -> Callable[..., Scene]:
    """What a check sees, with a PATH of the test's own."""

    def make(path: Path) -> Scene:
        return Scene({b"PATH": os.fsencode(path), b"HOME": os.fsencode(home.path)}, lambda *_: {})

    return make


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Callable[..., Scene]) -> tuple[Path, Scene]:
    """An installation of the test's own, which can be damaged."""
    place = edition(tmp_path / "lib", "__init__.py", "ssh-agent", "ssh-agent")
    program_path = tmp_path / "bin" / "agentkeys"
    program_path.parent.mkdir()
    program_path.write_text(launcher.script(sys.executable, str(place)))
    program_path.chmod(0o755)
    monkeypatch.setattr(program, "PACKAGE", str(place / "agentkeys"))
    return tmp_path, scene(program_path.parent)


def of_installation(scene: Scene, tmp_path: Path) -> list[tuple[str, str, str]]:
    """(name, severity, fix) of what is found below `tmp_path`."""
    rows = [row for row in program.check_writable(scene) if str(tmp_path) in row.what]
    return [(row.name, row.severity, row.fix) for row in rows]


@pytest.mark.parametrize(
    "where",
    [
        "bin/agentkeys",
        "bin",
        "lib",
        "lib/agentkeys",
        "lib/agentkeys/client/command.py",
        "lib/agentkeys/cli/app.py",
        ".",
    ],
)
def test_what_others_can_write_of_the_program_is_found_and_mended(where: str, installed: tuple[Path, Scene]) -> None:
    """Everybody: an error; a group: a warning. The program, the package, each directory above."""
    place, scene = installed
    path = place / where
    before = path.stat().st_mode & 0o7777
    for bits, severity in ((0o022, "error"), (0o020, "warning")):
        path.chmod(before | bits)
        ((name, found, fix),) = of_installation(scene, place)
        assert (name, found) == ("program-writable", severity)
        subprocess.run(["/bin/sh", "-c", fix], check=True)
        assert of_installation(scene, place) == []


def test_what_belongs_to_others_of_the_program_is_found_and_mended(installed: tuple[Path, Scene]) -> None:
    """Whoever owns it can change it, and root runs nobody's program."""
    require(os.geteuid() == 0, "root, to give a file away")
    place, scene = installed
    path = place / "lib" / "agentkeys" / "wire.py"
    os.chown(path, NOBODY, NOBODY)
    ((name, severity, fix),) = of_installation(scene, place)
    assert (name, severity) == ("program-foreign", "error")
    subprocess.run(["/bin/sh", "-c", fix], check=True)
    assert of_installation(scene, place) == []


def test_directories_that_everybody_may_write_safely_are_all_right(installed: tuple[Path, Scene]) -> None:
    """/tmp: in a sticky directory nobody can replace what is another's."""
    place, scene = installed
    place.chmod(0o1777)
    assert of_installation(scene, place) == []


def test_a_pythons_version_that_is_not_tested_is_a_note(
    monkeypatch: pytest.MonkeyPatch, scene: Callable[..., Scene]
) -> None:
    """It may work."""
    assert [row.name for row in program.check_versions(scene(Path("/")))] == ["version"]
    monkeypatch.setattr(program, "SUPPORTED", ((3, 1), (3, 2)))
    assert [row.name for row in program.check_versions(scene(Path("/")))] == ["version", "python-untested"]


def test_the_versions_that_are_called_tested_are_those_of_the_package() -> None:
    """pyproject.toml's classifiers and the bounds agree."""
    import tomllib

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    words = [line.rpartition(" ")[2] for line in tomllib.loads(text)["project"]["classifiers"]]
    versions = sorted(tuple(map(int, word.split("."))) for word in words if word.startswith("3."))
    assert (versions[0], versions[-1]) == program.SUPPORTED


@pytest.mark.parametrize(
    ("first", "isolated"),
    [
        ("#!/usr/bin/python3", False),
        ("#!/usr/bin/python3 -I", True),
        ("#!/usr/bin/python3 -IS", True),
        ("#!/usr/bin/python3 -S", False),
        ("#!/bin/sh", False),
        ("", False),
    ],
)
def test_isolation_is_read_off_the_first_line(first: str, isolated: bool, tmp_path: Path) -> None:
    """A program that isn't ours is not run to find out."""
    path = tmp_path / "agentkeys"
    path.write_text(f"{first}\nimport sys\n")
    assert program.Script(str(path)).is_isolated is isolated


@pytest.mark.parametrize("quote", ["", '"'])
def test_console_scripts_with_long_paths_are_known(quote: str, tmp_path: Path) -> None:
    """pip writes an sh script then; it names this interpreter's environment, or another."""
    path = tmp_path / "agentkeys"
    for prefix, ours in ((sys.prefix, True), ("/opt/other", False)):
        path.write_text(f"#!/bin/sh\n'''exec' {quote}{prefix}/bin/python{quote} \"$0\" \"$@\"\n' '''\nimport sys\n")
        script = program.Script(str(path))
        assert script.python == f"{prefix}/bin/python"
        assert script.is_ours is ours
        assert not script.is_isolated


def test_each_kind_of_launcher_is_known(tmp_path: Path) -> None:
    """With a #! line, and with the sh script that long paths get; a launcher of another installation isn't this one."""
    path = tmp_path / "agentkeys"
    for python in ("/usr/bin/python3", "/" + "long/" * 40 + "python3", "/a blank/python3"):
        path.write_text(launcher.script(python, os.path.dirname(program.PACKAGE)))
        script = program.Script(str(path))
        assert script.python == python
        assert script.is_isolated
        assert script.is_ours
        path.write_text(launcher.script(python, "/opt/other"))
        assert not program.Script(str(path)).is_ours
