"""`agent --all -k`: every owner's agent stopped, side by side, and a line for each.

    human      none
    mechanic   stopped  pid 4242

It is the agent that `agent --all` would find. One of `agent -a` or `agent --` is its starter's to end, and one of
another login session is that login's.
"""

import posix

from agentkeys.cli import one_agent
from agentkeys.cli.fleet_start import Outcome, report_each
from agentkeys.client.connection import discover
from agentkeys.client.near import owners
from agentkeys.errors import AgentkeysError, NoAgent, UsageFault


def stop_all(root: str) -> int:
    """Stop them; the highest exit code. Where none runs that is no failure. Raises UsageFault without owners."""
    names = owners(root)
    if not names:
        raise UsageFault("no owner here yet", "agentkeys init")
    return max(outcome.code for outcome in report_each(names, lambda name: _stop(root, name)))


def _stop(root: str, owner: str) -> Outcome:
    outcome = Outcome(owner)
    try:
        connection = discover(posix.environ, root, owner)
        outcome.detail = f"pid {connection.pid}"
        one_agent.stop(connection)
        outcome.word = "stopped"
    except NoAgent:
        outcome.word, outcome.detail = "none", ""
    except AgentkeysError as fault:
        outcome.code, outcome.hint = fault.exit_code, fault.hint
        outcome.detail += f"{', ' if outcome.detail else ''}{fault.message}"
    return outcome
