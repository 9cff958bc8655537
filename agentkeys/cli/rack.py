"""init, list, unlock: the rack as a whole, made, looked at and brought into the agent, each through a worker."""

import json
import posix
from typing import Annotated

from agentkeys import client, paths
from agentkeys.cli import options as o
from agentkeys.cli import robots, unlocked
from agentkeys.cli.grammar import Argument, Family, Option
from agentkeys.cli.work import absolute, home, key_or_path, no_agent, owner_here, work
from agentkeys.core import refs
from agentkeys.errors import NoAgent, UsageFault

app = Family()

VIA_HELP = "How the identity is kept: keychain, file, ssh, passphrase, env, plugin:NAME."


@app.command()
def init(
    owner: o.Owner = "",
    via: Annotated[str, Option("--via", metavar="HOW", help=VIA_HELP)] = "",
    pubkey: Annotated[
        str, Option("--pubkey", metavar="PATH", help="The ssh public key, or a plugin's recipient.")
    ] = "",
    identity: Annotated[
        str, Option("--identity", metavar="FILE", help="What age-plugin-NAME wrote for your key.")
    ] = "",
    org: Annotated[
        str, Option("--org", metavar="ORG", help="Make .agentkeys.yml here too, for keys of this org.")
    ] = "",
    at: Annotated[str, Option("--at", metavar="PATH", help="Make it there instead, directories too.")] = "",
    as_json: o.Json = False,
) -> None:
    """Make an owner: an identity, a wallet and an empty rack. Done twice, it says what is there.

    Without --via the identity is kept in the keychain, or in a file where there is none.

    \b
    agentkeys init
    agentkeys init --for seaturtle --via ssh --pubkey ~/.ssh/id_ed25519_seaturtle.pub
    agentkeys init --for vlad --via passphrase
    """
    if at and not org:
        raise UsageFault("--at makes a manifest, which needs an org", f"agentkeys init --org acme --at {at}")
    root = home()
    name = refs.check_owner(client.chosen_owner(posix.environ, owner).lower())
    fields: list[tuple[str, bytes | str]] = [("home", root), ("owner", name), ("via", via)]
    fields += [("pubkey", key_or_path(pubkey)), ("identity-file", absolute(identity) if identity else "")]
    answer = work("init", fields)
    robots.tell_agents(root, name)
    facts = {field: value.decode("utf-8", "surrogateescape") for field, value in answer.rows if field != "note"}
    for note in answer.texts("note"):
        client.note(note)
    made_repo = _init_repo(root, refs.check_org(org), at) if org else {}
    if as_json:
        o.say(json.dumps({**facts, "keys": int(facts["keys"]), **({"repo": made_repo} if made_repo else {})}))
        return
    made = "already there, nothing changed:" if facts["effect"] == "found" else "made"
    wallet = f"wallet {facts['wallet']}" if facts["wallet"] else "no wallet yet"
    o.say(f"{made} owner {name}, {wallet}, {facts['keys']} keys")
    o.say(f"  rack      {facts['manifest']}")
    o.say(f"  sealed to {facts['recipient']} (via {facts['via']})")
    if facts["effect"] == "unclaimed":
        o.say("  unclaimed: the first use of the private key makes it this owner's own")
    if made_repo:
        o.say(f"  repository {made_repo['path']}, org {made_repo['org']}, {made_repo['effect']}")
    if facts["effect"] != "found":
        o.say(f"next: agentkeys set GITHUB_TOKEN{_for(name)}")


def _init_repo(root: str, org: str, at: str) -> "dict[str, str]":
    """Make a manifest, which is allowed at once; one that is there stays as it is, and keeps its org."""
    from agentkeys.cli import repo

    return repo.create(root, org, at)


def _for(owner: str) -> str:
    return "" if owner == client.chosen_owner(posix.environ, "") else f" --for {owner}"


