"""The keys of a repository, as `agentkeys allow` wrote them down: found, compared, never parsed.

Rule 1: a manifest is only ever compared with what its user allowed, byte for byte by hash, with every file that it
        extends. Whatever differs is exit 6, and nothing runs.
Rule 2: reading it is bounded and can't be made to wait: a regular file of ours, MAX_FILE at most, no symlink.
Rule 3: nothing here knows YAML; agentkeys.stores.repo_file does, and only `allow` and `set` load that.

A record is length-prefixed fields, u32 and bytes each:

    RECORD  state  path  org  default-env  owner  N  (path  hash) × N  M  env × M  (env  key  variable  flags) × rows
"""

import posix

from agentkeys import paths, wire
from agentkeys.client import Options
from agentkeys.errors import Absent, Denied, UsageFault

RECORD = b"agentkeys-allow-1"

ALLOWED, DENIED = b"allowed", b"denied"

MAX_FILE = 64 * 1024
"""Bytes of one manifest: a thousand keys are half of it."""

MAX_RECORD = 1024 * 1024
"""Bytes of a record: 2,000 rows with every flag are 400 KiB."""

HASH_SIZE = 32
"""Bytes of a file's BLAKE2b."""

PATH_HASH_SIZE = 16
"""Bytes of the hash that names a record: no two paths will share one."""

ANY_ORG, ANY_ENV, SUDO_ENV = "@all", "all", "sudo"
"""agentkeys.core.refs has them, which this module can't load."""


class Row:
    """One key that an env asks for."""

    __slots__ = ("env", "flags", "key", "variable")

    def __init__(self, env: str, key: str, variable: str, flags: str) -> None:
        self.env = env
        self.key = key
        self.variable = variable
        self.flags = flags
        """Words with spaces between: `optional`, `unless-set:VAR`, a minimum grade."""


class Permission:
    """What a user allowed, or denied, of one manifest."""

    def __init__(self, path: str, state: bytes) -> None:
        self.path = path
        """The manifest, absolute, without symlinks in its directories."""
        self.state = state
        self.org = ANY_ORG
        self.default_env = ""
        """The env of a verb that names none; empty when it must."""
        self.owner = ""
        self.files: list[tuple[str, bytes]] = []
        """The manifest and all that it extends, with their hashes."""
        self.envs: list[str] = []
        self.rows: list[Row] = []

    def of_env(self, env: str) -> "list[Row]":
        """The keys that `env` asks for."""
        return [row for row in self.rows if row.env == env]

    def encode(self) -> bytes:
        """The record."""
        fields = [RECORD, self.state, paths.to_bytes(self.path)]
        fields += [text.encode("ascii") for text in (self.org, self.default_env, self.owner, str(len(self.files)))]
        for path, digest in self.files:
            fields += [paths.to_bytes(path), digest]
        fields += [str(len(self.envs)).encode("ascii"), *[env.encode("ascii") for env in self.envs]]
        for row in self.rows:
            fields += [text.encode("ascii") for text in (row.env, row.key, row.variable, row.flags)]
        return b"".join([part for field in fields for part in (len(field).to_bytes(4, "big"), field)])


def decode(data: bytes) -> "Permission | None":
    """A record, or None for what isn't one."""
    try:
        fields = [bytes(field) for field in wire.split_fields(memoryview(data))]
        if fields[0] != RECORD or fields[1] not in (ALLOWED, DENIED):
            return None
        texts = [field.decode(paths.FS_ENCODING, "surrogateescape") for field in fields]
        made = Permission(texts[2], fields[1])
        made.org, made.default_env, made.owner = texts[3:6]
        at = 7 + 2 * int(texts[6])
        made.files = list(zip(texts[7:at:2], fields[8:at:2], strict=True))
        rows = at + 1 + int(texts[at])
        made.envs = texts[at + 1 : rows]
        made.rows = [Row(*texts[each : each + 4]) for each in range(rows, len(texts), 4)]
    except (wire.WireError, ValueError, IndexError, TypeError):
        return None
    return made


# --- reading ------------------------------------------------------------------------------------------------------


