"""unlock: bring values from their vaults into an agent, as one transaction.

What can't be brought doesn't stop the rest: each key is unlocked, kept (an agent's memory is all that has it), or has a
state and a reason. Only when nothing at all could be brought, and something failed, nothing is changed.
"""

from agentkeys import errors, paths
from agentkeys.client.connection import Connection
from agentkeys.core import grades, refs, token_shapes
from agentkeys.core.manifest import Manifest
from agentkeys.errors import Absent, AgentkeysError, UsageFault, VaultFault
from agentkeys.stores import config, inventory
from agentkeys.stores.rack import Rack
from agentkeys.vaults import OURS, open_vault, vault_class
from agentkeys.vaults.base import Fetched
from agentkeys.wire import MAX_VALUE
from agentkeys.worker import expiry, push, times
from agentkeys.worker.job import Job
from agentkeys.worker.rack_jobs import Rows, begin, grade_of, place_of

ABSENT, LOST, EXPIRED, REFUSED, FAILED = "absent", "lost", "expired", "refused", "failed"
"""Why a key wasn't unlocked: its reference leads nowhere, its vault has it no more, its issuer ended it, the operator's
rules, a vault that can't be read now."""

CODES = {ABSENT: errors.ABSENT, LOST: errors.ABSENT, EXPIRED: errors.LOCKED, REFUSED: errors.DENIED}
"""What a key that was asked for by name makes unlock exit with; a failed one, named or not, with its fault's code."""


