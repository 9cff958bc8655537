"""The program itself: which `agentkeys` the shell finds, whether others can change it, and what starts it."""

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator

import agentkeys
from agentkeys import __version__, wire
from agentkeys.setup import launcher
from agentkeys.setup.doctor.findings import Finding, as_root, error, note, ok, quoted, warning
from agentkeys.setup.doctor.scene import Scene

PACKAGE = os.path.dirname(os.path.abspath(agentkeys.__file__))

SUPPORTED = ((3, 11), (3, 13))
"""The oldest and the newest CPython that the tests run on."""

HEAD = 4096
"""Bytes of a script that are read: a launcher has 200, a console script 300."""

BY_SHELL = re.compile(r"""^(?:'''exec' |exec )(['"]?)(/.+?)\1 (?:-IS )?"\$0\"""", re.MULTILINE)
"""How pip's console scripts and our launchers name an interpreter whose path fits into no #! line."""

MAX_FILES = 2000
"""Files of the package that are looked at; it has a hundred."""


def check_versions(scene: Scene) -> Iterator[Finding]:
    """What runs here."""
    del scene
    here = sys.version_info[:2]
    python = ".".join(map(str, sys.version_info[:3]))
    what = (
        f"agentkeys {__version__}, protocol {wire.PROTOCOL}, Python {python}, {os.uname().sysname} {os.uname().release}"
    )
    yield ok("version", what)
    if not SUPPORTED[0] <= here <= SUPPORTED[1] or sys.implementation.name != "cpython":
        known = " to ".join([".".join(map(str, version)) for version in SUPPORTED])
        yield note("python-untested", f"agentkeys is tested with CPython {known}, not with {python}")


def check_program(scene: Scene) -> Iterator[Finding]:
    """The `agentkeys` that this shell finds: whether it is this one, and whether it is deaf to Python's variables."""
    found = shutil.which("agentkeys", path=scene.env("PATH"))
    here = _directory_of_this(scene)
    if found is None:
        yield warning("program-absent", "no agentkeys is in PATH", _put_first(here))
        return
    script = Script(found)
    if not script.is_ours and not script.is_started_by(scene.argv0):
        what = f"agentkeys in PATH is {found}, which is not this installation ({os.path.dirname(PACKAGE)})"
        yield warning("program-other", what, _put_first(here))
    elif script.python and not os.access(script.python, os.X_OK):
        fix = f"{quoted(sys.executable)} -m agentkeys setup launcher --to {quoted(found)} --force"
        yield error("launcher-stale", f"{found} names {script.python}, which is gone", fix)
    elif not script.is_isolated:
        what = f"{found} obeys PYTHONPATH and runs .pth files; a launcher does neither, and starts sooner"
        yield note("program-console", what, _launcher())
    else:
        yield ok("program", f"{found} is this one, and isolated")


def is_deaf(scene: Scene) -> bool:
    """Whether the program that the shell finds ignores PYTHON* variables."""
    found = shutil.which("agentkeys", path=scene.env("PATH"))
    return found is not None and Script(found).is_isolated


class Script:
    """A program called agentkeys, by its first lines; it is not run."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.real = os.path.realpath(path)
        try:
            with open(path, "rb") as file:
                head = file.read(HEAD).decode("utf-8", "surrogateescape")
        except OSError:
            head = ""
        self._head = head
        self.is_launcher = launcher.MARK in head
        words = head.partition("\n")[0].removeprefix("#!").split()
        by_shell = BY_SHELL.search(head)
        self.python = words[0] if head.startswith("#!/") and "python" in words[0] else by_shell[2] if by_shell else ""
        """The interpreter that its first line names, or that a shell becomes; or empty."""
        self.is_isolated = self.is_launcher or any(word.startswith("-I") for word in words[1:])

    @property
    def is_ours(self) -> bool:
        """Whether it starts this package: a launcher that names it, or a script of this interpreter's environment."""
        if self.is_launcher:
            return repr(os.path.dirname(PACKAGE)) in self._head
        return bool(self.python) and os.path.dirname(os.path.dirname(self.python)) == sys.prefix

    def is_started_by(self, argv0: str) -> bool:
        """Whether this very process was started by it."""
        return os.path.isabs(argv0) and os.path.realpath(argv0) == self.real


def _directory_of_this(scene: Scene) -> str:
    """Where a program of this installation lies, or an empty text."""
    for path in (scene.argv0, f"{sys.prefix}/bin/agentkeys"):
        if os.path.basename(path) == "agentkeys" and os.path.isabs(path) and os.access(path, os.X_OK):
            return os.path.dirname(path)
    return ""


def _put_first(directory: str) -> str:
    if directory:
        return f"export PATH={quoted(directory)}:$PATH"
    return f"{quoted(sys.executable)} -m agentkeys {_launcher().removeprefix('agentkeys ')}"


def _launcher() -> str:
    path = os.path.expanduser(launcher.DEFAULT)
    force = " --force" if os.path.lexists(path) and not Script(path).is_launcher else ""
    return f'agentkeys setup launcher{force} && export PATH={quoted(os.path.dirname(path))}:"$PATH"'


# --- who can change it ---------------------------------------------------------------------------------------


def check_writable(scene: Scene) -> Iterator[Finding]:
    """The program, the interpreter and the package, with every directory above: nobody else may write there."""
    found = shutil.which("agentkeys", path=scene.env("PATH"))
    roots = [*filter(None, (found, sys.executable, PACKAGE)), *_site_directories()]
    seen: dict[str, None] = {}
    for path in [*roots, *map(os.path.realpath, roots), *_package_files()]:
        step = path
        while step not in seen:
            seen[step] = None
            step = os.path.dirname(step)
    findings = [finding for path in seen for finding in _judge(scene, path)]
    yield from findings[:MAX_SHOWN]
    if not findings:
        yield ok("program-writable", "nobody else can change the program, its interpreter or its libraries")


MAX_SHOWN = 6
"""Findings of one installation: when ten directories are wrong, the first six tell."""


def _judge(scene: Scene, path: str) -> Iterator[Finding]:
    try:
        facts = os.lstat(path)
    except OSError:
        return
    mode = stat.S_IMODE(facts.st_mode)
    sticky = stat.S_ISDIR(facts.st_mode) and mode & stat.S_ISVTX
    if facts.st_uid not in (scene.uid, 0):
        what = f"{path} belongs to uid {facts.st_uid}, who can change what this program does"
        yield error("program-foreign", what, as_root(f"chown -h {scene.uid} {quoted(path)}", scene.uid))
    elif stat.S_ISLNK(facts.st_mode) or sticky:
        return
    elif mode & 0o002:
        what = f"{path} can be written by everybody ({mode:04o}), who can change what this program does"
        yield error("program-writable", what, _chmod(scene, facts, path))
    elif mode & 0o020:
        what = f"{path} can be written by its group ({mode:04o}), which can change what this program does"
        yield warning("program-writable", what, _chmod(scene, facts, path))


def _chmod(scene: Scene, facts: os.stat_result, path: str) -> str:
    return as_root(f"chmod go-w {quoted(path)}", 0 if facts.st_uid == scene.uid else scene.uid)


def _site_directories() -> "list[str]":
    return [path for path in sys.path if os.path.isabs(path) and os.path.isdir(path)]


def _package_files() -> "list[str]":
    found: list[str] = []
    for directory, _folders, names in os.walk(PACKAGE):
        found += [f"{directory}/{name}" for name in names if name.endswith(".py")]
    return found[:MAX_FILES]
