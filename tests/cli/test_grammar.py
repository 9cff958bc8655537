"""A plain command line is read without typer, and exactly as typer would; anything else is left to it."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkeys.cli.app import FAMILIES
from agentkeys.cli.grammar import Command, Family, Option
from tests.agent.seat import Seat


def commands() -> "Iterator[tuple[str, Command]]":
    """Every verb of the program, by all of its words."""
    for verb, module in FAMILIES.items():
        family = importlib.import_module(f"agentkeys.cli.{module}").app
        if verb in family.commands:
            yield verb, family.commands[verb]
        else:
            yield from ((f"{verb} {name}", command) for name, command in family.groups[verb].commands.items())


COMMANDS = dict(commands())

DAILY = """
init · set PLAIN --from-env HOME --env prod --json · list --json · unlock --for human GITHUB_TOKEN --duration=5m
del PLAIN --env prod · lock · owner list · owner show human --json · recipient get · status --for human --json
agent -k · status · relock --json
"""
"""What people and scripts type; the last two find no agent, which `client` leaves to the explaining path."""


def test_a_daily_verb_loads_no_typer(locked: Seat) -> None:
    """It would be half of what the verb takes."""
    program = locked.cli.with_prefix(sys.executable, "-X", "importtime", "-m", "agentkeys")
    for line in [line.strip() for line in DAILY.replace("\n", " · ").split(" · ") if line.strip()]:
        done = program(*line.split(), check=True)
        imported = [row.rpartition(b"|")[2].strip() for row in done.err.splitlines() if row.startswith(b"import time")]
        assert b"agentkeys.cli.app" in imported or line.startswith("status --for"), line
        assert [name for name in imported if name.startswith((b"typer", b"click", b"rich"))] == [], line


Read = Callable[["list[str]"], "dict[str, object]"]


def typers(command: Command) -> Read:
    """What typer hands to the verb's function for the words of a command line. Raises what typer does."""
    family = Family()
    copy = family.commands["verb"] = Command(command.function, command.settings)
    app = family.as_typer()
    seen: list[dict[str, object]] = []
    copy.function = lambda **values: seen.append(values)

    def read(words: "list[str]") -> "dict[str, object]":
        seen.clear()
        app(args=["verb", *words], prog_name="agentkeys", standalone_mode=False)
        return seen[0]

    return read


TYPERS = {verb: typers(command) for verb, command in COMMANDS.items()}

WORDS = st.sampled_from(["NAME", "prod", "", "a=b", "é", "x y", "-", "-x", "--", "--json", "--for", "acme.prod.NAME"])


@st.composite
def lines(draw: st.DrawFn, command: Command) -> "list[str]":
    """A command line of the verb's own options in any order, with values and words that are mostly harmless."""
    told = [getattr(it, "__metadata__", ("",))[0] for it in command.function.__annotations__.values()]
    names = [name for it in told if isinstance(it, Option) for name in it.names]
    line: list[str] = []
    for _ in range(draw(st.integers(0, 5))):
        name = draw(st.sampled_from(names)) if names else "--json"
        kind = draw(st.sampled_from(["alone", "with value", "joined", "word"]))
        if kind == "word":
            line.append(draw(WORDS))
        else:
            line += [f"{name}={draw(WORDS)}"] if kind == "joined" else [name]
            line += [draw(WORDS)] if kind == "with value" else []
    return line


@pytest.mark.parametrize("verb", COMMANDS)
def test_what_is_read_plainly_is_what_typer_reads(verb: str) -> None:
    """Whatever the line, and whatever its order: the same values for the same parameters, or none at all."""
    command = COMMANDS[verb]
    defaults = {name: it.default for name, it in inspect.signature(command.function).parameters.items()}

    @settings(max_examples=40, deadline=None)
    @given(lines(command))
    def same(line: "list[str]") -> None:
        plainly = command.read(line)
        if plainly is not None:
            known = {name: plainly.get(name, default) for name, default in defaults.items()}
            assert {name: value or None for name, value in TYPERS[verb](line).items()} == {
                name: value or None for name, value in known.items()
            }

    same()


UNUSUAL = [
    "--help", "-h", "NAME -h", "--key", "--key --json", "--unknown", "--for a --owner b", "--json=1", "-- NAME",
    "NAME NAME", "-j", "--vaul os.direct", "--", "-",
]  # fmt: skip


@pytest.mark.parametrize("line", UNUSUAL)
def test_what_is_not_plain_is_left_to_typer(line: str) -> None:
    """Help, mistakes, abbreviations, an option said twice: it knows what to say."""
    assert COMMANDS["del"].read(line.split(" ")) is None


def test_a_verb_of_its_own_rules_is_left_to_typer() -> None:
    """exec stops at the first word of its command, and a parameter that isn't declared here is nobody's but typer's."""

    def verb(plain: int = 0) -> None:
        """Nothing."""

    assert COMMANDS["exec"].read(["--for", "human", "true"]) is None
    assert Command(verb, None).read([]) is None