class Unlocking:
    """One unlock: what is wanted, and what became of each key."""

    def __init__(self, job: Job, rack: Rack, manifest: Manifest) -> None:
        self.job = job
        self.rack = rack
        self.manifest = manifest
        self.settings = config.load(job.text("config", ""))
        self.asked = job.number("duration") or 0
        """Seconds, 0 for the default."""
        self.longest = refs.MAX_TTL
        """Seconds that the agent lets anything stay."""
        self.values: dict[str, bytes] = {}
        self.kept: list[str] = []
        """What rests nowhere, so that only the agent can say whether it is still there."""
        self.undone: dict[str, tuple[str, str]] = {}
        """State and reason of what isn't brought."""
        self.fault: AgentkeysError | None = None
        """The first failure."""
        self._grades: dict[tuple[str, bool], str] = {}

    def gather(self, slugs: "list[str]") -> None:
        """Read what may be brought of `slugs`. Raises the fault when that is nothing, and something failed."""
        keys = self.manifest.keys
        by_vault: dict[str, list[str]] = {vault: [] for vault in {keys[slug].vault for slug in slugs}}
        for slug in slugs:
            by_vault[keys[slug].vault].append(slug)
        for name in sorted(by_vault):
            self._gather(name, self._permitted(name, by_vault[name]))
        if self.settings.block_dangerous:
            self._drop_dangerous()
        if self.fault is not None and not self.values and not self.kept:
            raise self.fault

    def _permitted(self, vault: str, slugs: "list[str]") -> "list[str]":
        """Those of `slugs` that time and the operator's rules allow."""
        picky = self.settings.minimum != grades.WORST
        keys = self.manifest.keys
        if not picky and all(keys[slug].expires is None for slug in slugs):
            return slugs
        permitted = []
        for slug in slugs:
            record = keys[slug]
            if record.expires is not None and not expiry.seconds_left(record):
                self.undone[slug] = (EXPIRED, f"its issuer ended it at {record.expires}")
            elif picky and not grades.meets(self._grade(vault, slug), self.settings.minimum):
                worse = f"it is {self._grade(vault, slug)}, and minimum_grade is {self.settings.minimum}"
                self.undone[slug] = (REFUSED, worse)
            else:
                permitted.append(slug)
        return permitted

    def _gather(self, name: str, slugs: "list[str]") -> None:
        if not slugs:
            return
        try:
            vault = open_vault(name, place_of(self.rack, self.manifest, self.job))
            if vault.in_memory:
                self.kept += slugs
                return
            found: Fetched = vault.fetch(self.manifest.vaults.get(name, {}), slugs)
        except AgentkeysError as fault:
            found = dict.fromkeys(slugs, fault)
        except Exception as bug:
            if name in OURS:
                raise
            broken = VaultFault(f"{name} failed: {type(bug).__name__}", "agentkeys list")  # its keys, and no other's
            found = dict.fromkeys(slugs, broken)
        for slug in slugs:
            value = found.get(slug)
            if isinstance(value, bytes) and len(value) <= MAX_VALUE:
                self.values[slug] = value
            elif isinstance(value, Absent):
                self.undone[slug] = (ABSENT, value.message)
            elif isinstance(value, AgentkeysError):
                self._fail(slug, value)
            elif value:
                self._fail(slug, VaultFault(f"the value of {slug} is over 1 MiB", f"agentkeys set {slug}"))
            else:
                self.undone[slug] = (LOST, f"{name} doesn't have it any more")

    def _fail(self, slug: str, fault: AgentkeysError) -> None:
        self.fault = self.fault or fault
        self.undone[slug] = (FAILED, fault.message)

    def _drop_dangerous(self) -> None:
        for slug, value in list(self.values.items()):
            shape = token_shapes.long_lived(value)
            if shape:
                self.undone[slug] = (REFUSED, f"it looks like {shape[0]}, and dangerous_tokens is block")
                del self.values[slug]

    def _grade(self, vault: str, slug: str) -> str:
        """The grade of a key; all but a few keys of a vault share one."""
        record = self.manifest.keys[slug]
        known = (vault, record.expires is not None)
        if known not in self._grades:
            self._grades[known] = grade_of(record, vault_class(vault))
        return self._grades[known]

    def _time(self, slug: str) -> int:
        return max(1, min(times.time_to_live(self.manifest.keys[slug], self.asked), self.longest))

    def groups(self) -> push.Groups:
        """What is brought, by vault, grade and time to live, which nearly all have in common."""
        usual = min(self.asked or refs.DEFAULT_TTL, self.longest)
        groups: push.Groups = {}
        plain: dict[str, list[str]] = {}
        keys, sudo = self.manifest.keys, times.SUDO_PART
        for slug in self.values:
            record = keys[slug]
            if record.max_ttl is None and record.expires is None and sudo not in slug:
                if record.vault not in plain:
                    group = (record.vault, self._grade(record.vault, slug), usual)
                    plain[record.vault] = groups.setdefault(group, [])
                plain[record.vault].append(slug)
            else:
                group = (record.vault, self._grade(record.vault, slug), self._time(slug))
                groups.setdefault(group, []).append(slug)
        return groups

    def push(self, connection: Connection) -> Rows:
        """Hand it all to the agent; the answer's rows."""
        self.longest = push.begin(connection)
        groups = self.groups()
        push.add(connection, groups, self.values)
        kept: dict[int, list[str]] = {}
        for slug in self.kept:
            kept.setdefault(self._time(slug), []).append(slug)
        for ttl, slugs in kept.items():
            connection.ask(b"unlock-keep", b"ttl", b"%d" % ttl, b"slugs", push.lines(slugs))
        for slug in push.commit(connection, self.rack, self.manifest, *self._states(), *self._renewal()):
            self.undone[slug] = (LOST, "only an agent had it, and forgot it")
        rows: Rows = []
        for ttl, slugs in [(ttl, brought) for (_v, _g, ttl), brought in groups.items()] + list(kept.items()):
            here = [slug for slug in slugs if slug not in self.undone]
            if here:
                rows.append(("capped" if self.asked > ttl else "unlocked", "\n".join([str(ttl), *here])))
        return rows

    def _states(self) -> "list[bytes]":
        """What the agent is to know of those it doesn't get; what only failed now keeps its old value and time."""
        fields: list[bytes] = []
        for name, states in ((b"absent", (ABSENT, LOST)), (b"expired", (EXPIRED,)), (b"locked", (REFUSED,))):
            slugs = [slug for slug, (state, _why) in self.undone.items() if state in states]
            if slugs:
                fields += (name, push.lines(slugs))
        return fields

    def _renewal(self) -> "list[bytes]":
        """What the agent asks for again by itself, when it is to: this job, in one line for each of its words."""
        if self.job.text("alone", ""):
            return [b"again", b"1"]
        if not self.job.text("auto", ""):
            return []
        asked = [f"{name}={self.job.text(name, '')}" for name in ("org", "env", "duration")]
        asked += [f"key={key}" for key in self.job.texts("key")]
        return [b"renew", "\n".join(asked).encode("ascii")]

    def code(self) -> int:
        """What unlock exits with."""
        if self.fault is not None:
            return self.fault.exit_code
        if not self.job.texts("key"):
            return errors.DENIED if REFUSED in [state for state, _why in self.undone.values()] else errors.OK
        return max([CODES[state] for state, _why in self.undone.values()], default=errors.OK)


