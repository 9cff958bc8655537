"""The files of hooks/, with what differs between two owners filled in between @ and @."""

import os
import re

from agentkeys.errors import AgentkeysError

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

PLACES = (f"{PACKAGE}/data/hooks", f"{os.path.dirname(PACKAGE)}/hooks")
"""Where a wheel has them, and a checkout."""


def fill(name: str, values: "dict[str, str]") -> str:
    """The template `name` with each @WORD@ replaced; a line whose word stands for nothing goes."""
    for place in PLACES:
        try:
            with open(f"{place}/{name}", encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        for word, value in values.items():
            if not value:
                text = text.replace(f"@{word}@\n", "")
        return re.sub(r"@([A-Z]+)@", lambda found: values[found[1]], text)
    raise AgentkeysError(f"the template {name} is missing from this installation", "pipx reinstall agentkeysd")
