"""A stand-in for an agent: the real state machine behind a real socket, with a hand in what happens when."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agentkeys import paths, wire
from agentkeys.core.agent import step
from agentkeys.core.effects import Audit, Effect, ReadConfig, Reply, Wipe
from agentkeys.core.events import AuditDurable, Disconnected, Peer, Request
from agentkeys.core.state import AgentState
from agentkeys.core.status import AgentFacts
from tests.core.playbook import as_read


class StubAgent:
    """Serves one owner on `path`, findable by its lock file, one request at a time."""

    def __init__(self, root: Path, owner: str, path: Path) -> None:
        self.root = root
        self.owner = owner
        self.path = path
        self.state = AgentState(owner, AgentFacts(1, str(path), "", "0", "", False), 0, frozenset())
        self.verbs: list[str] = []
        """What it was asked, in order."""
        self.before: dict[str, Callable[[], object]] = {}
        """By verb: what happens before it is handled, once."""
        self.refusing: set[str] = set()
        """Verbs that are answered by an error."""
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        lock = Path(paths.run_dir(str(root), owner)) / f"{path.stem}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text(f"{path}\n")
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def held(self) -> "dict[str, bytes]":
        """The values it would serve."""
        return {slug: bytes(held.secret.view()) for slug, held in self.state.holdings.held.items()}

    def end(self) -> None:
        """Hang up on everybody; more than once is no error."""
        with suppress(OSError):  # ended already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            thread = threading.Thread(target=self._serve, args=(connection, number))
            self._connections.append(connection)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, connection.makefile("rb") as stream, suppress(OSError):
            while payload := _message(stream.read):
                fields = wire.split_fields(memoryview(payload))
                connection.sendall(self._answer(number, bytes(fields[0]).decode(), fields))
        with self._lock:
            step(self.state, Disconnected(number), 0)

    def _answer(self, number: int, verb: str, fields: "list[memoryview]") -> bytes:
        if verb == "hello":
            return wire.hello(self.owner.encode(), b"0", paths.home_id(str(self.root)).encode())
        self.verbs.append(verb)
        self.before.pop(verb, lambda: None)()
        if verb in self.refusing:
            return wire.encode(b"error", b"code", b"1", b"message", b"not today", b"hint", b"")
        with self._lock:
            request = Request(number, Peer(0, 1), verb.encode(), wire.pairs(fields))
            return b"".join(self._do(step(self.state, request, 0)))

    def _do(self, effects: "list[Effect]") -> "list[bytes]":
        answers = []
        for effect in effects:
            if isinstance(effect, Reply):
                answers.append(wire.encode(*[bytes(field) for field in effect.fields]))
            elif isinstance(effect, Wipe):
                for secret in effect.secrets:
                    secret.wipe()
            elif isinstance(effect, Audit) and effect.durable:
                answers += self._do(step(self.state, AuditDurable(effect.conn), 0))
            elif isinstance(effect, ReadConfig):
                answers += self._do(step(self.state, as_read(self.state, effect.request), 0))
        return answers


def _message(read: Callable[[int], bytes]) -> bytes:
    """The next message's payload, or nothing at the end."""
    payload = b""
    flags = 0
    while not flags & wire.LAST:
        header = read(5)
        if len(header) < 5:
            return b""
        flags = header[4]
        payload += read(int.from_bytes(header[:4], "big") - 1)
    return payload