@app.command("list")
def list_(owner: o.Owner = "", env: o.Env = "", no_repo: o.NoRepo = False, as_json: o.Json = False) -> None:
    """List what is in the rack: names and places, no values. In an allowed repository, what that asks for.

    \b
    agentkeys list --for seaturtle --json
    """
    root = home()
    chosen = owner_here(root, owner)
    rows = [json.loads(row) for row in work("list", [("home", root), ("owner", chosen)]).texts("key")]
    if env:
        rows = [row for row in rows if row["env"] == refs.check_env(env)]
    missing: list[str] = []
    manifest = "" if no_repo else paths.repo_manifest(posix.environ)
    if manifest:
        from agentkeys.cli.repo import narrowed

        everything = len(rows)
        rows, missing = narrowed(root, manifest, rows, env)
        if len(rows) < everything:
            client.note(f"{everything - len(rows)} more that {manifest} doesn't ask for: agentkeys list --no-repo")
    if as_json:
        o.say(json.dumps(rows, indent=1))
        return
    for slug in missing:
        o.say(f"{slug}  not in the rack")
    if not rows:
        if not missing:
            o.say(f"nothing in the rack of {chosen}")
        return
    width = max([len(row["slug"]) for row in rows])
    for row in rows:
        cap = f"  at most {refs.show_duration(row['max_seconds'])}" if row["max_seconds"] else ""
        end = f"  ends {row['expires_at'][:10]}" if row["expires_at"] else ""
        grade = row["grade"] or "its vault isn't installed"
        o.say(f"{row['slug']:<{width}}  {row['vault']}  {grade}  {row['updated_at'][:10]}{cap}{end}")


@app.command()
def unlock(
    names: Annotated[list[str] | None, Argument(metavar="[NAME]…", help="Only these keys.")] = None,
    owner: o.Owner = "",
    sock: o.Sock = "",
    env: o.Env = "",
    org: o.Org = "",
    keys: o.Keys = None,
    duration: Annotated[str | None, Option("--duration", metavar="TIME", help="How long: 30s, 5m, 9h, 7d.")] = None,
    no_repo: o.NoRepo = False,
    as_json: o.Json = False,
) -> int:
    """Bring keys from the rack into the agent for 9 h (sudo keys: 30 min), or for --duration within each key's cap.

    In an allowed repository: those of its org and of @all, and of its default env where --env names none.

    \b
    agentkeys unlock --for seaturtle --duration 2h
    agentkeys unlock --env sudo --key DEPLOY_TOKEN
    """
    root = home()
    chosen = owner_here(root, owner)
    seconds = 0 if duration is None else refs.parse_duration(duration)
    try:
        connection = client.Caller(o.gather("unlock", chosen, sock)).connect()
    except NoAgent as fault:
        raise no_agent(root, chosen, fault) from None
    connection.close()
    wanted = [*(names or ()), *(keys or ())]
    org, env = _of_repo(root, wanted, org, env, no_repo)
    fields: list[tuple[str, bytes | str]] = [("home", root), ("owner", chosen), ("socket", connection.path)]
    fields += [("org", org or refs.ANY_ORG), ("env", env or refs.ANY_ENV), ("duration", str(seconds))]
    fields += [("key", key) for key in wanted]
    nothing = f"nothing in the rack of {chosen} for env {env or refs.ANY_ENV}: agentkeys list --for {chosen}"
    return unlocked.report(work("unlock", fields), nothing, as_json)


def _of_repo(root: str, keys: "list[str]", org: str, env: str, no_repo: bool) -> "tuple[str, str]":
    """(org, env) of an unlock: what was said, else what the repository's manifest says.

    Raises Denied when that isn't allowed, and UsageFault for an org or env that it doesn't have.
    """
    manifest = "" if no_repo else paths.repo_manifest(posix.environ)
    if not manifest:
        return org, env
    from agentkeys.client import repo

    options = o.gather("unlock", org=org, env=env)
    if keys and all(repo.is_outside(key, options) for key in keys):
        return org, env
    here = repo.scope(root, manifest, env, "unlock")
    if org not in ("", refs.ANY_ORG, here.allowed.org):
        raise repo.other_org(org, here.allowed.org, "unlock")
    return org or here.allowed.org, here.env
