"""One connection to an agent: who answers there, and what it answers."""

import posix
import sys
from _socket import AF_UNIX, SOCK_STREAM, SOL_SOCKET
from _socket import socket as Socket
from time import sleep

from agentkeys import __version__, paths, wire
from agentkeys.errors import AgentkeysError, Denied, NoAgent, OutcomeUnknown, TimedOut, UsageFault

ANSWER_SECONDS = 10.0
"""How long an agent may take to answer; it needs 20 µs, a stopped one (SIGSTOP) never does."""

QUEUE_PAUSE = 0.005
"""Seconds between two tries to get into an agent's full queue."""

RECEIVE = 16 * 1024
"""Bytes asked of one recv(2): nearly every reply in one call; a larger buffer costs page faults at each start."""

SO_PEERCRED, UCRED_SIZE = 17, 12
"""unix(7): struct ucred is pid, uid, gid, each 32 bits."""
SOL_LOCAL, LOCAL_PEERCRED, LOCAL_PEERPID, XUCRED_SIZE = 0, 1, 2, 76
"""macOS, sys/un.h: cr_uid is the second u32 of struct xucred. Not run on a Mac."""


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

    patience = ANSWER_SECONDS
    """Seconds for each step of it; whoever can't wait so long sets it for the whole process."""

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
        self._sock.settimeout(self.patience)
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
        for _ in range(int(self.patience / QUEUE_PAUSE)):
            try:
                return self._sock.connect(path)
            except BlockingIOError:
                sleep(QUEUE_PAUSE)
        raise TimeoutError

    def ask(self, verb: bytes, *pairs: bytes, waits: bool = False) -> "list[memoryview]":
        """Ask one thing; the fields after `ok`.

        One that `waits` is sent after the agent's hello: a value, which must not go to something that isn't an agent,
        or what can't be taken back from the agent of another owner or home.
        Raises what the agent answered, NoAgent when it left before it was asked, OutcomeUnknown when after.
        """
        greeting = b"" if self._greeted else wire.hello(self.owner.encode("ascii"), __version__.encode("ascii"))
        request = wire.encode(verb, *pairs)
        if waits and greeting:
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
                    f"the agent at {self.path} doesn't answer within {self.patience:g} s",
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
