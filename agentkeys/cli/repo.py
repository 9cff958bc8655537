"""allow, deny: what a repository's manifest may ask for."""

import json
import os
import posix
from typing import Annotated

from agentkeys import client, paths
from agentkeys.agent.epoch import Epoch
from agentkeys.cli import options as o
from agentkeys.cli.grammar import Argument, Family, Option
from agentkeys.cli.work import home
from agentkeys.client import repo
from agentkeys.core import refs
from agentkeys.core.repo_manifest import changes
from agentkeys.errors import UsageFault
from agentkeys.stores import repo_file

app = Family()

Where = Annotated[str, Argument(metavar="[PATH]", help="The manifest or its directory; default: the nearest upwards.")]


@app.command()
def allow(
    path: Where = "",
    dry_run: Annotated[bool, Option("--dry-run", help="Show what it asks for, and allow nothing.")] = False,
    listed: Annotated[bool, Option("--list", help="List what was allowed and denied.")] = False,
    prune: Annotated[bool, Option("--prune", help="Forget manifests that are gone.")] = False,
    as_json: o.Json = False,
) -> None:
    """Show what the repository's .agentkeys.yml asks for, and allow that: by content, so any change asks again.

    \b
    agentkeys allow
    agentkeys allow --dry-run ~/code/api
    agentkeys allow --list
    """
    if listed + prune + dry_run > 1 or (path and (listed or prune)):
        raise UsageFault("--list, --prune and a path are three things", "agentkeys allow --list")
    root = home()
    if prune:
        return _prune(root, as_json)
    if listed:
        return _list(root, as_json)
    manifest = named(path)
    before = repo.record(root, manifest)
    now = repo_file.Closure(manifest).permission()
    known = before is not None and before.state == repo.ALLOWED
    differs = changes(describe(before), describe(now)) if before is not None and known else []
    if not dry_run:
        repo_file.write(root, now)
        rouse_hooks(root)
    if as_json:
        o.say(json.dumps({**facts(now), "state": "asked" if dry_run else "allowed", "changes": differs}, indent=1))
        return None
    if known and before is not None and before.files == now.files:
        o.say(f"{manifest} is allowed already; it asks for")
    elif known:
        o.say(f"{manifest} changed since it was allowed:")
        o.say("\n".join([f"  {line}" for line in differs] or ["  nothing that it asks for"]))
        o.say("it asks for")
    else:
        o.say(f"{manifest} asks for")
    o.say("\n".join([f"  {line}" for line in describe(now)]))
    o.say("nothing was allowed: --dry-run" if dry_run else "allowed; any change of these files asks again")
    return None


@app.command()
def deny(path: Where = "", as_json: o.Json = False) -> None:
    """Take back what was allowed of the repository's .agentkeys.yml, until the next allow.

    \b
    agentkeys deny
    agentkeys deny ~/code/api
    """
    root = home()
    manifest = named(path, must_exist=False)
    repo_file.write(root, repo.Permission(manifest, repo.DENIED))
    rouse_hooks(root)
    o.say(json.dumps({"path": manifest, "state": "denied"}) if as_json else f"denied {manifest}")


def named(path: str, must_exist: bool = True) -> str:
    """The manifest that is meant: absolute, its directories without symlinks. Raises UsageFault when there is none."""
    if not path:
        found = paths.repo_manifest(posix.environ)
        if not found:
            raise UsageFault(f"no {paths.REPO_MANIFEST} in this directory or one above it", "agentkeys init --org acme")
        return found
    whole = os.path.abspath(path)
    if os.path.isdir(whole) or not whole.endswith((".yml", ".yaml")):
        whole = f"{whole.rstrip('/')}/{paths.REPO_MANIFEST}"
    whole = f"{os.path.realpath(os.path.dirname(whole)).rstrip('/')}/{os.path.basename(whole)}"
    if must_exist and not paths.exists(whole):
        raise UsageFault(f"{whole} is not there", f"agentkeys init --org acme --at {repo.quoted(whole)}")
    return whole


