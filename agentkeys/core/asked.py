"""Reading a request's fields, for every handler of the state machine: each raises UsageFault and changes nothing."""

from agentkeys.core import grades, refs
from agentkeys.core.events import Pairs
from agentkeys.errors import UsageFault

MAX_SLUG = 2 * refs.MAX_LABEL + refs.MAX_NAME + 2
"""Characters of the longest slug."""

_SLUG_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-@.\n"


class Want:
    """One key that a request names."""

    __slots__ = ("key", "minimum", "optional", "variable")

    def __init__(self, key: str, variable: str, optional: bool = False, minimum: str = "") -> None:
        self.key = key
        """A name or a slug."""
        self.variable = variable
        self.optional = optional
        """Whether it may be absent, which locked is not."""
        self.minimum = minimum
        """The worst grade that will do; empty for any."""


def wants(pairs: Pairs) -> "list[Want]":
    """The keys that a request names: `key`, NAME or NAME=VARIABLE, and `want`, the same and then flags.

    The flags of a `want` stand behind spaces: `optional`, and a grade. Raises UsageFault.
    """
    found = []
    for name, value in pairs:
        if name == b"key" or name == b"want":
            whole = text(value)
            named, *flags = whole.split(" ") if name == b"want" else [whole]
            key, equals, rename = named.partition("=")
            want = Want(key, refs.check_name(rename) if equals else key.rpartition(".")[2])
            for flag in flags:
                if flag == "optional" and not want.optional:
                    want.optional = True
                elif flag in grades.GRADES and not want.minimum:
                    want.minimum = flag
                else:
                    raise UsageFault("the agent doesn't know a flag of a key that is wanted", "agentkeys status")
            found.append(want)
    return found


def text(value: memoryview) -> str:
    """A field that is a name. Raises UsageFault when it isn't ASCII."""
    try:
        return str(value, "ascii")
    except UnicodeDecodeError:
        raise UsageFault("a name is not ASCII") from None


def fields(pairs: Pairs, known: "frozenset[bytes]", repeated: "tuple[bytes, ...]" = ()) -> "dict[bytes, str]":
    """The fields of a request by name. Raises UsageFault for an unknown one and for one given twice."""
    found: dict[bytes, str] = {}
    for name, value in pairs:
        if name not in known:
            raise UsageFault("the agent doesn't know a field of this request", "agentkeys status")
        if name in repeated:
            continue
        if name in found:
            raise UsageFault(f"field given twice: {name.decode('ascii', 'replace')}")
        found[name] = text(value)
    return found


def exactly(pairs: Pairs, wanted: "frozenset[bytes]", verb: str) -> "dict[bytes, memoryview]":
    """The fields of a request that has each of `wanted` once and nothing else. Raises UsageFault."""
    found = dict(pairs)
    if found.keys() != wanted or len(pairs) != len(wanted):
        raise UsageFault(f"{verb} takes {', '.join(sorted([name.decode('ascii') for name in wanted]))}")
    return found


def slugs(value: bytes) -> "list[str]":
    """Newline-separated slugs, checked as far as this process relies on it: three parts of harmless characters.

    The worker, which knows the rack, has checked the rest; at 10,000 keys each microsecond here is 10 ms.
    """
    found = value.translate(None, _SLUG_BYTES) == b"" and value.decode("ascii").split("\n")
    # map() over C functions alone takes a third of what a loop does; the second string is a dot for each slug.
    if not found or set(map(str.count, found, "." * len(found))) != {2} or max(map(len, found)) > MAX_SLUG:
        raise UsageFault("not a slug")
    return found


def seconds(value: str) -> int:
    """A positive number of seconds. Raises UsageFault."""
    if not (value.isdigit() and len(value) < 9 and int(value) > 0):
        raise UsageFault("not a number of seconds")
    return int(value)


def sizes(value: bytes) -> "list[int]":
    """Lengths in decimal, separated by spaces. Raises UsageFault."""
    words = value.split(b" ")
    if b"" in words or not b"".join(words).isdigit() or max(map(len, words)) > 9:
        raise UsageFault("not a list of sizes")
    return list(map(int, words))
