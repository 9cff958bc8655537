"""completion, where the fast path needs help: to show help, and to name the shells there are."""

from typing import Annotated

from agentkeys.cli.grammar import Argument, Family
from agentkeys.client import completion as files
from agentkeys.errors import UsageFault

app = Family()


@app.command()
def completion(
    shell: Annotated[str, Argument(metavar="bash|zsh|fish", help="Which shell's file to print.")] = "",
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
