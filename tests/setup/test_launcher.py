"""`agentkeys setup launcher`: a script that starts this very installation, deaf to the caller's Python settings."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys import __version__
from tests.support.homes import Home
from tests.support.runner import Runner

VERSION = f"agentkeys {__version__}\n".encode()

SITECUSTOMIZE = "open({marker!r}, 'a').write('ran\\n')\n"


@pytest.fixture
def launcher(home: Home, cli: Runner) -> Runner:
    """The launcher at its usual place, run with nothing else of this test's interpreter."""
    done = cli("setup", "launcher", check=True)
    path = home.path / ".local" / "bin" / "agentkeys"
    assert done.out.startswith(f"wrote {path}\n".encode())
    return cli.with_prefix(path)


def test_it_is_written_where_users_programs_are(launcher: Runner) -> None:
    """~/.local/bin/agentkeys, executable for all and writable for its owner alone; it says if PATH lacks it."""
    path = Path(os.fsdecode(launcher.prefix[0]))
    assert path.stat().st_mode & 0o7777 == 0o755
    lines = path.read_text().splitlines()
    assert lines[0] == f"#!{sys.executable} -IS" or lines[0] == "#!/bin/sh"
    assert [path.name for path in path.parent.iterdir()] == ["agentkeys"]


def test_it_says_when_path_lacks_its_directory(home: Home, cli: Runner) -> None:
    """With the line that puts it first; and nothing when it is there."""
    bin_dir = home.path / "bin"
    lacking = cli("setup", "launcher", "--to", bin_dir / "agentkeys", check=True)
    assert f'PATH="{bin_dir}:$PATH"'.encode() in lacking.out + lacking.err
    there = {"PATH": f"{bin_dir}:{cli.env['PATH']}"}
    found = cli("setup", "launcher", "--to", bin_dir / "agentkeys", env=there, check=True)
    assert b"PATH" not in found.out + found.err


def test_every_kind_of_verb_runs_through_it(launcher: Runner) -> None:
    """From init to exec: fast verbs and slow ones, worker and agent."""
    assert launcher("--version", check=True).out == VERSION
    launcher("init", "--via", "file", check=True)
    launcher("set", "GREETING", input=b"hello", check=True)
    launcher("agent", check=True)
    launcher("unlock", check=True)
    assert launcher("get", "GREETING", check=True).out == b"hello"
    assert launcher("exec", "--", "printenv", "GREETING", check=True).out == b"hello\n"
    assert launcher("list", "--json", check=True).json()[0]["name"] == "GREETING"
    assert launcher("nonsense").code == 2
    launcher("agent", "-k", check=True)


@pytest.mark.parametrize("variable", ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE"])
def test_it_is_deaf_to_pythons_variables(variable: str, launcher: Runner, tmp_path: Path) -> None:
    """A sitecustomize, a fake module or a fake home named by the environment is not looked at, by any verb."""
    marker = tmp_path / "ran"
    for name in ("sitecustomize.py", "usercustomize.py", "typer.py", "agentkeys.py", "json.py", "posixpath.py"):
        (tmp_path / name).write_text(SITECUSTOMIZE.format(marker=str(marker)))
    value = tmp_path / "sitecustomize.py" if variable == "PYTHONSTARTUP" else tmp_path
    env = {variable: str(value)}
    launcher("init", "--via", "file", env=env, check=True)
    launcher("set", "GREETING", input=b"hello", env=env, check=True)
    launcher("agent", env=env, check=True)
    launcher("unlock", env=env, check=True)
    assert launcher("get", "GREETING", env=env, check=True).out == b"hello"
    assert not marker.exists()


def test_the_variable_would_have_worked_without_it(cli: Runner, tmp_path: Path) -> None:
    """The control of the test above: the same PYTHONPATH does reach `python -m agentkeys`."""
    marker = tmp_path / "ran"
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE.format(marker=str(marker)))
    cli("--version", env={"PYTHONPATH": str(tmp_path)}, check=True)
    assert marker.exists()


def test_it_does_not_import_from_the_current_directory(launcher: Runner, tmp_path: Path) -> None:
    """A repository can't lie in wait with modules of its own."""
    marker = tmp_path / "ran"
    for name in ("agentkeys.py", "typer.py", "json.py", "site.py", "sitecustomize.py"):
        (tmp_path / name).write_text(SITECUSTOMIZE.format(marker=str(marker)))
    assert launcher("--version", cwd=tmp_path, check=True).out == VERSION
    launcher("list", "--help", cwd=tmp_path, check=True)
    assert not marker.exists()


