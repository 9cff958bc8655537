"""The fast path: find the agent, ask it, print or become the command. Starts nothing and decrypts nothing.

Every `exec` in every script pays for this module, so it imports `posix` and `_socket` and nothing else that
start-up doesn't have already; tests/arch/test_fast_path.py holds the list. Whatever isn't plain (help, a typo, no
agent there) is left to `agentkeys.cli`, which can afford to explain: main() returns None then.
"""

import posix
import sys
from _signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal
from _socket import AF_UNIX, SOCK_STREAM, SOL_SOCKET
from _socket import socket as Socket
from time import sleep

from agentkeys import __version__, errors, paths, wire
from agentkeys.errors import Absent, AgentkeysError, Denied, NoAgent, OutcomeUnknown, TimedOut, UsageFault

ANSWER_SECONDS = 10.0
"""How long an agent may take to answer; it needs 20 µs, a stopped one (SIGSTOP) never does."""

QUEUE_PAUSE = 0.005
QUEUE_TRIES = 2000
"""Seconds between two tries to get into an agent's full queue, and how often: ANSWER_SECONDS together."""

RECEIVE = 16 * 1024
"""Bytes asked of one recv(2): nearly every reply in one call; a larger buffer costs page faults at each start."""

DEFAULT_OWNER = "human"

KEPT_ENVIRONMENT = frozenset(
    (b"HOME", b"LANG", b"LOGNAME", b"PATH", b"SHELL", b"TERM", b"TMPDIR", b"TZ", b"USER", b"XDG_RUNTIME_DIR")
)
"""What --clean-env keeps, beside LC_*."""

DEFAULT_PATH = b"/usr/local/bin:/usr/bin:/bin"
"""Where a command is looked for when PATH is unset (execvp(3) leaves it to the system)."""

ENOEXEC = 8
"""errno(3), the same on Linux and macOS: a script without a #! line."""

SHELL = b"/bin/sh"
"""Runs such a script, as execvp(3) does."""

SO_PEERCRED, UCRED_SIZE = 17, 12
"""unix(7): struct ucred is pid, uid, gid, each 32 bits."""
SOL_LOCAL, LOCAL_PEERCRED, LOCAL_PEERPID, XUCRED_SIZE = 0, 1, 2, 76
"""macOS, sys/un.h: cr_uid is the second u32 of struct xucred. Not run on a Mac."""

EVALUATED = ("agent", "source")
"""The verbs whose output a shell runs, so that a failure must print a command that fails."""

SHELLS = {
    **dict.fromkeys("sh ash bash dash ksh lksh mksh oksh pdksh yash zsh".split(), "sh"),
    **dict.fromkeys(("csh", "tcsh", "bsd-csh"), "csh"),
    "fish": "fish",
}
"""The dialect of each shell, by its program's name without a version."""

MULTICALL = ("busybox", "toybox")
"""Programs that are a shell by the name they were called by."""

PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-")
"""Bytes that survive an unquoted `eval $(…)` in every shell."""


# --- talking to an agent ---------------------------------------------------------------------------------------


def peer_ids(sock: Socket) -> "tuple[int, int]":
    """(uid, pid) of the process at the other end, from the kernel; pid 0 is unknown. Raises OSError."""
    order = sys.byteorder
    if paths.MACOS:
        credentials = sock.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, XUCRED_SIZE)
        pid = sock.getsockopt(SOL_LOCAL, LOCAL_PEERPID, 4)
        return int.from_bytes(credentials[4:8], order), int.from_bytes(pid, order)
    raw = sock.getsockopt(SOL_SOCKET, SO_PEERCRED, UCRED_SIZE)
    return int.from_bytes(raw[4:8], order), int.from_bytes(raw[0:4], order)


