"""What is said to all of an owner's agents on this machine at once: lock, and reload.

Each is told by a thread of its own, because one that is stopped keeps its caller waiting for 10 s, and no other
should hold its keys for as long.
"""

import json
import threading

from agentkeys import client
from agentkeys.errors import AgentkeysError, NoAgent, OutcomeUnknown


class Told:
    """One agent and what it answered."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.reply: list[memoryview] | None = None
        """None when it is gone, or failed."""
        self.fault: AgentkeysError | None = None


def tell(root: str, owner: str, verb: bytes) -> "list[Told]":
    """Ask every live agent of the owner; those that are gone are left out."""
    told = [Told(path) for path in client.agent_sockets(root, owner)]
    threads = [threading.Thread(target=_ask, args=(one, owner, verb), daemon=True) for one in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [one for one in told if one.reply is not None or one.fault is not None]


def _ask(one: Told, owner: str, verb: bytes) -> None:
    try:
        connection = client.Connection(one.path, owner)
        one.reply = connection.ask(verb)
        connection.close()
    except (NoAgent, OutcomeUnknown):
        return  # it is gone, and so is what it held
    except AgentkeysError as fault:
        one.fault = fault


def lock(root: str, owner: str, as_json: bool) -> int:
    """Make them forget everything, and say how many did. Raises what one of them failed with, after all were told."""
    told = tell(root, owner, b"relock")
    done = [one.reply for one in told if one.reply is not None]
    slugs = sorted({str(value, "ascii") for reply in done for value in reply[1::2]})
    if as_json:
        code = client.write_out(json.dumps({"agents": len(done), "locked": slugs}).encode("ascii") + b"\n")
    elif told:
        keys = f"{_count(len(slugs), 'key')} forgotten" if slugs else "nothing was unlocked"
        code = client.write_out(f"locked {_count(len(done), 'agent')} of {owner}: {keys}\n".encode("ascii"))
    else:
        code = client.write_out(f"no agent for {owner}, so nothing was unlocked\n".encode("ascii"))
    _raise_first(told)
    return code


def reload(root: str, owner: str) -> int:
    """Make them read config.toml again. Raises NoAgent when there is none, and what one of them failed with."""
    told = tell(root, owner, b"reload")
    if not told:
        raise NoAgent(f"no agent for {owner}", f'eval "$(agentkeys agent --for {owner})"')
    _raise_first(told)
    return client.write_out(f"{_count(len(told), 'agent')} of {owner} read config.toml again\n".encode("ascii"))


def _raise_first(told: "list[Told]") -> None:
    for one in told:
        if one.fault is not None:
            raise one.fault


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
