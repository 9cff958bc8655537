"""The operator's config.toml, as far as an agent needs it: settings that lower protection come from nowhere else.

login_session = "strict"         # refuse callers whose login session is unknown
allow_root = true                # serve uid 0 too
[exec]
allow_names = ["NODE_OPTIONS"]   # names that load code, allowed into environments all the same
"""

import os
import stat

from agentkeys.core import refs
from agentkeys.errors import Denied, UsageFault

MAX_CONFIG = 64 * 1024
"""Bytes: a config is a page or two."""


class Config:
    """Settings, at their safe defaults."""

    __slots__ = ("allow_names", "allow_root", "strict_session")

    def __init__(self) -> None:
        self.strict_session = False
        self.allow_root = False
        self.allow_names: frozenset[str] = frozenset()


def load(path: str) -> Config:
    """Read the config; the defaults when there is none.

    Raises Denied when it isn't the user's own or others can write it, UsageFault for what it doesn't understand.
    """
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
        elif name == "exec" and isinstance(value, dict) and set(value) <= {"allow_names"}:
            names = value.get("allow_names", [])
            if not isinstance(names, list) or not all(isinstance(text, str) and refs.is_name(text) for text in names):
                raise UsageFault(f"{path}: exec.allow_names is not a list of variable names")
            config.allow_names = frozenset(names)
        else:
            raise UsageFault(f"{path}: {refs.shown(name)} is not a setting, or its value can't be", f"mend {path}")
