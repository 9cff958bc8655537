"""The table that completion reads in place of the parser, which would take a tenth of a second to build.

`python -m tests.completion.words` writes it anew after a verb or an option has changed; a test says so when it is time.
"""

import importlib
import re
from pathlib import Path
from typing import Any

import typer.main

import agentkeys
from agentkeys.cli.app import FAMILIES, HELP

TABLE = Path(agentkeys.__file__).parent / "client" / "words.py"

MAX_TEXT = 110
"""Characters of a text on a line of its own, as the formatter has it."""

HEAD = '''"""Every verb with its options and arguments, as completion needs them.

Written by `python -m tests.completion.words` from the parser: change that, not this. An option that takes a value names
its kind behind a `=`, and the kinds of arguments stand behind the `:`.
"""

'''

FIXED = {
    "HOW": "env file keychain passphrase plugin: ssh",
    "SHELL": "bash csh fish json sh zsh",
    "VAULT": "keychain os.daemon os.direct os.envvar os.secure",
}
"""Kinds with a few values."""


def kind(metavar: str | None) -> str:
    """A metavar without its brackets, dots and what may follow it."""
    return re.sub(r"\[=AS\]|[\[\]…]", "", metavar or "").removeprefix("-- ").strip()


def verbs() -> dict[str, str]:
    """Each verb, and group and verb, with its line."""
    found = {}
    for verb, family in FAMILIES.items():
        group: Any = typer.main.get_command(importlib.import_module(f"agentkeys.cli.{family}").app.as_typer())
        command = group.commands[verb]
        inner = getattr(command, "commands", None)
        for name, one in inner.items() if inner else [("", command)]:
            found[f"{verb} {name}".strip()] = line(one)
    return found


def line(command: Any) -> str:
    """The options of one verb, and its arguments."""
    options, arguments = {"--help": ""}, []
    for it in command.params:
        if it.param_type_name == "argument":
            arguments.append(kind(it.metavar))
        else:
            options |= dict.fromkeys([*it.opts, *it.secondary_opts], "" if it.is_flag else f"={kind(it.metavar)}")
    options.pop("-h", None)
    words = [name + value for name, value in sorted(options.items())]
    return " ".join([*words, ":", *arguments]) if arguments else " ".join(words)


def about() -> dict[str, str]:
    """What `agentkeys --help` says of each verb, without the example."""
    rows = re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}(\S.*)$", HELP, re.MULTILINE)
    return {verb: text.partition(":  ")[0] for verb, text in rows}


def rendered() -> str:
    """The whole module, a verb a line."""
    parts = [HEAD]
    for name, table in (("TABLE", verbs()), ("ABOUT", about()), ("FIXED", FIXED)):
        rows = "".join([row(key, table[key]) for key in sorted(table)])
        parts.append(f"{name} = {{\n{rows}}}\n")
    return "\n".join([parts[0].rstrip("\n") + "\n", *parts[1:]])


def row(key: str, text: str) -> str:
    """One entry; over several lines when it is long."""
    whole = f'    "{key}": "{text}",\n'
    if len(whole) <= 121:
        return whole
    lines, words = [], text.split(" ") if len(text) > MAX_TEXT else [text]
    while words:
        piece = ""
        while words and (not piece or len(piece) + len(words[0]) < MAX_TEXT):
            piece += words.pop(0) + " "
        lines.append(f'        "{piece if words else piece[:-1]}"\n')
    return f'    "{key}": (\n{"".join(lines)}    ),\n'


if __name__ == "__main__":
    TABLE.write_text(rendered())
