"""import: what a .env file holds, into the rack, and out of the file."""

import json
import os
import posix
import shlex
import stat
from typing import Annotated

from agentkeys import client, paths
from agentkeys.cli import options as o
from agentkeys.cli.grammar import Argument, Family, Option
from agentkeys.cli.keys import VAULT_HELP, socket_of
from agentkeys.cli.values import read_file
from agentkeys.cli.work import home, owner_here, work
from agentkeys.core import dotenv, environment, refs
from agentkeys.core.dotenv import Entry
from agentkeys.errors import UsageFault
from agentkeys.stores import atomic

app = Family()

DEFAULT = ".env"

WIPE_CHUNK = 64 * 1024
"""Bytes of zeros written at once over the old file."""


class EnvFile:
    """One .env file, as it was when it was read."""

    def __init__(self, path: str) -> None:
        """Raises UsageFault for what can't be read, or can't be understood whole."""
        self.path = "" if path == "-" else path
        """Empty for standard input."""
        self.shown = shlex.quote(path) if self.path else dotenv.STANDARD_INPUT
        self.argument = shlex.quote(path)
        self.data = read_file(self.path or "/dev/stdin", "agentkeys import .env")
        self.entries = dotenv.parse(self.data, self.shown)
        self.lines: dict[str, list[int]] = {}
        for entry in self.entries:
            self.lines.setdefault(entry.name, []).append(entry.line)
        self.last = {entry.name: entry for entry in self.entries}
        """Each name's last setting, which is the one that counts."""

    def chosen(self, names: "list[str]") -> "list[Entry]":
        """What is to be imported: these, or all but what can't be a key's value, of which a note says why.

        Raises UsageFault for a name that isn't there, and for a value that can't be told.
        """
        missing = [name for name in names if name not in self.last]
        if missing:
            raise UsageFault(f"{self.shown} sets no {missing[0]}", f"agentkeys import {self.argument}")
        found = [self.last[name] for name in names] if names else [it for it in self.last.values() if self._fits(it)]
        for entry in found:
            hint = dotenv.editing(self.shown, entry.line)
            if not entry.value:
                raise UsageFault(f"{self.shown}, line {entry.line}: {entry.name} has no value", hint)
            if entry.fault:
                raise UsageFault(f"{self.shown}, line {entry.line}: {entry.name} can't be told: {entry.fault}", hint)
            if entry.doubt:
                client.note(f"line {entry.line}: {entry.name}: {entry.doubt}")
            if len(self.lines[entry.name]) > 1:
                lines = ", ".join(map(str, self.lines[entry.name]))
                client.note(f"lines {lines} all set {entry.name}; the last counts")
        return found

    def _fits(self, entry: Entry) -> bool:
        why = ""
        if not entry.value:
            why = "it has no value"
        elif environment.loads_code(entry.name):
            why = f"it changes how programs load or run code; if it is a secret all the same: --key {entry.name}"
        if why:
            client.note(f"line {entry.line}: {entry.name} is left out: {why}")
        return not why

    def require_replaceable(self) -> None:
        """Raise UsageFault unless the file can be replaced, leaving its old content nowhere that we know of."""
        if not self.path:
            raise UsageFault("what came through a pipe can't be replaced", "agentkeys import .env --replace")
        try:
            facts = os.lstat(self.path)
        except OSError as error:
            raise UsageFault(f"{self.path!a} can't be read: {error.strerror}", "agentkeys import .env") from None
        if stat.S_ISLNK(facts.st_mode):
            target = shlex.quote(os.path.realpath(self.path))
            raise UsageFault(f"{self.shown} is a link, and isn't replaced", f"agentkeys import {target} --replace")
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
            raise UsageFault(f"{self.shown} is no regular file of yours, and isn't replaced", f"ls -l {self.shown}")
        if facts.st_nlink > 1:
            raise UsageFault(
                f"{self.shown} has another name, which would keep the values",
                f"find . -samefile {self.shown}",
            )
        if not os.access(os.path.dirname(self.path) or ".", os.W_OK):
            raise UsageFault(f"the directory of {self.shown} can't be written", f"ls -ld $(dirname {self.shown})")

    def replace(self, references: "dict[str, str]") -> None:
        """Put comments in the place of what was imported, and overwrite what was there.

        The rename is what counts. What the old file held is zeroed after it, best effort: a disk or file system that
        never writes in place keeps it until it needs the room. Raises UsageFault when the file has changed meanwhile.
        """
        text = dotenv.replaced(self.data, self.entries, references)
        with open(self.path, "r+b", buffering=0, opener=_no_links) as old:
            if old.read(len(self.data) + 1) != self.data:
                raise UsageFault(
                    f"{self.shown} has changed meanwhile, so it is left as it is; the keys are in the rack",
                    f"agentkeys import {self.shown} --replace",
                )
            atomic.write_file(os.path.abspath(self.path), text, stat.S_IMODE(os.fstat(old.fileno()).st_mode))
            if os.fstat(old.fileno()).st_nlink == 0:
                _wipe(old.fileno(), len(self.data))
        for line, name in dotenv.commented(text):
            client.note(f"line {line} of {self.shown} is a comment that sets {name}; look whether it holds a value")


