"""The fast path: find the agent, ask it, print or become the command. Starts nothing and decrypts nothing.

Every `exec` in every script pays for what it loads of this package, so it imports `posix` and `_socket` and nothing
else that start-up doesn't have already; tests/arch/test_fast_path.py holds the list, verb by verb. Whatever isn't
plain (help, a typo, no agent there) is left to `agentkeys.cli`, which can afford to explain.

    connection             find an agent, speak to it
    command                exec: become a program
    verbs                  get, status, relock
    exports, shells        agent: what it prints, and for which shell

Here is what all of them share: what was asked, as whom, and what is said to a person and to a pipe.
"""

import posix

from agentkeys import errors, paths
from agentkeys.client.connection import AgentFault, Connection, discover
from agentkeys.errors import Absent, AgentkeysError, NoAgent, UsageFault

DEFAULT_OWNER = "human"

EVALUATED = ("agent", "env", "hook", "source")
"""The verbs whose output a shell runs, so that a failure must print a command that fails."""


class Options:
    """What was asked on the command line, the same for the fast and the explaining path."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.owner = ""
        """The text after --for, or "" for the default."""
        self.sock = ""
        self.env = ""
        self.org = ""
        self.keys: list[str] = []
        self.wanted: list[str] | None = None
        """In a repository, what an agent is asked for instead of `keys`: NAME=VARIABLE, and flags behind a space."""
        self.json = False
        self.clean_env = False
        self.no_repo = False
        self.shell = ""
        """The dialect to print, or "" for that of the calling shell."""
        self.strict = False
        self.lenient = False
        self.word = False
        """Whether a hook's question is for word of the keys alone, as their values would go nowhere."""
        self.behind = ""
        """A directory in which, and below which, `exec` looks for no program; shims are there."""
        self.hook = ""
        """The shell whose hook asks, or "" for a person."""
        self.off = False
        """Whether the hook is to be taken off."""
        self.command: list[str] = []


def owner_of(root: str, text: str) -> str | None:
    """The owner that a name, alias or wallet stands for; None when only the explaining path can tell."""
    lower = text.lower()
    if lower.startswith("0x"):
        plain = text[2:].isupper() or text[2:].islower() or text[2:].isdigit()
        if not plain or len(text) != 42 or not lower[2:].isalnum():
            return None  # EIP-55's checksum is in the letter case, and needs Keccak
    elif not _may_be_owner(lower):
        return None
    try:
        return posix.readlink(paths.name_link(root, lower))
    except OSError:
        return None if lower.startswith("0x") else lower


def _may_be_owner(name: str) -> bool:
    """The rule of agentkeys.core.refs.is_owner, which this module can't load."""
    plain = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    return plain and len(name) <= 32 and name[0] not in "-_" and name != "agentkeys"


def chosen_owner(environ: "dict[bytes, bytes]", text: str) -> str:
    """The owner's text from --for, else $AGENTKEYS_OWNER, else `human`."""
    return text or paths.env_text(environ, b"AGENTKEYS_OWNER") or DEFAULT_OWNER


def explicit_socket(environ: "dict[bytes, bytes]", options: Options, owner: str, root: str) -> str:
    """--sock, or $AGENTKEYS_SOCK when it is that owner's; "" otherwise. What is explicit is final."""
    if options.sock:
        return options.sock
    sock = paths.env_text(environ, b"AGENTKEYS_SOCK")
    its_owner = paths.env_text(environ, b"AGENTKEYS_OWNER")
    return sock if sock and (not its_owner or owner_of(root, its_owner) == owner) else ""


class Caller:
    """This process's surroundings, read once: environment, home, owner."""

    def __init__(self, options: Options) -> None:
        """Raises Denied in somebody else's home, and Unclear when only the explaining path can go on."""
        self.environ = posix.environ
        self.root = paths.home(self.environ)
        paths.require_own_home(self.root)
        owner = owner_of(self.root, chosen_owner(self.environ, options.owner))
        if owner is None:
            raise Unclear
        self.owner = owner
        self.explicit = explicit_socket(self.environ, options, owner, self.root)
        self._options = options

    def connect(self) -> Connection:
        """The agent to ask. Raises NoAgent."""
        if not self.explicit:
            return discover(self.environ, self.root, self.owner)
        try:
            return Connection(self.explicit, self.owner)
        except NoAgent:
            name, hint = "AGENTKEYS_SOCK", f'eval "$(agentkeys agent --for {self.owner})"'
            if self._options.sock:
                name, hint = "--sock", f"agentkeys status --for {self.owner}"
            elif self._options.verb == "agent":
                hint = "unset AGENTKEYS_SOCK"  # who wants to stop it needs no other
            raise NoAgent(f"no agent answers at {self.explicit}, which {name} names", hint) from None


class Unclear(Exception):
    """Not for the fast path: `agentkeys.cli` explains."""


