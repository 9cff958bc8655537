"""The owners' sockets, and the one that $AGENTKEYS_SOCK names: who answers, and what is in the way."""

import os
import stat
from collections.abc import Iterator

from agentkeys import paths
from agentkeys.client import DEFAULT_OWNER, owner_of
from agentkeys.errors import AgentkeysError
from agentkeys.setup.doctor import call as calls
from agentkeys.setup.doctor.call import Call
from agentkeys.setup.doctor.findings import Finding, error, note, ok, quoted, warning
from agentkeys.setup.doctor.runtime import MAKE_OWN
from agentkeys.setup.doctor.scene import MAX_CALLS, Scene, Spot

MAX_NAMES = 1000
"""Names of the sockets' directory that are looked at."""


def check_sockets(scene: Scene) -> Iterator[Finding]:
    """Each place where an agent of an owner should be or was."""
    asked = 0
    for spot in scene.spots:
        if not paths.exists(spot.path):
            continue
        asked += 1
        if spot.call is None:
            continue
        if spot.call.state == calls.MANAGED:
            what = f"a service manager listens at {spot.path}, and starts the agent for whoever calls"
            yield ok("socket-managed", what, spot.owner)
            continue
        findings = [*_at(scene, spot), *_behind(scene, spot, spot.call)]
        yield from findings
        if not findings:
            yield ok("socket", f"{spot.path}, 0600, pid {spot.call.pid}", spot.owner)
    if asked > MAX_CALLS:
        yield note("sockets-many", f"there are {asked} sockets; {asked - MAX_CALLS} of them weren't called")
    for owner in scene.owners:
        found = any(not spot.is_private for spot, _made in scene.agents(owner))
        if scene.is_ours and not found and not _is_managed(scene, owner):
            yield note("agent-none", "no agent answers", f'eval "$(agentkeys agent --for {owner})"', owner)


def _is_managed(scene: Scene, owner: str) -> bool:
    mine = [spot.call for spot in scene.spots if spot.owner == owner and spot.call]
    return any(made.state == calls.MANAGED for made in mine)


def _at(scene: Scene, spot: Spot) -> Iterator[Finding]:
    """What lies at a socket's path."""
    word = quoted(spot.path)
    try:
        facts = os.lstat(spot.path)
    except OSError:
        return
    if not stat.S_ISSOCK(facts.st_mode):
        what = f"{spot.path} is no socket, so no agent can listen there"
        yield error("socket-squatted", what, f"mv {word} {quoted(spot.path + '.aside')}", spot.owner)
    elif facts.st_uid != scene.uid:
        what = f"{spot.path} was put there by uid {facts.st_uid}, so no agent can listen there"
        yield error("socket-squatted", what, f"rm -f {word}", spot.owner)
    elif facts.st_mode & 0o177 and spot.call is not None and spot.call.state != calls.NOBODY:
        mode = stat.S_IMODE(facts.st_mode)
        yield warning("socket-mode", f"{spot.path} is open to others: {mode:04o}", f"chmod 600 {word}", spot.owner)


def _behind(scene: Scene, spot: Spot, made: Call) -> Iterator[Finding]:
    """Who listens there."""
    word = quoted(spot.path)
    if not stat.S_ISSOCK(_kind(spot.path)):
        return
    if made.state == calls.NOBODY:
        yield note("socket-stale", f"nobody answers at {spot.path}", f"rm -f {word}", spot.owner)
    elif made.state == calls.FOREIGN:
        what = f"{spot.path} is served by uid {made.uid}; nothing was sent to it"
        yield error("socket-foreign", what, f"rm -f {word}", spot.owner)
    elif made.state == calls.SILENT:
        what = f"pid {made.pid} doesn't answer at {spot.path} within {calls.PATIENCE:g} s"
        yield error(
            "socket-silent", what, f"kill -CONT {made.pid}" if made.pid else f"fuser -k -CONT {word}", spot.owner
        )
    elif made.state == calls.STRANGER:
        what = f"what listens at {spot.path} (pid {made.pid}) is no agent of ours"
        yield error("socket-stranger", what, f"rm -f {word}", spot.owner)
    elif made.home_id and made.home_id != paths.home_id(scene.root):
        what = f"{spot.path} serves another home's {made.owner}, because the two share a runtime directory"
        yield error("agent-other-home", what, MAKE_OWN, spot.owner)
    elif made.owner != spot.owner:
        yield error("agent-other-owner", f"{spot.path} is {made.owner}'s agent", f"rm -f {word}", spot.owner)


