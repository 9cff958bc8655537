"""What a repository asks for: `.agentkeys.yml` as plain data, judged and merged; agentkeys-repo(5) has it in prose.

Rule 1: it is a firewall, never a source of authority. It narrows what its reader already has, so there is no word in
        it for a socket, a vault, a program, a proxy or a variable that changes how programs load or run code.
Rule 2: what isn't understood is refused: a word that an older build skipped would be a gap in the firewall.
Rule 3: a file that extends others wins over them, a later one of them over an earlier one; its org is everybody's.
"""

from collections.abc import Callable

from agentkeys.core import grades, refs
from agentkeys.core.environment import loads_code
from agentkeys.errors import UsageFault

MAX_KEYS = 1_000
"""Keys of one env, and of all files together: far over any project's, and quick to check at each `exec`."""

MAX_ENVS = 64
"""Envs of one repository."""

MAX_FILES = 16
"""Files of one closure: each is read and hashed at every `exec`."""

ENV_PREFIX = "env."

OWN_WORDS = ("org", "default_env", "owner", "extends", "minimum_grade")
KEY_WORDS = ("key", "as", "optional", "unless-set", "grade")

HINT = "man 5 agentkeys-repo"


class Broken(Exception):
    """What is wrong with a manifest, without its path."""


class Wanted:
    """One key that an env asks for."""

    def __init__(self, name: str, variable: str, optional: bool, unless_set: str, minimum: str) -> None:
        self.name = name
        self.variable = variable
        """The variable that it becomes; its own name unless `as` says another."""
        self.optional = optional
        """Whether its absence is no error."""
        self.unless_set = unless_set
        """The variable that, set in the caller's environment, makes it optional; or empty."""
        self.minimum = minimum
        """The worst grade that will do, or empty for any."""

    def flags(self) -> str:
        """What stands beside it, as words: `optional`, `unless-set:VAR`, a grade."""
        words = ["optional"] if self.optional else []
        words += [f"unless-set:{self.unless_set}"] if self.unless_set else []
        return " ".join([*words, *([self.minimum] if self.minimum else [])])

    def __str__(self) -> str:
        renamed = f" as {self.variable}" if self.variable != self.name else ""
        flags = self.flags()
        return f"{self.name}{renamed}" + (f"  ({flags.replace(' ', ', ')})" if flags else "")


class RepoManifest:
    """One file, or a closure of files merged into one."""

    def __init__(self) -> None:
        self.org = ""
        """Empty in a file that leaves it to the one that extends it."""
        self.default_env = ""
        self.owner = ""
        """Whose keys it is meant for: a hint to people."""
        self.extends: list[str] = []
        """Paths as written, relative to the file."""
        self.minimum = ""
        self.envs: dict[str, list[Wanted]] = {}

    def chosen_env(self) -> str:
        """The env of a verb that names none; empty when the file leaves it open."""
        named = [env for env in self.envs if env != refs.ANY_ENV]
        if self.default_env or not self.envs:
            return self.default_env or refs.ANY_ENV
        return named[0] if len(named) == 1 else "" if named else refs.ANY_ENV

    def wanted(self, env: str) -> "list[Wanted]":
        """What `env`, a declared one, asks for: its own keys, and those of `all` that it doesn't name itself."""
        own = self.envs.get(env, [])
        names = {key.name for key in own}
        common = self.envs.get(refs.ANY_ENV, []) if env != refs.ANY_ENV else []
        return [*[key for key in common if key.name not in names], *own]


def parse(data: object) -> RepoManifest:
    """One file's data: dicts, lists, and every scalar as its text, an empty one None. Raises Broken."""
    if data is None:
        raise Broken("it is empty; it begins with org: NAME")
    if not isinstance(data, dict):
        raise Broken("it is no mapping; it begins with org: NAME")
    made = RepoManifest()
    for word in data:
        if word not in OWN_WORDS and not word.startswith(ENV_PREFIX):
            raise Broken(_unknown(word))
    made.org = _text(data, "org", refs.is_org)
    made.default_env = _text(data, "default_env", refs.is_env)
    made.owner = _text(data, "owner", refs.is_owner)
    made.minimum = _minimum(data.get("minimum_grade"), "minimum_grade")
    extends = data.get("extends")
    made.extends = [_path(each) for each in ([extends] if isinstance(extends, str) else _list(extends, "extends"))]
    for word, value in data.items():
        if word.startswith(ENV_PREFIX):
            env = word.removeprefix(ENV_PREFIX)
            if not refs.is_env(env):
                raise Broken(f"{refs.shown(word)} names no env; it is a-z, 0-9, _ and -, beginning with a letter")
            if env == refs.SUDO_ENV:
                raise Broken("env.sudo can't be declared: sudo keys are only given by name")
            made.envs[env] = [_wanted(each, word, made.minimum) for each in _list(value, word)]
    if made.default_env and made.default_env == refs.SUDO_ENV:
        raise Broken("default_env can't be sudo: sudo keys are only given by name")
    if len(made.envs) > MAX_ENVS or sum([len(keys) for keys in made.envs.values()]) > MAX_KEYS:
        raise Broken(f"it declares over {MAX_ENVS} envs or over {MAX_KEYS:,} keys")
    return made


