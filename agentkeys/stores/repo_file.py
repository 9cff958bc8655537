"""`.agentkeys.yml` on the disk: compiled into what `allow` writes down, and given a name by `set`.

An edit puts in one name and leaves every other byte, comments too, as it was; what it made is read again before it is
kept. What the files may hold is judged by agentkeys.core.repo_manifest.
"""

import os

from agentkeys import paths
from agentkeys.client import repo
from agentkeys.core.repo_manifest import ENV_PREFIX, HINT, MAX_FILES, Broken, RepoManifest, merge, parse
from agentkeys.errors import Absent, UsageFault
from agentkeys.stores import atomic
from agentkeys.stores.repo_yaml import Place, Reader


def parse_bytes(data: bytes) -> "tuple[RepoManifest, Reader]":
    """One file's manifest, and where its lists stand. Raises Broken."""
    try:
        reader = Reader(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Broken("it is no UTF-8 text") from None
    return parse(reader.document()), reader


def _fault(path: str, why: str) -> UsageFault:
    return UsageFault(f"{path}: {why}", HINT)


class Closure:
    """A manifest and all that it extends, read once."""

    def __init__(self, path: str, edited: bytes | None = None) -> None:
        """Raises Denied, Absent and UsageFault, each naming the file that is the matter.

        With `edited` the manifest is read as if it held that.
        """
        self.path = path
        self._edited = edited
        self.files: dict[str, bytes] = {}
        self._parsed: dict[str, RepoManifest] = {}
        self._read(path, [])
        try:
            self.manifest = merge(list(self._parsed.values()))
        except Broken as fault:
            raise _fault(path, str(fault)) from None

    def _read(self, path: str, on_the_way: "list[str]") -> None:
        """Read what `path` extends, then take itself: later wins. A file reached by two ways is taken once."""
        if path in on_the_way:
            circle = " → ".join([*on_the_way[on_the_way.index(path) :], path])
            raise _fault(path, f"it extends itself: {circle}")
        if path in self._parsed:
            return
        if len(self.files) >= MAX_FILES:
            raise _fault(self.path, f"it extends over {MAX_FILES} files")
        data = repo.read(path) if self._edited is None or path != self.path else self._edited
        self.files[path] = data
        try:
            found, _ = parse_bytes(data)
        except Broken as fault:
            raise _fault(path, str(fault)) from None
        for relative in found.extends:
            target = os.path.normpath(os.path.join(os.path.dirname(path), relative))
            try:
                self._read(target, [*on_the_way, path])
            except Absent:
                raise _fault(path, f"it extends {relative}, which is not there") from None
        self._parsed[path] = found

    def permission(self) -> repo.Permission:
        """What `allow` writes down."""
        made = repo.Permission(self.path, repo.ALLOWED)
        manifest = self.manifest
        made.org, made.owner, made.default_env = manifest.org, manifest.owner, manifest.chosen_env()
        made.files = [(path, repo.digest(data)) for path, data in self.files.items()]
        made.envs = sorted(manifest.envs)
        made.rows = [
            repo.Row(env, key.name, key.variable, key.flags()) for env in made.envs for key in manifest.wanted(env)
        ]
        return made


def write(root: str, decided: repo.Permission) -> None:
    """Keep what was decided of a manifest. Raises VaultFault."""
    atomic.make_private_dir(paths.allow_dir(root))
    atomic.write_file(repo.record_path(root, decided.path), decided.encode())


def decided(root: str) -> "list[tuple[str, repo.Permission]]":
    """Every record there is, with its own path, by the manifest's."""
    directory = paths.allow_dir(root)
    found = []
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        data = atomic.read_file(f"{directory}/{name}", repo.MAX_RECORD)
        record = repo.decode(data) if data and not name.endswith(atomic.TEMP_SUFFIX) else None
        if record is not None:
            found.append((f"{directory}/{name}", record))
    return sorted(found, key=lambda each: each[1].path)


# --- edits --------------------------------------------------------------------------------------------------------


def with_key(path: str, data: bytes, env: str, name: str) -> bytes:
    """The file with `name` among the keys of `env`, as it was if it is there already. Raises UsageFault."""
    try:
        before, reader = parse_bytes(data)
        if name in [key.name for key in before.envs.get(env, [])]:
            return data
        word = ENV_PREFIX + env
        text = _inserted(data.decode("utf-8"), reader.places.get(word), word, name)
        after, _ = parse_bytes(text.encode("utf-8"))
    except Broken as fault:
        raise _fault(path, str(fault)) from None
    names = {each: [key.name for key in keys] for each, keys in before.envs.items()}
    names[env] = [*names.get(env, []), name]
    if {each: [key.name for key in keys] for each, keys in after.envs.items()} != names:
        raise UsageFault(f"{path} is written in a way that no line can be added to", f"add {name} to {word} by hand")
    return text.encode("utf-8")


def _inserted(text: str, place: Place | None, word: str, name: str) -> str:
    if place is None:
        return text + ("" if text.endswith("\n") or not text else "\n") + f"{word}: [{name}]\n"
    if place.flow:
        return text[: place.end] + (", " if place.entries else "") + name + text[place.end :]
    if place.column < 0:
        at = text.index(":", place.end) + 1
        return f"{text[:at]} [{name}]{text[at:]}"
    end = text.find("\n", place.end)
    head, tail = (text, "") if end < 0 else (text[:end], text[end:])
    return f"{head}\n{' ' * place.column}- {name}{tail or chr(10)}"


def create(path: str, org: str) -> bool:
    """Make a manifest that declares `org` and nothing else, its directories too; whether it wasn't there.

    Raises UsageFault.
    """
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return False
    except OSError as error:
        raise UsageFault(f"{path} can't be written: {error.strerror}", f"ls -ld {os.path.dirname(path)}") from None
    with open(fd, "w") as file:
        file.write(f"org: {org}\n")
    return True


def replace(path: str, data: bytes) -> None:
    """Write an edited manifest, under paths.repo_lock(): its mode stays, and it is whole at any instant.

    Raises VaultFault.
    """
    atomic.remove_leftovers(os.path.dirname(path), f"{os.path.basename(path)}.")
    atomic.write_file(path, data, os.stat(path).st_mode & 0o777)
