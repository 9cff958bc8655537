"""`use agentkeys` in an .envrc: references only, whatever the state, in the real direnv.

Rows 83 to 85 of the table of what shells may expect are here.
"""

import os
import signal

import pytest

from agentkeys.errors import OK, USAGE
from tests.agent.seat import Seat
from tests.direnv.project import Project, halves
from tests.shell.conformance.terminals import Terminal


def state(exported: dict[str, str]) -> str:
    """What the project's programs are told."""
    return exported["AGENTKEYS_STATE"]


def test_use_agentkeys_exports_references_only(project: Project) -> None:
    """Owner, socket, project and state; neither half of DIRENV_DIFF holds a value, nor does a child's environment."""
    seat = project.seat.start().unlock()
    exported = project.says("use agentkeys --for human").export()
    assert {name: text for name, text in exported.items() if name.startswith("AGENTKEYS_")} == {
        "AGENTKEYS_OWNER": "human",
        "AGENTKEYS_SOCK": str(seat.socket),
        "AGENTKEYS_PROJECT": str(project.path),
        "AGENTKEYS_STATE": "unlocked",
    }
    kept = halves(exported["DIRENV_DIFF"])
    child = project.run("env", check=True).out.decode()
    for value in seat.values.values():
        assert value.decode() not in child
        assert value.decode() not in str(kept)
    assert "AGENTKEYS_STATE" in kept["n"]


def test_asking_is_no_use_of_a_key(project: Project) -> None:
    """Where the operator's shells are given keys, direnv is given none all the same, nor is `env` without a hook."""
    seat = project.seat.start().unlock()
    config = seat.home.path / ".config" / "agentkeys" / "config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text("[hook]\ninject = true\n")
    seat.cli("agent", "--reload", check=True)
    (project.path / ".agentkeys.yml").write_text("org: acme\nenv.all: [GITHUB_TOKEN]\n")
    seat.cli("allow", str(project.path), check=True)
    used = seat.status()["given"]
    assert state(project.says("use agentkeys").export()) == "unlocked"
    asked = seat.cli("env", "--shell", "json", cwd=project.path, check=True).json()
    assert asked["AGENTKEYS_STATE"] == "unlocked"
    assert seat.status()["given"] == used
    assert "hook" not in {line["verb"] for line in seat.chain()}


def test_locked_is_a_state_and_no_failure(project: Project) -> None:
    """Under strict_env and without stdin: direnv loads, says what is the matter, and exits 0."""
    project.seat.start()
    done = project.says("strict_env", "use agentkeys", "export AFTER=1").direnv("export", "json", check=True)
    assert b'"AGENTKEYS_STATE": "locked"' in done.out
    assert b'"AFTER": "1"' in done.out
    assert b"agentkeys: nothing is unlocked for human" in done.err


def test_no_agent_is_a_state_and_none_is_started(project: Project) -> None:
    """Nothing holds direnv's descriptors, since nothing is started."""
    exported = project.says("strict_env", "use agentkeys").export()
    assert state(exported) == "no-agent"
    assert "AGENTKEYS_SOCK" not in exported
    assert project.seat.status() is None


def test_a_stopped_agent_is_not_waited_for(project: Project) -> None:
    """Its state is no-answer, long before direnv warns of a slow .envrc."""
    pid = project.seat.start().unlock().pid
    os.kill(pid, signal.SIGSTOP)
    try:
        assert state(project.says("use agentkeys").export()) == "no-answer"
    finally:
        os.kill(pid, signal.SIGCONT)


def test_direnv_sees_each_change(project: Project) -> None:
    """Unlock, relock and the agent's end load the .envrc anew at the next prompt, however soon they come."""
    seat = project.seat.start()
    environment = project.says("use agentkeys").export()
    assert state(environment) == "locked"
    for change, expected in (
        (seat.unlock, "unlocked"),
        (lambda: seat.cli("relock", check=True), "locked"),
        (seat.unlock, "unlocked"),
        (lambda: seat.cli("agent", "-k", check=True), "no-agent"),
    ):
        assert project.export(**environment) == {}, "nothing changed"
        change()
        environment = project.prompt(environment)
        assert state(environment) == expected