def digest(data: bytes) -> bytes:
    """The hash of a file's bytes."""
    from _blake2 import blake2b

    return blake2b(data, digest_size=HASH_SIZE).digest()


def read(path: str) -> bytes:
    """A manifest's bytes. Raises Denied for what can't be trusted to be one, Absent when it is gone."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except FileNotFoundError:
        raise Absent(f"{path} is not there", f"ls -l {path}") from None
    except OSError as error:
        why = "it is a symlink" if error.errno in (40, 62) else error.strerror  # ELOOP of Linux and macOS
        raise Denied(f"{path} can't be read: {why}", f"ls -l {path}") from None
    try:
        facts = posix.fstat(fd)
        if facts.st_mode & 0o170000 != 0o100000:
            raise Denied(f"{path} is no regular file", f"ls -l {path}")
        if facts.st_uid not in (posix.geteuid(), 0):
            raise Denied(f"{path} belongs to uid {facts.st_uid}", "agentkeys exec --no-repo -- command")
        if facts.st_mode & 0o002:
            raise Denied(f"{path} can be written by everybody", f"chmod o-w {path}")
        if facts.st_size > MAX_FILE:
            raise Denied(f"{path} is over {MAX_FILE // 1024} KiB", f"ls -l {path}")
        data = posix.read(fd, MAX_FILE + 1)
    except OSError as error:
        raise Denied(f"{path} can't be read: {error.strerror}", f"ls -l {path}") from None
    finally:
        posix.close(fd)
    if len(data) != facts.st_size:
        raise Denied(f"{path} changed while it was read", "agentkeys allow")
    return data


def record_path(root: str, path: str) -> str:
    """Where it is written down what was decided of the manifest at `path`."""
    return f"{paths.allow_dir(root)}/{paths.digest(paths.to_bytes(path), PATH_HASH_SIZE)}"


def record(root: str, path: str) -> "Permission | None":
    """What was decided of a manifest, whatever became of it since; None when nothing was."""
    try:
        fd = posix.open(record_path(root, path), posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = posix.read(fd, MAX_RECORD)
    except OSError:
        return None
    finally:
        posix.close(fd)
    found = decode(data)
    return found if found is not None and found.path == path else None


def permission(root: str, path: str, edited: "bytes | None" = None) -> Permission:
    """What is allowed of a manifest as it is now, or as it would be `edited`. Raises Denied when that is nothing."""
    data = read(path) if edited is None else edited
    found = record(root, path)
    if found is None:
        raise Denied(f"{path} is not allowed yet", f"agentkeys allow {quoted(path)}")
    if found.state == DENIED:
        raise Denied(f"{path} is denied", f"agentkeys allow {quoted(path)}")
    for name, its_digest in found.files:
        try:
            same = digest(data if name == path else read(name)) == its_digest
        except (Absent, Denied):
            same = False
        if not same:
            raise Denied(f"{name} changed since it was allowed", f"agentkeys allow {quoted(path)}")
    return found


def in_short(root: str, path: str) -> str:
    """What `status` says of a manifest."""
    try:
        allowed = permission(root, path)
    except (Absent, Denied) as fault:
        return fault.message
    counts = ", ".join([f"{env} {len(allowed.of_env(env))}" for env in allowed.envs])
    return f"{path} is allowed: org {allowed.org}, keys by env: {counts or 'none'}"


def is_current(root: str, path: str) -> bool:
    """Whether a manifest is allowed as it is now."""
    try:
        permission(root, path)
    except (Absent, Denied):
        return False
    return True


def quoted(path: str) -> str:
    """A path as a shell reads it."""
    plain = path.replace("/", "").replace(".", "").replace("-", "").replace("_", "").isalnum() and path.isascii()
    return path if plain else "'" + path.replace("'", "'\\''") + "'"


# --- using --------------------------------------------------------------------------------------------------------


class Scope:
    """An allowed manifest and the env chosen of it."""

    def __init__(self, allowed: Permission, env: str) -> None:
        self.allowed = allowed
        self.env = env


def scope(root: str, path: str, env: str, verb: str) -> Scope:
    """What a manifest says of `env`, or of its default. Raises Denied, and UsageFault for an env it doesn't have."""
    allowed = permission(root, path)
    chosen = env or allowed.default_env
    if not chosen:
        raise no_default(allowed, verb)
    if chosen not in allowed.envs and chosen not in (ANY_ENV, SUDO_ENV) and allowed.envs:
        raise no_env(chosen, allowed, verb)
    return Scope(allowed, chosen)