def _no_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _wipe(fd: int, size: int) -> None:
    for start in range(0, size, WIPE_CHUNK):
        os.pwrite(fd, bytes(min(WIPE_CHUNK, size - start)), start)
    atomic.sync_fd(fd)


@app.command("import")
def import_(
    path: Annotated[str, Argument(metavar="[FILE]", help="The file; - for standard input.")] = DEFAULT,
    owner: o.Owner = "",
    env: o.Env = "",
    org: o.Org = "",
    keys: o.Keys = None,
    vault: Annotated[str, Option("--vault", metavar="VAULT", help=VAULT_HELP)] = "",
    max_duration: Annotated[
        str, Option("--max-duration", metavar="TIME", help="The longest they may stay unlocked: 30m.")
    ] = "",
    dry_run: Annotated[bool, Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    replace: Annotated[bool, Option("--replace", help="Put a comment in the place of each value in the file.")] = False,
    overwrite: Annotated[
        bool, Option("--overwrite", help="The file's value counts where the rack has another.")
    ] = False,
    no_repo: o.NoRepo = False,
    as_json: o.Json = False,
) -> None:
    """Put what a .env file holds into the rack: all of it, or nothing. Nothing in the file is run or expanded.

    In an allowed repository the keys are of its org and default env, and their names go into .agentkeys.yml.

    \b
    agentkeys import .env --dry-run
    agentkeys import .env --replace
    agentkeys import .env --env prod --key STRIPE_KEY --key GITHUB_TOKEN
    """
    root = home()
    chosen = owner_here(root, owner)
    its_org, its_env = refs.check_org(org or refs.ANY_ORG), refs.check_env(env or refs.ANY_ENV)
    file = EnvFile(path)
    if replace:
        file.require_replaceable()
    entries = file.chosen([refs.check_name(key) for key in keys or ()])
    place = None
    if entries and not no_repo and paths.repo_manifest(posix.environ):
        from agentkeys.cli import place as places

        names = [entry.name for entry in entries]
        place = places.of_import(root, names, env, org, f"import {file.argument}")
        its_org, its_env = place.org, place.env
    slugs = {entry.name: refs.slug(its_org, its_env, entry.name) for entry in entries}
    fields: list[tuple[str, bytes | str]] = [("home", root), ("owner", chosen), ("vault", vault)]
    fields += [("max-ttl", str(refs.parse_duration(max_duration)))] if max_duration else []
    fields += [("dry-run", "1")] if dry_run else []
    fields += [("overwrite", "1")] if overwrite else []
    fields += [("again", _again(file, chosen, env, org, replace, no_repo)), ("socket", socket_of(chosen, vault))]
    for entry in entries:
        fields += [("slug", slugs[entry.name]), ("value", entry.value)]
    answer = work("import", [field for field in fields if field[1]]) if entries else None
    rows = [json.loads(row) for row in answer.texts("key")] if answer else []
    for warning in answer.texts("warning") if answer else ():
        client.note(f"warning: {warning}")
    if place and not dry_run:
        place.keep(root)
    if replace and rows and not dry_run:
        file.replace({name: _reference(chosen, slug) for name, slug in slugs.items()})
    if as_json:
        declared = {"path": place.manifest, "env": place.env, "names": place.names} if place and place.names else None
        facts = {"file": file.path or None, "owner": chosen, "dry_run": dry_run, "repo": declared}
        o.say(json.dumps({**facts, "replaced": replace and bool(rows) and not dry_run, "keys": rows}))
        return
    added = f"env.{place.env} of {place.manifest}: {', '.join(place.names)}" if place and place.names else ""
    _report(file, chosen, rows, added, dry_run, replace)


def _again(file: EnvFile, owner: str, env: str, org: str, replace: bool, no_repo: bool) -> str:
    """The command as it was typed, for a hint."""
    where = f" --for {owner}" if owner != client.chosen_owner(posix.environ, "") else ""
    where += (f" --env {env}" if env else "") + (f" --org {org}" if org else "")
    where += " --no-repo" if no_repo else ""
    return f"agentkeys import {file.argument}{where}" + (" --replace" if replace else "")


def _reference(owner: str, slug: str) -> str:
    """How a reader of the file gets the value to a command."""
    return f"agentkeys exec --for {owner} --key {slug} -- COMMAND"


def _report(
    file: EnvFile, owner: str, rows: "list[dict[str, object]]", added: str, dry_run: bool, replace: bool
) -> None:
    would = "would be " if dry_run else ""
    for row in rows:
        warnings = row["warnings"]
        for warning in warnings if isinstance(warnings, list) else ():
            client.note(f"warning: {str(row['slug']).rpartition('.')[2]}: {warning}")
        effect = "unchanged" if row["effect"] == "unchanged" else f"{would}{row['effect']}"
        o.say(f"{effect} {row['slug']} in {row['vault']} of {owner}")
    if added:
        o.say(f"{would}added to {added}")
    if not rows:
        o.say(f"nothing in {file.shown} to import")
    elif replace:
        number = "1 value" if len(rows) == 1 else f"{len(rows)} values"
        o.say(f"{would}replaced by comments in {file.shown}: {number}")
        client.note("copies that git, backups or an editor made of it keep them: replace those values at their issuers")
    elif file.path:
        client.note(f"{file.shown} still holds the values; agentkeys import {file.shown} --replace takes them out")