class Connection:
    """One connection to an agent; requests are answered in order."""

    def __init__(self, path: str, owner: str, home_id: str = "") -> None:
        """Connect. Raises NoAgent when nobody answers, Denied when somebody else's process would.

        With a `home_id`, an agent of another home is refused at its hello.
        """
        self.path = path
        self.owner = owner
        self.home_id = home_id
        self._greeted = False
        self._received = b""
        self._sock = Socket(AF_UNIX, SOCK_STREAM)
        self._sock.settimeout(ANSWER_SECONDS)
        try:
            self._connect(paths.to_bytes(path))
            uid, self.pid = peer_ids(self._sock)
        except TimeoutError:
            raise TimedOut(f"the agent at {path} doesn't accept a connection", f"ls -l {path}") from None
        except OSError:
            self._sock.close()
            raise NoAgent(f"no agent answers at {path}") from None
        if uid != posix.geteuid():
            self._sock.close()
            raise Denied(f"{path} is served by uid {uid}, not by this user", f"ls -l {path}")

    def _connect(self, path: bytes) -> None:
        """connect(2), patient with a full queue: EAGAIN is a busy agent, not an absent one. Raises OSError."""
        for _ in range(QUEUE_TRIES):
            try:
                return self._sock.connect(path)
            except BlockingIOError:
                sleep(QUEUE_PAUSE)
        raise TimeoutError

    def ask(self, verb: bytes, *pairs: bytes, secret: bool = False) -> "list[memoryview]":
        """Ask one thing; the fields after `ok`.

        A `secret` request waits for the agent's hello, so that no value goes to something that isn't an agent.
        Raises what the agent answered, NoAgent when it left before it was asked, OutcomeUnknown when after.
        """
        greeting = b"" if self._greeted else wire.hello(self.owner.encode("ascii"), __version__.encode("ascii"))
        request = wire.encode(verb, *pairs)
        if secret and greeting:
            self._send(greeting)
            self._greet()
            greeting = b""
        self._send(greeting + request)
        if greeting:
            self._greet()
        fields = self._message()
        status = bytes(fields[0])
        if status == b"error":
            raise _fault(fields)
        if status != b"ok":
            raise AgentkeysError("the agent answered something unknown", "agentkeys status")
        return fields[1:]

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise TimedOut(f"the agent at {self.path} doesn't read its requests", f"kill -CONT {self.pid}") from None
        except OSError:
            raise NoAgent(f"the agent at {self.path} hung up") from None

    def _greet(self) -> None:
        fields = self._message()
        if bytes(fields[0]) == b"error":
            raise _fault(fields)
        try:
            protocol, owner, version, home_id = wire.read_hello(fields)
        except wire.WireError:
            raise UsageFault(f"what listens at {self.path} is no agent of ours", f"ls -l {self.path}") from None
        if not protocol:
            raise UsageFault(
                f"the agent is version {version}, this is {__version__}, and they share no protocol",
                f"rm {self.path}",  # every version leaves when its socket is gone; `stop` may be another verb there
            )
        if self.owner and owner != self.owner:
            raise UsageFault(f"{self.path} is {owner}'s agent, not {self.owner}'s", "unset AGENTKEYS_SOCK")
        if self.home_id and home_id and home_id != self.home_id:
            raise UsageFault(
                f"{self.path} serves another home's {owner}: HOME or AGENTKEYS_HOME differs",
                "export XDG_RUNTIME_DIR=/one/for/each/home",
            )
        self.owner = owner
        self._greeted = True

    def _message(self) -> "list[memoryview]":
        """The next message's fields. Raises OutcomeUnknown, TimedOut, AgentkeysError."""
        parts: list[bytes] = []
        total = 0
        try:
            while True:
                self._need(wire.HEADER)
                end = 4 + wire.frame_length(self._received)
                self._need(end)
                frame, self._received = self._received[:end], self._received[end:]
                wire.check_frame(frame[4], end - wire.HEADER, not parts)
                parts.append(frame[wire.HEADER :])
                total += end
                if total > wire.MAX_REPLY:
                    raise wire.WireError("reply too long")
                if frame[4] & wire.LAST:
                    return wire.split_fields(memoryview(parts[0] if len(parts) == 1 else b"".join(parts)))
        except wire.WireError:
            raise AgentkeysError(f"the agent at {self.path} answered out of protocol", "agentkeys agent -k") from None

    def _need(self, count: int) -> None:
        while len(self._received) < count:
            try:
                data = self._sock.recv(RECEIVE)
            except TimeoutError:
                raise TimedOut(
                    f"the agent at {self.path} doesn't answer within {ANSWER_SECONDS:g} s",
                    f"kill -CONT {self.pid}",
                ) from None
            except OSError:
                data = b""
            if not data:
                raise OutcomeUnknown("the agent died before it answered", "agentkeys agent")
            self._received = self._received + data if self._received else data


class AgentFault(AgentkeysError):
    """What an agent answered, with the slugs it spoke of."""

    slugs: "list[str]" = []  # noqa: RUF012 - replaced, never changed


