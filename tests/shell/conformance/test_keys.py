"""A repository's keys in the shell, where the operator wants them: there while one is in it, and gone after."""

import pytest

from tests.agent.seat import Seat
from tests.shell.conformance.terminals import WITH_KEYS, Terminal


@pytest.mark.parametrize("name", WITH_KEYS)
def test_keys_come_and_go_with_the_directory_rows_62_63(name: str, seat: Seat) -> None:
    """In: set. Out: what was there before, or nothing. Changed by the user: theirs. Relocked: gone."""
    config = seat.home.path / ".config" / "agentkeys" / "config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text("[hook]\ninject = true\n")
    project = seat.home.path / "api"
    project.mkdir()
    (project / ".agentkeys.yml").write_text("org: acme\ndefault_env: test\nenv.test: [GITHUB_TOKEN, OPENAI_API_KEY]\n")
    seat.cli("agent", "--reload", check=True)
    shell = Terminal(seat, name)
    shell.export("GITHUB_TOKEN", "before")
    shell.run(f"cd {project}")
    assert shell.state() == "not-allowed"
    seat.cli("allow", str(project), check=True)
    shell.run("true")
    inside = shell.environ()
    assert inside["AGENTKEYS_PROJECT"] == str(project)
    assert inside["AGENTKEYS_STATE"] == "unlocked"
    assert inside["GITHUB_TOKEN"].encode() == seat.values["GITHUB_TOKEN"]
    shell.run("cd /")
    outside = shell.environ()
    assert outside["GITHUB_TOKEN"] == "before"
    assert "OPENAI_API_KEY" not in outside
    assert "AGENTKEYS_PROJECT" not in outside
    shell.run(f"cd {project}")
    shell.export("GITHUB_TOKEN", "changed")
    seat.cli("relock", check=True)
    shell.run("true")
    relocked = shell.environ()
    assert relocked["GITHUB_TOKEN"] == "changed"
    assert "OPENAI_API_KEY" not in relocked
    assert relocked["AGENTKEYS_STATE"] == "locked"
    shell.close()
