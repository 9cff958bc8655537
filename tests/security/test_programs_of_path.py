"""What stands first in PATH, or in the current directory, is never run by us."""

import os
from pathlib import Path

from tests.agent.seat import Seat
from tests.cli.test_main_session import ssh_key
from tests.support.plugin import Plant

PROGRAMS = (
    "age age-keygen age-plugin-x aws bash cat dbus-launch dbus-send direnv env fuser gcc git gnome-keyring-daemon gpg "
    "id keyring launchctl ld ldconfig ls node objdump op pinentry ps python python3 python3.11 rage sh ssh-add "
    "ssh-agent ssh-keygen stty sudo systemctl true uname"
).split()
"""What a tool of this kind could be tempted to call."""

FAKE = '#!/bin/sh\necho "$0 $*" >>"{log}"\nexit 1\n'


def test_no_program_of_the_callers_path_is_run(rack: Seat, canary: Plant, tmp_path: Path) -> None:
    """Fakes of all that might be called stand first in PATH and in the current directory: none of them is."""
    fakes, log = tmp_path / "fakes", tmp_path / "log"
    fakes.mkdir()
    for name in PROGRAMS:
        (fakes / name).write_text(FAKE.format(log=log))
        (fakes / name).chmod(0o755)
    env = {"PATH": f"{fakes}:.:{os.environ['PATH']}", "SHELL": "/bin/bash"}
    public = ssh_key(rack.home.path)

    def ak(*args: "str | Path", input: bytes | None = None, code: int = 0) -> None:  # noqa: A002 - as Runner names it
        done = rack.cli(*args, input=input, env=env, cwd=fakes, reveals=True)
        assert done.code == code, (args, done.err)

    ak("init", "--for", "crab", "--via", "ssh", "--pubkey", public)
    ak("set", "NEW", input=canary("NEW"))
    ak("list")
    ak("agent")
    ak("unlock")
    ak("status")
    ak("get", "NEW")
    ak("exec", "--", "/bin/true")
    ak("source", "--shell", "bash")
    ak("agent", "--for", "crab", "--unlock", "--", "/bin/true")
    ak("recipient", "get")
    ak("owner", "list")
    ak("relock")
    ak("del", "NEW")
    ak("agent", "--reload")
    ak("agent", "-k")
    assert rack.cli("doctor", env=env, cwd=fakes).code in (0, 1, 2)
    assert not log.exists(), log.read_text()
    done = rack.cli("exec", "--", "id", env=env, cwd=fakes)
    assert done.code == 3, "no agent: nothing runs"
    rack.start().unlock()
    assert rack.cli("exec", "--", "id", env=env, cwd=fakes).code == 1
    assert log.exists(), "the control: exec runs what PATH says, which is its caller's own word"
