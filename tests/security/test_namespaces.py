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

LITTLE = "mount -o remount,hidepid=2 /proc"
"""Shows each user their own processes and nobody else's (proc(5))."""

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


@pytest.mark.serial
@pytest.mark.parametrize("setting", ["uid", "strict"])
def test_whom_proc_hides_is_of_no_known_login(setting: str, other_user: User, canary: Plant) -> None:
    """hidepid=2: callers of one's own are seen and served as ever; root, let in, is hidden: served unless strict."""
    user = Seat(other_user.home, other_user.cli, {"GITHUB_TOKEN": canary("behind hidepid")})
    user.cli("init", "--via", "file", check=True)
    user.cli("set", "GITHUB_TOKEN", input=user.values["GITHUB_TOKEN"], check=True)
    config = user.home.path / ".config" / "agentkeys" / "config.toml"
    text = "allow_root = true\n" + ('login_session = "strict"\n' if setting == "strict" else "")
    write = 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"'
    other_user.run("/bin/sh", "-c", write, "sh", config, text, check=True)
    ak = shlex.join(map(os.fsdecode, user.cli.prefix))
    root = shlex.join(["env", f"PYTHONPATH={REPO}", sys.executable, "-c", ROOT_ASKS])
    begin = f"{LITTLE} && echo 0 >/proc/self/loginuid && socket=$({ak} agent --print-socket) && {ak} unlock >/dev/null"
    script = f'{begin} && {ak} get GITHUB_TOKEN && echo && {root} "$socket"'
    done = user.cli.with_prefix("unshare", "--mount", "sh", "-c", script)(reveals=True, check=True)
    assert done.out.split(b"\n")[:2] == [user.values["GITHUB_TOKEN"], b"error" if setting == "strict" else b"ok"]


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