def _fault(fields: "list[memoryview]") -> AgentFault:
    found = {"code": "1", "message": "the agent refused", "hint": ""}
    slugs = []
    for name, value in wire.pairs(fields) if len(fields) % 2 else []:
        text = str(value, "utf-8", "replace")
        if name == b"slug":
            slugs.append(text)
        else:
            found[name.decode("ascii", "replace")] = text
    code = found["code"]
    fault = AgentFault(
        found["message"], found["hint"], int(code) if code.isdigit() and len(code) < 4 and 0 < int(code) < 256 else 1
    )
    fault.slugs = slugs
    return fault


# --- finding it --------------------------------------------------------------------------------------------------


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
        self.json = False
        self.clean_env = False
        self.no_repo = False
        self.shell = ""
        """The dialect to print, or "" for that of the calling shell."""
        self.strict = False
        self.lenient = False
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


def usual_sockets(environ: "dict[bytes, bytes]", owner: str) -> "list[str]":
    """Where an owner's discoverable agent listens: its login session's socket, then its own."""
    directory = paths.runtime_dir(environ)
    session = paths.login_session()
    found = [paths.socket(directory, owner)]
    return found if session == paths.UNSET_SESSION else [paths.socket(directory, owner, session), *found]


def discover(environ: "dict[bytes, bytes]", root: str, owner: str) -> Connection:
    """Connect to the owner's discoverable agent. Raises NoAgent when none answers, Denied for a foreign one."""
    for path in usual_sockets(environ, owner):
        if paths.exists(path):
            try:
                return Connection(path, owner, paths.home_id(root))
            except NoAgent:
                continue
    session = paths.login_session()
    for lock in paths.agent_locks(root, owner):
        name = lock.rpartition("/")[2]
        ours = name == "agent.lock" or session == paths.UNSET_SESSION or name == f"session-{session}.lock"
        path = paths.lock_socket(lock) if ours and not name.startswith("private-") else ""
        if path:
            try:
                return Connection(path, owner)
            except NoAgent:
                continue
    raise NoAgent(f"no agent for {owner}", f'eval "$(agentkeys agent --for {owner})"')


def agent_sockets(root: str, owner: str) -> "list[str]":
    """The sockets of an owner's agents on this machine, private ones too; some may be dead."""
    return sorted({paths.lock_socket(lock) for lock in paths.agent_locks(root, owner)} - {""})


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

    def connect(self) -> Connection:
        """The agent to ask. Raises NoAgent."""
        if not self.explicit:
            return discover(self.environ, self.root, self.owner)
        try:
            return Connection(self.explicit, self.owner)
        except NoAgent:
            name = "--sock" if self.explicit != paths.env_text(self.environ, b"AGENTKEYS_SOCK") else "AGENTKEYS_SOCK"
            raise NoAgent(
                f"no agent answers at {self.explicit}, which {name} names",
                "unset AGENTKEYS_SOCK",
            ) from None


class Unclear(Exception):
    """Not for the fast path: `agentkeys.cli` explains."""


# --- the verbs ---------------------------------------------------------------------------------------------------


def main(argv: "list[str]") -> int | None:
    """Run a fast verb; its exit code, or None when `agentkeys.cli` should take over."""
    guard_standard_descriptors()
    run = VERBS.get(argv[0]) if argv else None
    options = parse(argv) if run else None
    if run is None or options is None:
        return None
    try:
        return run(options)
    except (Unclear, NoAgent):
        return None
    except AgentkeysError as fault:
        return complain(fault, evaluated=options.verb in EVALUATED)
    except KeyboardInterrupt:
        return interrupted(evaluated=options.verb in EVALUATED)
    except Exception as fault:  # noqa: BLE001 - the last line of defence, which reports a bug
        return complain(bug(fault), evaluated=options.verb in EVALUATED)


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