def where(options: Options) -> "list[bytes]":
    """The fields that say which keys are meant. Raises UsageFault for what isn't ASCII."""
    fields = []
    try:
        for key in options.keys if options.wanted is None else ():
            fields += [b"key", key.encode("ascii")]
        for want in options.wanted or ():
            fields += [b"want", want.encode("ascii")]
        if options.env:
            fields += [b"env", options.env.encode("ascii")]
        if options.org:
            fields += [b"org", options.org.encode("ascii")]
        if options.lenient:
            fields += [b"lenient", b"1"]
        if options.word:
            fields += [b"word", b"1"]
    except UnicodeEncodeError:
        raise UsageFault("keys, envs and orgs are named in ASCII", "agentkeys list") from None
    return fields


def settle_repo(caller: Caller, options: Options) -> None:
    """In a repository, narrow what was asked to what its manifest declares; elsewhere do nothing.

    Raises Denied when it isn't allowed, and what agentkeys.client.repo.settle does.
    """
    manifest = "" if options.no_repo else paths.repo_manifest(caller.environ)
    if manifest:
        from agentkeys.client import repo

        repo.settle(caller.root, manifest, caller.owner, caller.environ, options)


def ask_keys(connection: Connection, verb: bytes, caller: Caller, options: Options) -> "list[memoryview]":
    """Ask for values. Before the first unlock only the inventory can tell an absent key from a locked one."""
    if options.wanted == []:
        return []  # the repository asks for nothing here; a request that names nothing would mean everything
    try:
        return connection.ask(verb, *where(options))
    except AgentFault as fault:
        if fault.exit_code != errors.LOCKED or not fault.slugs:
            raise
        markers = [paths.inventory_marker(caller.root, caller.owner, slug) for slug in fault.slugs]
        if all(markers) and not any(paths.exists(marker) for marker in markers):
            if options.wanted and _drop_optional(options.wanted, fault.slugs[0].rpartition(".")[2]):
                return ask_keys(connection, verb, caller, options)
            org, _, rest = fault.slugs[0].partition(".")
            env, _, name = rest.partition(".")
            scope = ("" if org == "@all" else f" --org {org}") + ("" if env == "all" else f" --env {env}")
            hint = f"agentkeys set {name} --for {caller.owner}{scope}"
            raise Absent(f"{caller.owner} has no key {name}", hint) from None
        raise


def _drop_optional(wanted: "list[str]", name: str) -> bool:
    """Take the optional key `name` out of what is wanted; whether it was there."""
    found = [want for want in wanted if want.startswith(f"{name}=") and "optional" in want.split()]
    for want in found:
        wanted.remove(want)
    return bool(found)


# --- what is said -------------------------------------------------------------------------------------------------


def complain(fault: AgentkeysError, evaluated: bool = False) -> int:
    """Print an error and its hint; the exit code. `evaluated`: our stdout is a shell's input, so it must fail."""
    if evaluated:
        try:
            posix.write(1, b"false;\n")
        except OSError:
            pass  # the shell is gone, and the exit code still tells
    note(f"error: {fault.message}")
    if fault.hint:
        note(f"hint: {fault.hint}")
    return fault.exit_code


def interrupted(evaluated: bool) -> int:
    """Ctrl-C: say nothing, but make an `eval` fail; the exit code."""
    if evaluated:
        write_out(b"false;\n")
    return errors.INTERRUPTED


def bug(fault: Exception) -> AgentkeysError:
    """What to say of an error that is nobody's fault but ours: where, and nothing that was in a variable."""
    where = ""
    trace = fault.__traceback__
    while trace is not None:
        where = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return AgentkeysError(
        f"a bug in agentkeys, please report it with this line: {type(fault).__name__}{where}", "agentkeys --version"
    )


def note(text: str) -> None:
    """Write one line to stderr, if there is one. Paths and names may be foreign: no control character gets through."""
    try:
        posix.write(2, f"agentkeys: {printable(text)}\n".encode())
    except OSError:
        pass  # nobody listens


def printable(text: str) -> str:
    """Text for a terminal: control characters, and what else isn't printable, as escapes."""
    return text if text.isprintable() else "".join([c if c.isprintable() else ascii(c)[1:-1] for c in text])


def guard_standard_descriptors() -> None:
    """Put /dev/null, for reading, where 0, 1 or 2 is closed: else our socket would get that number and our output.

    A write to it fails, as a write to a closed descriptor should; it is closed again at execve.
    """
    for fd in (0, 1, 2):
        try:
            posix.fstat(fd)
        except OSError:
            posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)


def write_out(data: "bytes | memoryview") -> int:
    """Write all of `data` to stdout; the exit code. A full disk is a failure, a closed pipe a quiet one."""
    left = memoryview(data)
    while left:
        try:
            left = left[posix.write(1, left) :]
        except BrokenPipeError:
            return errors.MALFUNCTION
        except OSError as error:
            raise AgentkeysError(f"stdout can't be written: {error.strerror}") from None
    return errors.OK
