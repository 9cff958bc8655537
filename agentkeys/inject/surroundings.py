"""`agentkeys env`: what a shell should know of where it stands, and, for a hook, what it should do about it.

References only: owner, socket, project and state. The keys themselves come to a hook alone, and only where the
operator's config.toml says `inject`; the agent decides that. Nothing is started or decrypted, nobody is asked anything,
and an agent that doesn't answer is not waited for.
"""

import posix

from agentkeys import client, errors, paths
from agentkeys.client import Caller, Options, ask_keys, settle_repo
from agentkeys.client.connection import Connection
from agentkeys.errors import AgentkeysError, Denied, NoAgent, OutcomeUnknown, UsageFault
from agentkeys.inject.calls import Calls, of_dialect
from agentkeys.inject.dialects import DIALECTS
from agentkeys.inject.loaded import NAME as LOADED
from agentkeys.inject.loaded import Loaded, note

PATIENCE = 0.15
"""Seconds for a prompt to wait for an agent, which needs 20 µs; a person notices 200 ms."""

OWNER, SOCK, PROJECT, STATE = "AGENTKEYS_OWNER", "AGENTKEYS_SOCK", "AGENTKEYS_PROJECT", "AGENTKEYS_STATE"

STATES = {errors.LOCKED: "locked", errors.ABSENT: "absent", errors.DENIED: "denied", errors.TIMED_OUT: "no-answer"}
"""What an agent's refusal means, by its exit code; any other is `error`."""


class Found:
    """Where the shell stands."""

    def __init__(self) -> None:
        self.owner = ""
        self.sock = ""
        """Of the agent that answered, or that the user named; empty without one."""
        self.manifest = ""
        """The repository's."""
        self.project = ""
        """The directory of the manifest."""
        self.state = ""
        """What `agentkeys exec` would meet here: unlocked, or one word for why not."""
        self.values: list[tuple[str, bytes]] = []
        """The keys that the agent gave, by variable."""
        self.fault: AgentkeysError | None = None
        """Why not, where a person should know."""
        self.watch = (b"", b"", b"")
        """See Calls.watch."""


def env(options: Options) -> int:
    """Print it. Raises Denied in somebody else's home."""
    marks = prepare()
    if options.hook:
        return _tell(options, marks)
    dialect = DIALECTS[options.shell or client_shell(marks.environ)]
    options.word = True
    wanted = references(look(options))
    return client.write_out(
        dialect.join([dialect.export(name, text) if text else dialect.unset(name) for name, text in wanted.items()])
    )


def prepare() -> Loaded:
    """Have little patience with agents, and take nothing for a wish of the user's that the hook has set."""
    Connection.patience = PATIENCE
    marks = Loaded(dict(posix.environ), paths.home(posix.environ))
    for raw in (OWNER.encode(), SOCK.encode()):
        if marks.is_ours(raw):
            del posix.environ[raw]
    return marks


def client_shell(environ: "dict[bytes, bytes]") -> str:
    """The dialect of the calling shell."""
    from agentkeys.client import shells

    return shells.calling_shell(environ)


def references(found: Found) -> "dict[str, bytes]":
    """The variables and what they should hold; empty for not at all."""
    texts = {OWNER: found.owner, SOCK: found.sock, PROJECT: found.project, STATE: found.state}
    return {name: paths.to_bytes(text) for name, text in texts.items()}


def look(options: Options) -> Found:
    """Ask around. Raises Denied in somebody else's home, Unclear for an owner that only the explaining path knows."""
    caller = Caller(options)
    found = Found()
    found.owner = caller.owner
    found.sock = caller.explicit
    file = paths.epoch_file(caller.root, caller.owner)
    sign = paths.epoch_sign(file)  # before the question, so that no change after it is missed
    found.watch = (paths.to_bytes(sign), b"" if sign else paths.to_bytes(file), b"")
    manifest = "" if options.no_repo else paths.repo_manifest(caller.environ)
    found.manifest, found.project = manifest, manifest.rpartition("/")[0] or manifest[:1]
    try:
        settle_repo(caller, options)
    except AgentkeysError as fault:
        found.state = "not-allowed" if fault.exit_code == errors.DENIED else "error"
        found.fault = fault
        return found
    if manifest and sign and posix.stat(manifest).st_mtime_ns < posix.stat(sign).st_mtime_ns:
        found.watch = (found.watch[0], b"", paths.to_bytes(manifest))
    try:
        connection = caller.connect()
        found.sock = connection.path
        answered = ask_keys(connection, b"hook", caller, options)
        found.state = "unlocked"
        found.values = [(str(answered[at], "ascii"), bytes(answered[at + 1])) for at in range(0, len(answered) - 1, 2)]
    except (NoAgent, OutcomeUnknown):
        found.state = "no-agent"
    except AgentkeysError as fault:
        found.state = STATES.get(fault.exit_code, "error")
        found.fault = fault
    return found