def wanted(environ: "dict[bytes, bytes]", rows: "list[Row]") -> "list[str]":
    """The rows as an agent is asked for them: `NAME=VARIABLE`, then `optional` and a grade."""
    found = []
    for row in rows:
        words = []
        for flag in row.flags.split():
            name, _, variable = flag.partition(":")
            if name != "unless-set":
                words.append(flag)
            elif environ.get(variable.encode("ascii")) and "optional" not in words:
                words.append("optional")
        found.append(" ".join([f"{row.key}={row.variable}", *words]))
    return found


def settle(root: str, path: str, owner: str, environ: "dict[bytes, bytes]", options: Options) -> None:
    """Narrow what was asked to what the repository declares; named keys of the machine or of `sudo` aren't its matter.

    Raises Denied when the manifest isn't allowed as it is, UsageFault for an env or an org that it doesn't have, and
    Absent for a key that it doesn't declare, by the same words whether or not there is such a key.
    """
    if options.keys and all(is_outside(key, options) for key in options.keys):
        return
    here = scope(root, path, options.env, options.verb)
    mine = here.allowed.org
    if options.org not in ("", mine):
        raise other_org(options.org, mine, options.verb)
    options.org, options.env = mine, here.env
    rows = here.allowed.of_env(here.env)
    if not options.keys:
        options.wanted = wanted(environ, rows)
        return
    options.wanted = []
    for text in options.keys:
        key, equals, variable = text.partition("=")
        org, _, rest = key.partition(".")
        its_env, _, name = rest.partition(".")
        if rest and org not in (mine, ANY_ORG):
            raise other_org(org, mine, options.verb)
        row = next((row for row in rows if row.key == (name or key)), None)
        if row is None or its_env not in ("", here.env, ANY_ENV):
            raise Absent(
                f"{owner} has no key {name or key} in env {its_env or here.env} of {path}",
                f"agentkeys set {name or key} --for {owner} --env {its_env or here.env}",
            )
        grade = [word for word in row.flags.split() if "/" in word]
        options.wanted.append(" ".join([f"{key}={variable if equals else row.key}", *grade]))


def is_outside(key: str, options: Options) -> bool:
    """Whether a key that was named is the machine's, or one of `sudo`: no repository declares those."""
    org, _, rest = key.partition("=")[0].partition(".")
    its_org, its_env = (org, rest.partition(".")[0]) if rest else (options.org, options.env)
    return its_org == ANY_ORG or its_env == SUDO_ENV


def other_org(org: str, mine: str, verb: str) -> UsageFault:
    """What to say of a key of another org than the repository's."""
    return UsageFault(f"this repository's org is {mine}, not {org}", f"agentkeys {verb} --no-repo --org {org}")


def no_default(allowed: Permission, verb: str) -> UsageFault:
    """What to say where an env has to be named."""
    return UsageFault(
        f"{allowed.path} declares several envs and no default_env: {', '.join(allowed.envs)}",
        f"agentkeys {verb} --env {allowed.envs[0]}",
    )


def no_env(env: str, allowed: Permission, verb: str) -> UsageFault:
    """What to say of an env that the repository doesn't declare: the near ones, else all."""
    from agentkeys.client.near import near  # a call that fails may take its time

    close = near(env, allowed.envs)
    others = f"near it: {', '.join(close)}" if close else f"it declares {', '.join(allowed.envs)}"
    hint = f"agentkeys {verb} --env {(close or allowed.envs)[0]}" + (" -- command" if verb == "exec" else "")
    return UsageFault(f"{allowed.path} declares no env {env}; {others}", hint)
