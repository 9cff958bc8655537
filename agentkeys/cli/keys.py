"""set, del: one key into the rack, and out of it."""

import json
import posix
from collections.abc import Callable
from typing import Annotated

from agentkeys import client, paths
from agentkeys.cli import options as o
from agentkeys.cli.grammar import Argument, Family, Option
from agentkeys.cli.values import read_value
from agentkeys.cli.work import home, owner_here, require_keychain, work
from agentkeys.core import refs
from agentkeys.errors import AgentkeysError, NoAgent, UsageFault

app = Family()

VAULT_HELP = "Where the value rests: os.secure (default), keychain, os.daemon, os.envvar, os.direct, or your own."

Name = Annotated[str, Argument(metavar="[NAME]", help="The key, like the variable it becomes.")]
Words = Annotated[list[str] | None, Argument(metavar="[NAME]", help="The key, like the variable it becomes.")]


def _slug(name: str, key: str, env: str, org: str) -> str:
    """The one slug that a verb is about. Raises UsageFault."""
    if bool(name) == bool(key):
        raise UsageFault("name one key", "agentkeys set GITHUB_TOKEN")
    text = name or key
    if "." in text:
        slug = refs.slug(*refs.split_slug(text))
        its_org, its_env, _ = slug.split(".")
        if (env and env != its_env) or (org and org != its_org):
            raise UsageFault(f"{slug} and --env or --org say different things", f"--key {slug}")
        return slug
    return refs.slug(refs.check_org(org or refs.ANY_ORG), refs.check_env(env or refs.ANY_ENV), refs.check_name(text))


def _refuse_values(name: str, key: str, rest: "list[str]") -> None:
    """Refuse what may be a value, without showing it: screens and CI logs keep what we print."""
    text = key or name
    if rest or (key and name) or "=" in text:
        raise UsageFault(
            "a value is never taken from the command line: it is in the shell's history and in ps now, "
            "so replace it at its issuer if it was a real one",
            "agentkeys set GITHUB_TOKEN",
        )
    if text and not (refs.is_name(text) or refs.is_slug(text)):
        raise UsageFault(
            "that is no key's name, and not shown here in case it is a value; a key is named like a variable",
            "agentkeys set GITHUB_TOKEN",
        )


@app.command("set")
def set_(
    words: Words = None,
    owner: o.Owner = "",
    key: o.Key = "",
    env: o.Env = "",
    org: o.Org = "",
    vault: Annotated[str, Option("--vault", metavar="VAULT", help=VAULT_HELP)] = "",
    ref: Annotated[
        str, Option("--ref", metavar="TEXT", help="Where the value is, for a vault that keeps only that.")
    ] = "",
    max_duration: Annotated[
        str, Option("--max-duration", metavar="TIME", help="The longest it may stay unlocked: 30m.")
    ] = "",
    expires_in: Annotated[
        str, Option("--expires-in", metavar="TIME", help="Its issuer ends it after so long: 30d.")
    ] = "",
    expires_at: Annotated[
        str, Option("--expires-at", metavar="WHEN", help="Its issuer ends it then: 2027-01-31, UTC.")
    ] = "",
    from_file: Annotated[
        str, Option("--from-file", metavar="PATH", help="Take the value from a file, every byte.")
    ] = "",
    from_env: Annotated[str, Option("--from-env", metavar="VAR", help="Take the value from a variable.")] = "",
    at: Annotated[
        str, Option("--at", metavar="PATH", help="Go by this manifest of a repository, not the nearest.")
    ] = "",
    no_repo: o.NoRepo = False,
    as_json: o.Json = False,
) -> None:
    """Put a value into the rack: hidden prompt, pipe, --from-file or --from-env. Live agents learn of it at once.

    In an allowed repository the key is of its org, and its name goes into .agentkeys.yml.

    \b
    agentkeys set GITHUB_TOKEN --for seaturtle
    pbpaste | agentkeys set STRIPE_KEY --env prod --max-duration 30m
    agentkeys set CI_TOKEN --vault os.envvar --ref GITLAB_TOKEN
    agentkeys set GITHUB_TOKEN --vault keychain --expires-in 30d
    """
    name, *rest = words or [""]
    _refuse_values(name, key, rest)
    root = home()
    slug, declare = _set_slug(root, _slug(name, key, env, org), name or key, env, org, "-" if no_repo else at)
    chosen = owner_here(root, owner)
    cap = str(refs.parse_duration(max_duration)) if max_duration else ""
    fields: list[tuple[str, bytes | str]] = [("home", root), ("owner", chosen), ("slug", slug)]
    if ref or vault == "os.envvar":
        if from_file or from_env:
            raise UsageFault("--ref says where the value is, so no value is taken", f"agentkeys set {slug} --ref TEXT")
        fields += [("ref", ref)] if ref else []
    else:
        if vault == "keychain":
            require_keychain()
        fields += [("value", read_value(slug.rpartition(".")[2], from_file, from_env))]
    fields += [("vault", vault)] if vault else []
    fields += [("max-ttl", cap)] if cap else []
    fields += [("expires-in", str(refs.parse_duration(expires_in)))] if expires_in else []
    fields += [("expires-at", expires_at)] if expires_at else []
    fields += [("socket", socket_of(chosen, vault))]
    answer = work("set", fields)
    for warning in answer.texts("warning"):
        client.note(f"warning: {warning}")
    declared = declare()
    if as_json:
        o.say(json.dumps({field: value.decode() for field, value in answer.rows}))
    else:
        o.say(f"{answer.text('effect')} {slug} in {answer.text('vault')} of {chosen}" + declared)


