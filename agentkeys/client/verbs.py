"""The fast verbs that print or do one thing and end: `get`, `status`, `relock`."""

import posix

from agentkeys import errors, paths
from agentkeys.client import Caller, Options, Unclear, ask_keys, printable, settle_repo, where, write_out
from agentkeys.client.connection import Connection, agent_sockets
from agentkeys.errors import AgentkeysError, NoAgent, OutcomeUnknown


def read_one(options: Options) -> bytes:
    """One value."""
    caller = Caller(options)
    settle_repo(caller, options)
    return bytes(ask_keys(caller.connect(), b"get", caller, options)[1])


def get(options: Options) -> int:
    """Print one value, its exact bytes; a newline follows only on a terminal."""
    code = write_out(read_one(options))
    return code or (write_out(b"\n") if posix.isatty(1) else errors.OK)


def status(options: Options) -> int:
    """Print what the agent says of itself."""
    caller = Caller(options)
    fields = caller.connect().ask(b"status", *([b"format", b"json"] if options.json else []))
    manifest = "" if options.json else paths.repo_manifest(caller.environ)
    if not manifest:
        return write_out(fields[1])
    from agentkeys.client import repo

    return write_out(bytes(fields[1]) + f"repo     {printable(repo.in_short(caller.root, manifest))}\n".encode())


def relock(options: Options) -> int:
    """Make all of an owner's agents forget. Raises Unclear when nothing that was named is there: it may be a typo."""
    slugs = forget(options)
    if not slugs and (options.keys or options.env) and not options.json:
        raise Unclear
    return report_relocked(slugs, options.json)


def forget(options: Options) -> "list[str]":
    """The slugs that an owner's agents were made to forget; all are told before a failure of one is raised.

    Raises NoAgent when there is none.
    """
    caller = Caller(options)
    slugs: set[str] = set()
    told = 0
    failure: AgentkeysError | None = None
    for path in agent_sockets(caller.root, caller.owner):
        try:
            connection = Connection(path, caller.owner)
            fields = connection.ask(b"relock", *where(options))
            connection.close()
        except (NoAgent, OutcomeUnknown):
            continue  # it is gone, and so is what it held
        except AgentkeysError as fault:
            failure = fault
            continue
        told += 1
        slugs.update([str(value, "ascii") for value in fields[1::2]])
    if failure is not None:
        raise failure
    if not told:
        raise NoAgent("")
    return sorted(slugs)


def report_relocked(slugs: "list[str]", as_json: bool) -> int:
    """Say what a relock did. Slugs are plain ASCII, so their JSON needs no escapes."""
    if as_json:
        rows = ",".join([f'"{slug}"' for slug in slugs])
        return write_out(f'{{"relocked":[{rows}]}}\n'.encode("ascii"))
    text = "".join([f"relocked {slug}\n" for slug in slugs]) or "nothing was unlocked\n"
    return write_out(text.encode("ascii"))
