"""What `agentkeys status` shows, as text and as JSON, rendered by the agent so that the client needs no parser.

Names and times only. JSON keys are an interface: they are added to, never renamed.
"""

from _json import encode_basestring_ascii as quote

from agentkeys.core import own_session
from agentkeys.core.refs import show_duration


class KeyState:
    """One slug's line."""

    __slots__ = ("grade", "left", "slug", "state", "vault")

    def __init__(self, slug: str, state: str, left: int, vault: str, grade: str) -> None:
        self.slug = slug
        self.state = state
        """unlocked, locked, or expired."""
        self.left = left
        """Seconds until it expires; 0 unless unlocked."""
        self.vault = vault
        """The vault it was brought from; empty unless unlocked."""
        self.grade = grade
        """As agentkeys.core.grades has it; empty unless unlocked."""


class Limits:
    """How long anything may stay, and what is unlocked again by itself."""

    __slots__ = ("fault", "idle", "locked", "longest", "renewal")

    def __init__(
        self, longest: int, idle: int, renewal: "int | None" = None, fault: str = "", locked: bool = False
    ) -> None:
        self.longest = longest
        """Seconds a key stays at most."""
        self.idle = idle
        """Seconds without a use after which all is forgotten; 0 for never."""
        self.renewal = renewal
        """Seconds until the next automatic unlock, or None when there is none."""
        self.fault = fault
        """Why the last automatic unlock failed, or empty."""
        self.locked = locked
        """Whether `lock --passphrase` keeps the agent from serving anything."""


class Use:
    """What an agent was asked for since it started."""

    __slots__ = ("denied", "given", "last")

    def __init__(self) -> None:
        self.given = 0
        """Requests that were answered with values: each `get`, `exec` and `source`."""
        self.last: int | None = None
        """When the last of them was, milliseconds of CLOCK_BOOTTIME."""
        self.denied = 0
        """Lines in the audit log that say deny."""


class AgentFacts:
    """What the driver knows about its own process."""

    __slots__ = (
        "dumpable", "home_id", "memory_locked", "own_session", "pid", "session", "socket", "version", "wallet",
    )  # fmt: skip

    def __init__(
        self, pid: int, socket: str, wallet: str, version: str, session: str, dumpable: bool, home_id: str = ""
    ) -> None:
        self.pid = pid
        self.socket = socket
        self.wallet = wallet
        """The owner's wallet as EIP-55 text, or empty when it isn't known yet."""
        self.version = version
        self.session = session
        """The login session it serves, or empty for every session of this user."""
        self.dumpable = dumpable
        """Whether other processes of this uid can read its memory."""
        self.home_id = home_id
        """Which persistent root it serves, as its hello says."""
        self.memory_locked = True
        """Whether all buffers with values are kept out of swap."""
        self.own_session: own_session.OwnSession | None = None
        """The owner's own, or None where there is none; `session` is the login's."""


class Report:
    """All that one `status` shows."""

    __slots__ = ("facts", "keys", "limits", "now", "owner", "started", "unlocked", "use")

    def __init__(self, owner: str, facts: AgentFacts, started: int, now: int, limits: Limits, use: Use) -> None:
        self.owner = owner
        self.facts = facts
        self.started = started
        """When the agent started, and now: milliseconds of CLOCK_BOOTTIME."""
        self.now = now
        self.limits = limits
        self.use = use
        self.unlocked = False
        """Whether anything was unlocked since the start, so that the rack's names are known."""
        self.keys: list[KeyState] = []

    @property
    def up(self) -> int:
        """Seconds since the start."""
        return max(0, self.now - self.started) // 1000

    @property
    def unused(self) -> "int | None":
        """Seconds since a value was last given, or None."""
        return None if self.use.last is None else max(0, self.now - self.use.last) // 1000


