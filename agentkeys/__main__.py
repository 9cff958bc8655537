"""The front door: a fast verb goes to `client`, anything else to `cli`."""

import posix
import sys

from agentkeys import client


def main() -> int:
    """Run `agentkeys` with this process's arguments; its exit code."""
    argv = sys.argv[1:]
    code = client.main(argv)
    if code is not None:
        posix._exit(code)  # nothing is buffered here, and finalisation costs a millisecond
    if sys.flags.no_site:
        import site  # our launcher runs `python -IS`; the slow verbs need site-packages after all

        site.main()
    from agentkeys.cli.app import run

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
