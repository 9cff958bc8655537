"""What somebody meant whose first word is no verb; only such a call loads this.

Nothing that stands behind that word is repeated in a hint: it may be a value, which belongs on no screen.
"""

import shlex

from agentkeys.client.near import near
from agentkeys.errors import UsageFault

FORGET = "agentkeys del NAME, or to lock it again: agentkeys relock NAME"

ELSEWHERE = {
    "add": "agentkeys set NAME",
    "cat": "agentkeys get NAME",
    "create": "agentkeys init",
    "delete": FORGET,
    "export": 'eval "$(agentkeys source)"',
    "forget": "agentkeys relock",
    "info": "agentkeys status",
    "keys": "agentkeys list",
    "kill": 'eval "$(agentkeys agent -k)"',
    "load": "agentkeys unlock",
    "ls": "agentkeys list",
    "new": "agentkeys init",
    "owners": "agentkeys owner list",
    "print": "agentkeys get NAME",
    "ps": "agentkeys status --all",
    "put": "agentkeys set NAME",
    "read": "agentkeys get NAME",
    "remove": FORGET,
    "rm": FORGET,
    "run": "agentkeys exec -- COMMAND",
    "save": "agentkeys set NAME",
    "show": "agentkeys get NAME, or without values: agentkeys list",
    "start": 'eval "$(agentkeys agent)"',
    "stop": 'eval "$(agentkeys agent -k)"',
    "store": "agentkeys set NAME",
    "unset": FORGET,
    "update": "agentkeys set NAME",
    "whoami": "agentkeys owner show",
}
"""What other programs call it, and what it is here."""

SHARED = ("--env", "--for", "--org", "--owner")
"""Options of many verbs, with a value that is no secret and that a hint may repeat."""


def no_verb(argv: "list[str]", verbs: "list[str]") -> UsageFault:
    """The error for a call that doesn't begin with a verb."""
    typed = argv[0]
    if typed.startswith("-"):
        return UsageFault(f"options stand behind the verb, and {typed!a} is before it", _reordered(argv, verbs))
    if typed in ELSEWHERE:
        return UsageFault(f"no verb {typed!a}", ELSEWHERE[typed])
    meant = near(typed, verbs)
    return UsageFault(f"no verb {typed!a}", f"agentkeys {meant[0]}" if meant else "agentkeys --help")


def _reordered(argv: "list[str]", verbs: "list[str]") -> str:
    """The call with its verb first, as far as it can be repeated; `…` for the rest."""
    options: list[str] = []
    left = list(argv)
    while left and left[0] not in verbs:
        name, equals, value = left.pop(0).partition("=")
        if name in SHARED and (equals or left):
            options += [name, shlex.quote(value or left.pop(0))]
    if not left:
        return "agentkeys --help"
    return " ".join(["agentkeys", left[0], *options, *(["…"] if left[1:] else [])])
