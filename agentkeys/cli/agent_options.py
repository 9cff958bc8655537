"""What `agentkeys agent` was asked: its flags, and which of them go together.

parse() takes a plain command line; help, clustered letters and mistakes are left to the typer command in `life`.
"""

from agentkeys.cli import shells
from agentkeys.errors import UsageFault


class AgentOptions:
    """What was asked for."""

    def __init__(self) -> None:
        self.owner = ""
        """The text after --for, or "" for the default."""
        self.everyone = False
        """Whether every owner is meant."""
        self.robot = False
        """Whether, without a name, the only robot that has a session is meant."""
        self.kill = False
        self.reload = False
        self.foreground = False
        self.debug = False
        self.path: str | None = None
        """The socket that -a names."""
        self.print_socket = False
        self.unlock = False
        self.auto_unlock = False
        self.life = ""
        """What -t says: the longest time, or that and the idle limit."""
        self.shell = ""
        """The dialect to print in: sh, csh, fish or json."""
        self.login: str | None = None
        """What --login-session says: uid or bound."""
        self.command: list[str] | None = None
        """What stands behind --; None without one."""


_FLAGS = {
    "--all": "everyone",
    "--robot": "robot",
    "-k": "kill",
    "-D": "foreground",
    "-d": "debug",
    "--reload": "reload",
    "--print-socket": "print_socket",
    "--unlock": "unlock",
    "--auto-unlock": "auto_unlock",
}
_TEXTS = {
    "--for": "owner",
    "--owner": "owner",
    "-a": "path",
    "--login-session": "login",
    "-t": "life",
    "--shell": "shell",
}
_DIALECTS = {"-s": "sh", "-c": "csh"}


def parse(words: "list[str]") -> AgentOptions | None:
    """The options of a plain command line, or None for anything that isn't."""
    options = AgentOptions()
    at = 0
    dialects = []
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            options.command = words[at:]
            break
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name in _FLAGS and not equals:
            setattr(options, _FLAGS[name], True)
        elif name in _TEXTS:
            if not equals:
                if at == len(words):
                    return None
                value = words[at]
                at += 1
            if not value:
                return None
            setattr(options, _TEXTS[name], value)
        elif name in _DIALECTS and not equals:
            dialects.append(name)
        else:
            return None
    options.shell = shells.dialect("-s" in dialects, "-c" in dialects, options.shell, "agent")
    return options


def check(options: AgentOptions) -> None:
    """Refuse flags that contradict each other. Raises UsageFault."""
    serving = options.foreground or options.debug
    starting = (
        serving
        or options.unlock
        or options.auto_unlock
        or bool(options.life)
        or options.print_socket
        or options.robot
        or options.command is not None
    )
    starting = starting or options.login is not None
    if options.kill and (options.reload or starting):
        raise UsageFault("-k goes with --for, -a and --all only", "agentkeys agent -k")
    if options.reload and (starting or options.path is not None):
        raise UsageFault("--reload goes with --for only", "agentkeys agent --reload")
    if options.login not in (None, "uid", "bound"):
        raise UsageFault("--login-session is uid or bound", "agentkeys agent --login-session uid")
    if options.everyone:
        _check_everyone(options)
    if options.path == "":
        raise UsageFault("-a names no socket", "agentkeys agent -a /path/to/socket")
    if serving and options.unlock:
        raise UsageFault(
            "an agent in the foreground takes --auto-unlock, or is unlocked from another shell",
            "agentkeys agent -D --auto-unlock",
        )
    if options.command is None:
        return
    if not options.command:
        raise UsageFault("no command to run", "agentkeys agent --unlock -- make deploy")
    if serving or options.print_socket:
        raise UsageFault("an agent for a command takes neither -D nor -d nor --print-socket", "agentkeys agent --help")


def _check_everyone(options: AgentOptions) -> None:
    """Refuse what only one agent can do. Raises UsageFault."""
    one = options.reload or options.foreground or options.debug or options.print_socket
    if one or options.owner or options.path is not None or options.command is not None:
        raise UsageFault(
            "--all goes with -k, --unlock, --auto-unlock, -t and --login-session only",
            "agentkeys agent --all --auto-unlock",
        )
