"""setup: files and commands for whoever runs the machine."""

from typing import Annotated

import typer

from agentkeys.cli import options as o
from agentkeys.setup import launcher as launchers

app = o.new_app()
setup = typer.Typer(rich_markup_mode=None, help="Write files for whoever runs this machine.")
app.add_typer(setup, name="setup")


@app.callback()
def _family() -> None:
    """Keeps `setup` a group of its own."""


@setup.command()
def launcher(
    to: Annotated[str, typer.Option("--to", metavar="PATH", help="Where to write it.")] = launchers.DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that isn't a launcher of ours.")] = False,
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


@setup.callback()
def _group() -> None:
    """Write files for whoever runs this machine."""
