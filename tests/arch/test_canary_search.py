"""The search for planted secrets finds them: a search that can't find is a promise that can't break."""

import base64
import json
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from tests.support.argvwatch import ArgvWatch
from tests.support.canary import CHUNK, Leak, Registry, scan

REPO = Path(__file__).parents[2]

WRITTEN = {
    "raw": lambda value: b"token=" + value + b"\n",
    "hex": lambda value: value.hex().encode(),
    "upper hex": lambda value: value.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64, one off": lambda value: base64.b64encode(b"x" + value + b"y"),
    "base64, two off": lambda value: base64.urlsafe_b64encode(b"xx" + value),
    "wrapped base64": lambda value: base64.encodebytes(b"x" * 50 + value),
    "percent": lambda value: "".join([f"%{byte:02X}" for byte in value]).encode(),
    "url query": lambda value: urllib.parse.urlencode({"token": value}).encode(),
    "json": lambda value: json.dumps({"token": value.decode()}).encode(),
    "json, escaped": lambda value: "".join([f"\\u{byte:04x}" for byte in value]).encode(),
    "python": lambda value: "".join([f"\\x{byte:02x}" for byte in value]).encode(),
    "utf-16": lambda value: value.decode().encode("utf-16"),
    "across two chunks": lambda value: b"." * (CHUNK - 10) + value,
}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry of this test's own: what it plants must not fail the real run."""
    return Registry(tmp_path / "registry")


@pytest.mark.parametrize("form", WRITTEN)
def test_a_planted_secret_is_found_in_every_form(form: str, registry: Registry, tmp_path: Path) -> None:
    """Whatever a program does to a value on its way to a file, the search sees through it."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "innocent").write_bytes(b"canary-0123 is no secret")
    (tree / "log").write_bytes(WRITTEN[form](registry.plant("TOKEN")))
    search = scan([tree], registry.recorded())
    assert search.leaks == [Leak(str(tree / "log"), "TOKEN")]
    assert search.files == 3


def test_a_secret_in_a_name_or_a_symlink_is_found_and_masked(registry: Registry, tmp_path: Path) -> None:
    """A file's name publishes as much as its content, and so would a report that repeated it."""
    tree = tmp_path / "tree"
    tree.mkdir()
    value = registry.plant("TOKEN").decode()
    (tree / f"cache-{value}").mkdir()
    (tree / "link").symlink_to(value)
    leaks = scan([tree], registry.recorded()).leaks
    assert [Path(leak.path).name for leak in leaks] == ["cache-<TOKEN>", "link"]


def test_a_secret_may_be_where_its_test_said(registry: Registry, tmp_path: Path) -> None:
    """A right place is right for one canary only."""
    tree = tmp_path / "tree"
    tree.mkdir()
    here = registry.plant("HERE", allowed=["*/input.env"])
    other = registry.plant("OTHER", suffix=b'"\n')
    (tree / "input.env").write_bytes(here + other)
    assert [leak.name for leak in scan([tree], registry.recorded()).leaks] == ["OTHER"]


def test_a_run_that_leaks_fails(tmp_path: Path) -> None:
    """Green tests don't outweigh a value on the loose; the report names it and doesn't show it."""
    (tmp_path / "test_leak.py").write_text(
        "def test_leak(canary, tmp_path):\n"
        "    (tmp_path / 'log').write_bytes(canary('LOOSE'))\n"
        "    (tmp_path / 'ok').write_bytes(canary('KEPT', allowed=['*/ok']))\n"
    )
    pytest_here = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.support.plugin",
        "--rootdir",
        tmp_path,
        tmp_path,
    ]
    env = os.environ | {"TMPDIR": str(tmp_path)}
    for workers in ("0", "1"):
        done = subprocess.run([*pytest_here, "-n", workers], capture_output=True, text=True, cwd=REPO, env=env)
        assert done.returncode == 1, done.stdout
        assert "1 passed" in done.stdout
        assert "LOOSE is in " in done.stdout
        assert "KEPT" not in done.stdout
        assert "canary-" not in done.stdout


def test_a_secret_in_argv_is_seen(registry: Registry) -> None:
    """The watcher catches a program that lives for a second, on a machine that is busy with other things too."""
    value = registry.plant("TOKEN").decode()
    with ArgvWatch(registry.planted) as watch:
        subprocess.run(["sleep", "0.1"], check=True)
        subprocess.run(["sh", "-c", "sleep 1; :", value], check=True)
    assert watch.sweeps > 2
    assert watch.hits == [("TOKEN", "sh")]
