"""Login sessions as the kernel knows them: a child of root that has none yet gets a fresh one (proc(5), loginuid)."""

import os
import shlex
from collections.abc import Callable

import pytest

from tests.agent.seat import Seat
from tests.support.runner import Result


@pytest.fixture
def in_session(rack: Seat) -> Callable[..., Result]:
    """Run shell lines, each call in a fresh login session; `ak` is the program under test. Wants root on Linux."""
    begin = "echo 0 >/proc/self/loginuid && cat /proc/self/sessionid && echo && "
    program = shlex.join(os.fsdecode(word) for word in rack.cli.prefix)

    def run(script: str) -> Result:
        return rack.cli.with_prefix("bash", "-c", f'{begin} ak() {{ {program} "$@"; }} && {script}')(reveals=True)

    probe = run("true")
    if probe.code or probe.out == b"4294967295\n":
        pytest.skip("needs a kernel with audit session ids, root, and a loginuid that isn't set yet")
    return run
