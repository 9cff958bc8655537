r"""An agent process from its first statement to its last: harden, fork, lock, bind, say so, serve, clean up.

The parent (`agentkeys agent`) reads one answer from our stdout before it prints anything:

    ok\\n<pid>\\n                                the socket answers from now on
    busy\\n                                     another agent holds the lock; connect to it
    error\\n<exit code>\\n<message>\\n<hint>\\n
"""

import errno
import fcntl
import gc
import os
import resource
import signal
import stat
import sys
from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as Socket

import agentkeys
from agentkeys import hardening, paths
from agentkeys.agent import peer
from agentkeys.agent.poller import now_ms
from agentkeys.agent.server import Server, connection_limit, is_our_socket
from agentkeys.agent.unlocker import Unlocker
from agentkeys.core import refs, status
from agentkeys.core.state import AgentState
from agentkeys.errors import MALFUNCTION, AgentkeysError, UsageFault
from agentkeys.stores import config
from agentkeys.stores.audit_log import AuditLog

BACKLOG = 128
"""Connections the kernel queues for us, as in ssh-agent; Linux's own cap is 4096."""

PROBE_SECONDS = 2.0
"""How long a socket in our way may take to accept before it counts as dead."""

OPTIONS = ("--for", "--home", "--socket", "--lock", "--session", "--wallet", "--config", "--longest", "--idle")


class Options:
    """The agent's command line; it is public (ps) and holds no secret."""

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


def main(argv: "list[str]") -> int:
    """Become the owner's agent. Returns the exit code once it stopped."""
    gc.disable()  # reference counts free all that an agent makes; the collector would walk 10,000 values at an unlock
    sys.excepthook = hardening.quiet_traceback
    hardening.close_memory()
    os.umask(0o077)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if os.fork():
        os._exit(0)
    try:
        os.setsid()
        os.chdir("/")
        hardening.require_untraced()
        options = Options(argv)
        started = _take_place(options)
        if started is None:
            _answer("busy\n")
            return 0
    except AgentkeysError as fault:
        _answer(f"error\n{fault.exit_code}\n{fault.message}\n{fault.hint}\n")
        return fault.exit_code
    except Exception as fault:
        _answer(f"error\n{MALFUNCTION}\n{hardening.describe(fault)}\n\n")
        raise
    lock, server = started
    _answer(f"ok\n{os.getpid()}\n")
    try:
        server.serve(_catch_signals())
    finally:
        if is_our_socket(options.socket, server.inode):
            os.unlink(options.socket)
        os.unlink(options.lock)
        os.close(lock)
    return 0


def _answer(text: str) -> None:
    """Tell the parent, then let go of everything it could be waiting for."""
    os.write(1, paths.to_bytes(text))
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)


def _take_place(options: Options) -> "tuple[int, Server] | None":
    """Lock, bind and prepare; None when another agent has the place."""
    settings = config.load(options.config)
    if settings.strict_session and options.session == paths.UNSET_SESSION:
        raise UsageFault(
            "login_session is strict, and this process is in no login session",
            "loginctl list-sessions",
        )
    lock = _lock(options.lock)
    if lock is None:
        return None
    listener = _bind(options.socket)
    facts = status.AgentFacts(
        os.getpid(),
        options.socket,
        options.wallet,
        agentkeys.__version__,
        "" if options.session == paths.UNSET_SESSION else str(options.session),
        hardening.is_dumpable(),
        paths.home_id(options.home),
    )
    state = AgentState(options.owner, facts, now_ms(), settings.allow_names)
    state.longest = min(filter(None, (settings.longest, options.longest)))
    state.idle = min(filter(None, (settings.idle, options.idle)), default=0)
    rule = peer.PeerRule(os.geteuid(), options.session, settings.strict_session, settings.allow_root)
    log = AuditLog(paths.audit_dir(options.home, options.owner), options.owner)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 4096) if hard != resource.RLIM_INFINITY else 4096
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    server = Server(state, listener, rule, log, connection_limit(max(soft, wanted)), _unlocker(options))
    server.poller.watch_dir(options.socket.rpartition("/")[0])
    if not is_our_socket(options.socket, server.inode):
        raise UsageFault(f"{options.socket} was taken while we bound it", "agentkeys agent")
    os.ftruncate(lock, 0)
    os.pwrite(lock, paths.to_bytes(options.socket) + b"\n", 0)
    return lock, server


def _unlocker(options: Options) -> Unlocker:
    return Unlocker(
        [
            (b"home", paths.to_bytes(options.home)),
            (b"owner", options.owner.encode("ascii")),
            (b"socket", paths.to_bytes(options.socket)),
            (b"config", paths.to_bytes(options.config)),
        ]
    )


def _lock(path: str) -> "int | None":
    """The kernel lock that makes us this owner's one agent; None when another process holds it."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        try:
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                return fd
        except FileNotFoundError:
            pass  # an agent that was leaving removed it between our open and our lock: take a new one
        os.close(fd)


def _bind(path: str) -> Socket:
    """Listen on `path`, 0600 from its first instant.

    Raises UsageFault when something that isn't our own dead socket is in the way; it is left as it is.
    """
    _make_dir(path.rpartition("/")[0])
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        facts = None
    if facts is not None:
        if not stat.S_ISSOCK(facts.st_mode) or facts.st_uid != os.geteuid():
            raise UsageFault(f"{path} is in the way: it is not a socket of ours", f"ls -l {path}")
        if _is_answered(path):
            raise UsageFault(f"{path} is in the way: another program listens on it", f"fuser {path}")
        os.unlink(path)
    listener = Socket(AF_UNIX, SOCK_STREAM)
    os.fchmod(listener.fileno(), 0o600)
    try:
        listener.bind(paths.to_bytes(path))
    except OSError as error:
        raise UsageFault(f"{path} can't be bound: {error.strerror}", f"ls -ld {path.rpartition('/')[0]}") from None
    os.chmod(path, 0o600)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _make_dir(path: str) -> None:
    """The sockets' directory, ours and 0700; its parent too where that is our own last resort. Raises UsageFault."""
    base, ours, deeper = path.rpartition("/agentkeys")
    wanted = [base + ours] if ours else []
    if base == paths.last_resort_dir():
        wanted.insert(0, base)
    if deeper or not ours:
        wanted.append(path)
    for directory in wanted:
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise UsageFault(f"{directory} can't be made: {error.strerror}", RUNTIME_HINT) from None
        if not paths.is_private_dir(directory):
            raise UsageFault(f"{directory} is not a directory of ours alone", f"chmod 700 {directory}")


RUNTIME_HINT = "export XDG_RUNTIME_DIR=/a/directory/of/yours/0700"


def _is_answered(path: str) -> bool:
    probe = Socket(AF_UNIX, SOCK_STREAM)
    probe.settimeout(PROBE_SECONDS)
    try:
        probe.connect(paths.to_bytes(path))
    except OSError as error:
        return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    finally:
        probe.close()
    return True


def _catch_signals() -> int:
    """A descriptor that becomes readable on SIGTERM, SIGHUP or SIGINT; the loop leaves by itself then."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reader
