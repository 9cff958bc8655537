"""setup: files and commands for whoever runs the machine."""

from typing import Annotated

from agentkeys.cli import options as o
from agentkeys.cli.grammar import Family, Option
from agentkeys.setup import launcher as launchers

app = Family()
setup = app.group("setup", "Write files for whoever runs this machine.")


@setup.command()
def launcher(
    to: Annotated[str, Option("--to", metavar="PATH", help="Where to write it.")] = launchers.DEFAULT,
    force: Annotated[bool, Option("--force", help="Replace a file that isn't a launcher of ours.")] = False,
) -> None:
    """Write a launcher that starts Python isolated (-IS): faster, and deaf to PYTHON* variables and .pth files.

    \b
    agentkeys setup launcher
    agentkeys setup launcher --to /usr/local/bin/agentkeys
    """
    path, note = launchers.write(to, force)
    o.say(f"wrote {path}")
    if note:
        o.say(note)
