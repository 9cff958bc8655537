"""Handing a job to a worker, and finding out whom it is for."""

import os
import posix
from collections.abc import Callable

from agentkeys import client, paths, procs
from agentkeys.cli.values import prompt_hidden
from agentkeys.client import chosen_owner, owner_of
from agentkeys.client.connection import Connection, agent_sockets
from agentkeys.client.near import no_owner, owners
from agentkeys.errors import AgentkeysError, Denied, Locked, NoAgent, TimedOut, UsageFault, VaultFault
from agentkeys.wire import WireError
from agentkeys.worker.job import Answer, encode, encode_fault, gather, read_question

DEADLINE = 90.0
"""Seconds between two words of a job; it takes 30 ms, and a person before the keychain's dialog has 60 s."""

ATTENDED = frozenset(
    "init set import del list unlock alias remove recipient-set recipient-del recipient-get restore session-choose"
    " session-move session-clear".split()
)
"""Jobs in which a person may be asked to unlock the keychain; what looks or renews by the way asks nobody."""

KEY_BEGINS = ("age1", "ssh-", "AGE-SECRET-KEY-", "-----BEGIN ")
"""How a key begins, a private one too, which is refused later without being repeated as a path would be."""

DIALOG_OPENS = "the keychain is locked: unlock it in the window that opens on your desktop, within 60 s"

AT_A_TERMINAL = "run the same command at a terminal"

SCRIPT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/worker/__main__.py"


def work(name: str, fields: "list[tuple[str, bytes | str]]", ask: "Callable[[str], bytes]" = prompt_hidden) -> Answer:
    """Run one job. Raises what the worker answered, TimedOut, or AgentkeysError when it died.

    `ask` puts the worker's question to the person, and raises AgentkeysError when there is nobody to answer it. Only
    with the usual one may the keychain open its dialog.
    """
    attended = name in ATTENDED and ask is prompt_hidden and is_attended()
    with procs.Worker(SCRIPT) as worker:
        worker.send(encode(name, [*fields, *_from_environment(), *([("person", "1")] if attended else [])]))
        while True:
            try:
                message = gather(lambda: worker.receive(DEADLINE))
                question = read_question(message)
            except WireError:
                raise AgentkeysError("the worker's answer is no message") from None
            if question is None:
                return Answer(message)
            worker.send(_reply(*question, ask))


def is_attended() -> bool:
    """Whether a person is there to answer a dialog: who sees our stderr, or sits at a display.

    What a service manager started itself (systemd.exec(5), $SYSTEMD_EXEC_PID) is nobody's, also on a desktop.
    """
    if posix.environ.get(b"SYSTEMD_EXEC_PID") == str(os.getpid()).encode("ascii"):
        return False
    return os.isatty(2) or any(posix.environ.get(name) for name in (b"DISPLAY", b"WAYLAND_DISPLAY"))


def require_keychain() -> None:
    """Raise VaultFault or TimedOut where no keychain takes anything, before somebody types a value for it."""
    state = work("probe", []).text("state")
    if state == "silent":
        raise TimedOut("the keychain doesn't answer", "agentkeys doctor")
    if state == "empty":
        raise VaultFault("the keychain has no default collection", "log in to the desktop once, then again")
    if state == "absent":
        raise VaultFault("no keychain answers here", "agentkeys set NAME --vault os.secure")


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
    if kind == "dialog":
        client.note(DIALOG_OPENS)
        return encode("ok", [])
    try:
        return encode("ok", [("text", ask(text))])
    except AgentkeysError as fault:
        return encode_fault(Locked(f"{text.rstrip(': ')} is wanted, and {fault.message}", AT_A_TERMINAL))


def absolute(path: str) -> str:
    """A path for a worker, which stands in another directory."""
    return os.path.abspath(os.path.expanduser(path))


def key_or_path(text: str) -> str:
    """What --pubkey names, for a worker: a public key as it is, a path from the root on."""
    is_key = "\n" in text or text.startswith(KEY_BEGINS)
    return absolute(text) if text and not is_key else text


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


def owner_here(root: str, text: str) -> str:
    """The owner that --for (or the default) means, who is in this home. Raises UsageFault, naming who is."""
    owner = owner_named(root, text)
    require_owner(root, owner, text)
    return owner


def require_owner(root: str, owner: str, asked: "str | None" = None) -> None:
    """Raise UsageFault, naming who is there, when there is no such owner. `asked` is what --for said, if it's known."""
    if owner not in owners(root):
        raise no_owner(root, owner, asked)


def no_agent(root: str, owner: str, fault: NoAgent, asked: "str | None" = None) -> AgentkeysError:
    """The best that can be said when no agent answers: no such owner, or other agents of it, or how to start one."""
    require_owner(root, owner, asked)
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
