"""What `setup systemd` and `setup launchd` write, and in which order they do what; no service manager is asked.

The files are compared with tests/setup/golden/. After a change of a template: run these tests, read what differs, and
take it over by `python -m tests.setup.test_services`.
"""

import os
import plistlib
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from pyrage.x25519 import Identity

from agentkeys import procs
from agentkeys.errors import UsageFault, VaultFault
from agentkeys.setup import launchd, systemd
from agentkeys.setup.deeds import Deeds
from agentkeys.setup.service import Service, require_unattended
from agentkeys.setup.templates import fill
from tests.agent.seat import PATIENCE, Seat
from tests.support.uids import require

GOLDEN = Path(__file__).parent / "golden"

USER_HOME = "/Users/ana"


def service(**environment: str) -> Service:
    """Robot seaturtle's, of a user whose environment is this."""
    made = Service("seaturtle", "/Users/ana/.agentkeys", {b"HOME": USER_HOME.encode()})
    made.command = ["/opt/agent keys/bin/python", "-I", "-m", "agentkeys", *made.command[-6:]]
    made.environment = environment
    return made


def written() -> dict[str, str]:
    """Every golden file, as it is made now."""
    return {
        "agentkeys-seaturtle.service": systemd.service_text(service(AGENTKEYS_HOME='/srv/100% "keys" $HOME')),
        "agentkeys-seaturtle.socket": systemd.socket_text(service()),
        "agentkeys.seaturtle.plist": launchd.plist_text(service(AGENTKEYS_HOME="/srv/<keys> & more"), USER_HOME),
    }


@pytest.mark.parametrize("name", written())
def test_a_file_is_as_the_golden_one(name: str) -> None:
    """No change of a unit goes unread."""
    assert written()[name] == (GOLDEN / name).read_text()


def test_a_plist_says_the_same_to_apples_parser() -> None:
    """Label, command, environment, from login on, again after a crash only, no core, nothing readable by others."""
    found = plistlib.loads(written()["agentkeys.seaturtle.plist"].encode())
    assert found == {
        "Label": "agentkeys.seaturtle",
        "ProgramArguments": [*service().command],
        "EnvironmentVariables": {"AGENTKEYS_HOME": "/srv/<keys> & more"},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ProcessType": "Background",
        "Umask": 0o077,
        "HardResourceLimits": {"Core": 0},
        "StandardInPath": "/dev/null",
        "StandardOutPath": "/dev/null",
        "StandardErrorPath": "/Users/ana/Library/Logs/agentkeys-seaturtle.log",
    }


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent, and what a user's manager can protect is protected."""
    require(shutil.which("systemd-analyze"), "systemd-analyze (systemd)")
    real = service(AGENTKEYS_HOME='/srv/100% "keys" $HOME')
    real.command[0] = "/bin/true"
    (tmp_path / "agentkeys-seaturtle.service").write_text(systemd.service_text(real))
    (tmp_path / "agentkeys-seaturtle.socket").write_text(systemd.socket_text(real))
    files = sorted(map(str, tmp_path.iterdir()))
    env = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", *files], env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = subprocess.run(
        ["systemd-analyze", "--user", "security", "--offline=true", files[0]], env=env, capture_output=True, text=True
    )
    kept = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("✓")}
    assert {
        "NoNewPrivileges=", "LockPersonality=", "MemoryDenyWriteExecute=", "RestrictRealtime=", "RestrictSUIDSGID=",
        "RestrictNamespaces=~user", "SystemCallArchitectures=", "SystemCallFilter=~@debug", "SystemCallFilter=~@mount",
        "RestrictAddressFamilies=~AF_(INET|INET6)", "RestrictAddressFamilies=~AF_PACKET", "UMask=",
    } <= kept  # fmt: skip


