"""Homes with owners whose identities and sessions are in files, made once for each run and copied."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.homes import Home, short_dir
from tests.support.plugin import Run
from tests.support.runner import Logs, Runner, agentkeys_command

Populate = Callable[..., "dict[str, Any]"]
"""Puts owners of these names into the test's home; their sessions' rows, by owner."""


def rows(cli: Runner) -> "dict[str, Any]":
    """What `session list` says, by owner."""
    return {row["owner"]: row for row in cli("session", "list", "--json", check=True).json()}


def tokens(root: Path) -> "list[str]":
    """Every token that lies in a file."""
    return [json.loads(path.read_bytes())["token"] for path in sorted(root.glob("*/session.json"))]


@pytest.fixture(scope="session")
def towns(run: Run, logs: Logs, tmp_path_factory: pytest.TempPathFactory) -> "Callable[..., Path]":
    """A persistent root with these owners in it, made when it is first asked for."""
    made: dict[tuple[str, ...], Path] = {}

    def town(*owners: str) -> Path:
        if owners not in made:
            home = Home(tmp_path_factory.mktemp("town"), run.keep_track_of(short_dir()))
            cli = Runner(logs, agentkeys_command(), home.env, home.path)
            for owner in owners:
                cli("init", "--for", owner, "--via", "file", check=True)
            made[owners] = home.root
        return made[owners]

    return town


@pytest.fixture
def populate(cli: Runner, home: Home, towns: "Callable[..., Path]") -> Populate:
    """See Populate."""

    def put(*owners: str) -> "dict[str, Any]":
        shutil.copytree(towns(*owners), home.root, symlinks=True)
        return rows(cli)

    return put
