"""What a fast verb loads is written down here, name by name.

A list of bans doesn't see through the standard library: `import shlex` in paths.py would bring `re`, 6 ms at
every prompt, and break no contract. So each verb runs for real, in a bare interpreter against a stub of an
agent, and what `sys.modules` gained must be EXPECTED, no more and no less.
"""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pytest

from agentkeys import paths, wire
from agentkeys.stores import repo_file
from tests.support.homes import Home

REPO = Path(__file__).parents[2]

EXPECTED = {
    "_socket",
    "agentkeys",
    "agentkeys.__main__",
    "agentkeys.client",
    "agentkeys.client.connection",
    "agentkeys.errors",
    "agentkeys.paths",
    "agentkeys.wire",
}

EXPORTS, SHELLS, VERBS = (f"agentkeys.client.{name}" for name in ("exports", "shells", "verbs"))

INJECT = {"agentkeys.inject", "agentkeys.inject.dialects", "agentkeys.inject.exports"}

HOOK = {f"agentkeys.inject.{name}" for name in ("calls", "dialects", "loaded", "surroundings")}

ALSO = {
    "exec": {"agentkeys.client.command"},
    "get": {VERBS},
    # relock finds every agent through this machine's directory, whose name is a hash.
    "relock": {VERBS, "_blake2"},
    "status": {VERBS},
    # A project's shims lie in a directory whose name is a hash.
    "direnv": {
        "_blake2",
        "agentkeys.client.shims",
        "agentkeys.inject",
        "agentkeys.inject.dialects",
        "agentkeys.inject.direnv",
        "agentkeys.inject.calls",
        "agentkeys.inject.loaded",
        "agentkeys.inject.shims",
        "agentkeys.inject.surroundings",
    },
    "completion": {"agentkeys.client.completion", "agentkeys.client.words"},
    "source": {SHELLS, *INJECT},
    "agent": {EXPORTS, SHELLS},
    # A prompt waits for it: the sign lies in this machine's directory, and what was set is known by its hash.
    "env": {SHELLS, "_blake2", "agentkeys.inject", *HOOK},
    "hook": {SHELLS},
    "agent -s": {EXPORTS},
    "agent -c": {EXPORTS, *INJECT},
    "agent --shell": {EXPORTS, SHELLS, *INJECT},
}
"""What each verb loads beside EXPECTED."""

ASKED = {
    "agent": [b"ping"],
    "completion": [b"names"],
    "direnv": [b"hook"],
    "env": [b"hook"],
    "hook": [],
    "source": [b"exec"],
}
"""What a verb asks the agent, where it isn't called by its own name."""

REPLIES = {
    b"exec": (b"TOKEN", b"value"),
    b"hook": (),
    b"get": (b"value", b"value"),
    b"names": (b"slugs", b"@all.all.TOKEN"),
    b"ping": (),
    b"relock": (b"slug", b"@all.all.TOKEN"),
    b"status": (b"text", b"an agent\n"),
}

CALLS = [
    ("exec", "--for", "human", "--", "/bin/true"),
    ("get", "TOKEN"),
    ("relock",),
    ("env", "--hook", "bash"),
    ("env", "--shell", "json"),
    ("hook", "zsh"),
    ("status", "--json"),
    ("completion", "words", "--", "get", ""),
    ("direnv", "export", "--for", "human"),
    ("agent",),
    ("agent", "-s"),
    ("agent", "-c"),
    ("agent", "--shell", "fish"),
    ("source",),
    ("source", "--shell", "json", "--key", "TOKEN", "--lenient"),
]

# Reports where the program would leave: it ends by _exit, or becomes the command.
PROBE = f"""
import posix, sys
before = set(sys.modules)
leave = posix._exit
def report(*_):
    posix.write(2, " ".join(sorted(set(sys.modules) - before)).encode())
    leave(0)
posix._exit = posix.execve = report
sys.path.insert(0, {str(REPO)!r})
from agentkeys.__main__ import main
main()
"""


class StubAgent(threading.Thread):
    """Answers every request with its verb's line of REPLIES."""

    def __init__(self, path: Path, home_id: str) -> None:
        super().__init__(daemon=True)
        self.hello = wire.hello(b"human", b"0", home_id.encode())
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.asked: list[bytes] = []

    def run(self) -> None:
        """Serve one caller after the other."""
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            with caller, caller.makefile("rb") as stream, suppress(ConnectionError):
                self._answer(caller, stream)

    def _answer(self, caller: socket.socket, stream: BinaryIO) -> None:
        caller.sendall(self.hello)
        while header := stream.read(wire.HEADER):
            payload = stream.read(wire.frame_length(header) - 1)
            verb = bytes(wire.split_fields(memoryview(payload))[0])
            if verb != b"hello":
                self.asked.append(verb)
                caller.sendall(wire.encode(b"ok", *REPLIES[verb]))

    def close(self) -> None:
        """Stop listening; the thread ends."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(5)


@pytest.fixture
def stub(home: Home) -> Iterator[StubAgent]:
    """A stub where the owner `human`'s agent would be, with its lock file."""
    environ = {name.encode(): value.encode() for name, value in home.env.items()}
    path = Path(paths.socket(paths.runtime_dir(environ), "human"))
    path.parent.mkdir(mode=0o700, parents=True)
    lock = Path(paths.run_dir(str(home.root), "human"), "stub.lock")
    lock.parent.mkdir(parents=True)
    lock.write_text(f"{path}\n")
    agent = StubAgent(path, paths.home_id(str(home.root)))
    agent.start()
    yield agent
    lock.unlink()  # the lock names this very process
    agent.close()


def started(verb: tuple[str, ...], home: Home, cwd: str) -> set[str]:
    """The modules that a verb loads in a directory."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROBE, *verb], capture_output=True, text=True, env=home.env, cwd=cwd
    )
    return set(done.stderr.split())


def test_exec_in_an_allowed_repository_stays_on_the_fast_path(stub: StubAgent, home: Home, tmp_path: Path) -> None:
    """A module and a hash more: the manifest is compared, not parsed."""
    manifest = tmp_path / ".agentkeys.yml"
    manifest.write_text("org: acme\nenv.test: [TOKEN]\n")
    manifest.chmod(0o644)
    repo_file.write(str(home.root), repo_file.Closure(str(manifest)).permission())
    loaded = started(("exec", "--", "/bin/true"), home, str(tmp_path))
    assert stub.asked == [b"exec"]
    assert loaded == EXPECTED | ALSO["exec"] | {"agentkeys.client.repo", "_blake2"}


@pytest.mark.parametrize("verb", CALLS, ids=" ".join)
def test_a_fast_verb_loads_only_what_is_written_here(verb: tuple[str, ...], stub: StubAgent, home: Home) -> None:
    """A new name here is a decision about every script's start-up time."""
    loaded = started(verb, home, "/")
    assert stub.asked == ASKED.get(verb[0], [verb[0].encode()]), loaded
    assert loaded == EXPECTED | ALSO.get(" ".join(verb[:2]), ALSO.get(verb[0], set()))
