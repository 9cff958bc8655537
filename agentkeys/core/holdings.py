"""What one agent holds: the directory of its owner's slugs, and the values that an unlock brought.

Resolution never falls through: the first candidate that exists in the directory is the answer, and when it isn't
held the answer is *locked* or *expired*, because the next candidate is another credential.
Times are milliseconds of CLOCK_BOOTTIME, so that a suspended laptop's keys expire on time.
"""

from agentkeys.core import environment, grades, refs
from agentkeys.core.grades import TRANSIENT
from agentkeys.core.secret import Secret
from agentkeys.core.status import KeyState
from agentkeys.errors import Absent, AgentkeysError, Denied, Locked, UsageFault

MAX_HELD = 64 * 1024 * 1024
"""Bytes of values in one agent: 1,000 keys of 64 KiB; keeps one owner from eating the machine."""


MAX_PREPARED = 16
"""Answers of `exec` kept ready: a caller may ask for endless envs, but uses a handful."""


class NotUnlocked(Locked):
    """Nothing was unlocked yet, so the agent can't tell locked from absent; the client can, by inventory marker."""

    def __init__(self, key: str, owner: str, hint: str, slugs: "list[str]") -> None:
        super().__init__(f"{refs.shown(key)} is locked: nothing was unlocked for {owner} yet", hint)
        self.slugs = slugs
        """What `key` can mean, most specific first."""


LeftOut = list[tuple[str, AgentkeysError]]
"""Keys that a lenient `exec` can't give, as slugs or as they were asked for, and why."""


class Held:
    """One unlocked value."""

    __slots__ = ("deadline", "grade", "secret", "vault")

    def __init__(self, secret: Secret, deadline: int, vault: str, grade: str) -> None:
        self.secret = secret
        self.deadline = deadline
        """Milliseconds of CLOCK_BOOTTIME at which it is forgotten."""
        self.vault = vault
        self.grade = grade
        """As agentkeys.core.grades has it; a transient value rests nowhere else."""


class Staged:
    """An unlock under way on one connection: nothing of it counts until its commit."""

    __slots__ = ("absent", "again", "brought", "directory", "expired", "kept", "locked", "memory", "renew", "size")

    def __init__(self) -> None:
        self.brought: dict[str, Held] = {}
        self.size = 0
        """Bytes of values added so far."""
        self.kept: dict[str, int] = {}
        """New deadlines of values that only an agent has."""
        self.directory: list[str] | None = None
        """Every slug of the rack, once the commit was asked for."""
        self.memory: list[str] = []
        """Those of them that rest nowhere: an agent that doesn't hold one has no such key."""
        self.absent: list[str] = []
        """What the rack names and its vault no longer has."""
        self.expired: list[str] = []
        """What its issuer has ended."""
        self.locked: list[str] = []
        """What may not be held, by the operator's rules."""
        self.renew = b""
        """What to ask for again before the first of these values expires; b"" for nothing."""
        self.again = False
        """Whether the agent asked for it by itself."""

    def leave_out(self, slugs: "set[str]") -> "list[Secret]":
        """Bring and keep none of `slugs`; the secrets to wipe."""
        for slug in slugs & self.kept.keys():
            del self.kept[slug]
        return [self.brought.pop(slug).secret for slug in slugs & self.brought.keys()]

    def secrets(self) -> "list[Secret]":
        """Every secret it refers to."""
        return [held.secret for held in self.brought.values()]


class Injection:
    """What goes into one environment: the slugs, for the audit line, and NAME, value, NAME, value, …, for the reply."""

    __slots__ = ("fields", "slugs")

    def __init__(self, found: "list[tuple[str, str, Held]]", allowed: "frozenset[str]") -> None:
        """From (slug, name, value) rows. Raises Denied, and UsageFault for what an environment can't hold."""
        self.slugs = [slug for slug, _, _ in found]
        self.fields: list[bytes | bytearray | memoryview] = [b"ok"]
        names = set()
        total = 0
        for slug, name, held in found:
            key = slug.rpartition(".")[2]
            environment.check_injectable(name, key, allowed)
            environment.check_value(name, key, held.secret)
            if name in names:
                raise UsageFault(
                    f"two keys for one variable: {name}", f"agentkeys exec --key {key}=OTHER_NAME -- command"
                )
            names.add(name)
            total += len(name) + len(held.secret) + 2
            if total > environment.MAX_TOTAL:
                raise UsageFault(
                    "these keys are over 2 MiB together, more than an environment holds",
                    "agentkeys exec --key NAME -- command",
                )
            self.fields.append(name.encode("ascii"))
            self.fields.append(held.secret.view())


