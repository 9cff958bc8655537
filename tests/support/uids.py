"""Other users of the machine: real ones, since the kernel's word about a caller is what the tests are about.

Root makes a system user (once, and leaves it), and becomes it through setpriv(1). Another user can't read
root's checkout or an interpreter under /root, so there is a public venv as well: the wheel, on the system's
own Python. It is kept in /var/tmp under a hash of what went into it, because it takes a quarter of a minute to make.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.homes import Home
from tests.support.runner import Logs, Runner

REPO = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = Path("/usr/bin/python3")
"""Outside any home, hence readable for everyone."""

KEPT = 24 * 3600
"""Seconds that a public venv of other sources stays; switching branches shouldn't rebuild it each time."""


def require(condition: object, what: str) -> None:
    """Skip the test where `what` is missing; under CI=true fail it, so that no skip hides there."""
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing under CI: {what}")
    pytest.skip(f"needs {what}")


def require_other_users() -> None:
    """Skip or fail where tests can't become other users."""
    require(os.geteuid() == 0, "root, to become another user")
    require(shutil.which("setpriv"), "setpriv (util-linux)")
    require(shutil.which("useradd"), "useradd (passwd)")


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Keep the run's other processes out."""
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def system_user(name: str, lock: Path) -> pwd.struct_passwd:
    """The account `name`, made when it isn't there: no home, no shell, no password."""
    with exclusive(lock):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            command = [
                "useradd",
                "--system",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--user-group",
            ]
            subprocess.run([*command, "--shell", "/usr/sbin/nologin", name], check=True, capture_output=True)
            return pwd.getpwnam(name)


def become(uid: int, gid: int | None = None) -> tuple[str, ...]:
    """The leading arguments that run a program as `uid`, in no other group and with no capability."""
    return ("setpriv", f"--reuid={uid}", f"--regid={uid if gid is None else gid}", "--clear-groups", "--")


class User:
    """Another user of the machine, with a home of their own and the program installed for everyone."""

    def __init__(self, account: pwd.struct_passwd, place: Path, venv: Path, logs: Logs) -> None:
        self.uid = account.pw_uid
        self.gid = account.pw_gid
        self.home = Home(place / "home", place / "run", account.pw_name)
        self.home.runtime.mkdir(mode=0o700)
        for path in (place, *place.rglob("*")):
            os.chown(path, self.uid, self.gid)
        self.venv = venv
        env = self.home.env | {"PATH": f"{venv / 'bin'}:/usr/local/bin:/usr/bin:/bin"}
        as_user = become(self.uid, self.gid)
        self.run = Runner(logs, as_user, env, place)
        """Runs any program as this user."""
        self.cli = self.run.with_prefix(*as_user, str(venv / "bin" / "agentkeys"))
        """Runs agentkeys as this user."""


def public_venv() -> Path:
    """A venv that every user may read, with this checkout's wheel and what it depends on."""
    require(SYSTEM_PYTHON.exists(), f"{SYSTEM_PYTHON}, an interpreter that every user may read")
    prefix = f"/var/tmp/ak-public-{os.getuid()}-"
    venv = Path(prefix + _fingerprint())
    with exclusive(venv.with_suffix(".lock")):  # of its own: another checkout's run isn't kept waiting
        for other in Path("/var/tmp").glob(f"ak-public-{os.getuid()}-*"):
            if other.stem != venv.name and other.is_dir() and time.time() - other.stat().st_mtime > KEPT:
                shutil.rmtree(other, ignore_errors=True)
                other.with_suffix(".lock").unlink(missing_ok=True)
        if not (venv / "complete").exists():
            _make_public_venv(venv)
    facts = venv.lstat()
    assert (facts.st_uid, facts.st_mode & 0o022) == (os.getuid(), 0), f"{venv} isn't ours alone to write"
    return venv


def _make_public_venv(venv: Path) -> None:
    """Build the wheel and install it. The directory is fresh: a name in /var/tmp could be anyone's.

    The pip is this run's own, as new as can be, and needn't be put in there first.
    """
    shutil.rmtree(venv, ignore_errors=True)
    venv.mkdir(mode=0o755)
    _quietly(SYSTEM_PYTHON, "-m", "venv", "--without-pip", venv)
    _quietly(sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install", REPO)
    (venv / "complete").touch()


def _quietly(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, umask=0o022, cwd="/")
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"


def _fingerprint() -> str:
    """A hash of everything that goes into the wheel, and of the interpreter it is installed on."""
    hashed = hashlib.blake2b(os.fsencode(SYSTEM_PYTHON.resolve()), digest_size=8)
    parts = ("agentkeys", "hooks", "man", "shell")
    files = [path for part in parts for path in sorted((REPO / part).rglob("*")) if path.is_file()]
    for file in [REPO / "pyproject.toml", *files]:
        if file.suffix != ".pyc":
            hashed.update(os.fsencode(file.relative_to(REPO)) + b"\0" + file.read_bytes())
    return hashed.hexdigest()
