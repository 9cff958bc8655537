"""`setup systemd` and `setup remove` beside a real service manager: from nothing to a robot's agent, and back."""

import os
import signal
from pathlib import Path

import psutil

from tests.agent.seat import Seat, eventually
from tests.setup.manager import UserManager

SERVICE, SOCKET = "agentkeys-human.service", "agentkeys-human.socket"


def units(seat: Seat) -> list[str]:
    """What lies in the user's directory of units."""
    directory = seat.home.path / ".config" / "systemd" / "user"
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


def test_a_robots_agent_from_boot_to_the_end(rack: Seat, manager: UserManager) -> None:
    """Nothing but the owner and its rack is left of it in the end.

    Set up: unlocked when the command returns. Again: nothing changes. Killed: back, with its keys. Stopped by a person:
    it stays so, until it is set up again.
    """
    done = rack.cli("setup", "systemd", check=True)
    unit = rack.home.path / ".config" / "systemd" / "user" / SERVICE
    assert done.out.decode().splitlines()[:4] == [
        f"wrote {unit}",
        "ran systemctl --user daemon-reload",
        f"ran systemctl --user enable {SERVICE}",
        f"ran systemctl --user restart {SERVICE}",
    ]
    assert b"next: loginctl enable-linger" in done.out
    assert set(rack.states().values()) == {"unlocked"}
    assert manager.show(SERVICE, "StatusText") == "2 keys held"
    assert rack.get("GITHUB_TOKEN", check=True).out == rack.values["GITHUB_TOKEN"]
    pid = rack.pid
    assert int(manager.show(SERVICE, "MainPID")) == pid
    limits = psutil.Process(pid).rlimit(psutil.RLIMIT_CORE)
    assert limits == (0, 0)
    assert "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()

    again = rack.cli("setup", "systemd", check=True)
    assert again.out.decode().splitlines()[0] == f"unchanged {unit}"
    assert b"ran " not in again.out
    assert rack.pid == pid

    os.kill(pid, signal.SIGKILL)
    eventually(lambda: (rack.status() or {"pid": pid})["pid"] != pid)
    assert rack.get("GITHUB_TOKEN", check=True).out == rack.values["GITHUB_TOKEN"]

    rack.cli("agent", "-k", check=True)
    eventually(lambda: manager.show(SERVICE, "ActiveState") == "inactive")
    assert manager.show(SERVICE, "Result") == "success"
    rack.cli("setup", "systemd", check=True)
    assert set(rack.states().values()) == {"unlocked"}

    removed = rack.cli("setup", "remove", check=True)
    assert f"ran systemctl --user disable --now {SERVICE}\nremoved {unit}\n".encode() in removed.out
    assert units(rack) == []
    assert rack.status() is None
    assert rack.cli("setup", "remove", check=True).out == b"no service of human here\n"
    assert rack.cli("list", check=True).out
    log = manager.log.read_bytes()
    assert not any(text in log for text in (*rack.values.values(), b"GITHUB_TOKEN"))


def test_an_agent_that_its_first_caller_starts(rack: Seat, manager: UserManager) -> None:
    """--socket: nothing runs until somebody asks, who waits and gets the value; also after the agent was killed."""
    rack.cli("setup", "systemd", "--socket", check=True)
    assert units(rack) == [SERVICE, SOCKET, f"sockets.target.wants/{SOCKET}"]
    assert rack.socket.stat().st_mode & 0o777 == 0o600
    assert manager.show(SERVICE, "ActiveState") == "inactive"
    assert rack.get("GITHUB_TOKEN", check=True).out == rack.values["GITHUB_TOKEN"]
    assert manager.show(SERVICE, "ActiveState") == "active"
    os.kill(int(manager.show(SERVICE, "MainPID")), signal.SIGKILL)
    assert rack.get("OPENAI_API_KEY", check=True).out == rack.values["OPENAI_API_KEY"]
    rack.cli("agent", "-k", check=True)
    assert rack.get("GITHUB_TOKEN", check=True).out == rack.values["GITHUB_TOKEN"]
    assert b"unchanged" in rack.cli("setup", "systemd", "--socket", check=True).out

    rack.cli("setup", "systemd", check=True)  # the other kind takes over
    assert manager.show(SOCKET, "ActiveState") == "inactive"
    assert set(rack.states().values()) == {"unlocked"}
    rack.cli("setup", "remove", check=True)
    assert units(rack) == []


def test_a_home_elsewhere_with_a_name_that_systemd_would_take_apart(rack: Seat, manager: UserManager) -> None:
    """Blanks, quotes, %, $ and backslashes arrive as they are; robots of two homes don't meet."""
    elsewhere = rack.home.path / "a home\t100% $HOME 'single' \"double\" \\t ;"
    rack.home.root.rename(elsewhere)
    rack.cli.env["AGENTKEYS_HOME"] = str(elsewhere)
    rack.cli("setup", "systemd", check=True)
    assert set(rack.states().values()) == {"unlocked"}
    assert int(manager.show(SERVICE, "MainPID")) == rack.pid
    rack.cli("setup", "remove", check=True)


def test_one_that_cannot_start_says_so_and_is_not_tried_for_ever(rack: Seat, manager: UserManager) -> None:
    """A config.toml that others can write is the same the next time: exit 2 or 6 ends it, and setup fails with it."""
    config = rack.home.path / ".config" / "agentkeys" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("nonsense = 1\n")
    done = rack.cli("setup", "systemd")
    assert done.code == 2
    assert f"systemctl --user restart {SERVICE} failed: ".encode() in done.err
    assert manager.show(SERVICE, "NRestarts") == "0"
    config.unlink()
    rack.cli("setup", "systemd", check=True)
    assert set(rack.states().values()) == {"unlocked"}


def test_an_agent_started_by_hand_is_not_taken_for_ours(rack: Seat, manager: UserManager) -> None:
    """It is named, with the command that ends it; nothing is written before."""
    rack.cli("agent", "--login-session", "uid", check=True)
    done = rack.cli("setup", "systemd")
    assert done.code == 2
    assert b"an agent of human runs already" in done.err
    assert b"hint: agentkeys agent -k --for human" in done.err
    assert units(rack) == []
