"""A unit or launch agent that starts nothing any more is found, and the command that writes it anew is named."""

from pathlib import Path

from agentkeys.setup import launchd, systemd
from agentkeys.setup.service import Service
from tests.doctor.clinic import Clinic


def written(clinic: Clinic, program: str) -> None:
    """Both kinds, as `setup` writes them for this program."""
    service = Service("human", str(clinic.root), {b"HOME": str(clinic.home.path).encode()})
    service.command[0] = program
    for path, text in (
        (Path(systemd.units_dir(str(clinic.home.path))) / "agentkeys-human.service", systemd.service_text(service)),
        (Path(launchd.plist_path("human", str(clinic.home.path))), launchd.plist_text(service, str(clinic.home.path))),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_service_that_starts_is_well(clinic: Clinic) -> None:
    """Both kinds are named."""
    written(clinic, "/bin/true")
    rows = [row for row in clinic.look() if row["check"] == "services"]
    assert [(row["name"], row["severity"]) for row in rows] == [("service", "ok")] * 2


def test_a_service_whose_program_is_gone_is_found(clinic: Clinic) -> None:
    """As after an upgrade that moved the installation; a program with blanks in its name is one."""
    written(clinic, "/opt/agent keys/100%/python")
    rows = [row for row in clinic.look() if row["name"] == "service-stale"]
    assert [row["fix"] for row in rows] == [
        "agentkeys setup systemd --for human",
        "agentkeys setup launchd --for human",
    ]
    assert all("starts /opt/agent keys/100%/python, which is gone" in row["what"] for row in rows)


def test_without_a_service_nothing_is_said(clinic: Clinic) -> None:
    """Nor of a unit that isn't ours, or a plist that can't be read."""
    path = Path(systemd.units_dir(str(clinic.home.path))) / "agentkeys-human.service"
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\nExecStart=/nowhere\n")
    plist = Path(launchd.plist_path("human", str(clinic.home.path)))
    plist.parent.mkdir(parents=True)
    plist.write_text("no plist")
    assert [row for row in clinic.look() if row["check"] == "services"] == []
