"""The fixtures, and the search for planted secrets that ends each run.

One directory holds all that a run writes: the tests' own trees (pytest's basetemp) and what their children
printed. A run's processes share it; the one that started the others searches it when they are done, prints
what it found and fails the run if a value got to where it doesn't belong. A run that failed leaves the
directory for the curious.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import canary as canaries
from tests.support.argvwatch import ArgvWatch
from tests.support.homes import Home, short_dir
from tests.support.runner import REVEALED, Logs, Runner, agentkeys_command
from tests.support.uids import User, public_venv, require_other_users, system_user

LEFTOVERS = ("/tmp/agentkeys*", "/tmp/runtime-*/agentkeys*", "/var/tmp/agentkeys*", "/dev/shm/agentkeys*")
"""Where a program that lost its way would leave something."""

Plant = Callable[..., bytes]


class Run:
    """The directory of one run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started = time.time()
        self.tests = directory / "tests"
        """pytest's basetemp: each test's tmp_path, with the homes in them."""
        self.logs = directory / "logs"
        self.registry = canaries.Registry(directory / "canaries")
        self._elsewhere = directory / "elsewhere"
        """A line for each directory of this run that lies outside; searched, then removed."""

    def keep_track_of(self, path: Path) -> Path:
        """Have `path` searched and removed at the end."""
        with self._elsewhere.open("a") as file:
            file.write(f"{path}\n")
        return path

    def elsewhere(self) -> list[Path]:
        """The directories of this run outside its own."""
        return [Path(line) for line in self._elsewhere.read_text().splitlines()] if self._elsewhere.exists() else []

    def search(self) -> canaries.Search:
        """Look for every canary in everything that the run wrote."""
        leftovers = [path for pattern in LEFTOVERS for path in Path("/").glob(pattern[1:])]
        fresh = [path for path in leftovers if path.lstat().st_mtime >= self.started]
        planted = [replace(it, allowed=(*it.allowed, f"*{REVEALED}")) for it in self.registry.recorded()]
        return canaries.scan([self.tests, self.logs, *self.elsewhere(), *fresh], planted)


RUN = pytest.StashKey[Run]()
SEARCH = pytest.StashKey[canaries.Search]()


@pytest.hookimpl(tryfirst=True)  # before pytest settles on its basetemp
def pytest_configure(config: pytest.Config) -> None:
    """Make the run's directory, or, in a worker, find it."""
    if (worker := getattr(config, "workerinput", None)) is not None:
        config.stash[RUN] = Run(Path(worker["agentkeys_run"]))
        return
    run = config.stash[RUN] = Run(Path(tempfile.mkdtemp(prefix="ak-tests-")))
    run.logs.mkdir()
    if config.option.basetemp:
        run.tests = Path(config.option.basetemp)
    else:
        config.option.basetemp = str(run.tests)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell an xdist worker where the run's directory is."""
    node.workerinput["agentkeys_run"] = str(node.config.stash[RUN].directory)  # type: ignore[attr-defined]


@pytest.hookimpl(trylast=True)  # when the workers are gone
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search, and fail the run if something is found."""
    config = session.config
    if hasattr(config, "workerinput"):
        return
    run = config.stash[RUN]
    search = config.stash[SEARCH] = run.search()
    for path in run.elsewhere():
        shutil.rmtree(path, ignore_errors=True)
    if search.leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        shutil.rmtree(run.directory, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the search found; names only."""
    run, search = config.stash[RUN], config.stash.get(SEARCH, None)
    if search is None:
        return
    if search.leaks:
        terminalreporter.section("A SECRET LEAKED", sep="!", red=True, bold=True)
        for leak in search.leaks:
            terminalreporter.line(f"{leak.name} is in {leak.path}", red=True)
    if run.directory.exists():
        terminalreporter.line(f"what the run wrote is kept in {run.directory}")
    else:
        terminalreporter.line(f"no planted secret in the {search.files} files that the run wrote")


@pytest.fixture(scope="session")
def run(pytestconfig: pytest.Config) -> Run:
    """The directory of this run."""
    return pytestconfig.stash[RUN]


@pytest.fixture(scope="session")
def logs(run: Run) -> Logs:
    """Where children's output goes to be searched."""
    return Logs(run.logs)


@pytest.fixture(scope="session")
def canary(run: Run) -> Plant:
    """Plant a secret: `canary(name, allowed=[path patterns], suffix=b"")` returns its bytes."""
    return run.registry.plant


@pytest.fixture
def short_path(run: Run) -> Path:
    """A directory of this test whose path is short enough for sockets."""
    return run.keep_track_of(short_dir())


@pytest.fixture
def make_home(run: Run, tmp_path: Path) -> Iterator[Callable[[str], Home]]:
    """Make homes by name; at the end of the test no agent of theirs lives."""
    homes = []

    def make(name: str = "home") -> Home:
        homes.append(Home(tmp_path / name, run.keep_track_of(short_dir())))
        return homes[-1]

    yield make
    for home in homes:
        assert not home.end_agents(), "an agent outlived SIGKILL"


@pytest.fixture
def home(make_home: Callable[[], Home]) -> Home:
    """An isolated HOME; every agent started in it ends with the test."""
    return make_home()


@pytest.fixture
def make_cli(logs: Logs) -> Iterator[Callable[[Home], Runner]]:
    """Make runners of agentkeys by home; at the end of the test no child of theirs lives."""
    runners = []

    def make(home: Home) -> Runner:
        runners.append(Runner(logs, agentkeys_command(), home.env, home.path))
        return runners[-1]

    yield make
    for runner in runners:
        runner.end()


@pytest.fixture
def cli(home: Home, make_cli: Callable[[Home], Runner]) -> Runner:
    """Runs agentkeys in the test's one home: `cli("list", "--json", check=True)` is a Result."""
    return make_cli(home)


@pytest.fixture
def argv_watch(run: Run) -> Callable[[], ArgvWatch]:
    """Make an ArgvWatch, which looks for every canary planted so far in all command lines."""
    return lambda: ArgvWatch(run.registry.planted)


@pytest.fixture
def other_user(run: Run, logs: Logs) -> Iterator[User]:
    """A real other user with a home of their own; `.cli` and `.run` run things as them. Wants root."""
    require_other_users()
    account = system_user("agentkeys-test", run.directory / "users.lock")
    user = User(account, run.keep_track_of(short_dir()), public_venv(), logs)
    yield user
    user.run.end()
    assert not user.home.end_agents(), "an agent outlived SIGKILL"


@pytest.fixture(name="public_venv", scope="session")
def public_venv_fixture() -> Path:
    """A venv that every user may read, with this project's wheel installed. Wants root, as its users do."""
    require_other_users()
    return public_venv()