_TEXT_OPTIONS = {
    "--for": "owner",
    "--owner": "owner",
    "--sock": "sock",
    "--env": "env",
    "--org": "org",
    "--shell": "shell",
}
_FLAGS = {
    "--json": "json",
    "--clean-env": "clean_env",
    "--no-repo": "no_repo",
    "--strict": "strict",
    "--lenient": "lenient",
}
_DIALECT_FLAGS = {"-s": "sh", "-c": "csh"}
_ACCEPTED = {
    "exec": ("--for", "--owner", "--sock", "--env", "--org", "--key", "--clean-env", "--no-repo"),
    "get": ("--for", "--owner", "--sock", "--env", "--org", "--key"),
    "status": ("--for", "--owner", "--sock", "--json"),
    "relock": ("--for", "--owner", "--key", "--env", "--json"),
    "agent": ("--for", "--owner", "--shell"),
    "source": ("--for", "--owner", "--sock", "--env", "--org", "--key", "--shell", "--strict", "--lenient"),
}


def parse(argv: "list[str]") -> Options | None:
    """A fast verb's options, or None for anything that isn't plainly one of its own."""
    verb = argv[0]
    options = Options(verb)
    accepted = _ACCEPTED[verb]
    at = 1
    while at < len(argv):
        word = argv[at]
        at += 1
        if word == "--" and verb == "exec":
            options.command = argv[at:]
            break
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name not in accepted:
            if verb == "exec" and word and word[0] != "-":
                options.command = argv[at - 1 :]
                break
            if verb == "agent" and word in _DIALECT_FLAGS and options.shell in ("", _DIALECT_FLAGS[word]):
                options.shell = _DIALECT_FLAGS[word]
                continue
            if verb != "get" or word[:1] in ("-", "") or options.keys:
                return None
            options.keys.append(word)
        elif name in _FLAGS:
            if equals:
                return None
            setattr(options, _FLAGS[name], True)
        else:
            if not equals:
                if at == len(argv):
                    return None
                value = argv[at]
                at += 1
            if not value:
                return None
            if name == "--key":
                options.keys.append(value)
            elif name == "--shell":
                value = dialect_named(value)
                if not value or options.shell not in ("", value):
                    return None
                options.shell = value
            else:
                setattr(options, _TEXT_OPTIONS[name], value)
    plain = (verb != "exec" or options.command) and (verb != "get" or len(options.keys) == 1)
    plain = plain and not (options.strict and options.lenient)
    return options if plain and (verb != "relock" or len(options.keys) < 2) else None


def dialect_of(program: str) -> str:
    """The dialect of a shell by its program's path or name, such as /usr/bin/zsh-5.9; "" for what is none we know."""
    name = program.rpartition("/")[2].partition(" ")[0]  # /proc's " (deleted)", after an upgrade
    return SHELLS.get(name.lstrip("-").rstrip("0123456789.-"), "")


def dialect_named(text: str) -> str:
    """The dialect that --shell means: one of ours, or the shell that speaks it; "" for none."""
    return "json" if text == "json" else dialect_of(text)


def calling_shell(environ: "dict[bytes, bytes]") -> str:
    """The dialect of whoever reads our output: the parent process, if that is a shell, else $SHELL's, else sh.

    $SHELL is the login shell, and says nothing of a fish that was started by hand. Raises Unclear on macOS, where
    looking at a process takes more than reading a file.
    """
    if paths.MACOS:
        raise Unclear
    parent = f"/proc/{posix.getppid()}"
    try:
        program = posix.readlink(f"{parent}/exe")
    except OSError:
        program = ""  # another user's, or in another pid namespace
    if not program or program.rpartition("/")[2] in MULTICALL:
        program = paths.read_small(f"{parent}/comm").decode("ascii", "replace").rstrip("\n")
    return dialect_of(program) or login_shell(environ)


def login_shell(environ: "dict[bytes, bytes]") -> str:
    """The dialect of $SHELL, else sh."""
    return dialect_of(paths.env_text(environ, b"SHELL")) or "sh"


def _where(options: Options) -> "list[bytes]":
    """The fields that say which keys are meant. Raises UsageFault for what isn't ASCII."""
    fields = []
    try:
        for key in options.keys:
            fields += [b"key", key.encode("ascii")]
        if options.env:
            fields += [b"env", options.env.encode("ascii")]
        if options.org:
            fields += [b"org", options.org.encode("ascii")]
        if options.lenient:
            fields += [b"lenient", b"1"]
    except UnicodeEncodeError:
        raise UsageFault("keys, envs and orgs are named in ASCII", "agentkeys list") from None
    return fields


