"""A repository's keys in the shell, where the operator wants them: there while one is in it, and gone after."""

from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.shell.conformance.terminals import HOOK, WITH_KEYS, Terminal, say_envrc

KEYS = ("GITHUB_TOKEN", "OPENAI_API_KEY")


@pytest.fixture
def project(seat: Seat) -> Path:
    """A repository that asks for two keys, not allowed yet, of an operator who wants them in the shell."""
    config = seat.home.path / ".config" / "agentkeys" / "config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text("[hook]\ninject = true\n")
    place = seat.home.path / "api"
    place.mkdir()
    (place / ".agentkeys.yml").write_text(f"org: acme\ndefault_env: test\nenv.test: [{', '.join(KEYS)}]\n")
    seat.cli("agent", "--reload", check=True)
    if HOOK == "direnv":
        say_envrc(seat, place, "use agentkeys", 'eval "$(agentkeys source)" || true')
    return place


@pytest.fixture
def allowed(seat: Seat, project: Path) -> Path:
    """The same, allowed."""
    seat.cli("allow", str(project), check=True)
    return project


def another(shell: Terminal) -> str:
    """The line that starts one more such shell within."""
    rc = shell.seat.home.path / shell.kind.rc
    return " ".join([word.format(rc=rc) for word in shell.kind.words])


@pytest.mark.parametrize("name", WITH_KEYS)
def test_keys_come_and_go_with_the_directory_row_62(name: str, seat: Seat, project: Path) -> None:
    """In: set, once it is allowed. Out: what was there before, or nothing."""
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
    shell.close()


@pytest.mark.parametrize("name", WITH_KEYS)
def test_what_the_user_changed_stays_theirs_row_63(name: str, seat: Seat, allowed: Path) -> None:
    """After a relock, which takes the other key."""
    shell = Terminal(seat, name, cwd=allowed)
    assert shell.environ()["GITHUB_TOKEN"].encode() == seat.values["GITHUB_TOKEN"]
    shell.export("GITHUB_TOKEN", "changed")
    seat.cli("relock", check=True)
    shell.run("true")
    relocked = shell.environ()
    assert relocked["GITHUB_TOKEN"] == "changed"
    assert "OPENAI_API_KEY" not in relocked
    assert relocked["AGENTKEYS_STATE"] == "locked"
    shell.close()


@pytest.mark.parametrize("name", ["bash", "zsh", "mksh"])
def test_a_trace_shows_no_value_row_57(name: str, seat: Seat, allowed: Path) -> None:
    """Under `set -xv` the keys come, are compared at some prompts and go, and the screen shows none of them."""
    shell = Terminal(seat, name)
    shell.run("set -xv", f"cd {allowed}", "true", "true")
    shell.run("cd /", f"cd {allowed}")
    seat.cli("relock", "GITHUB_TOKEN", check=True)
    shell.run("true", "set +xv 2>/dev/null")
    shown = shell.screen().encode()
    assert b"cd " in shown
    for key in KEYS:
        assert seat.values[key] not in shown
    shell.run(f"cd {allowed}")
    shell.close()


@pytest.mark.parametrize(
    ("name", "listing", "exported"), [("bash", "declare -p", "declare -x"), ("zsh", "typeset -p", "export")]
)
def test_a_value_is_in_its_exported_variable_alone_row_59(
    name: str, listing: str, exported: str, seat: Seat, allowed: Path
) -> None:
    """Of all that the shell holds, functions too, no other line has it."""
    shell = Terminal(seat, name)
    shell.run(f"cd {allowed}")
    lines = shell.output(f"{{ {listing}; declare -f; }}").splitlines()
    for key in KEYS:
        holding = [line.partition("=")[0] for line in lines if seat.values[key].decode() in line]
        assert holding == [f"{exported} {key}"]
    shell.close()


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_a_command_behind_two_cds_sees_the_second_row_64(name: str, seat: Seat, allowed: Path) -> None:
    """On one line, in the shells that tell of a change of directory; in bash and mksh the next prompt does."""
    shell = Terminal(seat, name)
    inside = shell.output(f"cd /; cd {allowed}; /usr/bin/env -0").split("\0")
    assert f"GITHUB_TOKEN={seat.values['GITHUB_TOKEN'].decode()}" in inside
    outside = shell.output(f"cd {allowed}; cd /; /usr/bin/env -0").split("\0")
    assert not [entry for entry in outside if entry.startswith("GITHUB_TOKEN=")]
    shell.close()


