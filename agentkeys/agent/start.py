r"""An agent process from its first statement to its last: harden, fork, lock, bind, say so, serve, clean up.

The parent (`agentkeys agent`) reads one answer from our stdout before it prints anything:

    ok\\n<pid>\\n                                the socket answers from now on
    busy\\n                                     another agent holds the lock; connect to it
    error\\n<exit code>\\n<message>\\n<hint>\\n

In the foreground (`agentkeys agent -D`) there is no parent and no fork: the CLI became us, and gave us in `--say` what
to print once the socket answers.
"""

import gc
import os
import resource
import signal

import agentkeys
from agentkeys import client, hardening, paths
from agentkeys.agent import peer
from agentkeys.agent.door import connection_limit
from agentkeys.agent.epoch import Epoch
from agentkeys.agent.leftovers import sweep
from agentkeys.agent.notify import Manager
from agentkeys.agent.place import Place, Taken
from agentkeys.agent.poller import now_ms
from agentkeys.agent.server import Server
from agentkeys.agent.settings import Settings
from agentkeys.agent.unlocker import Unlocker
from agentkeys.core import own_session, refs, secret, status
from agentkeys.core.state import AgentState
from agentkeys.errors import INTERRUPTED, MALFUNCTION, AgentkeysError, UsageFault
from agentkeys.stores import config
from agentkeys.stores.audit_log import AuditLog

OPTIONS = (
    "--for", "--home", "--socket", "--lock", "--session", "--wallet", "--config", "--private", "--watch", "--say",
    "--otherwise", "--note", "--debug", "--longest", "--idle", "--handed-over", "--auto-unlock", "--notify",
    "--session-id", "--session-place", "--session-grant", "--session-left",
)  # fmt: skip

LEAVE_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""What people send to a process to end it, or by mistake: it wipes, removes its socket and lock, and exits 0."""

USUAL_KEYS = b"org=@all\nenv=all\nduration=0"
"""What --auto-unlock asks for: the default env's keys, as `unlock` without arguments."""

HANDED_OVER = 3
"""The descriptor of a socket that a service manager hands over (sd_listen_fds(3))."""


class Options:
    """The agent's command line; it is public (ps) and holds no secret. Every option has a value."""

    def __init__(self, argv: "list[str]") -> None:
        if len(argv) % 2 or any(name not in OPTIONS for name in argv[::2]):
            raise UsageFault("this is agentkeys' daemon", "agentkeys agent")
        given = dict(zip(argv[::2], argv[1::2], strict=True))
        self.owner = refs.check_owner(given.get("--for", ""))
        self.home = given["--home"]
        self.socket = given["--socket"]
        self.lock = given["--lock"]
        self.session = int(given.get("--session", str(paths.UNSET_SESSION)))
        self.wallet = given.get("--wallet", "")
        self.config = given["--config"]
        self.longest = int(given.get("--longest", "0"))
        """Seconds that a key stays at most, 0 for what the config says; both can only make it shorter."""
        self.idle = int(given.get("--idle", "0"))
        """Seconds without a use after which everything is forgotten, likewise."""
        self.private = given.get("--private", "")
        """`at` when the user named the socket's path, `own` when we chose a new one, empty when we are discoverable."""
        self.watch = int(given.get("--watch", "0"))
        """The pid of the command whose end is ours, or 0."""
        self.own_session = None
        """What `status` says of the owner's session."""
        if "--session-id" in given:
            known, place, grant, left = [given[f"--session-{name}"] for name in ("id", "place", "grant", "left")]
            self.own_session = own_session.read(known, place, grant, left, 0)
        self.debug = "--debug" in given
        self.handed_over = "--handed-over" in given
        """Whether descriptor HANDED_OVER listens on the socket already."""
        self.auto_unlock = "--auto-unlock" in given
        """Whether to unlock before anybody is let in, and again before that expires."""
        self.notify = given.get("--notify", "")
        """Where a service manager is told that we serve; empty when none asked."""


class Parent:
    """Whoever waits for our answer on stdout."""

    def ready(self) -> None:
        """Say that the socket answers, then let go of everything the parent could be waiting for. Raises OSError."""
        os.write(1, b"ok\n%d\n" % os.getpid())
        null_descriptors(0, 1, 2)

    def failed(self, fault: AgentkeysError) -> int:
        """Say why not; our exit code."""
        if isinstance(fault, Taken):
            os.write(1, b"busy\n")
        else:
            text = f"error\n{fault.exit_code}\n{fault.message}\n{fault.hint}\n"
            os.write(1, paths.to_bytes(text))
        return fault.exit_code


class Foreground:
    """Whoever reads us: `say` goes to stdout and `note` to stderr once the socket answers, else `otherwise`."""

    def __init__(self, argv: "list[str]") -> None:
        given = dict(zip(argv[::2], argv[1::2], strict=False))
        self.say, self.otherwise = given.get("--say", ""), given.get("--otherwise", "")
        self.note, self.owner = given.get("--note", ""), given.get("--for", "")

    def ready(self) -> None:
        """Print it, and let its reader see the end. Raises AgentkeysError when stdout can't be written."""
        if client.write_out(paths.to_bytes(self.say)):
            raise AgentkeysError("nobody reads what was printed")
        null_descriptors(0, 1)
        if self.note:
            client.note(self.note)

    def failed(self, fault: AgentkeysError) -> int:
        """Print the error; our exit code."""
        if isinstance(fault, Taken):
            fault = UsageFault(f"an agent of {self.owner} runs already", f"agentkeys agent -k --for {self.owner}")
        return client.complain(fault, evaluated=bool(self.otherwise))


