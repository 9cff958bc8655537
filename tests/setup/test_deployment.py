"""The rows of docs/how-to/run-robots-unattended.md that this machine can try; units are in test_systemd.py."""

import os
import shlex
import shutil
import signal
from pathlib import Path

from pyrage.x25519 import Identity

from tests.agent.seat import Seat, eventually
from tests.owners.bus import keyring, session_bus
from tests.support.homes import Home
from tests.support.plugin import Plant
from tests.support.runner import Runner
from tests.support.uids import require

ALONE = ("agent", "-D", "--login-session", "uid", "--auto-unlock")


def test_a_desktops_keychain_opens_after_the_agent_started(
    home: Home, cli: Runner, canary: Plant, short_path: Path
) -> None:
    """A robot with its identity in GNOME Keyring.

    Unlocked when that is open; locked, with the reason, while it isn't; unlocked without a restart once it is.
    """
    require(shutil.which("gnome-keyring-daemon"), "gnome-keyring-daemon")
    value = canary("robot of a desktop")
    with session_bus(short_path, home.env) as bus, keyring(bus):
        cli.env.update(bus.env)
        robot = Seat(home, cli, {"TOKEN": value})
        cli("init", "--via", "keychain", check=True)
        robot.set("TOKEN", value)
        child = cli.start(*ALONE)
        eventually(lambda: (robot.status() or {"keys": []})["keys"])
        assert robot.get("TOKEN", check=True).out == value
        cli("agent", "-k", check=True)
        child.wait(30)
        bus.lock()
        cli.start(*ALONE)
        fault = eventually(lambda: (robot.status() or {"auto_unlock_fault": ""})["auto_unlock_fault"])
        assert "keychain" in fault
        assert robot.get("TOKEN").code == 4
        assert b"automatic unlock failed" in cli("status", "--all", check=True).out
        bus.unlock()
        cli("agent", "--auto-unlock", check=True)
        assert robot.get("TOKEN", check=True).out == value


def test_without_a_keychain_everything_is_a_file(home: Home, cli: Runner) -> None:
    """A sandbox: no bus, no runtime directory, one variable; a robot works from its first command."""
    cli.env.pop("XDG_RUNTIME_DIR")
    cli.env["AGENTKEYS_SESSION_STORE"] = "file"
    assert cli("init", "--for", "worker", "--json", check=True).json()["via"] == "file"
    cli("set", "TOKEN", "--for", "worker", input=b"t", check=True)
    cli("agent", "--for", "worker", "--auto-unlock", check=True)
    assert cli("exec", "--for", "worker", "--", "printenv", "TOKEN", reveals=True, check=True).out == b"t\n"
    cli("agent", "-k", "--for", "worker", check=True)


def contained(seat: Seat, script: str, *mounts: tuple[Path, str]) -> Runner:
    """A shell in pid and mount namespaces of its own, in which the home and /tmp are empty but for `mounts`."""
    require(shutil.which("unshare") and os.geteuid() == 0, "root, and unshare")
    lines = ["set -e", "mkdir -p /mnt/box"]
    lines += [
        f"mkdir -p /mnt/box{target} && mount --bind {shlex.quote(str(path))} /mnt/box{target}"
        for path, target in mounts
    ]
    hide = [f"mount -t tmpfs tmpfs {shlex.quote(str(place))}" for place in (seat.home.path, seat.home.runtime)]
    show = [f"mkdir -p {target} && mount --move /mnt/box{target} {target}" for _path, target in mounts]
    text = "\n".join(["mount -t tmpfs tmpfs /mnt", *lines, *hide, *show, "cd /", script])
    return seat.cli.with_prefix(
        "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", text
    )