def test_what_a_unit_and_a_plist_start_is_an_agent_with_its_keys(rack: Seat, short_path: Path) -> None:
    """Their command line, run as it stands there, says READY=1 and serves."""
    unit = rack.cli("setup", "systemd", "--print", check=True).out.decode()
    (line,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    plist = plistlib.loads(rack.cli("setup", "launchd", "--print", check=True).out)
    assert shlex.split(line.removeprefix("ExecStart=")) == plist["ProgramArguments"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(short_path / "notify"))
        manager.settimeout(PATIENCE)
        rack.cli.with_prefix(*plist["ProgramArguments"]).start(env={"NOTIFY_SOCKET": manager.getsockname()})
        assert manager.recv(4096).startswith(b"READY=1\n")
    assert set(rack.states().values()) == {"unlocked"}


@pytest.mark.parametrize(
    ("word", "plain", "command"),
    [
        ("plain/path-1.2_3@x:y=z", "plain/path-1.2_3@x:y=z", None),
        ("", '""', None),
        ("a b", '"a b"', None),
        ("100%", "100%%", None),
        ("$HOME", "$HOME", "$$HOME"),
        ('say "hi"', '"say \\"hi\\""', None),
        ("it's", '"it\'s"', None),
        ("back\\slash", '"back\\\\slash"', None),
        ("tab\there", '"tab\\there"', None),
        (";", '";"', None),
    ],
)
def test_words_are_quoted_for_systemd(word: str, plain: str, command: "str | None") -> None:
    """As systemd.syntax(7) and systemd.service(5) have it; a real manager reads them in test_systemd.py."""
    assert systemd.quoted(word) == plain
    assert systemd.quoted(word, command=True) == (command or plain)


# --- what is done, in which order


class Machine:
    """A stand-in for systemctl and launchctl: it remembers what it ran, and answers questions as it is told."""

    def __init__(self, *yes: str, fails: str = "") -> None:
        self.yes = yes
        """What it says yes to, by a part of the command line."""
        self.fails = fails
        self.ran: list[str] = []
        self.said: list[str] = []

    def run(self, argv: "list[str]") -> procs.Done:
        """Answer, or do."""
        line = shlex.join(argv)
        if any(word in line for word in ("is-", "show-environment", "print")):
            return procs.Done(0 if any(part in line for part in self.yes) else 1, "no")
        self.ran.append(line)
        return procs.Done(5 if self.fails and self.fails in line else 0, "it would not")

    def deeds(self, dry: bool = False) -> Deeds:
        """What does things here."""
        return Deeds(self.said.append, dry, self.run)


UNIT = "agentkeys-seaturtle"


def test_systemd_is_told_what_changed(tmp_path: Path) -> None:
    """Reload, enable, restart; nothing at all the second time; restarted when the unit is another one now."""
    first, second, third = Machine(), Machine("is-enabled", "is-active"), Machine(f"{UNIT}.service")
    systemd.install(service(), str(tmp_path), first.deeds(), by_socket=False)
    wanted = [
        f"systemctl --user {rest}" for rest in ("daemon-reload", f"enable {UNIT}.service", f"restart {UNIT}.service")
    ]
    assert first.ran == wanted
    systemd.install(service(), str(tmp_path), second.deeds(), by_socket=False)
    assert (second.ran, second.said) == ([], [f"unchanged {tmp_path}/.config/systemd/user/{UNIT}.service"])
    systemd.install(service(AGENTKEYS_HOME="/other"), str(tmp_path), third.deeds(), by_socket=False)
    assert third.ran == wanted
    assert "AGENTKEYS_HOME=/other" in (tmp_path / f".config/systemd/user/{UNIT}.service").read_text()


def test_launchd_is_told_what_changed(tmp_path: Path) -> None:
    """Loaded; left alone the second time; unloaded first when the plist is another one now; unloaded and removed."""
    path = launchd.plist_path("seaturtle", str(tmp_path))
    machine = Machine()
    launchd.install(service(), str(tmp_path), 501, machine.deeds())
    assert machine.ran == [f"launchctl bootstrap gui/501 {path}"]
    assert os.stat(path).st_mode & 0o777 == 0o600
    machine = Machine("gui/501/agentkeys.seaturtle")
    launchd.install(service(), str(tmp_path), 501, machine.deeds())
    assert machine.ran == []
    launchd.install(service(A="b"), str(tmp_path), 501, machine.deeds())
    assert machine.ran == ["launchctl bootout gui/501/agentkeys.seaturtle", f"launchctl bootstrap gui/501 {path}"]
    assert launchd.remove("seaturtle", str(tmp_path), 501, machine.deeds())
    assert machine.ran[2:] == ["launchctl bootout gui/501/agentkeys.seaturtle"]
    assert not os.path.exists(path)
    assert not launchd.remove("seaturtle", str(tmp_path), 501, machine.deeds())


def test_a_bootstrap_is_tried_until_launchd_has_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its error is shown when it never does."""
    monkeypatch.setattr(launchd, "BOOTSTRAP_PAUSE", 0)
    machine = Machine(fails="bootstrap")
    with pytest.raises(UsageFault, match=r"bootstrap gui/501 .* failed: it would not"):
        launchd.install(service(), str(tmp_path), 501, machine.deeds())
    assert len(machine.ran) == launchd.BOOTSTRAP_TRIES


def test_a_tool_that_fails_stops_it_and_a_second_run_completes_it(tmp_path: Path) -> None:
    """What was done until then was said."""
    machine = Machine(fails="enable")
    with pytest.raises(UsageFault, match=f"systemctl --user enable {UNIT}.service failed: it would not") as fault:
        systemd.install(service(), str(tmp_path), machine.deeds(), by_socket=False)
    assert fault.value.hint == f"systemctl --user enable {UNIT}.service"
    assert [line.split()[0] for line in machine.said] == ["wrote", "ran"]
    machine = Machine()
    systemd.install(service(), str(tmp_path), machine.deeds(), by_socket=False)
    assert machine.ran[-1] == f"systemctl --user restart {UNIT}.service"


def test_removal_without_a_manager_takes_the_files_and_their_links(tmp_path: Path) -> None:
    """As in a container, or after systemd was replaced."""
    systemd.install(service(), str(tmp_path), Machine().deeds(), by_socket=True)
    wants = tmp_path / ".config/systemd/user/sockets.target.wants"
    wants.mkdir()
    (wants / f"{UNIT}.socket").symlink_to(f"../{UNIT}.socket")
    machine = Machine()
    assert systemd.remove(UNIT, str(tmp_path), machine.deeds())
    assert machine.ran == []
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []
    assert not systemd.remove(UNIT, str(tmp_path), machine.deeds())


@pytest.mark.parametrize("what", ["another's unit", "a symlink"])
def test_what_is_not_ours_is_left_alone(what: str, tmp_path: Path) -> None:
    """Neither replaced nor removed, and named."""
    path = tmp_path / ".config/systemd/user" / f"{UNIT}.service"
    path.parent.mkdir(parents=True)
    if what == "a symlink":
        (tmp_path / "precious").write_text("precious")
        path.symlink_to(tmp_path / "precious")
    else:
        path.write_text("[Service]\nExecStart=/bin/true\n")
    for act in (
        lambda deeds: systemd.install(service(), str(tmp_path), deeds, by_socket=False),
        lambda deeds: systemd.remove(UNIT, str(tmp_path), deeds),
    ):
        machine = Machine()
        with pytest.raises((UsageFault, VaultFault), match=UNIT):
            act(machine.deeds())
        assert machine.ran == []
    assert path.is_symlink() or path.read_text().startswith("[Service]")


# --- the command line, where no service manager is


def test_nothing_is_written_where_no_manager_answers(rack: Seat) -> None:
    """It says so, and how to get one."""
    done = rack.cli("setup", "systemd")
    assert done.code == 2
    assert b"no systemd of this user answers here" in done.err
    assert b"loginctl enable-linger" in done.err
    assert not (rack.home.path / ".config" / "systemd").exists()


@pytest.mark.parametrize("verb", ["systemd", "launchd"])
def test_a_dry_run_says_what_and_does_nothing(verb: str, rack: Seat) -> None:
    """The same lines, with `would`."""
    before = sorted(rack.home.path.rglob("*"))
    lines = rack.cli("setup", verb, "--dry-run", check=True).out.decode().splitlines()
    assert lines[0].startswith("would write /")
    assert lines[1].startswith("would run ")
    assert sorted(rack.home.path.rglob("*")) == before


def test_an_owner_who_needs_a_person_gets_no_service(rack: Seat) -> None:
    """It would wait for ever for somebody to type."""
    rack.cli(
        "init", "--for", "careful", "--via", "env", env={"AGENTKEYS_IDENTITY": str(Identity.generate())}, check=True
    )
    done = rack.cli("setup", "systemd", "--for", "careful", "--dry-run")
    assert done.code == 2
    assert b"careful can't be unlocked without a person: its identity comes from a variable" in done.err
    for via, needs in (("passphrase", True), ("env", False), ("ssh", True)):
        with pytest.raises(UsageFault, match="without a person"):
            require_unattended("ana", via, needs)
    for via, needs in (("file", False), ("keychain", True), ("ssh", False), ("plugin:tpm", True)):
        require_unattended("ana", via, needs)


def test_an_owner_that_is_not_there_gets_no_service(rack: Seat) -> None:
    """Nor does a Linux machine get launchd's."""
    assert b"no owner nobody here" in rack.cli("setup", "systemd", "--for", "nobody").err
    assert b"launchd is macOS's" in rack.cli("setup", "launchd").err
    assert rack.cli("setup", "remove", "--for", "nobody", check=True).out == b"no service of nobody here\n"


def test_a_template_fills_every_word() -> None:
    """A line whose word stands for nothing goes; a word that nobody fills is a bug."""
    assert "Environment=" not in systemd.service_text(service())
    with pytest.raises(KeyError):
        fill("systemd/agentkeys.socket", {"OWNER": "x"})


def update() -> None:
    """Take over what is made now."""
    for name, text in written().items():
        (GOLDEN / name).write_text(text)


if __name__ == "__main__":
    update()