def test_another_owner_and_env(project: Project) -> None:
    """--for and --env say whose keys, and which."""
    seat = project.seat.start().unlock()
    seat.cli("init", "--for", "seaturtle", "--via", "file", check=True)
    exported = project.says("use agentkeys --for seaturtle").export()
    assert (exported["AGENTKEYS_OWNER"], state(exported)) == ("seaturtle", "no-agent")
    assert state(project.says("use agentkeys --env=prod").export()) == "unlocked"


@pytest.mark.parametrize("words", ["--nope", "--for", "--for 'a;b'", "--shim ../x", "--shim agentkeys", "prod"])
def test_arguments_that_cannot_be_fail(words: str, project: Project) -> None:
    """With the usage, and nothing exported after it under strict_env."""
    done = project.says("strict_env", f"use agentkeys {words}", "export AFTER=1").direnv("export", "json")
    assert b"agentkeys: error: " in done.err
    assert b"AFTER" not in done.out


@pytest.mark.parametrize("name", ["a b", "a'b", "*", "-n", "é"])
def test_a_directory_of_any_name(name: str, project: Project) -> None:
    """It arrives byte for byte, and nothing in it is run.

    Those with a double quote, a backslash or a dollar direnv 2.32 itself can't load.
    """
    other = project.named(name)
    assert other.says("use agentkeys --shim tool").export()["AGENTKEYS_PROJECT"] == str(other.path)
    assert os.listdir(other.path) == [".envrc"]


def test_the_library_is_installed_once(rack: Seat) -> None:
    """Where direnv looks, unchanged; somebody else's file stays unless --force says otherwise."""
    path = rack.home.path / ".config" / "direnv" / "lib" / "agentkeys.sh"
    printed = rack.cli("direnv", "install", "--print", check=True).out
    assert not path.exists()
    assert b"wrote" in rack.cli("direnv", "install", check=True).out
    assert path.read_bytes() == printed
    assert b"nothing changed" in rack.cli("direnv", "install", check=True).out
    path.write_bytes(printed.replace(b"return", b"return 1"))
    assert rack.cli("direnv", "install").code == OK, "an older one of ours is replaced"
    assert path.read_bytes() == printed
    path.write_bytes(b"use_agentkeys() { :; }\n")
    refused = rack.cli("direnv", "install")
    assert refused.code == USAGE
    assert b"is no library of ours" in refused.err
    rack.cli("direnv", "install", "--force", check=True)
    assert path.read_bytes() == printed
    elsewhere = rack.home.path / "elsewhere"
    rack.cli("direnv", "install", env={"DIRENV_CONFIG": str(elsewhere)}, check=True)
    assert (elsewhere / "lib" / "agentkeys.sh").read_bytes() == printed


def test_the_project_is_where_it_is_said(rack: Seat) -> None:
    """By the name in PWD, if that is a name of this directory; another's PWD is no project."""
    link = rack.home.path / "link"
    link.symlink_to(rack.home.path / "real")
    (rack.home.path / "real").mkdir()
    for pwd, project in ((link, link), ("/", link.resolve()), ("", link.resolve()), ("link", link.resolve())):
        done = rack.cli("direnv", "export", env={"PWD": str(pwd)}, cwd=link, check=True)
        assert f"export AGENTKEYS_PROJECT='{project}';".encode() in done.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_direnv_puts_back_does_not_stay(shell: str, project: Project) -> None:
    """Both hooks in one shell: a state that ended meanwhile is not the state again for having left the directory."""
    project.seat.start().unlock()
    project.says("use agentkeys")
    load = "direnv hook fish | source" if shell == "fish" else f'eval "$(direnv hook {shell})"'
    terminal = Terminal(project.seat, shell, before=load)
    terminal.run(f"cd {project.path}", "true")
    assert terminal.state() == "unlocked"
    project.seat.cli("relock", check=True)
    terminal.run("true", "cd ..", "true", "true")
    assert terminal.state() == "locked"
    terminal.close()


def test_a_mistyped_owner_is_said_to_be_unknown(project: Project) -> None:
    """Rather than that it has no agent, and how to start one."""
    project.says("use agentkeys --for hunan")
    done = project.direnv("export", "json", check=True)
    assert b"agentkeys: no owner hunan here; near it: human: agentkeys owner list" in done.err
    assert b"no agent" not in done.err
