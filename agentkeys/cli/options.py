"""The options that verbs share, spelled and explained once, and from them a `client.Options`."""

from typing import Annotated

from agentkeys import client
from agentkeys.cli.grammar import Leave, Option

Owner = Annotated[str, Option("--for", "--owner", metavar="OWNER", help="Owner, alias or wallet.")]
Sock = Annotated[str, Option("--sock", metavar="PATH", help="Ask the agent at this socket and no other.")]
Env = Annotated[str, Option("--env", metavar="ENV", help="Which env's keys; all fits every env.")]
Org = Annotated[str, Option("--org", metavar="ORG", help="Which org's keys; @all is machine-wide.")]
Key = Annotated[str, Option("--key", metavar="NAME", help="One key, by name or as org.env.NAME.")]
Keys = Annotated[list[str] | None, Option("--key", metavar="NAME", help="Only these keys; may be repeated.")]
Shell = Annotated[
    str, Option("--shell", metavar="SHELL", help="Print for sh, csh, fish or json; default: the calling shell.")
]
NoRepo = Annotated[bool, Option("--no-repo", help="Ignore the repository's manifest.")]
Json = Annotated[bool, Option("--json", help="Print JSON.")]


def gather(verb: str, owner: str = "", sock: str = "", env: str = "", org: str = "") -> client.Options:
    """What `client` takes, for the verbs that both paths know."""
    options = client.Options(verb)
    options.owner, options.sock, options.env, options.org = owner, sock, env, org
    return options


def say(text: str) -> None:
    """Print a line of success. Raises AgentkeysError when stdout is full, BrokenPipeError's exit when it is gone."""
    lines = "\n".join([client.printable(line) for line in text.split("\n")])
    code = client.write_out(f"{lines}\n".encode())
    if code:
        raise Leave(code)