def _set_slug(root: str, slug: str, text: str, env: str, org: str, at: str) -> "tuple[str, Callable[[], str]]":
    """The slug that `set` writes, which a repository has a say in, and what then puts its name into the manifest.

    `at` is a manifest's path, empty for the nearest, and `-` for none.
    """
    if at == "-" or not (at or paths.repo_manifest(posix.environ)):
        return slug, str
    from agentkeys.cli import place as places

    its_org, its_env, name = slug.split(".")
    if "." in text:
        org, env = its_org, its_env
    place = places.of_set(root, name, env, org, at)

    def declare() -> str:
        place.keep(root)
        return f", and its name to env.{place.env} of {place.manifest}" if place.names else ""

    return refs.slug(place.org, place.env, name), declare


def socket_of(owner: str, vault: str) -> str:
    """The socket of the agent that a value goes to which rests nowhere else, "" when none answers.

    Raises why there is none that can be asked, when it is wanted for sure.
    """
    try:
        connection = client.Caller(o.gather("set", owner)).connect()
    except AgentkeysError as fault:
        if vault == "os.daemon" and not isinstance(fault, NoAgent):
            raise
        return ""
    connection.close()
    return connection.path


@app.command("del")
def del_(
    name: Name = "",
    owner: o.Owner = "",
    key: o.Key = "",
    env: o.Env = "",
    org: o.Org = "",
    no_repo: o.NoRepo = False,
    as_json: o.Json = False,
) -> None:
    """Take a key out of the rack and its value out of its vault. Live agents forget it at once.

    In an allowed repository a name that it declares means its own key, as in `set`; the manifest keeps the name.

    \b
    agentkeys del GITHUB_TOKEN --for seaturtle
    """
    root = home()
    slug = _slug(name, key, env, org)
    if "." not in (name or key) and not no_repo and paths.repo_manifest(posix.environ):
        from agentkeys.cli import place

        slug = place.of_del(root, name or key, env, org)
    chosen = owner_here(root, owner)
    answer = work("del", [("home", root), ("owner", chosen), ("slug", slug)])
    for warning in answer.texts("warning"):
        client.note(f"warning: {warning}")
    if as_json:
        o.say(json.dumps({field: value.decode() for field, value in answer.rows if field != "namesake"}))
    elif answer.text("effect") == "absent":
        others = ", ".join(answer.texts("namesake"))
        o.say(f"{slug} was not in the rack of {chosen}" + (f"; there is {others}" if others else ""))
    else:
        o.say(f"deleted {slug} from {answer.text('vault')} of {chosen}")
