"""Hands these tests an owner with a rack, and a repository of org acme whose manifest they write."""

from pathlib import Path

import pytest

from tests.agent.seat import Seat, locked, rack, seat, shared, template

__all__ = ["locked", "rack", "seat", "shared", "template"]

MANIFEST = """\
# what our commands need
org: acme
default_env: test
env.test:
  - GITHUB_TOKEN   # for gh
  - {key: STRIPE_KEY, as: STRIPE_API_KEY}
env.prod: [STRIPE_KEY]
"""


class Repo:
    """A repository below the home directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = path / ".agentkeys.yml"
        path.mkdir(parents=True)
        self.write(MANIFEST)

    def write(self, text: str) -> None:
        """Replace the manifest."""
        self.manifest.write_text(text)
        self.manifest.chmod(0o644)


@pytest.fixture
def repository(rack: Seat) -> Repo:
    """A repository of the home that the owner's commands run in; nothing of it is allowed yet."""
    found = Repo(rack.home.path / "code" / "api")
    rack.cli.cwd = found.path
    return found
