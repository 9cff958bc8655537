"""How each dialect says "export this" and "forget that", to the byte.

Rule 1: what is printed sets the variable to exactly the value, or it isn't printed: a value that a dialect can't
        carry is a UsageFault. tests/shell/ sends every byte through the real shells.
Rule 2: a statement means the same when its lines are joined by spaces, as `eval` does in csh and fish.
Rule 3: nothing is left for the shell to expand: no quote, history, glob, variable or command of a value's is seen.

This module imports nothing but errors: whoever types `agentkeys source` waits for it.
"""

from agentkeys.errors import AgentkeysError, Denied, UsageFault

PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-")
"""Bytes that mean themselves in every shell, wherever they stand."""

NAME_START = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
NAME = NAME_START | frozenset("0123456789")

CSH_READ = 4096
"""Bytes that tcsh 6.24 reads at once of what a backquoted command prints.

A character that isn't ASCII, cut in two by the end of such a read, damages what was read before, unless the locale
knows it.
"""

SHELL_OWN = frozenset(
    # zsh: tied to PATH and its like, prompts that it expands, the user that it runs as
    "argv cdpath dirstack fignore fpath histchars HISTCHARS KEYBOARD_HACK mailpath manpath module_path path prompt "
    "PROMPT PROMPT2 PROMPT3 PROMPT4 psvar RPROMPT RPROMPT2 RPS1 RPS2 SPROMPT USERNAME watch WATCH "
    # computed anew, or not to be set, in one shell or several
    "BASHPID DIRSTACK EGID EPOCHREALTIME EPOCHSECONDS ERRNO EUID FUNCNAME GID GROUPS HISTCMD KSHEGID KSHGID KSHUID "
    "LINENO OPTIND PGRP PIPESTATUS PPID RANDOM SECONDS SHLVL SRANDOM TTYIDLE UID USER_ID "
    "_ history hostname pipestatus signals status umask version "
    # closes the shell after so many seconds
    "TMOUT".split()
)
"""Variables that a shell computes, refuses to set, or acts on; a value under such a name would not come back."""

SHELL_OWN_PREFIXES = ("BASH_", "fish_")
SHELL_OWN_SUFFIX = "_functions"
"""zsh calls every function that precmd_functions and its like name (zshmisc(1))."""


class Sh:
    """Bourne's family: bash, dash, ksh, mksh, zsh and the rest of POSIX. The other dialects are told by it.

    `eval "$(…)"` carries every byte but NUL; the double quotes keep the shell from splitting what is printed.
    """

    def export(self, name: str, value: bytes) -> bytes:
        """The statement that sets and exports a variable. Raises UsageFault for a value it can't carry."""
        check(name, value)
        return b"export %s=%s;\n" % (name.encode("ascii"), self.quote(value))

    def quote(self, value: bytes) -> bytes:
        """A value as one word. Raises UsageFault for one that the dialect can't carry."""
        return b"'%s'" % value.replace(b"'", b"'\\''")

    def unset(self, name: str) -> bytes:
        """The statement that removes a variable, and succeeds when there is none."""
        return b"unset %s;\n" % name.encode("ascii")

    def join(self, statements: "list[bytes]") -> bytes:
        """All that is printed. Raises UsageFault when the shell would damage it."""
        return b"".join(statements)


