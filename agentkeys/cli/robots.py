"""Which robot a start resumes when none is named, and what an agent is told of its owner's session.

An agent is told public facts alone: where the session is kept and until when, never the token.
"""

import posix
import time

from agentkeys import client, paths
from agentkeys.cli.work import owner_named, require_owner, work
from agentkeys.core import session
from agentkeys.errors import AgentkeysError
from agentkeys.stores import slots
from agentkeys.stores.card import read_card


def resumed(root: str, text: str) -> str:
    """The owner whose session a robot's start resumes: the one that is named, or the only robot that has one.

    Raises Absent where there is none, UsageFault where there are several, and why the session can't be had.
    """
    named = text or paths.env_text(posix.environ, b"AGENTKEYS_OWNER")
    owner = owner_named(root, named) if named else ""
    if owner:
        require_owner(root, owner)
    answer = work("session-choose", [("home", root), ("owner", owner)])
    if not owner:
        client.note(f"{answer.text('owner')} is the robot here, wallet {answer.text('wallet')}")
    return answer.text("owner")


def start_arguments(root: str, owner: str) -> "list[str]":
    """Of an agent's command line, which is public: what it says of the session. One that is half over is renewed."""
    slot = _slot(root, owner)
    if slot is not None and slot.half_over(int(time.time())):
        try:
            work("session-renew", [("home", root), ("session", slot.id)])
        except AgentkeysError as fault:
            client.note(f"the session of {owner} wasn't renewed: {fault.message}")
        slot = _slot(root, owner)
    return [word for name, value in _facts(slot) for word in (f"--session-{name}", value)]


def tell_agents(root: str, owner: str) -> None:
    """Tell the owner's live agents what has become of its session. One that doesn't listen shows the older facts."""
    if owner:
        from agentkeys.cli import all_agents  # threads, which no start needs

        fields = [part for row in _facts(_slot(root, owner)) for part in row]
        all_agents.tell(root, owner, b"session", *[part.encode("ascii", "replace") for part in fields])


def _facts(slot: slots.Slot | None) -> "list[tuple[str, str]]":
    """The fields of the agents' verb `session`; none where there is no session."""
    if slot is None or slot.place == slots.NOWHERE:
        return []
    left = max(0, slot.expires - int(time.time()))
    return [("id", slot.id), ("place", slot.place), ("grant", slot.grant), ("left", str(left))]


def _slot(root: str, owner: str) -> slots.Slot | None:
    """The owner's slot; None also where nothing can be read, which `session doctor` explains and no start fails for."""
    try:
        card = read_card(root, owner)
        return slots.read_slot(root, session.id_of(owner, card.wallet)) if card and card.wallet else None
    except AgentkeysError:
        return None