def ask_keys(connection: Connection, verb: bytes, caller: Caller, options: Options) -> "list[memoryview]":
    """Ask for values. Before the first unlock only the inventory can tell an absent key from a locked one."""
    try:
        return connection.ask(verb, *_where(options))
    except AgentFault as fault:
        if fault.exit_code != errors.LOCKED or not fault.slugs:
            raise
        markers = [paths.inventory_marker(caller.root, caller.owner, slug) for slug in fault.slugs]
        if all(markers) and not any(paths.exists(marker) for marker in markers):
            org, _, rest = fault.slugs[0].partition(".")
            env, _, name = rest.partition(".")
            where = ("" if org == "@all" else f" --org {org}") + ("" if env == "all" else f" --env {env}")
            hint = f"agentkeys set {name} --for {caller.owner}{where}"
            raise Absent(f"{caller.owner} has no key {name}", hint) from None
        raise


def read_one(options: Options) -> bytes:
    """One value."""
    caller = Caller(options)
    return bytes(ask_keys(caller.connect(), b"get", caller, options)[1])


def get(options: Options) -> int:
    """Print one value, its exact bytes; a newline follows only on a terminal."""
    code = write_out(read_one(options))
    return code or (write_out(b"\n") if posix.isatty(1) else errors.OK)


def status(options: Options) -> int:
    """Print what the agent says of itself."""
    fields = Caller(options).connect().ask(b"status", *([b"format", b"json"] if options.json else []))
    return write_out(fields[1])


def relock(options: Options) -> int:
    """Make all of an owner's agents forget; all are told before a failure of one is raised."""
    caller = Caller(options)
    slugs: set[str] = set()
    told = 0
    failure: AgentkeysError | None = None
    for path in agent_sockets(caller.root, caller.owner):
        try:
            connection = Connection(path, caller.owner)
            fields = connection.ask(b"relock", *_where(options))
            connection.close()
        except (NoAgent, OutcomeUnknown):
            continue  # it is gone, and so is what it held
        except AgentkeysError as fault:
            failure = fault
            continue
        told += 1
        slugs.update([str(value, "ascii") for value in fields[1::2]])
    if failure is not None:
        raise failure
    if not told:
        raise NoAgent("")
    return report_relocked(sorted(slugs), options.json)


def report_relocked(slugs: "list[str]", as_json: bool) -> int:
    """Say what a relock did. Slugs are plain ASCII, so their JSON needs no escapes."""
    if as_json:
        rows = ",".join([f'"{slug}"' for slug in slugs])
        return write_out(f'{{"relocked":[{rows}]}}\n'.encode("ascii"))
    text = "".join([f"relocked {slug}\n" for slug in slugs]) or "nothing was unlocked\n"
    return write_out(text.encode("ascii"))


def agent(options: Options) -> int:
    """Re-use the owner's agent: print what `eval` exports."""
    caller = Caller(options)
    connection = reuse(caller)
    return print_exports(connection.path, connection.pid, caller.owner)


def reuse(caller: Caller) -> Connection:
    """A connection to the owner's discoverable agent, which answered. Raises NoAgent, Unclear."""
    connection = discover(caller.environ, caller.root, caller.owner)
    try:
        connection.ask(b"ping")
    except OutcomeUnknown:
        raise Unclear from None  # it hung up: a dying agent, or no agent at all
    return connection


def exported(path: str, pid: int, owner: str) -> "list[tuple[bytes, bytes]]":
    """The variables that `agentkeys agent` exports. Raises UsageFault for a path that no line can carry."""
    raw = paths.to_bytes(path)
    if b"\n" in raw or b"\0" in raw:
        raise UsageFault("the socket's path holds a newline, which no shell line can carry", "unset XDG_RUNTIME_DIR")
    return [
        (b"AGENTKEYS_SOCK", raw),
        (b"AGENTKEYS_AGENT_PID", b"%d" % pid),
        (b"AGENTKEYS_OWNER", owner.encode("ascii")),
    ]


def print_exports(path: str, pid: int, owner: str) -> int:
    """Print what `agentkeys agent` prints."""
    return write_out(exports(path, pid, owner))


def exports(path: str, pid: int, owner: str) -> bytes:
    """The sh lines that `agentkeys agent` prints, ssh-agent's shape; quoted only where the path needs it."""
    lines = []
    for name, value in exported(path, pid, owner):
        quoted = value if PLAIN.issuperset(value) else b"'" + value.replace(b"'", b"'\\''") + b"'"
        if quoted is not value:
            note('the socket\'s path needs quotes: write eval "$(agentkeys agent)", with the double quotes')
        lines.append(b"%s=%s; export %s;\n" % (name, quoted, name))
    return b"".join(lines)


