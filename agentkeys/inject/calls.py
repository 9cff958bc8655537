"""What `agentkeys env --hook SHELL` prints: calls of the functions that the shell's own file, shell/hook.*, defines.

    __agentkeys_set NAME VALUE               export it
    __agentkeys_unset NAME                   remove it
    __agentkeys_take NAME VALUE EXPORTED     export a key, and keep what was there
    __agentkeys_drop NAME                    put back what was there
    __agentkeys_forget NAME                  it is the user's by now: keep nothing
    __agentkeys_watch WHILE UNTIL OLDER      the files to compare at the next prompt

csh has no functions. There the same is said in its own statements, and no key is ever set, for nothing could put back
what was there.
"""

from agentkeys.errors import Denied
from agentkeys.inject.dialects import DIALECTS, check

OWN_PREFIX = "__agentkeys_"
"""How all that the hooks define begins; no key is set under such a name."""


class Calls:
    """The language of one hook; each method makes a statement."""

    takes_keys = True
    """Whether the shell can be given keys, and be rid of them."""

    def __init__(self, dialect: str) -> None:
        self._dialect = DIALECTS[dialect]

    def set(self, name: str, value: bytes) -> bytes:
        """Export a variable, or remove it when `value` is empty."""
        if not value:
            return self._call("unset", name.encode("ascii"))
        return self._call("set", name.encode("ascii"), value)

    def take(self, name: str, value: bytes, was_exported: bool) -> bytes:
        """Export a key's. Raises Denied and UsageFault for what no shell should or this one can't hold."""
        if name.startswith(OWN_PREFIX):
            raise Denied(f"{name} is a variable of the hook's own", "agentkeys exec -- command")
        check(name, value)
        return self._call("take", name.encode("ascii"), value, b"exported" if was_exported else b"")

    def drop(self, name: bytes) -> bytes:
        """Put back what a key replaced."""
        return self._call("drop", name)

    def forget(self, name: bytes) -> bytes:
        """Leave a variable to the user."""
        return self._call("forget", name)

    def watch(self, stays: bytes, absent: bytes, older: bytes) -> bytes:
        """What to compare: a file that stays, one that doesn't come, one that stays older than the first."""
        return self._call("watch", stays, absent, older)

    def text(self, statements: "list[bytes]") -> bytes:
        """All that is printed."""
        return self._dialect.join(statements)

    def _call(self, function: str, *words: bytes) -> bytes:
        quoted = b" ".join([self._dialect.quote(word) for word in words])
        return b"%s%s %s;\n" % (OWN_PREFIX.encode("ascii"), function.encode("ascii"), quoted)


class CshStatements(Calls):
    """csh's own."""

    takes_keys = False

    def set(self, name: str, value: bytes) -> bytes:
        """As Calls."""
        return self._dialect.export(name, value) if value else self._dialect.unset(name)

    def forget(self, name: bytes) -> bytes:  # noqa: ARG002 - nothing was kept
        """As Calls."""
        return b""

    def drop(self, name: bytes) -> bytes:
        """A key of the shell that this one was started from."""
        return self._dialect.unset(name.decode("ascii"))

    def watch(self, stays: bytes, absent: bytes, older: bytes) -> bytes:
        """As Calls; a path that csh can't hold isn't compared."""
        lines = []
        for name, path in ((b"while", stays), (b"until", absent), (b"older", older)):
            word = self._dialect.quote(b"" if b"\n" in path else path)
            lines.append(b"set %s%s = %s;\n" % (OWN_PREFIX.encode("ascii"), name, word))
        return b"".join(lines)


def of_dialect(dialect: str) -> Calls:
    """The language of a hook, by its shell's dialect."""
    return CshStatements(dialect) if dialect == "csh" else Calls(dialect)