def _where(slug: str) -> "tuple[str, str]":
    """The options that name the org and the env of a slug, where they aren't the defaults; and its name."""
    org, env, name = slug.split(".")
    options = "" if org == refs.ANY_ORG else f" --org {org}"
    return options + ("" if env == refs.ANY_ENV else f" --env {env}"), name


class Holdings:
    """The values and names of one owner."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.directory: dict[str, None] | None = None
        """Every slug in the rack, in order; None until the first unlock."""
        self.held: dict[str, Held] = {}
        self.expired: set[str] = set()
        """Slugs that an unlock brought and time took away; `exec` names them instead of leaving them out."""
        self.ended: set[str] = set()
        """Those that an unlock won't bring again: their issuer has ended them."""
        self.prepared: dict[tuple[str, str], Injection] = {}
        """What `exec` answered for (org, env); every change empties it."""

    # --- reading

    def resolve(self, org: str, env: str, key: str) -> "tuple[str, Held]":
        """The slug that `key` means here, and its value.

        Raises Absent, or Locked for locked and expired; UsageFault for a name that can't be.
        """
        wanted = refs.candidates(org, env, key)
        if self.directory is None:
            named = key == wanted[0] or env == refs.SUDO_ENV  # what an unlock of an env would not bring
            raise NotUnlocked(key, self.owner, self.unlock_hint(wanted[0], named), wanted)
        for slug in wanted:
            if slug in self.directory:
                held = self.held.get(slug)
                if held is None:
                    raise self._not_held(slug)
                return slug, held
        there = refs.elsewhere(self.directory, org, key)
        raise Absent(f"{self.owner} has no key {refs.shown(key)} in env {env}{there}", self.set_hint(wanted[0]))

    def resolve_all(self, org: str, env: str, left_out: "LeftOut | None" = None) -> "list[tuple[str, str, Held]]":
        """(slug, name, value) of everything that unlocks brought for `org` and @all in `env` and all; never sudo.

        Raises Locked when one of them expired since, when a locked one hides it, or when nothing is held; with
        `left_out` what isn't held goes there.
        """
        orgs, envs = (org, refs.ANY_ORG), (env, refs.ANY_ENV)
        names: dict[str, None] = {}
        for slug in (*self.held, *self.expired):
            its_org, its_env, name = slug.split(".")
            if its_org in orgs and its_env in envs and its_env != refs.SUDO_ENV:
                names[name] = None
        found = []
        for name in sorted(names):
            for slug in refs.candidates(org, env, name):
                if self.directory is not None and slug in self.directory:
                    if slug in self.held:
                        found.append((slug, name, self.held[slug]))
                    elif left_out is None:
                        raise self._not_held(slug)
                    else:
                        left_out.append((slug, self._not_held(slug)))
                    break
        if not found and not left_out:
            hint = self.unlock_hint(f"{org}.{env}.", named=False)
            raise Locked(f"nothing is unlocked for {self.owner} in env {env}", hint)
        return found

    def check_grade(self, slug: str, held: Held, minimum: str) -> None:
        """Raise Denied when a value is kept worse than `minimum`, a grade or empty, allows."""
        if minimum and not grades.meets(held.grade, minimum):
            where, name = _where(slug)
            raise Denied(
                f"{slug} is {held.grade}, and {minimum} is the least that will do here",
                f"agentkeys set {name} --for {self.owner}{where} --vault os.secure",
            )

    def _not_held(self, slug: str) -> AgentkeysError:
        if slug in self.ended:
            return Locked(f"{slug} was ended by its issuer", self.set_hint(slug))
        word = "expired" if slug in self.expired else "locked"
        return Locked(f"{slug} is {word}", self.unlock_hint(slug, named=True))

    def unlock_hint(self, slug: str, named: bool) -> str:
        """The command that unlocks the env and org of `slug` for this owner, or that key alone."""
        where, name = _where(slug)
        return f"agentkeys unlock --for {self.owner}{where}" + (f" --key {name}" if named else "")

    def set_hint(self, slug: str) -> str:
        """The command that would put `slug` into the rack."""
        where, name = _where(slug)
        return f"agentkeys set {name} --for {self.owner}{where}"

    def key_states(self, now: int) -> "list[KeyState]":
        """One line for each slug in the directory."""
        states = []
        for slug in self.directory or ():
            held = self.held.get(slug)
            if held is not None:
                left = max(0, held.deadline - now) // 1000
                states.append(KeyState(slug, "unlocked", left, held.vault, held.grade))
            else:
                states.append(KeyState(slug, "expired" if slug in self.expired else "locked", 0, "", ""))
        return states

    def next_deadline(self) -> "int | None":
        """When the first value expires."""
        return min([held.deadline for held in self.held.values()], default=None)

    def prepare(self, org: str, env: str, injection: Injection) -> None:
        """Remember what `exec` answers for (org, env); MAX_PREPARED of them."""
        if len(self.prepared) >= MAX_PREPARED:
            self.prepared.clear()
        self.prepared[org, env] = injection

    # --- changing; each returns the secrets to wipe

    def shorten(self, limit: int) -> None:
        """Let nothing stay beyond `limit`."""
        for held in self.held.values():
            held.deadline = min(held.deadline, limit)

    def expire(self, now: int, everything: bool = False) -> "list[Secret]":
        """Forget what is due, or everything when the idle limit is reached."""
        self.prepared.clear()
        due = [slug for slug, held in self.held.items() if everything or held.deadline <= now]
        self.expired.update(due)
        return [self.held.pop(slug).secret for slug in due]

    def check_room(self, brought: "dict[str, Held]", size: int) -> None:
        """Raise UsageFault when bring() of these values, `size` bytes together, would make us hold over MAX_HELD."""
        if size + sum([len(held.secret) for slug, held in self.held.items() if slug not in brought]) > MAX_HELD:
            raise UsageFault("these values are over 64 MiB together", "agentkeys unlock --key NAME")

    def bring(self, staged: Staged) -> "tuple[list[Secret], list[str]]":
        """Take one unlock as a whole: its values replace ours, and slugs no longer in the rack are dropped.

        Also returns the slugs it asked to keep and that we don't hold: nobody has their values any more.
        """
        self.prepared.clear()
        brought = staged.brought
        directory = dict.fromkeys(staged.directory or ())
        for slug in staged.absent:
            directory.pop(slug, None)
        forgotten = {*staged.expired, *staged.locked}
        kept, gone = {}, []
        for slug, held in self.held.items():
            if slug in brought or slug not in directory or slug in forgotten:
                gone.append(held.secret)
            else:
                if held.grade.endswith(TRANSIENT):
                    held.deadline = staged.kept.get(slug, held.deadline)
                kept[slug] = held
        self.held = {**kept, **brought}
        lost = [slug for slug in staged.kept if slug not in self.held]
        for slug in (*lost, *[slug for slug in staged.memory if slug not in self.expired]):
            if slug not in self.held:
                directory.pop(slug, None)
        expired = {*self.expired, *staged.expired}
        self.expired = {slug for slug in expired if slug in directory and slug not in brought}
        self.ended = {slug for slug in (*self.ended, *staged.expired) if slug in self.expired}
        self.directory = directory
        return gone, lost

    def outdate(self, slug: str) -> "list[Secret]":
        """A `set` happened whose value isn't known before the next unlock: the old one is no answer any more."""
        gone = self.forget([slug], drop=False)
        if self.directory is not None:
            self.directory[slug] = None
        return gone

    def replace(self, slug: str, new: Held) -> "list[Secret]":
        """A `set` happened: hold the new value only where the old one was held, for its remaining time.

        `new.deadline` is the latest that the key's own limits allow.
        """
        self.prepared.clear()
        self.ended.discard(slug)
        old = self.held.get(slug)
        if self.directory is not None:
            if old is None and new.grade.endswith(TRANSIENT):
                self.expired.discard(slug)
                self.directory.pop(slug, None)  # another agent is given it, and we have no such key
            else:
                self.directory[slug] = None
        if old is None:
            return [new.secret]
        if len(new.secret) + sum([len(held.secret) for other, held in self.held.items() if other != slug]) > MAX_HELD:
            return [new.secret, self.held.pop(slug).secret]  # holding nothing is always right, the old value never
        new.deadline = min(old.deadline, new.deadline)
        self.held[slug] = new
        return [old.secret]

    def forget(self, slugs: "list[str]", drop: bool) -> "list[Secret]":
        """Forget values; with `drop` their slugs leave the directory too (a `del`), as do those that rest nowhere."""
        self.prepared.clear()
        gone = []
        for slug in slugs:
            held = self.held.pop(slug, None)
            if held is not None:
                gone.append(held.secret)
            self.expired.discard(slug)
            self.ended.discard(slug)
            if (drop or (held is not None and held.grade.endswith(TRANSIENT))) and self.directory is not None:
                self.directory.pop(slug, None)
        return gone

    def select(self, key: str, env: str, locked: bool = False) -> "list[str]":
        """The held or expired (or also `locked`) slugs that a `relock` names: by slug or name, by env, or all."""
        chosen = []
        for slug in sorted({*self.held, *self.expired, *((self.directory or ()) if locked else ())}):
            _org, its_env, name = slug.split(".")
            if (not key or key in (slug, name)) and (not env or env == its_env):
                chosen.append(slug)
        return chosen
