"""The real shells: how each is started without its user's files, and how it takes what `agentkeys` prints."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.runner import Result, Runner
from tests.support.uids import require

EXPORTED = ("AGENTKEYS_SOCK", "AGENTKEYS_AGENT_PID", "AGENTKEYS_OWNER")

LOCALES: dict[str, dict[str, str]] = {"C": {}, "UTF-8": {"LC_ALL": "C.UTF-8"}}
"""What a shell may take for text."""


@dataclass(frozen=True)
class Shell:
    """One shell."""

    words: tuple[str, ...]
    """Its command line, up to the script."""
    dialect: str
    take: str
    """The script that runs what a command, `{}`, prints."""
    then: str = "&&"
    """Goes on only if that went well."""
    set_up: str = ""
    """What stands before it."""

    @property
    def name(self) -> str:
        """Its program."""
        return self.words[0]

    def taking(self, command: str, then: str) -> str:
        """A script that runs what `command` prints, and then, if that went well, `then`."""
        return f"{self.set_up}{self.take.format(command)} {self.then} {then}"


EVAL = 'eval "$({})"'
CSH_EVAL = 'eval "`{}`"'

SHELLS = {
    "bash": Shell(("bash", "--norc", "--noprofile", "-c"), "sh", EVAL),
    "bash, posix and strict": Shell(("bash", "--norc", "--posix", "-euo", "pipefail", "-c"), "sh", EVAL),
    "dash": Shell(("dash", "-c"), "sh", EVAL),
    "zsh": Shell(("zsh", "-f", "-c"), "sh", EVAL),
    "zsh, rcquotes and more": Shell(
        ("zsh", "-f", "-c"), "sh", EVAL, set_up="setopt rcquotes shwordsplit globsubst ksharrays nounset; "
    ),
    "mksh": Shell(("mksh", "-c"), "sh", EVAL),
    "fish": Shell(("fish", "--no-config", "-c"), "fish", "{} | source", "; and"),
    "fish, eval": Shell(("fish", "--no-config", "-c"), "fish", "eval ({})", "; and"),
    "tcsh": Shell(("tcsh", "-f", "-c"), "csh", CSH_EVAL),
    "tcsh, other histchars": Shell(("tcsh", "-f", "-c"), "csh", CSH_EVAL, set_up="set histchars=@^; "),
    "tcsh, backslash_quote": Shell(("tcsh", "-f", "-c"), "csh", CSH_EVAL, set_up="set backslash_quote; "),
}
"""Each with the settings of users that could change what quotes mean."""

PLAINLY = ("bash", "dash", "zsh", "mksh", "fish", "tcsh")
"""Each once, as it comes."""


def shell_named(name: str) -> Shell:
    """The shell; the test is skipped where it isn't installed."""
    shell = SHELLS[name]
    require(shutil.which(shell.name), shell.name)
    return shell


def carried(shell: Shell, text: bytes, place: Path, locale: Mapping[str, str]) -> dict[bytes, bytes]:
    """The environment of a child of the shell, after that ran `text`; empty when it couldn't."""
    (place / "text").write_bytes(text)
    (place / "empty").mkdir(exist_ok=True)
    done = subprocess.run(
        [*shell.words, shell.taking(f"cat {place}/text", "exec env -0")],
        env={"PATH": "/usr/bin:/bin", "HOME": str(place), **locale},
        cwd=place / "empty",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert os.listdir(place / "empty") == [], "something was run"
    return dict(entry.partition(b"=")[::2] for entry in done.stdout.split(b"\0") if entry)


def line(cli: Runner, *args: str) -> str:
    """`agentkeys …` as a line that every shell reads alike."""
    words = [os.fsdecode(word) for word in cli.prefix] + list(args)
    assert shlex.join(words) == " ".join(words)
    return " ".join(words)


def run(cli: Runner, shell: Shell, script: str, **options: object) -> Result:
    """Run a script in a shell, with the runner's environment; what it prints is a value's."""
    return cli.with_prefix(*shell.words)(script, reveals=True, **options)  # type: ignore[arg-type]