@pytest.mark.parametrize("name", WITH_KEYS)
def test_a_shell_that_starts_in_a_project_knows_it_row_67(name: str, seat: Seat, allowed: Path) -> None:
    """At its first prompt, and after it became another by exec."""
    shell = Terminal(seat, name, cwd=allowed)
    first = shell.environ()
    assert (first["AGENTKEYS_STATE"], first["AGENTKEYS_PROJECT"]) == ("unlocked", str(allowed))
    assert first["GITHUB_TOKEN"].encode() == seat.values["GITHUB_TOKEN"]
    shell.run(f"exec {another(shell)}")
    assert shell.environ()["GITHUB_TOKEN"].encode() == seat.values["GITHUB_TOKEN"]
    shell.run("cd /")
    assert not {*KEYS, "AGENTKEYS_PROJECT"} & shell.environ().keys()
    shell.close()


@pytest.mark.parametrize("name", WITH_KEYS)
def test_a_shell_within_lets_go_row_68(name: str, seat: Seat, allowed: Path) -> None:
    """It inherits the keys, and drops them when it leaves; the outer one still stands in the project and keeps them."""
    shell = Terminal(seat, name)
    shell.run(f"cd {allowed}", another(shell))
    assert shell.environ()["GITHUB_TOKEN"].encode() == seat.values["GITHUB_TOKEN"]
    shell.run("cd /")
    assert not {*KEYS, "AGENTKEYS_PROJECT"} & shell.environ().keys()
    shell.run("exit")
    assert shell.environ()["GITHUB_TOKEN"].encode() == seat.values["GITHUB_TOKEN"]
    shell.close()


@pytest.mark.parametrize("name", WITH_KEYS)
def test_a_new_pane_has_no_old_value_row_69(name: str, seat: Seat, allowed: Path) -> None:
    """A multiplexer hands it the environment of long ago: after a relock its first prompt drops what that holds."""
    old = Terminal(seat, name, cwd=allowed)
    inherited = old.environ()
    old.close()
    seat.cli("relock", check=True)
    pane = Terminal(seat, name, cwd=allowed, env=inherited)
    now = pane.environ()
    assert not set(KEYS) & now.keys()
    assert now["AGENTKEYS_STATE"] == "locked"
    seat.unlock()
    pane.run("true")
    assert pane.environ()["GITHUB_TOKEN"].encode() == seat.values["GITHUB_TOKEN"]
    pane.close()


@pytest.mark.parametrize("name", [*WITH_KEYS, "tcsh"])
def test_a_manifest_that_comes_or_goes_is_seen_at_the_next_prompt(name: str, shared: Seat) -> None:
    """In the directory where the shell stands; without a sign of any agent's."""
    place = shared.home.path / f"fresh-{name}"
    place.mkdir()
    shell = Terminal(shared, name, cwd=place)
    assert shell.references().get("STATE") == "unlocked"
    (place / ".agentkeys.yml").write_text("org: acme\nenv.test: [GITHUB_TOKEN]\n")
    shell.run("true")
    references = shell.references()
    assert (references["STATE"], references["PROJECT"]) == ("not-allowed", str(place))
    (place / ".agentkeys.yml").unlink()
    shell.run("true")
    references = shell.references()
    assert references["STATE"] == "unlocked"
    assert not references.get("PROJECT")
    shell.close()
