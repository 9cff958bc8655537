"""completion, where the fast path needs help: to show help, and to name the shells there are."""

from typing import Annotated

import typer

from agentkeys.cli import options as o
from agentkeys.client import completion as files
from agentkeys.errors import UsageFault

app = o.new_app()


@app.callback()
def _family() -> None:
    """Keeps `completion` a verb of its own."""


@app.command()
def completion(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="Which shell's file to print.")] = "",
) -> int:
    """Print what a shell needs to complete agentkeys' words: verbs, options, owners, envs, names of keys.

    \b
    eval "$(agentkeys completion bash)"
    eval "$(agentkeys completion zsh)"
    agentkeys completion fish | source
    """
    if shell not in files.SHELLS:
        raise UsageFault(
            f"no completion for {shell!a}; there are bash, fish and zsh", 'eval "$(agentkeys completion bash)"'
        )
    return files.print_file(shell)
