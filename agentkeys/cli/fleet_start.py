"""`agent --all`: every owner's agent started or found, side by side, and a line for each.

    mechanic   started  pid 4242, 2 keys unlocked
    human      runs     pid 77, left as it is: its identity wants a passphrase

Nobody is asked anything: what needs a person is left locked, and is no failure.
"""

import os
import posix
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from agentkeys import client, errors
from agentkeys.cli import one_agent, start
from agentkeys.cli.agent_options import AgentOptions
from agentkeys.cli.work import work
from agentkeys.client.near import owners
from agentkeys.errors import AgentkeysError, Locked, UsageFault
from agentkeys.setup.service import HUMAN
from agentkeys.stores.card import read_card

AT_ONCE = 2 * (os.cpu_count() or 1)
"""Starts under way at the same time: each is two processes that mostly wait for the disk or for one another."""


class Outcome:
    """What became of one owner's agent."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.word = "failed"
        self.detail = ""
        self.code = errors.OK
        self.hint = ""
        self.question = ""
        """What a worker wanted to ask a person."""


def start_all(options: AgentOptions, root: str) -> int:
    """Start them, and print a line as soon as each is known, in the order of names; the highest of their exit codes.

    Raises UsageFault without owners, AgentkeysError when stdout is full.
    """
    names = owners(root)
    if not names:
        raise UsageFault("no owner here yet", "agentkeys init")
    outcomes = report_each(names, lambda name: _start(options, root, name))
    if any(outcome.word == "started" for outcome in outcomes):
        note = start.whom_it_serves(one_agent.site_of(options, root, names[0]))
        if note:
            client.note(note.replace("this agent", "these agents"))
    return max(outcome.code for outcome in outcomes)


def report_each(names: "list[str]", act: Callable[[str], Outcome]) -> "list[Outcome]":
    """Act for each owner, several at the same time; all outcomes, each printed as soon as those before it are."""
    width = max(map(len, names))
    outcomes = []
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for outcome in pool.map(act, names):
            outcomes.append(outcome)
            line = client.printable(f"{outcome.owner:<{width}}  {outcome.word:<7}  {outcome.detail}".rstrip())
            client.write_out(f"{line}\n".encode("utf-8", "replace"))
            if outcome.hint:
                client.note(f"hint: {outcome.hint}")
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C those under way end, and no other begins
    return outcomes


def _start(options: AgentOptions, root: str, owner: str) -> Outcome:
    outcome = Outcome(owner)
    try:
        site = one_agent.site_of(options, root, owner)
        site.quiet = True
        connection = start.start_agent(site)
        pid, path = connection.pid, connection.path
        connection.close()
        outcome.word = "started" if site.started else "runs"
        outcome.detail = f"pid {pid}"
        if options.unlock or options.auto_unlock:
            outcome.detail += f", {_unlock(options, root, outcome, path)}"
    except AgentkeysError as fault:
        outcome.code, outcome.hint = fault.exit_code, fault.hint
        outcome.detail += f"{', ' if outcome.detail else ''}{fault.message}"
    return outcome


def _unlock(options: AgentOptions, root: str, outcome: Outcome, path: str) -> str:
    """Unlock what needs nobody; what to say of it. Raises what the worker answered."""
    card = read_card(root, outcome.owner)
    why = HUMAN.get(card.via, "") if card is not None else ""
    if why and b"AGENTKEYS_IDENTITY" not in posix.environ:
        return f"left as it is: {why}"

    def nobody(question: str) -> bytes:
        outcome.question = question.rstrip(": ")
        raise Locked("nobody is asked here")

    try:
        answer = work("unlock", one_agent.unlock_fields(options, root, outcome.owner, path), nobody)
    except AgentkeysError as fault:
        if outcome.question:
            return f"left as it is: {outcome.question} is wanted"
        if options.auto_unlock and fault.exit_code == errors.USAGE:
            return f"left as it is: {fault.message}"  # an automatic unlock asks nobody
        raise
    said = f"{one_agent.keys_brought(answer)} unlocked"
    undone = len(answer.texts("undone"))
    if undone:
        said += f", {undone} not"
    code = int(answer.text("code"))
    if code not in (errors.OK, errors.DENIED):
        outcome.code, outcome.hint = code, f"agentkeys unlock --for {outcome.owner}"
    return said
