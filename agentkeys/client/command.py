"""`exec`: find the program, ask for the keys, become it. Nothing runs before all of them are here."""

import posix
from _signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal

from agentkeys import errors, paths
from agentkeys.client import Caller, Options, ask_keys, note, settle_repo
from agentkeys.errors import AgentkeysError

KEPT_ENVIRONMENT = frozenset(
    (b"HOME", b"LANG", b"LOGNAME", b"PATH", b"SHELL", b"TERM", b"TMPDIR", b"TZ", b"USER", b"XDG_RUNTIME_DIR")
)
"""What --clean-env keeps, beside LC_*."""

DEFAULT_PATH = b"/usr/local/bin:/usr/bin:/bin"
"""Where a command is looked for when PATH is unset (execvp(3) leaves it to the system)."""

ENOEXEC = 8
"""errno(3), the same on Linux and macOS: a script without a #! line."""

ENVIRONMENT_PIECE = 16 * 1024
"""Bytes of one read of /proc/self/environ; most environments are smaller."""

SHELL = b"/bin/sh"
"""Runs such a script, as execvp(3) does."""


def exec_with_keys(options: Options) -> int:
    """Become the command, with the owner's keys in its environment. Returns only on failure, having run nothing."""
    caller = Caller(options)
    environ = _base_environment(caller.environ, options.clean_env)
    path = environ.get(b"PATH", DEFAULT_PATH)
    program, argv = find_program(options.command, path_behind(path, options.behind) if options.behind else path)
    settle_repo(caller, options)
    fields = ask_keys(caller.connect(), b"exec", caller, options)
    for at in range(0, len(fields), 2):
        environ[bytes(fields[at])] = bytes(fields[at + 1])
    environ[b"AGENTKEYS_OWNER"] = caller.owner.encode("ascii")
    if caller.explicit:
        environ[b"AGENTKEYS_SOCK"] = paths.to_bytes(caller.explicit)
    if not options.keys and posix.isatty(2):
        count = len(fields) // 2
        note(f"{count} {'key' if count == 1 else 'keys'} injected")
    return become(program, argv, environ)


def _base_environment(environ: "dict[bytes, bytes]", clean: bool) -> "dict[bytes, bytes]":
    """The caller's environment without anything of ours; with `clean`, only KEPT_ENVIRONMENT and LC_*."""
    kept = {name: value for name, value in environ.items() if name[:10] != b"AGENTKEYS_"}
    drop_coercion(kept)
    if clean:
        return {name: value for name, value in kept.items() if name in KEPT_ENVIRONMENT or name[:3] == b"LC_"}
    return kept


def drop_coercion(environ: "dict[bytes, bytes]") -> None:
    """Take out the LC_CTYPE that Python sets for itself in the C locale (PEP 538); a caller's own stays."""
    if environ.get(b"LC_CTYPE") != b"C.UTF-8" or b"LC_ALL" in environ:
        return
    data = b"\0"
    try:
        fd = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
        while piece := posix.read(fd, ENVIRONMENT_PIECE):
            data += piece
        posix.close(fd)
    except OSError:
        return  # no /proc: it stays, and harms nobody
    if b"\0LC_CTYPE=" not in data:
        del environ[b"LC_CTYPE"]


def path_behind(path: bytes, directory: str) -> bytes:
    """PATH without a directory and all below it."""
    below = paths.to_bytes(directory).rstrip(b"/") + b"/"
    return b":".join([place for place in path.split(b":") if not (place + b"/").startswith(below)])


def find_program(command: "list[str]", path: bytes, verb: str = "exec") -> "tuple[bytes, list[bytes]]":
    """(program, argv) as execvp(3) would find it.

    Raises AgentkeysError with 127 when there is none, 126 when it can't be executed: before any key is asked for.
    """
    argv = [paths.to_bytes(word) for word in command]
    name = argv[0]
    if b"/" in name:
        places = [name]
    else:
        places = [(directory or b".") + b"/" + name for directory in path.split(b":")] if name else []
    seen = False
    for place in places:
        try:
            regular = posix.stat(place).st_mode & 0o170000 == 0o100000
        except OSError:
            continue
        if regular and posix.access(place, posix.X_OK):
            return place, argv
        seen = True
    shown = ascii(command[0])
    if seen:
        raise AgentkeysError(f"{shown} is not executable", f"chmod +x {shown}", errors.CANNOT_EXECUTE)
    raise AgentkeysError(f"{shown} is not a command", f"agentkeys {verb} -- /path/to/command", errors.NOT_FOUND)


def become(program: bytes, argv: "list[bytes]", environ: "dict[bytes, bytes]") -> int:
    """execve(2). Python ignores SIGPIPE and SIGXFSZ, and a child inherits what is ignored: put both back first."""
    signal(SIGPIPE, SIG_DFL)
    signal(SIGXFSZ, SIG_DFL)
    try:
        try:
            posix.execve(program, argv, environ)
        except OSError as error:
            if error.errno != ENOEXEC:
                raise
            posix.execve(SHELL, [SHELL, program, *argv[1:]], environ)
    except OSError as error:
        missing = error.errno == 2  # ENOENT
        cause = "its interpreter is missing" if missing else error.strerror
        raise AgentkeysError(
            f"{ascii(argv[0])[1:]} can't be executed: {cause}",
            f"head -1 {ascii(program)[1:]}" if missing else "",
            errors.NOT_FOUND if missing else errors.CANNOT_EXECUTE,
        ) from None
    return errors.OK
