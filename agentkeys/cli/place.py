"""Where `set` and `import` put keys in a repository and `del` finds them, and how their names get into its manifest.

Rule 1: only what is allowed is gone by, and what is edited stays allowed: the user gave the names at the prompt.
Rule 2: the names are put in under a lock, into the file as it is by then.
Rule 3: the record of what is allowed is written first, then the manifest. Who is killed in between leaves a manifest
        that isn't allowed as it is, and nothing torn; the same command again finds that the record has just its own
        edit, and finishes it.
"""

from collections.abc import Callable

from agentkeys import paths
from agentkeys.cli.repo import named, rouse_hooks
from agentkeys.client import repo
from agentkeys.client.near import near
from agentkeys.client.repo import Permission
from agentkeys.core import refs
from agentkeys.errors import Absent, Denied, UsageFault
from agentkeys.stores import atomic, repo_file


class Place:
    """Where keys go that were given by their names."""

    def __init__(self, org: str, env: str) -> None:
        self.org = org
        self.env = env
        self.manifest = ""
        """The one that is to declare them; empty outside of a repository, and for keys that none declares."""
        self.names: list[str] = []
        """Those that it doesn't declare yet."""
        self.edited: bytes | None = None
        """The manifest with these in it, or None when it needs no change."""
        self.again: Callable[[], Place] | None = None
        """Finds it anew."""

    def keep(self, root: str) -> None:
        """Write the edited manifest, which stays allowed. Raises VaultFault, and what finding the place does."""
        if self.edited is None or self.again is None:
            return
        with atomic.FileLock(paths.repo_lock(root)):
            edited = self.again().edited
            if edited is not None:
                repo_file.write(root, repo_file.Closure(self.manifest, edited).permission())
                repo_file.replace(self.manifest, edited)
        rouse_hooks(root)


Choose = Callable[[Permission], str]
"""Finds the env where none was named. Raises UsageFault."""


def of_set(root: str, name: str, env: str, org: str, at: str) -> Place:
    """Where `set` puts a key, by the manifest `at`, or the nearest.

    Raises UsageFault for an org that isn't the repository's and an env that it doesn't say; Denied when it isn't
    allowed.
    """
    return _place(root, named(at), [name], env, org, f"set {name}", lambda allowed: _declared_in(allowed, name, "set"))


def of_del(root: str, name: str, env: str, org: str) -> str:
    """The slug of a key that `del` was given by its name: the repository's own where its manifest declares it.

    Raises as of_set().
    """
    if org == refs.ANY_ORG or env == refs.SUDO_ENV:
        return refs.slug(org or refs.ANY_ORG, env or refs.ANY_ENV, name)
    allowed = repo.permission(root, named(""))
    if org not in ("", allowed.org):
        raise repo.other_org(org, allowed.org, f"del {name}")
    if not env and not any(row.key == name for row in allowed.rows):
        return refs.slug(refs.ANY_ORG, refs.ANY_ENV, name)
    return refs.slug(allowed.org, env or _declared_in(allowed, name, "del"), name)


def of_import(root: str, names: "list[str]", env: str, org: str, verb: str) -> Place:
    """Where `import` puts keys, by the nearest manifest, in its default env where none is named. Raises as of_set()."""

    def default(allowed: Permission) -> str:
        if allowed.default_env or not allowed.envs:
            return allowed.default_env or refs.ANY_ENV
        raise repo.no_default(allowed, verb)

    return _place(root, named(""), names, env, org, verb, default)


def _place(root: str, manifest: str, names: "list[str]", env: str, org: str, verb: str, choose: Choose) -> Place:
    if org == refs.ANY_ORG or env == refs.SUDO_ENV:
        return Place(org or refs.ANY_ORG, env or refs.ANY_ENV)

    def among(allowed: Permission) -> Place:
        if org not in ("", allowed.org):
            raise repo.other_org(org, allowed.org, verb)
        if env and env not in allowed.envs and env != refs.ANY_ENV and near(env, allowed.envs):
            raise repo.no_env(env, allowed, verb)
        return _declaring(manifest, names, allowed.org, env or choose(allowed), allowed)

    def find() -> Place:
        try:
            return among(repo.permission(root, manifest))
        except Denied:
            place = _interrupted(root, manifest, among)
            if place is None:
                raise
            return place

    try:
        found = find()
    except Denied:
        with atomic.FileLock(paths.repo_lock(root)):  # somebody may be between record and manifest
            found = find()
    found.again = find
    return found


def _declaring(manifest: str, names: "list[str]", org: str, env: str, allowed: Permission) -> Place:
    """The place whose manifest declares `names` in `env`. Raises UsageFault when it can't."""
    place = Place(org, env)
    place.manifest = manifest
    declared = {row.key for row in allowed.of_env(env)}
    data = edited = repo.read(manifest)
    for name in names:
        before = edited
        edited = before if name in declared else repo_file.with_key(manifest, before, env, name)
        place.names += [name] if edited != before else []
    if edited != data:
        repo_file.Closure(manifest, edited)  # before anything is stored: that it can be allowed
        place.edited = edited
    return place


def _interrupted(root: str, manifest: str, among: "Callable[[Permission], Place]") -> Place | None:
    """The place of a command that was killed between the record and the manifest (rule 3), or None."""
    try:
        place = among(repo_file.Closure(manifest).permission())
        repo.permission(root, manifest, place.edited)
    except (Absent, Denied, UsageFault):
        return None
    return place


def _declared_in(allowed: Permission, name: str, verb: str) -> str:
    """The one env that declares a key, or `all` when that does. Raises UsageFault."""
    envs = [env for env in allowed.envs if any(row.key == name for row in allowed.of_env(env))]
    if refs.ANY_ENV in envs:
        return refs.ANY_ENV
    if len(envs) == 1:
        return envs[0]
    if envs:
        raise UsageFault(
            f"{name} is in several envs of {allowed.path}: {', '.join(envs)}",
            f"agentkeys {verb} {name} --env {envs[0]}",
        )
    hint = f"agentkeys {verb} {name} --env {allowed.default_env or refs.ANY_ENV}"
    raise UsageFault(f"{name} is in no env of {allowed.path}", hint)