def describe(allowed: repo.Permission) -> "list[str]":
    """What a manifest asks for, a line each."""
    lines = [f"org {allowed.org}"]
    lines += [f"meant for owner {allowed.owner}"] if allowed.owner else []
    lines += [f"extends {path}" for path, _ in allowed.files if path != allowed.path]
    lines += [f"env {allowed.default_env} where none is named"] if allowed.default_env else []
    for env in allowed.envs:
        lines += [f"env {env}: {shown(row)}" for row in allowed.of_env(env)] or [f"env {env}: no key"]
    return lines


def shown(row: repo.Row) -> str:
    """A key as people read it: `STRIPE_KEY as STRIPE_API_KEY, optional`."""
    renamed = f" as {row.variable}" if row.variable != row.key else ""
    return ", ".join([row.key + renamed, *[flag.replace("unless-set:", "unless set: ") for flag in row.flags.split()]])


def facts(allowed: repo.Permission) -> "dict[str, object]":
    """The members of its JSON, but for its state."""
    envs = {
        env: [{"key": row.key, "variable": row.variable, "flags": row.flags.split()} for row in allowed.of_env(env)]
        for env in allowed.envs
    }
    return {
        "path": allowed.path,
        "org": allowed.org,
        "default_env": allowed.default_env,
        "owner": allowed.owner,
        "files": [path for path, _ in allowed.files],
        "envs": envs,
    }


def _state(root: str, record: repo.Permission) -> str:
    """allowed, denied, changed since, or gone."""
    if not paths.exists(record.path):
        return "gone"
    if record.state == repo.DENIED:
        return "denied"
    return "allowed" if repo.is_current(root, record.path) else "changed"


def _list(root: str, as_json: bool) -> None:
    rows = [(_state(root, record), record) for _, record in repo_file.decided(root)]
    if as_json:
        o.say(json.dumps([{**facts(record), "state": state} for state, record in rows], indent=1))
    elif rows:
        o.say("\n".join([f"{state:<7}  {record.path}" for state, record in rows]))
    else:
        o.say("nothing was allowed or denied yet")


def _prune(root: str, as_json: bool) -> None:
    gone = [(place, record.path) for place, record in repo_file.decided(root) if not paths.exists(record.path)]
    for place, _ in gone:
        os.unlink(place)
    if as_json:
        o.say(json.dumps({"pruned": [path for _, path in gone]}))
    else:
        o.say("\n".join([f"forgot {path}" for _, path in gone]) or "every manifest is still there")


def create(root: str, org: str, at: str) -> "dict[str, str]":
    """Make the manifest of the working directory, or at a path, for keys of `org`; path, org and effect of it.

    A new one is allowed; one that is there stays as it is, allowed or not. Raises UsageFault.
    """
    manifest = named(at or ".", must_exist=False)
    if org == refs.ANY_ORG:
        raise UsageFault("a repository's org has a name; @all is every repository's", "agentkeys init --org acme")
    made = repo_file.create(manifest, org)
    now = repo_file.Closure(manifest).permission()
    if made:
        repo_file.write(root, now)
        rouse_hooks(root)
    return {"path": manifest, "org": now.org, "effect": "created" if made else "found"}


# --- for the verbs that open the rack ------------------------------------------------------------------------------


def narrowed(
    root: str, manifest: str, rows: "list[dict[str, str]]", env: str
) -> "tuple[list[dict[str, str]], list[str]]":
    """(the rows of the rack that the manifest asks for, what it asks for and the rack lacks); all while not allowed."""
    if not repo.is_current(root, manifest):
        client.note(f"{manifest} is not allowed, so this is everything: agentkeys allow")
        return rows, []
    allowed = repo.permission(root, manifest)
    declared = [row for row in allowed.rows if not env or row.env == env]
    there = {row["slug"] for row in rows}
    candidates = [refs.candidates(allowed.org, row.env, row.key) for row in declared]
    kept = {slug for slugs in candidates for slug in slugs}
    missing = [slugs[0] for slugs in candidates if not there & set(slugs)]
    return [row for row in rows if row["slug"] in kept], missing


def rouse_hooks(root: str) -> None:
    """Have the hooks of every owner's shells look again: whether a repository is allowed is part of what they show."""
    machine = paths.run_dir(root, "")
    for owner in os.listdir(machine) if os.path.isdir(machine) else ():
        Epoch(f"{machine}{owner}").begin()
