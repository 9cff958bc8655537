"""Callers and agents that the kernel hides from each other: other pid namespaces, and a /proc that shows little.

What can't be known is unknown, never equal: the uid alone decides, or, under `login_session = "strict"`, such a caller
may only make the agent forget.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.agent.logins import in_session
from tests.agent.seat import Seat
from tests.support.plugin import Plant
from tests.support.runner import Result
from tests.support.uids import REPO, User

__all__ = ["in_session"]

InSession = Callable[..., Result]

ELSEWHERE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
"""A pid namespace of its own, with a /proc of its own: what a container is, to the rest of us."""

LITTLE = "mount -t proc -o hidepid=2 proc /proc"
"""Shows each user their own processes and nobody else's (proc(5)).

A mount of its own: to remount would be to change the machine's, which every mount namespace shares.
"""

UNKNOWN = b"a process of no known login session may only make this agent forget"


@pytest.fixture(autouse=True)
def namespaces(rack: Seat) -> None:
    """Skip where no namespace can be made."""
    for words in ((*ELSEWHERE, "true"), ("unshare", "--mount", "sh", "-c", LITTLE)):
        if rack.cli.with_prefix(*words)().code:
            pytest.skip(f"needs root and a kernel that allows {shlex.join(words)}")


def strict(seat: Seat) -> None:
    """The operator wants login sessions."""
    config = seat.home.path / ".config" / "agentkeys" / "config.toml"
    config.parent.mkdir(mode=0o700, exist_ok=True)
    config.write_text('login_session = "strict"\n')
    config.chmod(0o600)


def test_a_caller_in_a_container_is_known_by_the_pid_it_has_here(seat: Seat) -> None:
    """It calls from another pid namespace, is served by its uid, and the log has no pid of its own counting."""
    get = seat.cli.with_prefix(*ELSEWHERE, *seat.cli.prefix)("get", "GITHUB_TOKEN", reveals=True, check=True)
    assert get.out == seat.values["GITHUB_TOKEN"]
    assert seat.chain()[-1]["pid"] > 10, "the first processes of a namespace have small numbers"


def test_a_caller_outside_an_agents_container_is_nobody_by_pid(rack: Seat) -> None:
    """The kernel says pid 0: it is served by its uid, and the log says 0, which is nobody's."""
    agent = rack.cli.with_prefix(*ELSEWHERE, *rack.cli.prefix).start("agent", "-D", stdout=subprocess.PIPE)
    assert agent.stdout
    assert agent.stdout.readline()
    rack.unlock()
    assert rack.get("GITHUB_TOKEN").out == rack.values["GITHUB_TOKEN"]
    assert rack.chain()[-1]["pid"] == 0
    rack.cli("relock", check=True)
    agent.kill()  # unshare(1) is deaf to SIGTERM
    agent.wait()


WAIT = "for _ in $(seq 2000); do test -s started && break; sleep 0.01; done; . ./started"


def test_a_caller_without_a_pid_is_of_no_known_login(rack: Seat, in_session: InSession) -> None:
    """Agent and caller are of one login, and can't see so: served by uid; under strict, only to make it forget."""
    agent = f"{shlex.join(ELSEWHERE)} bash -c 'ak agent -D' >started &"
    ask = "ak unlock >/dev/null; ak get GITHUB_TOKEN; echo code $?; kill -KILL %1; wait"
    script = f"cd {shlex.quote(str(rack.home.path))} && export -f ak && rm -f started && {{ {agent} {WAIT}; {ask}; }}"
    assert rack.values["GITHUB_TOKEN"] in in_session(script).out
    strict(rack)
    done = in_session(script)
    assert b"code 6" in done.out
    assert rack.values["GITHUB_TOKEN"] not in done.out
    assert UNKNOWN in done.err


ROOT_ASKS = """
import sys
from pathlib import Path
from tests.agent.dialogue import Dialogue
with Dialogue(Path(sys.argv[1])).greet() as client:
    print(client.ask(b"get", b"key", b"GITHUB_TOKEN")[0].decode())
"""


@pytest.fixture
def behind_hidepid(other_user: User, canary: Plant) -> Callable[[str, str], Result]:
    """Run shell lines after the start of an ordinary user's agent, in one login, where /proc shows LITTLE.

    `ak` is the program as that user, `root_asks` somebody of root's who asks the agent for a value.
    """
    user = Seat(other_user.home, other_user.cli, {"GITHUB_TOKEN": canary("behind hidepid")})
    user.cli("init", "--via", "file", check=True)
    user.cli("set", "GITHUB_TOKEN", input=user.values["GITHUB_TOKEN"], check=True)
    config = user.home.path / ".config" / "agentkeys" / "config.toml"
    ak = shlex.join(map(os.fsdecode, user.cli.prefix))
    root = shlex.join(["env", f"PYTHONPATH={REPO}", sys.executable, "-c", ROOT_ASKS])

    def run(settings: str, script: str) -> Result:
        write = 'mkdir -p "$(dirname "$1")" && printf "%s\n" "$2" >"$1"'
        other_user.run("/bin/sh", "-c", write, "sh", config, f"allow_root = true\n{settings}", check=True)
        words = f'ak() {{ {ak} "$@"; }}; root_asks() {{ {root} "$socket"; }}'
        begin = f"{LITTLE} && echo 0 >/proc/self/loginuid && socket=$(ak agent --print-socket)"
        return user.cli.with_prefix("unshare", "--mount", "sh", "-c", f"{words}; {begin} && {script}")(reveals=True)

    return run


@pytest.mark.serial
def test_whom_proc_hides_is_of_no_known_login(behind_hidepid: Callable[[str, str], Result]) -> None:
    """hidepid=2, and root let in: the agent can't see root's processes, nor a worker's, whose memory is closed.

    By uid they are served. Under strict they aren't, so that nothing can be unlocked, which is said.
    """
    script = "ak unlock >/dev/null && ak get GITHUB_TOKEN >/dev/null && root_asks; ak agent -k >/dev/null"
    assert behind_hidepid("", script).out == b"ok\n"
    done = behind_hidepid('login_session = "strict"', "ak status >/dev/null && root_asks; ak unlock")
    assert (done.code, done.out) == (6, b"error\n")
    assert UNKNOWN in done.err


def test_without_a_proc_nobodys_login_is_known(rack: Seat, in_session: InSession) -> None:
    """An empty /proc: an agent that can't tell its own login starts as the user's, or under strict not at all."""
    script = "unshare --mount bash -c 'mount -t tmpfs none /proc && ak agent --print-socket'"
    script = f"export -f ak && {script}"
    done = in_session(script).check()
    assert bytes(rack.socket) in done.out
    assert b"Traceback" not in done.err
    rack.cli("agent", "-k", check=True)
    strict(rack)
    done = in_session(script)
    assert done.code == 2
    assert b"login_session is strict" in done.err