class Csh(Sh):
    """The C shell, tcsh: eval "`…`", which makes a space of a newline, so that a value can't have one.

    A backslash before everything but letters and digits: quotes don't keep csh from history (tcsh(1)), whose
    character the user may change, and a backslash in quotes means what `backslash_quote` says.
    """

    def export(self, name: str, value: bytes) -> bytes:
        """As Sh."""
        check(name, value)
        if b"\n" in value:
            raise UsageFault(f"{name} holds a newline, which csh's eval can't carry", EXEC_INSTEAD)
        line = b"setenv %s %s;\n" % (name.encode("ascii"), self.quote(value))
        if _damaged(line):
            raise UsageFault(f"{name} is over 4 KiB and not ASCII, which csh would damage", EXEC_INSTEAD)
        return line

    def quote(self, value: bytes) -> bytes:
        """As Sh; of a value without a newline."""
        return b"".join([_CSH[byte] for byte in value]) or b"''"

    def unset(self, name: str) -> bytes:
        """As Sh."""
        return b"unsetenv %s;\n" % name.encode("ascii")

    def join(self, statements: "list[bytes]") -> bytes:
        """As Sh."""
        text = b"".join(statements)
        if _damaged(text):
            raise UsageFault("csh would damage this: it is over 4 KiB and not ASCII", EXEC_INSTEAD)
        return text


class Fish(Sh):
    """fish: `… | source`. `eval (…)` works too, because control characters are written as escapes.

    Global, never universal: a universal variable is written to a file.
    """

    def export(self, name: str, value: bytes) -> bytes:
        """As Sh."""
        check(name, value)
        return b"set -gx %s %s;\n" % (name.encode("ascii"), self.quote(value))

    def quote(self, value: bytes) -> bytes:
        """As Sh."""
        return b"'%s'" % b"".join([_FISH[byte] for byte in value])

    def unset(self, name: str) -> bytes:
        """As Sh; `set -e` of nothing is a failure to fish."""
        return b"set -e %s; or true;\n" % name.encode("ascii")


class Json(Sh):
    """One object of names and texts, for nu, elvish, editors and programs; what is to be unset is null."""

    def export(self, name: str, value: bytes) -> bytes:
        """As Sh."""
        check(name, value, in_shell=False)
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            raise UsageFault(f"{name} is not UTF-8, which JSON can't hold", EXEC_INSTEAD) from None
        return b'"%s":"%s"' % (name.encode("ascii"), text.translate(_JSON).encode("utf-8"))

    def unset(self, name: str) -> bytes:
        """As Sh."""
        return b'"%s":null' % name.encode("ascii")

    def join(self, statements: "list[bytes]") -> bytes:
        """As Sh."""
        return b"{%s}\n" % b",".join(statements)


DIALECTS = {"sh": Sh(), "csh": Csh(), "fish": Fish(), "json": Json()}

EXEC_INSTEAD = "agentkeys exec -- command"

_FISH = [bytes((byte,)) for byte in range(256)]
"""How each byte stands in fish's single quotes: control characters outside of them, as escapes (fish-language(1))."""
_FISH[:32] = [b"'\\x%02x'" % byte for byte in range(32)]
_FISH[127] = b"'\\x7f'"
_FISH[ord("'")] = b"\\'"
_FISH[ord("\\")] = b"\\\\"

_CSH = [bytes((byte,)) if byte in PLAIN or byte > 127 else b"\\%c" % byte for byte in range(256)]

_JSON = {**{code: f"\\u{code:04x}" for code in (*range(32), 127)}, ord('"'): '\\"', ord("\\"): "\\\\"}
"""RFC 8259, 7."""


def _damaged(text: bytes) -> bool:
    """Whether tcsh might read this wrongly (CSH_READ)."""
    return len(text) > CSH_READ and not text.isascii()


def check(name: str, value: bytes, in_shell: bool = True) -> None:
    """Raise for what no dialect prints: a name that is none, a shell's own variable, a NUL byte."""
    if not (name and NAME.issuperset(name) and name[0] in NAME_START):
        raise AgentkeysError("the agent named a variable that can't be", "agentkeys agent -k")
    if in_shell and (name in SHELL_OWN or name.startswith(SHELL_OWN_PREFIXES) or name.endswith(SHELL_OWN_SUFFIX)):
        raise Denied(
            f"{name} is a variable of some shell's own, so it is not set in one",
            "agentkeys source --key NAME=OTHER_NAME",
        )
    if b"\0" in value:
        raise UsageFault(f"{name} holds a NUL byte, which no environment variable can", f"agentkeys get {name}")