def unlock(job: Job) -> Rows:
    """Bring what was asked for."""
    if job.text("auto", ""):
        job.ask = lambda question: _needs_a_person(job.text("owner"), question)
    rack = begin(job)
    connection = Connection(job.text("socket"), rack.owner, paths.home_id(rack.root))
    with rack.lock:  # a `set` that commits meanwhile would be overtaken by the value before it
        manifest = rack.require()
        inventory.reconcile(rack.root, rack.owner, list(manifest.keys))
        unlocking = Unlocking(job, rack, manifest)
        unlocking.gather(_wanted(job, manifest))
        rows = unlocking.push(connection)
    if unlocking.fault is not None and job.text("alone", ""):
        raise unlocking.fault  # for `status`: the rest counts, but somebody should know
    rows += [("undone", f"{state}\n{slug}\n{why}") for slug, (state, why) in sorted(unlocking.undone.items())]
    return [*rows, ("code", str(unlocking.code()))]


def _needs_a_person(owner: str, question: str) -> bytes:
    """What is to be unlocked again by itself must open without anybody. Raises UsageFault."""
    raise UsageFault(
        f"{question.rstrip(': ')} is wanted, and an automatic unlock asks nobody",
        f"agentkeys agent --for {owner} --unlock",
    )


def _wanted(job: Job, manifest: Manifest) -> "list[str]":
    """The slugs to bring. An agent that asks again leaves out what was relocked, and may name what is gone."""
    org, env, keys = job.text("org", refs.ANY_ORG), job.text("env", refs.ANY_ENV), job.texts("key")
    if not job.text("alone", ""):
        return choose(manifest, org, env, keys)
    there = [key for key in keys if any(slug in manifest.keys for slug in refs.candidates(org, env, key))]
    withheld = job.texts("except")
    return [slug for slug in choose(manifest, org, env, there) if slug not in withheld] if there or not keys else []


def choose(manifest: Manifest, org: str, env: str, keys: "list[str]") -> "list[str]":
    """The slugs an unlock brings: those named, else all of org ∪ @all in env ∪ all, never sudo.

    Raises Absent for a name that isn't there, UsageFault for sudo without a name.
    """
    refs.check_org(org)
    refs.check_env(env)
    if not keys:
        if env == refs.SUDO_ENV:
            raise UsageFault("sudo keys are only unlocked by name", "agentkeys unlock --env sudo --key NAME")
        wanted = tuple([f"{o}.{e}." for o in (org, refs.ANY_ORG) for e in (env, refs.ANY_ENV)])
        return [slug for slug in sorted(manifest.keys) if slug.startswith(wanted)]
    chosen: dict[str, None] = {}
    for key in keys:
        found = [slug for slug in refs.candidates(org, env, key) if slug in manifest.keys]
        if not found:
            there = refs.elsewhere(manifest.keys, org, key)
            raise Absent(
                f"{manifest.owner} has no key {refs.shown(key)} in env {env}{there}",
                f"agentkeys list --for {manifest.owner}",
            )
        chosen[found[0]] = None
    return list(chosen)
