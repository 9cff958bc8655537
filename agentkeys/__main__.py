"""The front door: a fast verb goes to `client`, anything else to `cli`.

`client` may not import `inject`, so what is printed for a shell other than sh is fetched here, when it is wanted.
"""

import posix
import sys

from agentkeys import client


def main() -> int:
    """Run `agentkeys` with this process's arguments; its exit code."""
    argv = sys.argv[1:]
    client.VERBS.update(agent=agent, source=source)
    code = client.main(argv)
    if code is not None:
        posix._exit(code)  # nothing is buffered here, and finalisation costs a millisecond
    if sys.flags.no_site:
        import site  # our launcher runs `python -IS`; the slow verbs need site-packages after all

        site.main()
    from agentkeys.cli.app import run

    return run(argv)


def agent(options: client.Options) -> int:
    """Re-use the owner's agent; sh, which nearly every caller is, needs no more than `client`."""
    options.shell = options.shell or client.calling_shell(posix.environ)
    if options.shell == "sh":
        return client.agent(options)
    from agentkeys.inject import exports

    return exports.agent(options)


def source(options: client.Options) -> int:
    """Print the keys as a shell reads them."""
    from agentkeys.inject import exports

    return exports.source(options)


if __name__ == "__main__":
    sys.exit(main())
