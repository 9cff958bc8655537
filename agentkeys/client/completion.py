"""completion: what could stand at a shell's cursor. Never unlocks, prompts or waits; what fails is no candidate.

The shells' own files (shell/completion.*) pass the words before the cursor and the beginning of the one at it, and get
a line for each candidate, a tab between it and what is said of it. A first line that begins with a tab says instead
that the shell knows better: `files`, or `command` and the number of words that are agentkeys' own.
"""

import posix

from agentkeys import paths
from agentkeys.client import Caller, Options, Unclear, write_out
from agentkeys.client.connection import Connection
from agentkeys.client.words import ABOUT, FIXED, TABLE
from agentkeys.errors import AgentkeysError

SHELLS = ("bash", "fish", "zsh")

PATIENCE = 0.25
"""Seconds to wait for an agent, which needs 20 µs: one that is stopped must not stop a person's shell."""

MAX_CANDIDATES = 2000
"""More is of no use to a person, and takes the shell seconds to show."""

FILES = ("FILE", "PATH", "KEY")
"""What stands for a file, in the parser's own words."""

RUN = ("exec", "agent")
"""The verbs behind whose `--` a command of another program stands."""


def run(argv: "list[str]") -> int:
    """`completion SHELL` or `completion words -- WORD…`. Raises Unclear when `agentkeys.cli` should explain."""
    if argv[:2] == ["words", "--"]:
        return complete(argv[2:])
    if len(argv) == 1 and argv[0] in SHELLS:
        return print_file(argv[0])
    raise Unclear


def print_file(shell: str) -> int:
    """Print a shell's own file, unchanged."""
    with open(paths.shipped(f"shell/completion.{shell}"), "rb") as file:
        return write_out(file.read())


def complete(words: "list[str]") -> int:
    """Print the candidates for the last of `words`, those that stand behind `agentkeys`."""
    try:
        found = Line(words).candidates()
    except (AgentkeysError, OSError, Unclear):
        found = []
    return write_out("".join([f"{line}\n" for line in found[:MAX_CANDIDATES]]).encode("utf-8", "surrogateescape"))


class Line:
    """What was typed so far."""

    def __init__(self, words: "list[str]") -> None:
        self.before, self.prefix = words[:-1], words[-1] if words else ""
        self.verb = ""
        self.options: dict[str, str] = {}
        """What kind of value each option of the verb takes, "" for none."""
        self.arguments: list[str] = []
        """The kinds of its arguments; the last may be repeated."""
        self.given: dict[str, str] = {}
        """The values of options so far, by kind."""
        self.wanted = ""
        """The kind of value that the option before the cursor waits for."""
        self.own = 0
        """How many words are agentkeys' own, when a command follows; 0 otherwise."""
        self.at = 0
        """How many arguments stand before the cursor."""
        self._read()

    def _read(self) -> None:
        names = [word for word in self.before[:2] if word[:1] != "-"]
        self.verb = next((verb for verb in (" ".join(names), *names[:1]) if verb in TABLE), names[0] if names else "")
        options, _, arguments = TABLE.get(self.verb, "").partition(":")
        for text in options.split():
            name, _, kind = text.partition("=")
            self.options[name] = kind
        self.arguments = arguments.split()
        for number, word in enumerate(self.before[len(self.verb.split()) :], len(self.verb.split())):
            if self.wanted:
                self.given[self.wanted], self.wanted = word, ""
            elif word == "--" or (self.verb == "exec" and word[:1] != "-"):
                self.own = number + (word == "--") if self.verb in RUN else 0
                return
            elif word[:1] == "-":
                name, equals, value = word.partition("=")
                kind = self.options.get(name, "")
                if equals:
                    self.given[kind] = value
                else:
                    self.wanted = kind
            else:
                self.at += 1

    def candidates(self) -> "list[str]":
        """The lines to print."""
        if self.own:
            return [f"\tcommand\t{self.own}"]
        if not self.before or (not self.verb.count(" ") and self.verb not in TABLE):
            return self._verbs()
        if self.wanted:
            return self._values(self.wanted, "", self.prefix)
        if self.prefix[:1] == "-":
            name, equals, value = self.prefix.partition("=")
            if equals:
                return self._values(self.options.get(name, ""), f"{name}=", value)
            return sorted([name for name in self.options if name.startswith(self.prefix)])
        if not self.arguments:
            return []
        return self._values(self.arguments[min(self.at, len(self.arguments) - 1)], "", self.prefix)

    def _verbs(self) -> "list[str]":
        """Verbs, or the second word of one that has such."""
        first = self.before[0] + " " if self.before else ""
        found = {verb[len(first) :].partition(" ")[0] for verb in TABLE if verb.startswith(first)}
        names = sorted([name for name in found if name.startswith(self.prefix)])
        return [f"{name}\t{ABOUT[first + name]}" if first + name in ABOUT else name for name in names]

    def _values(self, kind: str, put_before: str, prefix: str) -> "list[str]":
        if kind in FILES:
            return ["\tfiles"]
        fixed = FIXED.get(kind, kind.replace("|", " ") if "|" in kind else "")
        found = fixed.split() or self._known(kind, prefix)
        return [put_before + value for value in sorted(set(found)) if value.startswith(prefix)]

    def _known(self, kind: str, prefix: str) -> "list[str]":
        """What only this home and its agent know."""
        if kind == "OWNER":
            return _owners(paths.home(posix.environ))
        if kind not in ("NAME", "ENV", "ORG"):
            return []
        slugs = _slugs(self.given.get("OWNER", ""), self.given.get("PATH", ""))
        orgs, envs, default_env = self._repo()
        if kind == "ENV":
            return [slug.split(".")[1] for slug in slugs] + envs
        if kind == "ORG":
            return [slug.split(".")[0] for slug in slugs] + orgs
        if "." in prefix or prefix[:1] == "@":
            return slugs
        envs = [self.given.get("ENV", default_env), "all"]
        anywhere = self.verb == "relock"  # which takes a name in every env
        return [slug.rpartition(".")[2] for slug in slugs if anywhere or slug.split(".")[1] in envs]

    def _repo(self) -> "tuple[list[str], list[str], str]":
        """(its org, its envs, its default env) of an allowed repository, where the verb goes by that."""
        manifest = paths.repo_manifest(posix.environ) if "--no-repo" in self.options else ""
        if not manifest or "--no-repo" in self.before:
            return [], [], ""
        from agentkeys.client import repo

        try:
            allowed = repo.permission(paths.home(posix.environ), manifest)
        except AgentkeysError:
            return [], [], ""
        return [allowed.org], allowed.envs, allowed.default_env


def _owners(root: str) -> "list[str]":
    """Owners, and their aliases; a wallet is nothing that anybody types."""
    paths.require_own_home(root)
    try:
        return [name for name in posix.listdir(f"{root}/names") if name[:2] != "0x"] + [
            name.removesuffix(".json") for name in posix.listdir(f"{root}/owners") if name.endswith(".json")
        ]
    except OSError:
        return []


def _slugs(owner: str, sock: str) -> "list[str]":
    """The keys that the agent knows of, locked ones too; [] when none answers soon."""
    options = Options("completion")
    options.owner, options.sock = owner, sock
    Connection.patience = PATIENCE
    try:
        fields = Caller(options).connect().ask(b"names")
    except AgentkeysError:
        return []
    return str(fields[1], "ascii").split("\n") if len(fields) > 1 else []