# --- for a hook ---------------------------------------------------------------------------------------------------


def _tell(options: Options, marks: Loaded) -> int:
    """Print the calls that bring a shell from what it holds to what it should hold, and say what that is."""
    from agentkeys.client import shells

    calls = of_dialect(shells.dialect_of(shells.hook_of(options.hook)))
    options.word = not calls.takes_keys
    found = Found() if options.off else look(options)
    statements, said = _changes(calls, marks, found)
    if not options.off:
        statements.append(calls.watch(*found.watch))
    code = client.write_out(calls.text(statements))
    _speak(marks, found, said, options.off)
    return code


def _changes(calls: Calls, marks: Loaded, found: Found) -> "tuple[list[bytes], list[str]]":
    """The statements, and what to say of the keys among them.

    First what goes, then the note of what is set, then what comes: a shell that is interrupted in between holds no key
    that the note doesn't name.
    """
    goes, said = _going(calls, marks, found)
    comes, digests, more = _coming(calls, marks, found)
    for name, value in references(found).items():
        raw = name.encode("ascii")
        if name in (OWNER, SOCK):
            if raw in marks.environ and not marks.is_ours(raw):
                continue  # the user's own
            if value:
                digests[raw] = marks.digest(raw, value)
        if value != marks.environ.get(raw, b""):
            goes.append(calls.set(name, value))
    noted = note(digests)
    if noted != marks.environ.get(LOADED, b""):
        goes.append(calls.set(LOADED.decode("ascii"), noted))
    return [*goes, *comes], [*said, *more]


def _going(calls: Calls, marks: Loaded, found: Found) -> "tuple[list[bytes], list[str]]":
    wanted = [name.encode("ascii") for name, _ in found.values]
    statements, said = [], []
    for name in marks.digests:
        if name in wanted or name in (OWNER.encode(), SOCK.encode()):
            continue
        if marks.is_ours(name):
            statements.append(calls.drop(name))
            said.append(f"-{name.decode('ascii')}")
        else:
            statements.append(calls.forget(name))
    return statements, said


def _coming(calls: Calls, marks: Loaded, found: Found) -> "tuple[list[bytes], dict[bytes, bytes], list[str]]":
    statements, said = [], []
    digests: dict[bytes, bytes] = {}
    for text, value in found.values if calls.takes_keys else ():
        name = text.encode("ascii")
        old, new = marks.digests.get(name), marks.digest(name, value)
        if old is not None and not marks.is_ours(name):
            digests[name] = old  # changed by the user, and theirs for as long as they are here
            continue
        if old != new:
            try:
                statements.append(calls.take(text, value, name in marks.environ))
            except (Denied, UsageFault) as fault:
                said.append(f"without {text}: {fault.message}")
                continue
            said.append(f"+{text}")
        digests[name] = new
    return statements, digests, said


def _speak(marks: Loaded, found: Found, said: "list[str]", off: bool) -> None:
    """Say on stderr what changed; nothing when nothing did."""
    if said:
        client.note(", ".join(said))
    before = [paths.env_text(marks.environ, name.encode("ascii")) for name in (STATE, PROJECT)]
    if found.fault is None or off or before == [found.state, found.project]:
        return
    quiet = found.state == "absent" or (found.state == "locked" and not found.project)
    if not quiet:
        client.note(found.fault.message)
        if found.fault.hint:
            client.note(f"hint: {found.fault.hint}")