def as_json(report: Report) -> bytes:
    """One JSON object; seconds for every time."""
    owner, facts, limits, use = report.owner, report.facts, report.limits, report.use
    rows = ",".join([_key_json(key) for key in report.keys])
    unused = "null" if report.unused is None else str(report.unused)
    renewal = "null" if limits.renewal is None else str(limits.renewal)
    return (
        f'{{"owner":{quote(owner)},"wallet":{quote(facts.wallet)},"pid":{facts.pid},"socket":{quote(facts.socket)},'
        f'"version":{quote(facts.version)},"login_session":{quote(facts.session)},"uptime_seconds":{report.up},'
        f'"max_seconds":{limits.longest},"idle_seconds":{limits.idle},"auto_unlock_in_seconds":{renewal},'
        f'"auto_unlock_fault":{quote(limits.fault)},"locked":{_json_bool(limits.locked)},'
        f'"given":{use.given},"last_given_seconds_ago":{unused},"denied":{use.denied},'
        f'"unlocked":{_json_bool(report.unlocked)},"memory_protected":{_json_bool(not facts.dumpable)},'
        f'"memory_locked":{_json_bool(facts.memory_locked)},'
        f'"session":{own_session.as_json(facts.own_session, report.up)},"keys":[{rows}]}}\n'
    ).encode("ascii")


def _key_json(key: KeyState) -> str:
    org, env, name = key.slug.split(".")
    left = str(key.left) if key.state == "unlocked" else "null"
    return (
        f'{{"slug":{quote(key.slug)},"org":{quote(org)},"env":{quote(env)},"name":{quote(name)},'
        f'"state":{quote(key.state)},"expires_in_seconds":{left},"vault":{quote(key.vault)},'
        f'"grade":{quote(key.grade)}}}'
    )


def _json_bool(value: bool) -> str:
    return "true" if value else "false"


def as_text(report: Report) -> bytes:
    """A few lines for a person."""
    facts, limits, use, keys = report.facts, report.limits, report.use, report.keys
    held = sum(1 for key in keys if key.state == "unlocked")
    counted = f"{held} unlocked of {len(keys)}" if report.unlocked else "locked: nothing was unlocked yet"
    if limits.locked:
        counted = "locked by a passphrase: agentkeys lock --open"
    lines = [
        f"owner    {report.owner}  {facts.wallet}".rstrip(),
        f"agent    pid {facts.pid}, up {show_duration(report.up)}, {facts.socket}",
        f"callers  {'login session ' + facts.session if facts.session else 'every process of this user'}",
        f"keys     {counted}",
    ]
    if report.unused is not None:
        lines.append(f"used     {_times(use.given)}, last {show_duration(report.unused)} ago")
    if use.denied:
        lines.append(f"denied   {_times(use.denied)}")
    if facts.own_session is not None:
        lines.insert(1, f"session  {own_session.as_text(facts.own_session, report.owner, report.up)}")
    if limits.idle:
        lines.append(f"idle     forgets all after {show_duration(limits.idle)} without a use")
    if limits.renewal is not None:
        lines.append(f"auto     unlocks again in {show_duration(limits.renewal)}")
    if limits.fault:
        lines.append(f"auto     the last automatic unlock failed: {limits.fault}")
    if facts.dumpable:
        lines.append("memory   readable by other processes of this user")
    if not facts.memory_locked:
        lines.append("memory   not locked: values may reach the swap, see ulimit -l")
    width = max([len(key.slug) for key in keys], default=0)
    for key in keys:
        left = f", {show_duration(key.left)} left" if key.state == "unlocked" else ""
        rests = f"  {key.vault}  {key.grade}" if key.vault else ""
        lines.append(f"  {key.slug:<{width}}  {key.state}{left}{rests}")
    return "".join([_printable(line) + "\n" for line in lines]).encode("utf-8")


def in_a_line(report: Report) -> str:
    """The least that a service manager shows."""
    held = sum(1 for key in report.keys if key.state == "unlocked")
    if report.limits.fault:
        return f"the automatic unlock failed: {report.limits.fault}"
    return f"{held} {'key' if held == 1 else 'keys'} held"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _printable(line: str) -> str:
    """A line for a terminal: a path may hold anything."""
    return "".join([c if c.isprintable() else ascii(c)[1:-1] for c in line])