def _kind(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def check_other_sockets(scene: Scene) -> Iterator[Finding]:
    """What else is in the sockets' directory: of owners who are gone, or put there by somebody else."""
    known = {spot.path for spot in scene.spots}
    try:
        directory = scene.runtime
        if not scene.is_ours or not paths.is_private_dir(directory):
            return
        names = sorted(os.listdir(directory))[:MAX_NAMES]
    except (AgentkeysError, OSError):
        return
    for name in names:
        path = f"{directory}/{name}"
        owner = name.partition(".")[0]
        if path in known or not name.endswith(".sock") or (owner in scene.there and owner not in scene.owners):
            continue
        if not stat.S_ISSOCK(_kind(path)):
            yield warning("socket-odd", f"{path} is no socket", f"mv {quoted(path)} {quoted(path + '.aside')}")
            continue
        made = calls.call(path, curious=False) if scene.left else None
        if made is not None and made.state == calls.NOBODY:
            yield note("socket-stale", f"nobody answers at {path}", f"rm -f {quoted(path)}")
        elif made is not None and made.state == calls.AGENT and made.home_id == paths.home_id(scene.root):
            yield warning(
                "agent-no-owner", f"{path} is the agent of {made.owner}, who is no owner here", f"rm -f {quoted(path)}"
            )
        elif made is not None and made.state == calls.FOREIGN:
            what = f"{path} is served by uid {made.uid}; nothing was sent to it"
            yield error("socket-foreign", what, f"rm -f {quoted(path)}")


def check_named_socket(scene: Scene) -> Iterator[Finding]:
    """$AGENTKEYS_SOCK: what it names is final, so it has to be right."""
    path = scene.env("AGENTKEYS_SOCK")
    if not path:
        return
    if not path.startswith("/"):
        yield warning(
            "sock-relative", "AGENTKEYS_SOCK is no absolute path: it is another socket in each directory", UNSET
        )
        return
    if len(paths.to_bytes(path)) > paths.MAX_SOCKET_PATH:
        yield error(
            "sock-long", f"AGENTKEYS_SOCK is over {paths.MAX_SOCKET_PATH} bytes, so nobody can listen there", UNSET
        )
        return
    made = next((spot.call for spot in scene.spots if spot.path == path and spot.call), None) or calls.call(path)
    if made.state == calls.MANAGED:
        yield ok("sock", f"AGENTKEYS_SOCK names {path}, where a service manager starts the agent for whoever calls")
        return
    if made.state != calls.AGENT:
        yield _unusable(made)
        return
    yield from _unfitting(scene, made)


UNSET = "unset AGENTKEYS_SOCK AGENTKEYS_AGENT_PID"


def _unusable(made: Call) -> Finding:
    if made.state == calls.FOREIGN:
        what = f"AGENTKEYS_SOCK names {made.path}, which is served by uid {made.uid}"
        return error("sock-foreign", what, UNSET)
    if made.state == calls.SILENT:
        what = f"AGENTKEYS_SOCK names {made.path}, which doesn't answer within {calls.PATIENCE:g} s"
        return error("sock-silent", what, UNSET)
    if made.state == calls.STRANGER:
        return error("sock-stranger", f"AGENTKEYS_SOCK names {made.path}, where no agent of ours listens", UNSET)
    return error("sock-dead", f"AGENTKEYS_SOCK names {made.path}, where nobody answers", UNSET)


def _unfitting(scene: Scene, made: Call) -> Iterator[Finding]:
    """Whether it is the socket of the owner that $AGENTKEYS_OWNER, or its absence, says."""
    text = scene.env("AGENTKEYS_OWNER")
    wanted = owner_of(scene.root, text or DEFAULT_OWNER) if scene.is_ours else ""
    pid = scene.env("AGENTKEYS_AGENT_PID")
    if scene.is_ours and made.home_id and made.home_id != paths.home_id(scene.root):
        yield error("sock-other-home", f"AGENTKEYS_SOCK names an agent of another home: {made.path}", UNSET)
    elif text and wanted and made.owner != wanted:
        what = f"AGENTKEYS_SOCK is {made.owner}'s agent, and AGENTKEYS_OWNER says {text}"
        yield error("sock-owner", what, f"export AGENTKEYS_OWNER={made.owner}")
    elif not text and wanted and made.owner != wanted:
        what = f"AGENTKEYS_SOCK is {made.owner}'s agent, and AGENTKEYS_OWNER is unset, which means {wanted}"
        yield error("sock-owner", what, f"export AGENTKEYS_OWNER={made.owner}")
    elif pid and pid != str(made.pid):
        what = f"AGENTKEYS_AGENT_PID is {pid}, and the agent behind AGENTKEYS_SOCK has pid {made.pid}"
        yield note("agent-pid-stale", what, f"export AGENTKEYS_AGENT_PID={made.pid}")
    else:
        yield ok("sock", f"AGENTKEYS_SOCK is {made.owner}'s agent, pid {made.pid}", made.owner)
