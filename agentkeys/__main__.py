"""The front door: a plain call of a fast verb goes to `client`, anything else to `cli`.

Here the words of such a call are read and its verb's module is loaded, no other; `client` may not import `inject`, so
what is printed for a shell other than sh is fetched here too, when it is wanted.
"""

import posix
import sys

from agentkeys.client import EVALUATED, Options, Unclear, bug, complain, guard_standard_descriptors, interrupted
from agentkeys.errors import AgentkeysError, NoAgent


def main() -> int:
    """Run `agentkeys` with this process's arguments; its exit code."""
    argv = sys.argv[1:]
    code = run_fast(argv)
    if code is not None:
        posix._exit(code)  # nothing is buffered here, and finalisation costs a millisecond
    if sys.flags.no_site:
        import site  # our launcher runs `python -IS`; the slow verbs need site-packages after all

        site.main()
    from agentkeys.cli.app import run

    return run(argv)


def run_fast(argv: "list[str]") -> int | None:
    """Run a fast verb; its exit code, or None when `agentkeys.cli` should take over."""
    guard_standard_descriptors()
    run = VERBS.get(argv[0]) if argv else None
    options = (parse_words if argv[0] in WORDY else parse)(argv) if run else None
    if run is None or options is None:
        return None
    try:
        return run(options)
    except (Unclear, NoAgent):
        return None
    except AgentkeysError as fault:
        return complain(fault, evaluated=options.verb in EVALUATED)
    except KeyboardInterrupt:
        return interrupted(evaluated=options.verb in EVALUATED)
    except Exception as fault:  # noqa: BLE001 - the last line of defence, which reports a bug
        return complain(bug(fault), evaluated=options.verb in EVALUATED)


# --- the verbs, each with its module ------------------------------------------------------------------------------


def exec_(options: Options) -> int:
    """Become the command."""
    from agentkeys.client import command

    return command.exec_with_keys(options)


def get(options: Options) -> int:
    """Print one value."""
    from agentkeys.client import verbs

    return verbs.get(options)


def status(options: Options) -> int:
    """Print what the agent says of itself."""
    from agentkeys.client import verbs

    return verbs.status(options)


def relock(options: Options) -> int:
    """Make the owner's agents forget."""
    from agentkeys.client import verbs

    return verbs.relock(options)


def agent(options: Options) -> int:
    """Re-use the owner's agent; sh, which nearly every caller is, needs no more than `client`."""
    if not options.shell:
        from agentkeys.client import shells

        options.shell = shells.calling_shell(posix.environ)
    if options.shell == "sh":
        from agentkeys.client import exports as sh

        return sh.agent(options)
    from agentkeys.inject import exports

    return exports.agent(options)


def source(options: Options) -> int:
    """Print the keys as a shell reads them."""
    from agentkeys.inject import exports

    return exports.source(options)


def completion(options: Options) -> int:
    """Print a shell's completion file, or what could stand at its cursor."""
    from agentkeys.client import completion as it

    return it.run(options.command)


def direnv(options: Options) -> int:
    """Print what `use agentkeys` evaluates."""
    from agentkeys.inject import direnv as it

    return it.export(options.command)


def env(options: Options) -> int:
    """Print what this shell should know."""
    from agentkeys.inject import surroundings

    return surroundings.env(options)


def hook(options: Options) -> int:
    """Print a shell's hook."""
    from agentkeys.client import shells

    if len(options.command) != 1:
        raise Unclear
    return shells.print_hook(options.command[0])


VERBS = {
    "agent": agent,
    "completion": completion,
    "direnv": direnv,
    "env": env,
    "exec": exec_,
    "get": get,
    "hook": hook,
    "relock": relock,
    "source": source,
    "status": status,
}


# --- their words --------------------------------------------------------------------------------------------------

_TEXT_OPTIONS = {
    "--for": "owner",
    "--owner": "owner",
    "--sock": "sock",
    "--env": "env",
    "--org": "org",
    "--shell": "shell",
    "--behind": "behind",
    "--hook": "hook",
}
_FLAGS = {
    "--json": "json",
    "--clean-env": "clean_env",
    "--no-repo": "no_repo",
    "--strict": "strict",
    "--lenient": "lenient",
    "--off": "off",
}
_DIALECT_FLAGS = {"-s": "sh", "-c": "csh"}
_ACCEPTED = {
    "env": ("--for", "--owner", "--sock", "--env", "--org", "--shell", "--hook", "--off", "--no-repo"),
    "exec": ("--for", "--owner", "--sock", "--env", "--org", "--key", "--clean-env", "--no-repo", "--behind"),
    "get": ("--for", "--owner", "--sock", "--env", "--org", "--key", "--no-repo"),
    "status": ("--for", "--owner", "--sock", "--json"),
    "relock": ("--for", "--owner", "--key", "--env", "--json"),
    "agent": ("--for", "--owner", "--shell"),
    "source": (
        "--for",
        "--owner",
        "--sock",
        "--env",
        "--org",
        "--key",
        "--shell",
        "--strict",
        "--lenient",
        "--no-repo",
    ),
}


WORDY = {
    "completion": ("bash", "fish", "words", "zsh"),
    "direnv": ("export",),
    "hook": ("bash", "dash", "fish", "ksh", "mksh", "tcsh", "zsh"),
}
"""Verbs that read their own words, and how a plain call of each goes on."""


def parse_words(argv: "list[str]") -> Options | None:
    """The words of a WORDY verb, or None."""
    options = Options(argv[0])
    options.command = argv[2:] if argv[0] == "direnv" else argv[1:]
    return options if argv[1:2] and argv[1] in WORDY[argv[0]] and "--help" not in argv[1:3] else None


def parse(argv: "list[str]") -> Options | None:
    """A fast verb's options, or None for anything that isn't plainly one of its own."""
    verb = argv[0]
    options = Options(verb)
    accepted = _ACCEPTED[verb]
    at = 1
    while at < len(argv):
        word = argv[at]
        at += 1
        if word == "--" and verb == "exec":
            options.command = argv[at:]
            break
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name not in accepted:
            if verb == "exec" and word and word[0] != "-":
                options.command = argv[at - 1 :]
                break
            if verb == "agent" and word in _DIALECT_FLAGS and options.shell in ("", _DIALECT_FLAGS[word]):
                options.shell = _DIALECT_FLAGS[word]
                continue
            if verb != "get" or word[:1] in ("-", "") or options.keys:
                return None
            options.keys.append(word)
        elif name in _FLAGS:
            if equals:
                return None
            setattr(options, _FLAGS[name], True)
        else:
            if not equals:
                if at == len(argv):
                    return None
                value = argv[at]
                at += 1
            if not value:
                return None
            if name == "--key":
                options.keys.append(value)
            elif name == "--shell":
                from agentkeys.client.shells import dialect_named

                value = dialect_named(value)
                if not value or options.shell not in ("", value):
                    return None
                options.shell = value
            else:
                setattr(options, _TEXT_OPTIONS[name], value)
    plain = (verb != "exec" or options.command) and (verb != "get" or len(options.keys) == 1)
    plain = plain and not (options.strict and options.lenient)
    return options if plain and (verb != "relock" or len(options.keys) < 2) else None


if __name__ == "__main__":
    sys.exit(main())
