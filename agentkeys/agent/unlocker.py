"""The one process an agent starts: a worker that unlocks again, as it was asked for the first time, asking nobody."""

import os
import signal
import sys

from agentkeys import wire

SCRIPT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/worker/__main__.py"

PATIENCE = 120_000
"""Milliseconds for one unlock; it takes 30, and a keychain that hangs is given up within 60,000 by the worker."""

MAX_JOB = 60_000
"""Bytes of a job: it must fit into a pipe (64 KiB, pipe(7)), since nobody here waits for its reader."""

MAX_ANSWER = 1024 * 1024
"""Bytes of a worker's answer: the names it unlocked."""

SAID_NOTHING = "its worker died"

ENDS: "dict[int, str]" = {
    signal.SIGXCPU: "its worker died: it used up its processor time",
    signal.SIGKILL: "its worker died: it was killed, as where memory runs out",
}
"""What the signal says that ended a worker which said nothing."""


class Unlocker:
    """Starts that worker, and tells how it ended. One at a time."""

    def __init__(self, facts: "list[tuple[bytes, bytes]]") -> None:
        """`facts` are the job's fields that never change: home, owner, socket, config."""
        self.facts = facts
        self.fd = -1
        """Readable when there is something to read(); -1 while no worker runs."""
        self.pid = 0
        """The worker's, while there is one."""
        self._answer = b""

    def start(self, request: bytes, withheld: "list[str]") -> str:
        """Start a worker; why that can't be, or an empty text."""
        fields = [part for pair in self.facts for part in pair]
        fields += (b"auto", b"1", b"alone", b"1")
        for line in request.split(b"\n"):
            name, _, value = line.partition(b"=")
            fields += (name, value)
        for slug in withheld:
            fields += (b"except", slug.encode("ascii"))
        job = wire.encode(b"unlock", *fields)
        if len(job) > MAX_JOB:
            return "it names too many keys"
        ours: list[int] = []
        theirs: list[int] = []
        try:
            for end in (0, 1):
                pair = os.pipe()
                theirs.append(pair[end])
                ours.append(pair[1 - end])
            self.pid = self._spawn(*theirs)
        except OSError as error:
            for fd in ours:
                os.close(fd)
            return f"no worker could be started: {error.strerror}"
        finally:
            for fd in theirs:
                os.close(fd)
        try:
            os.write(ours[0], job)
        except OSError:
            pass  # it died at once, and its answer will be empty
        os.close(ours[0])  # nobody answers its questions
        self.fd, self._answer = ours[1], b""
        os.set_blocking(self.fd, False)
        return ""

    @staticmethod
    def _spawn(stdin: int, stdout: int) -> int:
        """posix_spawn(3), which copies nothing of our memory. Raises OSError."""
        actions = [
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ]
        argv = [sys.executable, "-I", SCRIPT]
        return os.posix_spawn(argv[0], argv, os.environ, file_actions=actions, setsigdef=[signal.SIGPIPE])

    def read(self) -> "str | None":
        """What went wrong, or an empty text, once the worker has ended; None while it runs."""
        try:
            piece = os.read(self.fd, wire.MAX_FRAME)
        except BlockingIOError:
            return None
        self._answer += piece
        if piece and len(self._answer) <= MAX_ANSWER:
            return None
        return self._end()

    def give_up(self) -> str:
        """Kill the worker, which took too long or isn't wanted any more; what to say of it."""
        os.kill(self.pid, signal.SIGKILL)  # our own child, not waited for yet: its number can't be anyone else's
        self._end()
        return f"its worker didn't end within {PATIENCE // 1000} s"

    def _end(self) -> str:
        os.close(self.fd)
        self.fd = -1
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        said = _fault_in(self._answer)
        return ENDS.get(-code, said) if said == SAID_NOTHING else said


OK = wire.encode(b"ok")[wire.HEADER :]
"""How the payload of an answer begins that is no error; the names behind it are of no interest here."""


def _fault_in(answer: bytes) -> str:
    """The message of an error, or an empty text for a success."""
    payload = memoryview(answer)[wire.HEADER :]
    if payload[: len(OK)] == OK:
        return ""
    try:
        message = dict(wire.pairs(wire.split_fields(payload)))[b"message"]
    except (wire.WireError, KeyError):
        return SAID_NOTHING
    return str(message, "utf-8", "replace")
