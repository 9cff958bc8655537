"""What is said to all of an owner's agents on this machine at once: lock, open and reload.

Each is told by a thread of its own, because one that is stopped keeps its caller waiting for 10 s, and no other
should hold its keys for as long.
"""

import json
import os
import threading

from agentkeys import client
from agentkeys.client.connection import Connection, agent_sockets
from agentkeys.core.padlock import SALT_SIZE
from agentkeys.errors import LOCKED, USAGE, AgentkeysError, NoAgent, OutcomeUnknown


class Told:
    """One agent and what it answered."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.reply: list[memoryview] | None = None
        """None when it is gone, or failed."""
        self.fault: AgentkeysError | None = None


def tell(root: str, owner: str, verb: bytes, *pairs: bytes) -> "list[Told]":
    """Ask every live agent of the owner; those that are gone are left out."""
    told = [Told(path) for path in agent_sockets(root, owner)]
    threads = [threading.Thread(target=_ask, args=(one, owner, verb, pairs), daemon=True) for one in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [one for one in told if one.reply is not None or one.fault is not None]


def _ask(one: Told, owner: str, verb: bytes, pairs: "tuple[bytes, ...]") -> None:
    try:
        connection = Connection(one.path, owner)
        one.reply = connection.ask(verb, *pairs, waits=bool(pairs))
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


def unlocked(root: str, owner: str) -> "list[str]":
    """The slugs that they hold, sorted."""
    replies = [one.reply for one in tell(root, owner, b"status", b"format", b"json") if one.reply is not None]
    keys = [key for reply in replies for key in json.loads(bytes(reply[1]))["keys"]]
    return sorted({key["slug"] for key in keys if key["state"] == "unlocked"})


def close(root: str, owner: str, passphrase: bytes, as_json: bool) -> int:
    """Lock them by a passphrase: they keep what they hold and serve nothing. Raises as lock(), and NoAgent."""
    told = _told(root, owner, b"lock", b"passphrase", passphrase, b"salt", os.urandom(SALT_SIZE))
    code = _report(told, owner, as_json, "locked", "nothing is served until: agentkeys lock --open")
    client.note(f"should you forget it: agentkeys agent -k --for {owner}, then start and unlock a new agent")
    return code


def open_(root: str, owner: str, passphrase: bytes, as_json: bool) -> int:
    """Have those that are locked serve again. Raises as lock(), and NoAgent."""
    told = _told(root, owner, b"open", b"passphrase", passphrase)
    return _report(told, owner, as_json, "opened", "what they hold is served again")


def _told(root: str, owner: str, verb: bytes, *pairs: bytes) -> "list[Told]":
    told = tell(root, owner, verb, *pairs)
    if not told:
        raise NoAgent(f"no agent for {owner}", f'eval "$(agentkeys agent --for {owner})"')
    return told


def _report(told: "list[Told]", owner: str, as_json: bool, done: str, then: str) -> int:
    """Say how many did it. Those that were so already are no failure where another one wasn't."""
    number = len([one for one in told if one.reply is not None])
    if not number:
        _raise_first(told)
    for one in told:
        if one.fault is not None and one.fault.exit_code not in (LOCKED, USAGE):
            raise one.fault
    if as_json:
        return client.write_out(json.dumps({"agents": number}).encode("ascii") + b"\n")
    return client.write_out(f"{done} {_count(number, 'agent')} of {owner}: {then}\n".encode("ascii"))


def reload(root: str, owner: str) -> int:
    """Make them read config.toml again. Raises NoAgent when there is none, and what one of them failed with."""
    told = _told(root, owner, b"reload")
    _raise_first(told)
    return client.write_out(f"{_count(len(told), 'agent')} of {owner} read config.toml again\n".encode("ascii"))


def _raise_first(told: "list[Told]") -> None:
    for one in told:
        if one.fault is not None:
            raise one.fault


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