def main(argv: "list[str]") -> int:
    """Become the owner's agent. Returns the exit code once it stopped."""
    gc.disable()  # reference counts free all that an agent makes; the collector would walk 10,000 values at an unlock
    hardening.quieten()
    hardening.close_memory()
    os.umask(0o077)
    kept = HANDED_OVER + 1 if "--handed-over" in argv[::2] else HANDED_OVER
    os.closerange(kept, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if "--say" in argv[::2]:
        return _run(argv, Foreground(argv))
    try:
        if os.fork():
            os._exit(0)
    except OSError as error:
        return Parent().failed(AgentkeysError(f"no process can be started: {error.strerror}", "ulimit -a"))
    os.setsid()
    return _run(argv, Parent())


def _run(argv: "list[str]", starter: "Parent | Foreground") -> int:
    """Take the place, serve, leave."""
    try:
        os.chdir("/")
        hardening.require_untraced()
        options = Options(argv)
        rule = peer.PeerRule(os.geteuid(), options.session)
        settings = Settings(options.config, rule, options.longest, options.idle)
        found = settings.read()
        wake = _catch_signals()  # before there is anything that a signal would leave behind
        inherited = HANDED_OVER if options.handed_over else -1
        place = Place(options.socket, options.lock, options.private == "at", inherited)
        with Epoch(options.lock.rpartition("/")[0]) as epoch, place:
            server, leave = _prepare(options, settings, found, place, epoch)
            epoch.begin()
            starter.ready()
            sweep(options.lock)
            server.serve(wake, *leave)
        server.close()  # last, so that who sees its connection end sees socket and lock gone as well
    except BrokenPipeError:
        return MALFUNCTION  # who started us is gone, and so are we
    except KeyboardInterrupt:
        return INTERRUPTED  # Ctrl-C in the foreground's first milliseconds
    except AgentkeysError as fault:
        return starter.failed(fault)
    except Exception as fault:
        starter.failed(AgentkeysError(hardening.describe(fault)))
        raise
    return 0


def null_descriptors(*fds: int) -> None:
    """Put /dev/null where these were."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in fds:
        os.dup2(null, fd)
    if null > 2:
        os.close(null)


def _prepare(
    options: Options, settings: Settings, found: config.Config, place: Place, epoch: Epoch
) -> "tuple[Server, list[int]]":
    """The server behind a place's socket, and the descriptors whose readiness means its end. Raises UsageFault."""
    facts = status.AgentFacts(
        os.getpid(),
        options.socket,
        options.wallet,
        agentkeys.__version__,
        "" if options.session == paths.UNSET_SESSION else str(options.session),
        hardening.is_dumpable(),
        paths.home_id(options.home),
    )
    facts.own_session = options.own_session
    _keep_in_memory(facts)
    state = AgentState(options.owner, facts, now_ms(), found.allow_names)
    state.longest, state.idle, state.inject = found.longest, found.idle, found.inject
    log = AuditLog(paths.audit_dir(options.home, options.owner), options.owner)
    limit = connection_limit(_raise_descriptor_limit())
    if options.auto_unlock:
        state.renewals.want(USUAL_KEYS, state.started)
    server = Server(state, place, settings, log, limit, _unlocker(options), epoch, Manager(options.notify))
    if options.debug:
        from agentkeys.agent import debug

        server.step = debug.traced(server.step)
    directory = options.socket.rpartition("/")[0] or "/"
    try:
        server.poller.watch_dir(directory)
        leave = [server.poller.watch_process(options.watch)] if options.watch else []
    except ProcessLookupError:
        raise AgentkeysError("the command is gone before its agent was there") from None
    except OSError as error:
        raise UsageFault(f"{directory} can't be watched: {error.strerror}", f"ls -ld {directory}") from None
    place.announce()
    return server, leave


def _keep_in_memory(facts: status.AgentFacts) -> None:
    """Have every buffer that a value is put into locked, and `status` say whether that works."""
    memory = hardening.MemoryLock()

    def keep(buffer: bytearray) -> None:
        memory.lock(buffer)
        facts.memory_locked = not memory.failed

    secret.on_new_buffer = keep
    keep(bytearray(1))  # so that `status` knows before the first value


def _raise_descriptor_limit() -> int:
    """How many descriptors we may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 4096) if hard != resource.RLIM_INFINITY else 4096
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


def _unlocker(options: Options) -> Unlocker:
    return Unlocker(
        [
            (b"home", paths.to_bytes(options.home)),
            (b"owner", options.owner.encode("ascii")),
            (b"socket", paths.to_bytes(options.socket)),
            (b"config", paths.to_bytes(options.config)),
        ]
    )


def _catch_signals() -> int:
    """A descriptor that becomes readable on a signal of LEAVE_ON; the loop leaves by itself then."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in LEAVE_ON:
        signal.signal(number, lambda *_: None)
    return reader
