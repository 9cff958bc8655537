"""`agentkeys agent` typed at the prompt of each real shell; test_conformance.py says which promises that is."""

from collections.abc import Iterator

import pytest

from tests.agent.seat import Seat, eventually
from tests.shell.prompt import INTERACTIVE, Prompt
from tests.shell.shells import line, shell_named


@pytest.fixture(params=INTERACTIVE)
def prompt(request: pytest.FixtureRequest, rack: Seat) -> Iterator[Prompt]:
    """Each shell in turn, at its prompt; no agent yet."""
    found = Prompt(request.param, rack)
    yield found
    found.child.close(force=True)


def take(prompt: Prompt, *args: str) -> int:
    """Type the line that runs what `agentkeys agent …` prints; its exit code."""
    prompt.type(shell_named(prompt.name).take.format(line(prompt.seat.cli, "agent", *args)))
    return prompt.code()


def exported(prompt: Prompt) -> bytes:
    """What a child of that shell has."""
    return prompt.after("sh -c 'echo \"<$AGENTKEYS_SOCK $AGENTKEYS_AGENT_PID $AGENTKEYS_OWNER>\"'")


def test_an_agent_comes_and_goes_in_somebodys_shell(prompt: Prompt) -> None:
    """A failing start exports nothing; one starts, the next finds it; -k unsets all, and a second one fails."""
    nothing = b"<  >"
    assert take(prompt, "--for", "nosuch") != 0
    assert exported(prompt) == nothing
    assert take(prompt) == 0
    there = f"<{prompt.seat.socket} {prompt.seat.pid} human>".encode()
    assert exported(prompt) == there
    assert take(prompt) == 0
    assert exported(prompt) == there
    assert len(prompt.seat.home.agents()) == 1
    assert take(prompt, "-k") == 0
    assert exported(prompt) == nothing
    assert take(prompt, "-k") != 0
    assert exported(prompt) == nothing
    assert prompt.seat.status() is None


@pytest.mark.parametrize(
    ("command", "code"), [("sh -c 'exit 7'", 7), ("/nonexistent/x", 127), ("sh -c 'kill $$'", 143)]
)
def test_an_agent_for_one_command_ends_as_that_does(command: str, code: int, prompt: Prompt) -> None:
    """The shell sees the command's own end, and no agent is left."""
    prompt.type(f"{line(prompt.seat.cli, 'agent')} -- {command}")
    assert prompt.code() == code
    eventually(lambda: not prompt.seat.home.agents())
