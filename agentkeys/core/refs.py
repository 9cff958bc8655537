"""How things are named: owners, orgs, envs, key names, slugs, durations. Everything else that parses a name asks here.

slug = org.env.NAME      acme.prod.STRIPE_KEY      @all.all.GITHUB_TOKEN
"""

from collections.abc import Iterable

from agentkeys.errors import UsageFault

DEFAULT_OWNER = "human"
ANY_ORG = "@all"
"""The org of a machine-wide key."""
ANY_ENV = "all"
"""The env of a key that fits every env."""
SUDO_ENV = "sudo"
"""The env whose keys are only ever brought by name, and shortly."""

MAX_OWNER = 32
"""Characters: keeps `<owner>.<session id>.sock` and every file name short."""
MAX_LABEL = 64
"""Characters of an org or env."""
MAX_NAME = 128
"""Characters of a key name: it is an environment variable's name."""

DEFAULT_TTL = 9 * 3600
"""Seconds a key stays unlocked: a working day."""
SUDO_TTL = 30 * 60
"""Seconds a `sudo` key stays unlocked."""
MAX_TTL = 7 * 24 * 3600
"""Seconds: the absolute cap; after a week away a person should be asked again."""

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
_DIGIT = frozenset("0123456789")
_LABEL = _LOWER | _DIGIT | {"_", "-"}
_NAME_START = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_NAME = _NAME_START | _DIGIT
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def is_owner(text: str) -> bool:
    """`[a-z0-9][a-z0-9_-]{0,31}`, not `agentkeys`, not beginning `0x` (that is a wallet)."""
    return (
        0 < len(text) <= MAX_OWNER
        and _LABEL.issuperset(text)
        and text[0] not in "_-"
        and text != "agentkeys"
        and not text.startswith("0x")
    )


def check_owner(text: str) -> str:
    """`text` if it is an owner's name. Raises UsageFault."""
    if not is_owner(text):
        raise UsageFault(
            f"not an owner's name: {shown(text)}; it is a-z, 0-9, _ and -, at most 32, not beginning with _, - or 0x",
            "agentkeys init --for seaturtle",
        )
    return text


def is_env(text: str) -> bool:
    """`[a-z][a-z0-9_-]*`, at most MAX_LABEL."""
    return 0 < len(text) <= MAX_LABEL and _LABEL.issuperset(text) and text[0] in _LOWER


def check_env(text: str) -> str:
    """`text` if it can name an env. Raises UsageFault."""
    if not is_env(text):
        raise UsageFault(
            f"not an env: {masked(text)}; it is a-z, 0-9, _ and -, beginning with a letter", "agentkeys list --env prod"
        )
    return text


def is_org(text: str) -> bool:
    """`@all`, or `[a-z0-9][a-z0-9_-]*`, at most MAX_LABEL."""
    return text == ANY_ORG or (0 < len(text) <= MAX_LABEL and _LABEL.issuperset(text) and text[0] not in "_-")


def check_org(text: str) -> str:
    """`text` if it can name an org. Raises UsageFault."""
    if not is_org(text):
        raise UsageFault(f"not an org: {masked(text)}; it is @all, or a-z, 0-9, _ and -", "agentkeys list")
    return text


def is_name(text: str) -> bool:
    """An environment variable's name, `[A-Za-z_][A-Za-z0-9_]*`, at most MAX_NAME (IEEE 1003.1, 8.1)."""
    return 0 < len(text) <= MAX_NAME and _NAME.issuperset(text) and text[0] in _NAME_START


def check_name(text: str) -> str:
    """`text` if it can name a key. Raises UsageFault."""
    if not is_name(text):
        raise UsageFault(
            f"not a key's name: {masked(text)}; it is named like the variable it becomes", "agentkeys list"
        )
    return text


def slug(org: str, env: str, name: str) -> str:
    """The slug of checked parts."""
    return f"{org}.{env}.{name}"


def split_slug(text: str) -> "tuple[str, str, str]":
    """(org, env, name) of a slug. Raises UsageFault."""
    if not is_slug(text):
        raise UsageFault(f"not a key: {masked(text)}; give a name (GITHUB_TOKEN) or org.env.NAME", "agentkeys list")
    org, env, name = text.split(".")
    return org, env, name


def is_slug(text: str) -> bool:
    """Whether `text` is org.env.NAME."""
    parts = text.split(".")
    return len(parts) == 3 and is_org(parts[0]) and is_env(parts[1]) and is_name(parts[2])


def candidates(org: str, env: str, key: str) -> "list[str]":
    """The slugs that `key`, a name or a full slug, can mean, most specific first.

    The first that exists wins, even if it is locked. Raises UsageFault.
    """
    if "." in key:
        split_slug(key)
        return [key]
    check_name(key)
    found = [f"{org}.{env}.{key}"]
    for other in (f"{org}.all.{key}", f"@all.{env}.{key}", f"@all.all.{key}"):
        if other not in found:
            found.append(other)
    return found


def elsewhere(slugs: "Iterable[str]", org: str, key: str) -> str:
    """What an error adds of a key that isn't in the env that was asked: the envs that have it; "" for none."""
    name = key.rpartition(".")[2]
    ends = [slug.rpartition(".")[0].partition(".") for slug in slugs if slug.endswith(f".{name}")]
    envs = sorted({env for its_org, _, env in ends if its_org in (org, ANY_ORG)})
    return f"; it is in env {', '.join(envs)}" if envs else ""


def parse_duration(text: str) -> int:
    """Seconds in `30s`, `5m`, `9h`, `7d` or a run of them like `1h30m` (TIME FORMATS of sshd_config(5)).

    Raises UsageFault for anything else, for 0, and for what is over a year.
    """
    total = 0
    number = ""
    for letter in text:
        if letter in _DIGIT and len(number) < 9:
            number += letter
        elif letter in _UNITS and number:
            total += int(number) * _UNITS[letter]
            number = ""
        else:
            number = "?"
            break
    if number or not 0 < total <= 366 * 86400:
        raise UsageFault(f"not a duration: {shown(text)}; write 30s, 5m, 9h or 7d", "agentkeys unlock --duration 9h")
    return total


def show_duration(seconds: int) -> str:
    """A duration in its two largest units: `8h59m`, `7d`, `40s`."""
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size:
            parts.append(f"{seconds // size}{unit}")
            seconds %= size
    return "".join(parts[:2]) or "0s"


MASKED_FROM = 12
"""Characters from which what was typed in a name's place may be a secret, and isn't repeated, nor put on record."""


def masked(text: str) -> str:
    """What was typed where a name belongs, as an error may repeat it: a value that slipped in there isn't shown."""
    name, equals, _value = text.partition("=")
    if len(name) >= MASKED_FROM:
        return f"{len(text)} characters, not shown"
    return shown(name + ("=…" if equals else ""))


def shown(text: str, limit: int = 64) -> str:
    """Foreign text made safe for a terminal and a log: quoted, ASCII escapes for the rest, cut at `limit`."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "'" + "".join(_visible(c) for c in cut) + "'"


def _visible(c: str) -> str:
    if c in "'\\":
        return "\\" + c
    return c if c.isprintable() else ascii(c)[1:-1]
