"""For which shell to print: what was asked, else the one that called us."""

import posix

from agentkeys.client import Unclear, shells
from agentkeys.errors import UsageFault


def dialect(sh: bool, csh: bool, shell: str, verb: str) -> str:
    """sh, csh, fish or json. Raises UsageFault for another, and for two at once."""
    asked = {name for name, given in (("sh", sh), ("csh", csh)) if given}
    if shell:
        named = shells.dialect_named(shell)
        if not named:
            raise UsageFault(f"no dialect {shell!a}; there are sh, csh, fish and json", f"agentkeys {verb} --shell sh")
        asked.add(named)
    if len(asked) > 1:
        raise UsageFault(f"one dialect at a time, not {' and '.join(sorted(asked))}", f"agentkeys {verb} --shell sh")
    return asked.pop() if asked else calling_shell()


def calling_shell() -> str:
    """The caller's dialect; where there is no /proc, by shellingham, which asks ps(1)."""
    try:
        return shells.calling_shell(posix.environ)
    except Unclear:
        from shellingham import ShellDetectionFailure, detect_shell

        try:
            return shells.dialect_of(detect_shell()[0]) or "sh"
        except ShellDetectionFailure:
            return shells.login_shell(posix.environ)
