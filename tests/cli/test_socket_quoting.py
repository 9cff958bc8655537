r"""A socket's directory may be called anything but a newline: what eval exports is that path, byte for byte."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.cli.test_agent_output import command
from tests.support.uids import require

NAMES = {
    "space": b"a b",
    "two spaces": b"a  b ",
    "single quote": b"it's",
    "quotes": b"''''",
    "double quote": b'a"b',
    "command": b"$(touch ran)",
    "backquotes": b"`touch ran`",
    "variable": b"$HOME",
    "star": b"*",
    "question mark": b"?[a-z]",
    "backslash": b"a\\b\\\\n\\'",
    "semicolon": b";touch ran;",
    "redirection": b">ran<&|",
    "history": b"!!a!b",
    "hash": b"#a #b",
    "tilde": b"~root",
    "braces": b"{a,b}",
    "tab": b"a\tb",
    "carriage return": b"a\rb",
    "not UTF-8": b"caf\xe9\xff",
    "UTF-8": "clé 🔑".encode(),
    "equals": b"=ls",
    "dash": b"-n",
}
SHELLS = ("sh", "bash", "dash", "zsh", "mksh")


@pytest.fixture
def odd_runtime(short_path: Path) -> Iterator[Path]:
    """A place for oddly named runtime directories."""
    yield short_path
    shutil.rmtree(os.fsencode(short_path))


@pytest.mark.parametrize("kind", NAMES)
def test_a_socket_path_survives_a_quoted_eval(kind: str, rack: Seat, odd_runtime: Path) -> None:
    """In sh, bash, dash, zsh and mksh: exactly that path, exported, with nothing expanded and nothing run."""
    runtime = os.fsencode(odd_runtime) + b"/" + NAMES[kind]
    os.mkdir(runtime, 0o700)
    env = rack.cli.env | {"XDG_RUNTIME_DIR": os.fsdecode(runtime)}
    first = rack.cli("agent", env=env, check=True)
    assert (b'eval "$(agentkeys agent)"' in first.err) == (b"'" in first.out)
    script = f'eval "$({command(rack.cli, "agent")})" && printenv AGENTKEYS_SOCK'
    for shell in SHELLS:
        require(shutil.which(shell), shell)
        options = ["-f"] if shell == "zsh" else []
        done = rack.cli.with_prefix(shell, *options, "-c")(script, env=env, check=True, cwd=odd_runtime)
        assert done.out == runtime + b"/agentkeys/human.sock\n", shell
    assert os.listdir(os.fsencode(odd_runtime)) == [NAMES[kind]]
    rack.cli("unlock", env=env, check=True)


@pytest.mark.parametrize("shell", SHELLS)
def test_an_interactive_shell_does_not_expand_history_in_it(shell: str, rack: Seat, odd_runtime: Path) -> None:
    """`!` is special at a prompt only; eval of quoted output isn't looked at again."""
    require(shutil.which(shell), shell)
    runtime = odd_runtime / "a!b!!"
    runtime.mkdir(mode=0o700)
    options = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"]}.get(shell, [])
    env = {"XDG_RUNTIME_DIR": str(runtime), "PS1": "ready> ", "TERM": "dumb", "ENV": ""}
    child = rack.cli.with_prefix(shell, *options, "-i").on_tty(env=env)
    child.expect(rb"[>#$%] ")
    child.sendline(f'eval "$({command(rack.cli, "agent")})" && echo "=""=$AGENTKEYS_SOCK=""="'.encode())
    child.expect(b"==(/[^\r\n]*)==")  # zsh marks a long line that it scrolled with a <
    assert child.match.group(1) == os.fsencode(runtime / "agentkeys" / "human.sock")
    child.close()


def test_a_path_that_no_shell_line_can_carry_is_not_printed(rack: Seat, odd_runtime: Path) -> None:
    """A newline in XDG_RUNTIME_DIR: that directory isn't used at all."""
    runtime = odd_runtime / "a\nb"
    runtime.mkdir(mode=0o700)
    rack.cli("init", "--for", "newline", check=True)
    done = rack.cli("agent", "--for", "newline", env={"XDG_RUNTIME_DIR": str(runtime)})
    assert b"a\nb" not in done.out
    assert list(runtime.iterdir()) == []
    assert (done.code == 0) == (done.out != b"false;\n")


def test_printing_needs_no_locale(rack: Seat, odd_runtime: Path) -> None:
    """LC_ALL=C, POSIX and an unknown locale print the same bytes."""
    runtime = odd_runtime / "clé"
    runtime.mkdir(mode=0o700)
    env = {"XDG_RUNTIME_DIR": str(runtime), "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    shown = {
        subprocess.run(
            [*rack.cli.prefix, "agent"],
            env=rack.cli.env | env | {"LC_ALL": locale},
            capture_output=True,
            check=True,
        ).stdout
        for locale in ("C", "POSIX", "C.UTF-8", "xx_XX.ISO-8859-1")
    }
    assert len(shown) == 1
    assert os.fsencode(runtime) in shown.pop()