def merge(files: "list[RepoManifest]") -> RepoManifest:
    """One manifest of a closure, in the order in which a later file wins; the last is the root. Raises Broken."""
    root = files[-1]
    made = RepoManifest()
    for file in files:
        made.org, made.default_env = file.org or made.org, file.default_env or made.default_env
        made.owner, made.minimum = file.owner or made.owner, file.minimum or made.minimum
        for env, keys in file.envs.items():
            names = {key.name for key in keys}
            made.envs[env] = [*[key for key in made.envs.get(env, []) if key.name not in names], *keys]
    if not made.org:
        raise Broken("it names no org")
    for keys in made.envs.values():
        for key in keys:
            key.minimum = key.minimum or root.minimum
    if made.default_env and made.envs and made.default_env not in made.envs:
        raise Broken(f"default_env is {made.default_env}, and {ENV_PREFIX}{made.default_env} isn't declared")
    for env in made.envs:
        variables = [key.variable for key in made.wanted(env)]
        twice = [variable for variable in variables if variables.count(variable) > 1] if len(variables) > 1 else []
        if twice:
            raise Broken(f"two keys of {ENV_PREFIX}{env} for one variable: {twice[0]}")
    if sum([len(made.wanted(env)) for env in made.envs]) > 2 * MAX_KEYS:
        raise Broken(f"it and what it extends declare over {2 * MAX_KEYS:,} keys")
    return made


def changes(before: "list[str]", after: "list[str]") -> "list[str]":
    """Two descriptions side by side: `- gone`, `+ new`, in their order."""
    old, new = set(before), set(after)
    return [*[f"- {line}" for line in before if line not in new], *[f"+ {line}" for line in after if line not in old]]


def _unknown(word: str) -> str:
    if word == "keys":
        return "keys: is not known here; write env.NAME: with the keys of each env"
    if word in ("env", "envs"):
        return f"{word}: is not known here; write env.test: and so on, with the dot"
    known = ", ".join([*OWN_WORDS, "env.NAME"])
    return f"{refs.shown(word)} is not known here; there are {known}"


def _text(data: "dict[str, object]", word: str, fits: "Callable[[str], bool]") -> str:
    value = data.get(word)
    if word not in data:
        return ""
    if not isinstance(value, str) or not fits(value):
        raise Broken(f"{word} can't be {refs.shown(value) if isinstance(value, str) else 'that'}")
    return value


def _list(value: object, word: str) -> "list[object]":
    if value is None:
        return []
    if not isinstance(value, list):
        raise Broken(f"{word} is no list; write {word}: [NAME]")
    return value


def _path(value: object) -> str:
    """A path that `extends` may name: relative, and to a manifest, so that no other file is ever read."""
    if not isinstance(value, str) or not value.endswith("agentkeys.yml") or value.startswith(("/", "~")):
        raise Broken("extends names files that end in agentkeys.yml, by paths relative to this one")
    if not value.isprintable():
        raise Broken("extends names a path with a control character")
    return value


def _minimum(value: object, word: str) -> str:
    if value is None:
        return ""
    try:
        protection, duration = grades.parse_minimum(value if isinstance(value, str) else "")
    except UsageFault:
        raise Broken(f"{word} is no grade; write encrypted, ephemeral or encrypted/ephemeral") from None
    return f"{protection}/{duration}"


def _wanted(value: object, word: str, minimum: str) -> Wanted:
    """One entry of an env's list: NAME, or a mapping with `key`."""
    if isinstance(value, str):
        return _checked(Wanted(value, value, False, "", minimum), word)
    if not isinstance(value, dict):
        raise Broken(f"{word} holds something that is no key")
    for each in value:
        if each not in KEY_WORDS:
            raise Broken(f"{refs.shown(each)} is not known of a key; there are {', '.join(KEY_WORDS)}")
    if not all(isinstance(each, str) for each in value.values()) or "key" not in value:
        raise Broken(f"{word} holds a key without its name; write {{key: NAME, as: OTHER}}")
    found = {each: str(text) for each, text in value.items()}
    if found.get("optional", "true") not in ("true", "false"):
        raise Broken("optional is true or false")
    own = _minimum(found.get("grade"), "grade")
    return _checked(
        Wanted(
            found["key"],
            found.get("as", found["key"]),
            found.get("optional") == "true",
            found.get("unless-set", ""),
            own or minimum,
        ),
        word,
    )


def _checked(key: Wanted, word: str) -> Wanted:
    for name in (key.name, key.variable, *([key.unless_set] if key.unless_set else [])):
        if not refs.is_name(name):
            raise Broken(f"{word} holds {refs.shown(name)}, which can't name a key or a variable")
    if loads_code(key.variable):
        raise Broken(f"{key.variable} changes how programs load or run code, or where they send data; no manifest may")
    return key