def test_a_foreign_file_is_not_replaced(home: Home, cli: Runner) -> None:
    """A file, a symlink, a directory: exit 2 with --force as the hint, and they stay; --force replaces a file."""
    place = home.path / "bin"
    place.mkdir()
    (place / "file").write_text("#!/bin/sh\necho precious\n")
    (place / "victim").write_text("precious")
    (place / "link").symlink_to(place / "victim")
    (place / "directory").mkdir()
    for name in ("file", "link", "directory"):
        done = cli("setup", "launcher", "--to", place / name)
        assert done.code == 2, name
        assert b"--force" in done.err
    assert "precious" in (place / "file").read_text()
    assert (place / "link").is_symlink()
    cli("setup", "launcher", "--to", place / "file", "--force", check=True)
    assert cli.with_prefix(place / "file")("--version", check=True).out == VERSION
    cli("setup", "launcher", "--to", place / "link", "--force", check=True)
    assert (place / "victim").read_text() == "precious"


def test_our_own_launcher_is_written_again(home: Home, cli: Runner) -> None:
    """After an upgrade, without --force; an old text of ours is replaced in one step."""
    path = home.path / "agentkeys"
    cli("setup", "launcher", "--to", path, check=True)
    first = path.read_text()
    path.write_text(first.replace(sys.executable, "/old/python"))
    cli("setup", "launcher", "--to", path, check=True)
    assert path.read_text() == first
    assert [entry.name for entry in home.path.iterdir() if "agentkeys" in entry.name] == ["agentkeys"]


@pytest.mark.parametrize("to", ["/proc/nowhere/agentkeys", "/etc/passwd/agentkeys", "/"])
def test_a_place_that_can_not_be_written_is_named(to: str, home: Home, cli: Runner) -> None:
    """Exit 2, no traceback."""
    done = cli("setup", "launcher", "--to", to)
    assert done.code == 2
    assert b"Traceback" not in done.err
    assert b"a bug" not in done.err


def venv_at(path: Path) -> Path:
    """This interpreter under another path, with what the program needs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True, capture_output=True)
    (site,) = path.glob("lib/python*/site-packages")
    (site / "same.pth").write_text("\n".join(entry for entry in sys.path if "site-packages" in entry) + "\n")
    (site / "checkout.pth").write_text(f"{Path(__file__).parents[2]}\n")
    return path / "bin" / "python"


@pytest.fixture
def odd_pythons(tmp_path: Path) -> Callable[[str], Path]:
    """Make an interpreter whose path holds a given text."""
    return lambda text: venv_at(tmp_path / text)


@pytest.mark.parametrize(
    "text", ["with space", "it's", 'double"quote', "$(id)", "back\\slash", "l" * 150, "clé"], ids=lambda it: it[:12]
)
def test_an_interpreters_path_may_be_anything(
    text: str, odd_pythons: Callable[[str], Path], home: Home, cli: Runner
) -> None:
    """A #! line takes no blank and 127 bytes: otherwise an sh script starts Python, arguments and code unchanged."""
    python = odd_pythons(text)
    path = home.path / "agentkeys"
    cli.with_prefix(python, "-m", "agentkeys")("setup", "launcher", "--to", path, check=True)
    launcher = cli.with_prefix(path)
    assert launcher("--version", check=True).out == VERSION
    fits = len(f"#!{python} -IS".encode()) <= 127 and " " not in str(python)
    assert path.read_bytes().startswith(b"#!/bin/sh\n") == (not fits)
    done = launcher("exec", "--", "a 'b' \"c\" $(id)")
    assert done.code == 127
    assert b"a \\'b\\' \"c\" $(id)" in done.err or b"$(id)" in done.err
    launcher("init", "--via", "file", check=True)


def test_it_follows_no_moved_installation_in_silence(home: Home, cli: Runner, tmp_path: Path) -> None:
    """The interpreter it names is gone: the shell says so, exit 126 or 127, and nothing else runs in its place."""
    python = venv_at(tmp_path / "venv")
    path = home.path / "agentkeys"
    cli.with_prefix(python, "-m", "agentkeys")("setup", "launcher", "--to", path, check=True)
    shutil.rmtree(tmp_path / "venv")
    done = cli.with_prefix("sh", "-c", f"{path} --version")()
    assert done.code in (126, 127)