def exec_(options: Options) -> int:
    """Become the command, with the owner's keys in its environment. Returns only on failure, having run nothing."""
    caller = Caller(options)
    environ = _base_environment(caller.environ, options.clean_env)
    program, argv = find_program(options.command, environ.get(b"PATH", DEFAULT_PATH))
    fields = ask_keys(caller.connect(), b"exec", caller, options)
    for at in range(0, len(fields), 2):
        environ[bytes(fields[at])] = bytes(fields[at + 1])
    environ[b"AGENTKEYS_OWNER"] = caller.owner.encode("ascii")
    if caller.explicit:
        environ[b"AGENTKEYS_SOCK"] = paths.to_bytes(caller.explicit)
    if not options.keys and posix.isatty(2):
        count = len(fields) // 2
        note(f"{count} {'key' if count == 1 else 'keys'} injected")
    return become(program, argv, environ)


def _base_environment(environ: "dict[bytes, bytes]", clean: bool) -> "dict[bytes, bytes]":
    """The caller's environment without anything of ours; with `clean`, only KEPT_ENVIRONMENT and LC_*."""
    kept = {name: value for name, value in environ.items() if name[:10] != b"AGENTKEYS_"}
    drop_coercion(kept)
    if clean:
        return {name: value for name, value in kept.items() if name in KEPT_ENVIRONMENT or name[:3] == b"LC_"}
    return kept


def drop_coercion(environ: "dict[bytes, bytes]") -> None:
    """Take out the LC_CTYPE that Python sets for itself in the C locale (PEP 538); a caller's own stays."""
    if environ.get(b"LC_CTYPE") != b"C.UTF-8" or b"LC_ALL" in environ:
        return
    data = b"\0"
    try:
        fd = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
        while piece := posix.read(fd, RECEIVE):
            data += piece
        posix.close(fd)
    except OSError:
        return  # no /proc: it stays, and harms nobody
    if b"\0LC_CTYPE=" not in data:
        del environ[b"LC_CTYPE"]


def find_program(command: "list[str]", path: bytes, verb: str = "exec") -> "tuple[bytes, list[bytes]]":
    """(program, argv) as execvp(3) would find it.

    Raises AgentkeysError with 127 when there is none, 126 when it can't be executed: before any key is asked for.
    """
    argv = [paths.to_bytes(word) for word in command]
    name = argv[0]
    if b"/" in name:
        places = [name]
    else:
        places = [(directory or b".") + b"/" + name for directory in path.split(b":")] if name else []
    seen = False
    for place in places:
        try:
            regular = posix.stat(place).st_mode & 0o170000 == 0o100000
        except OSError:
            continue
        if regular and posix.access(place, posix.X_OK):
            return place, argv
        seen = True
    shown = ascii(command[0])
    if seen:
        raise AgentkeysError(f"{shown} is not executable", f"chmod +x {shown}", errors.CANNOT_EXECUTE)
    raise AgentkeysError(f"{shown} is not a command", f"agentkeys {verb} -- /path/to/command", errors.NOT_FOUND)


def become(program: bytes, argv: "list[bytes]", environ: "dict[bytes, bytes]") -> int:
    """execve(2). Python ignores SIGPIPE and SIGXFSZ, and a child inherits what is ignored: put both back first."""
    signal(SIGPIPE, SIG_DFL)
    signal(SIGXFSZ, SIG_DFL)
    try:
        try:
            posix.execve(program, argv, environ)
        except OSError as error:
            if error.errno != ENOEXEC:
                raise
            posix.execve(SHELL, [SHELL, program, *argv[1:]], environ)
    except OSError as error:
        missing = error.errno == 2  # ENOENT
        cause = "its interpreter is missing" if missing else error.strerror
        raise AgentkeysError(
            f"{ascii(argv[0])[1:]} can't be executed: {cause}",
            f"head -1 {ascii(program)[1:]}" if missing else "",
            errors.NOT_FOUND if missing else errors.CANNOT_EXECUTE,
        ) from None
    return errors.OK


VERBS = {"exec": exec_, "get": get, "status": status, "relock": relock, "agent": agent}
"""The fast verbs; the front door adds those that need what this module may not import."""
