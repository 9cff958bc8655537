"""Making an owner: once, privately, and never over something that is there."""

from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.cli.test_main_session import ssh_key
from tests.support.homes import Home
from tests.support.runner import Runner


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below `root` with its inode and its bytes."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(root)): (path.stat().st_ino, path.read_bytes()) for path in files}


@pytest.mark.parametrize("via", ["file", "ssh"])
def test_init_twice_changes_nothing(via: str, home: Home, cli: Runner) -> None:
    """The second says what is there; no file of the rack is written again."""
    args = ["--pubkey", str(ssh_key(home.path))] if via == "ssh" else []
    first = cli("init", "--via", via, *args, "--json", check=True).json()
    before = tree(home.root)
    second = cli("init", "--json", check=True).json()
    assert (first["effect"], second["effect"]) == ("created", "found")
    assert first["wallet"] == second["wallet"]
    ours = {name: file for name, file in before.items() if not name.startswith("lock/")}
    assert {name: file for name, file in tree(home.root).items() if name in ours} == ours
    assert b"already there" in cli("init", check=True).out


def test_everything_made_is_private(home: Home, cli: Runner) -> None:
    """Directories 0700 and files 0600, whatever the caller's umask says."""
    cli.with_prefix("sh", "-c", 'umask 000; exec "$@"', "sh")(*cli.prefix, "init", check=True)
    cli("set", "TOKEN", input=b"x" * 20_000, check=True)
    modes = {path.lstat().st_mode & 0o777 for path in home.root.rglob("*") if path.is_dir()}
    assert modes == {0o700}
    modes = {path.lstat().st_mode & 0o777 for path in home.root.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert home.root.stat().st_mode & 0o777 == 0o700


def test_init_answers_with_the_owner_and_the_next_step(home: Home, cli: Runner) -> None:
    """The wallet that the card publishes, where the rack lies, and the command that comes next."""
    done = cli("init", "--for", "seaturtle", check=True).out.decode()
    wallet = done.partition("wallet ")[2].partition(",")[0]
    assert (home.root / "names" / wallet.lower()).readlink() == Path("seaturtle")
    assert str(home.root / "host.seaturtle.yml.age") in done
    assert "next: agentkeys set GITHUB_TOKEN --for seaturtle\n" in done


@pytest.mark.parametrize(
    "args",
    [
        ("--via", "carrier-pigeon"),
        ("--via", "ssh", "--pubkey", "/nonexistent.pub"),
        ("--via", "ssh", "--pubkey", "relative.pub"),
        ("--via", "ssh", "--pubkey", "/etc/passwd"),
        ("--pubkey", "/nonexistent.pub"),
    ],
)
def test_an_init_that_can_not_be_done_makes_no_owner(args: tuple[str, ...], home: Home, cli: Runner) -> None:
    """It exits 2, and a later init starts from nothing."""
    assert cli("init", "--for", "crab", *args).code == 2
    assert not (home.root / "owners" / "crab.json").exists()
    assert not (home.root / "identity").exists()
    assert cli("init", "--for", "crab", "--json", check=True).json()["effect"] == "created"


def test_an_ssh_key_whose_passphrase_nobody_can_be_asked_for_is_locked(home: Home, cli: Runner) -> None:
    """Exit 4, naming the file and never its content; nothing half-made is left in the way."""
    public = ssh_key(home.path, passphrase="long enough")
    done = cli("init", "--via", "ssh", "--pubkey", public)
    assert done.code == 4
    assert str(public.with_suffix("")).encode() in done.err
    assert b"passphrase" in done.err
    assert b"PRIVATE KEY" not in done.err
    assert cli("init", "--via", "file", "--json", check=True).json()["effect"] == "created"


def test_how_an_identity_is_kept_does_not_change_by_init(rack: Seat) -> None:
    """Asking for another way is an error, not a second identity."""
    before = tree(rack.home.root / "identity")
    done = rack.cli("init", "--via", "ssh")
    assert done.code == 2
    assert b"via file" in done.err
    assert tree(rack.home.root / "identity") == before


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_an_identity_that_others_can_read_is_refused(mode: int, rack: Seat) -> None:
    """Exit 7 with the chmod that mends it, at each verb that opens the rack."""
    path = rack.home.root / "identity" / "human.key"
    path.chmod(mode)
    for args in (["list"], ["set", "X", "--from-env", "HOME"], ["del", "GITHUB_TOKEN"]):
        done = rack.cli(*args)
        assert done.code == 7
        assert f"hint: chmod 600 {path}\n".encode() in done.err
    path.chmod(0o600)
    assert len(rack.cli("list", "--json", check=True).json()) == 2