def test_a_container_with_the_hosts_socket_uses_keys_and_opens_no_rack(rack: Seat, short_path: Path) -> None:
    """The mounted directory is all it sees.

    exec works, also after the agent was restarted; set, list and unlock don't; the log on the host has each use, with
    the pid that the host knows the caller by.
    """
    path = short_path / "agent.sock"
    first = rack.cli.start(*ALONE, "-a", path)
    eventually(path.exists)
    ak = shlex.join(os.fsdecode(word) for word in rack.cli.prefix)
    env = {"AGENTKEYS_SOCK": "/srv/ak-box/agent.sock", "AGENTKEYS_OWNER": "human", "HOME": "/", "XDG_RUNTIME_DIR": None}
    uses = f"{ak} exec -- printenv GITHUB_TOKEN"
    box = (short_path, "/srv/ak-box")
    done = contained(rack, uses, box)(env=env, reveals=True)
    assert (done.code, done.out) == (0, rack.values["GITHUB_TOKEN"] + b"\n"), done.err
    opened = contained(rack, f"{ak} list || {ak} set X --from-env HOME || {ak} unlock || ls {rack.home.path}", box)(
        env=env
    )
    assert opened.out == b""
    assert opened.err.count(b"no owner human here") == 3
    first.send_signal(signal.SIGKILL)
    first.wait()
    rack.cli.start(*ALONE, "-a", path)
    eventually(lambda: rack.cli("status", "--sock", path).code == 0)
    again = contained(rack, uses, box)(env=env, reveals=True)
    assert again.out == rack.values["GITHUB_TOKEN"] + b"\n"
    pids = [line["pid"] for line in rack.chain() if line["verb"] == "exec"]
    assert len(pids) == 2
    assert min(pids) > 2, "not the numbers of the container's own namespace"


def test_a_container_with_a_rack_of_its_own(rack: Seat) -> None:
    """Its first process is the command behind `agent --auto-unlock --`; keys by exec; nothing runs afterwards."""
    ak = shlex.join(os.fsdecode(word) for word in rack.cli.prefix)
    script = f"exec {ak} agent --auto-unlock -- sh -c 'echo $$; {ak} exec -- printenv GITHUB_TOKEN; exit 7'"
    done = contained(rack, script, (rack.home.root, "/srv/ak-box"))(
        env={"AGENTKEYS_HOME": "/srv/ak-box", "AGENTKEYS_SESSION_STORE": "file"}, reveals=True
    )
    assert (done.code, done.out) == (7, b"1\n" + rack.values["GITHUB_TOKEN"] + b"\n"), done.err
    eventually(lambda: not rack.home.agents())


def test_a_ci_job_with_a_rack_from_the_repository(home: Home, cli: Runner, canary: Plant, tmp_path: Path) -> None:
    """Three sealed files and one variable: the script gets keys by exec, not the variable, and leaves nothing."""
    identity = str(Identity.generate())
    place = tmp_path / "checkout" / ".ci" / "agentkeys"
    env = {"AGENTKEYS_HOME": str(home.path / "desk"), "AGENTKEYS_IDENTITY": identity}
    value = canary("of a CI job")
    cli("init", "--for", "ci", "--via", "env", env=env, check=True)
    cli("set", "NPM_TOKEN", "--for", "ci", input=value, env=env, check=True)
    for name in ("host.ci.yml.age", "vault/ci", "owners/ci.json"):
        (place / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        source = home.path / "desk" / name
        shutil.copytree(source, place / name) if source.is_dir() else shutil.copy(source, place / name)
    ak = shlex.join(os.fsdecode(word) for word in cli.prefix)
    job = {**env, "AGENTKEYS_HOME": str(place)}
    script = f'test -z "${{AGENTKEYS_IDENTITY-}}" && {ak} exec --key NPM_TOKEN -- printenv NPM_TOKEN'
    done = cli("agent", "--for", "ci", "--unlock", "--", "sh", "-c", script, env=job, reveals=True)
    assert (done.code, done.out) == (0, value + b"\n"), done.err
    eventually(lambda: not home.agents())
    assert cli("agent", "--for", "ci", "--unlock", "--", "true", env={**job, "AGENTKEYS_IDENTITY": None}).code == 4


def test_a_ci_job_that_takes_variables_over(home: Home, cli: Runner, canary: Plant) -> None:
    """The steps of the page, one after the other: each command gets the key that it names and no other."""
    values = {name: canary(name) for name in ("GITHUB_TOKEN", "NPM_TOKEN")}
    cli.env.update(AGENTKEYS_HOME=str(home.path / "runner"), AGENTKEYS_SESSION_STORE="file")
    cli("init", "--for", "ci", check=True)
    for name, value in values.items():
        cli("set", name, "--for", "ci", "--from-env", f"CI_{name}", env={f"CI_{name}": value.decode()}, check=True)
    cli("agent", "--for", "ci", "--unlock", check=True)
    done = cli("exec", "--for", "ci", "--key", "NPM_TOKEN", "--", "env", reveals=True, check=True)
    assert b"NPM_TOKEN=" + values["NPM_TOKEN"] in done.out
    assert values["GITHUB_TOKEN"] not in done.out
    cli("agent", "-k", "--for", "ci", check=True)
