"""The operator's config.toml: settings that lower protection come from nowhere else.

login_session = "strict"         # refuse callers whose login session is unknown
allow_root = true                # serve uid 0 too
dangerous_tokens = "block"       # refuse long-lived token shapes everywhere, rather than warn at `set`
minimum_grade = "encrypted"      # refuse keys that are kept worse
[exec]
allow_names = ["NODE_OPTIONS"]   # names that load code, allowed into environments all the same
[agent]
max_duration = "12h"             # no key stays longer, whatever is asked
idle = "30m"                     # everything is forgotten after so long without a use
[hook]
inject = true                    # a shell's hook sets the keys of an allowed repository, not only references to them
"""

import os
import stat

from agentkeys import paths
from agentkeys.core import grades, refs
from agentkeys.errors import Denied, UsageFault

MAX_CONFIG = 64 * 1024
"""Bytes: a config is a page or two."""


class Config:
    """Settings, at their safe defaults."""

    __slots__ = (
        "allow_names",
        "allow_root",
        "block_dangerous",
        "idle",
        "inject",
        "longest",
        "minimum",
        "strict_session",
    )

    def __init__(self) -> None:
        self.strict_session = False
        self.allow_root = False
        self.allow_names: frozenset[str] = frozenset()
        self.block_dangerous = False
        """Whether long-lived token shapes are refused."""
        self.minimum = grades.WORST
        """The worst grade that is allowed."""
        self.longest = refs.MAX_TTL
        """Seconds that a key stays at most."""
        self.idle = 0
        """Seconds without a use after which everything is forgotten; 0 for never."""
        self.inject = False
        """Whether a shell's hook gets values."""


def load(path: str, session: int = 0) -> Config:
    """Read the config for an agent of login session `session`; the defaults when there is none.

    Raises Denied when it isn't the user's own or others can write it, UsageFault for what it doesn't understand, or
    when it wants a login session and there is none.
    """
    config = _read(path)
    if config.strict_session and session == paths.UNSET_SESSION:
        raise UsageFault(
            "login_session is strict, and this agent would be in no login session",
            "loginctl list-sessions",
        )
    return config


def _read(path: str) -> Config:
    config = Config()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return config
    with open(fd, "rb") as file:
        facts = os.fstat(fd)
        if facts.st_uid not in (os.geteuid(), 0) or facts.st_mode & 0o022 or not stat.S_ISREG(facts.st_mode):
            raise Denied(f"{path} is not yours alone to write", f"chmod go-w {path}")
        text = file.read(MAX_CONFIG)
    import tomllib  # 14 ms, paid only where there is a config

    try:
        found = tomllib.loads(text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageFault(f"{path} is not TOML: {error.__class__.__name__}", f"mend or remove {path}") from None
    _apply(config, found, path)
    return config


def _apply(config: Config, found: "dict[str, object]", path: str) -> None:
    for name, value in found.items():
        if name == "login_session" and value in ("strict", "default"):
            config.strict_session = value == "strict"
        elif name == "allow_root" and isinstance(value, bool):
            config.allow_root = value
        elif name == "dangerous_tokens" and value in ("warn", "block"):
            config.block_dangerous = value == "block"
        elif name == "minimum_grade" and isinstance(value, str):
            grades.parse_minimum(value)
            config.minimum = value
        elif name == "agent" and isinstance(value, dict) and set(value) <= {"max_duration", "idle"}:
            config.longest = min(_seconds(value, "max_duration", path) or refs.MAX_TTL, refs.MAX_TTL)
            config.idle = _seconds(value, "idle", path)
        elif name == "hook" and value in ({}, {"inject": False}, {"inject": True}):
            config.inject = value == {"inject": True}
        elif name == "exec" and isinstance(value, dict) and set(value) <= {"allow_names"}:
            names = value.get("allow_names", [])
            if not isinstance(names, list) or not all(isinstance(text, str) and refs.is_name(text) for text in names):
                raise UsageFault(f"{path}: exec.allow_names is not a list of variable names")
            config.allow_names = frozenset(names)
        else:
            raise UsageFault(f"{path}: {refs.shown(name)} is not a setting, or its value can't be", f"mend {path}")


def _seconds(table: "dict[str, object]", name: str, path: str) -> int:
    """A duration of a table in seconds, 0 when it isn't there. Raises UsageFault."""
    text = table.get(name, "")
    if not isinstance(text, str):
        raise UsageFault(f'{path}: agent.{name} is not a text like "9h"', f"mend {path}")
    return refs.parse_duration(text) if text else 0
