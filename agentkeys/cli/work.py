"""Handing a job to a worker, and finding out whom it is for."""

import os
import posix
from collections.abc import Callable

from agentkeys import paths, procs
from agentkeys.cli.values import prompt_hidden
from agentkeys.client import chosen_owner, owner_of
from agentkeys.client.connection import Connection, agent_sockets
from agentkeys.client.near import no_owner, owners
from agentkeys.errors import AgentkeysError, Denied, Locked, NoAgent, TimedOut, UsageFault
from agentkeys.wire import WireError
from agentkeys.worker.job import Answer, encode, encode_fault, gather, read_question

DEADLINE = 60.0
"""Seconds for a job that asks nobody anything; it takes 30 ms."""

SCRIPT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/worker/__main__.py"


def work(name: str, fields: "list[tuple[str, bytes | str]]", ask: "Callable[[str], bytes]" = prompt_hidden) -> Answer:
    """Run one job. Raises what the worker answered, TimedOut, or AgentkeysError when it died.

    `ask` puts the worker's question to the person, and raises AgentkeysError when there is nobody to answer it.
    """
    with procs.Worker(SCRIPT) as worker:
        worker.send(encode(name, [*fields, *_from_environment()]))
        while True:
            try:
                message = gather(lambda: worker.receive(DEADLINE))
                question = read_question(message)
            except WireError:
                raise AgentkeysError("the worker's answer is no message") from None
            if question is None:
                return Answer(message)
            worker.send(_reply(*question, ask))


def _from_environment() -> "list[tuple[str, bytes | str]]":
    """What the caller's environment says of identities; a worker has none of its own.

    The identity travels in the pipe. It stays in our own environment until we exit, as every variable does.
    """
    found: list[tuple[str, bytes | str]] = [("config", paths.config_file(posix.environ))]
    if b"AGENTKEYS_IDENTITY" in posix.environ:
        found.append(("identity", posix.environ[b"AGENTKEYS_IDENTITY"]))
    store = paths.env_text(posix.environ, b"AGENTKEYS_SESSION_STORE")
    if store not in ("", "file", "keychain"):
        raise UsageFault("AGENTKEYS_SESSION_STORE is neither file nor keychain", "unset AGENTKEYS_SESSION_STORE")
    if store:
        found.append(("store", store))
    return found


def _reply(kind: str, text: str, ask: "Callable[[str], bytes]") -> bytes:
    """Ask the person at the terminal for the worker, or our environment."""
    if kind == "variable":
        value = posix.environ.get(paths.to_bytes(text))
        return encode("ok", [] if value is None else [("value", value)])
    try:
        return encode("ok", [("text", ask(text))])
    except AgentkeysError as fault:
        return encode_fault(Locked(f"{text.rstrip(': ')} is wanted, and {fault.message}", "agentkeys unlock"))


def home() -> str:
    """The persistent root, ours. Raises Denied when it is another user's."""
    root = paths.home(posix.environ)
    paths.require_own_home(root)
    return root


def owner_named(root: str, text: str) -> str:
    """The owner that --for (or the default) means. Raises UsageFault for no such wallet or an impossible name."""
    chosen = chosen_owner(posix.environ, text)
    owner = owner_of(root, chosen)
    return owner or work("resolve", [("home", root), ("text", chosen)]).text("owner")


def require_owner(root: str, owner: str) -> None:
    """Raise UsageFault, naming who is there, when there is no such owner."""
    if owner not in owners(root):
        raise no_owner(root, owner)


def no_agent(root: str, owner: str, fault: NoAgent) -> AgentkeysError:
    """The best that can be said when no agent answers: no such owner, or other agents of it, or how to start one."""
    require_owner(root, owner)
    others = [path for path in agent_sockets(root, owner) if _answers(path, owner)]
    if not others:
        return fault
    which = "is another agent" if len(others) == 1 else "are other agents"
    return NoAgent(f"{fault.message}; there {which} of {owner} at {', '.join(others)}", fault.hint)


def _answers(path: str, owner: str) -> bool:
    """Whether an agent of ours listens at `path`, or something that keeps us waiting as one would."""
    try:
        Connection(path, owner).close()
    except (NoAgent, Denied):
        return False
    except TimedOut:
        return True  # stopped, with a full queue
    return True
