"""What workers change on the disk, and how an owner would see afterwards whether that happened.

A deed is a request, a home to do it in, and a look at what came of it. `before` and `after` are the two looks that
there may be: whatever happens in the middle, the next who looks sees one of these.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agentkeys.errors import UsageFault
from agentkeys.stores import identity
from agentkeys.stores.card import read_card
from agentkeys.worker import owner_jobs, rack_jobs, recipient_jobs
from agentkeys.worker.job import Job
from tests.stores.racks import write_private
from tests.worker.office import Field, Office

SLUG, OTHER, LARGE = "@all.all.A", "acme.prod.B", "acme.prod.LARGE"

Look = object
"""What an owner sees, to be compared."""

Prepare = Callable[[Office], list[Field]]
"""Makes the home that a deed is done in; the fields of its request."""


@dataclass(frozen=True)
class Deed:
    """One job that changes something."""

    name: str
    job: str
    prepare: Prepare
    look: Callable[[Office], Look]
    """What an owner sees; for a deed of several steps, once the same request was made again."""
    again: bool = False
    """Whether `look` makes the request again."""
    gone: bytes = b""
    """What no file may hold once the deed was acknowledged."""

    def __str__(self) -> str:
        return self.name


def do_again(office: Office, job: str, *fields: Field) -> None:
    """A request done here, without a process. Raises what the job does."""
    jobs = {
        "init": owner_jobs.init,
        "alias": owner_jobs.alias,
        "remove": owner_jobs.remove,
        "set": rack_jobs.set_key,
        "restore": recipient_jobs.restore,
    }
    jobs[job](Job(office.request(job, *fields), _nobody))


def _nobody(question: str) -> bytes:
    raise AssertionError(f"nobody is to be asked: {question}")


# --- homes


def empty(office: Office) -> "list[Field]":
    """Nothing is there yet."""
    return [("via", "file")]


def furnished(office: Office) -> None:
    """ana with two small keys and a large one."""
    office.do("init", ("via", "file"))
    office.set(SLUG, b"old")
    office.set(OTHER, b"other")
    office.set(LARGE, b"large" * 5_000)


def with_fields(*fields: Field) -> Prepare:
    """A furnished home, and this request."""

    def prepare(office: Office) -> "list[Field]":
        furnished(office)
        return list(fields)

    return prepare


def in_plain_text(office: Office) -> "list[Field]":
    """A key in os.direct, which is to be deleted."""
    furnished(office)
    office.set(SLUG, b"plain", vault="os.direct")
    return [("slug", SLUG)]


def backup(office: Office) -> "tuple[Path, str]":
    """A backup recipient's key file, and its public half."""
    path = write_private(office.root.parent / "backup.key", identity.generate())
    return path, identity.open_file(str(path)).recipient


def to_a_backup(office: Office) -> "list[Field]":
    """One recipient more is asked for."""
    furnished(office)
    return [("label", "backup"), ("recipient", backup(office)[1])]


def from_a_backup(office: Office) -> "list[Field]":
    """One recipient less is asked for."""
    fields = to_a_backup(office)
    office.do("recipient-set", *fields)
    return fields[:1]


def lost(office: Office) -> "list[Field]":
    """The identity is gone, and a backup recipient's key is there."""
    fields = to_a_backup(office)
    office.do("recipient-set", *fields)
    (office.root / "identity" / "ana.key").unlink()
    return [("identity-path", str(office.root.parent / "backup.key"))]


def named(office: Office) -> "list[Field]":
    """An alias that is to be taken away."""
    furnished(office)
    office.do("alias", ("alias", "turtle"))
    return [("alias", "turtle"), ("remove", "1")]


# --- looks


def rack(office: Office) -> Look:
    """Every value, and who can open them; no key without its marker."""
    manifest = office.manifest()
    assert all(office.marked(slug) for slug in manifest.keys), "a key without its marker looks absent"
    return office.values(), manifest.sealed_to(), manifest.wallet, manifest.via


def made(office: Office) -> Look:
    """Made again, there is one identity, one wallet, a first rack and the name that leads to it."""
    do_again(office, "init", ("via", "file"))
    manifest = office.manifest()
    names = [path.name for path in (office.root / "names").iterdir()]
    keys = [path.name for path in (office.root / "identity").iterdir()]
    return manifest.version, manifest.keys, names == [manifest.wallet.lower()], keys, office.leftovers()


def given_alias(office: Office) -> Look:
    """Given again, there is the name, once on the card and once as a link."""
    do_again(office, "alias", ("alias", "turtle"))
    return _aliases(office)


def taken_alias(office: Office) -> Look:
    """Taken away again, or found to be gone, it is neither on the card nor a link."""
    with suppress(UsageFault):  # it is done
        do_again(office, "alias", ("alias", "turtle"), ("remove", "1"))
    return _aliases(office)


def _aliases(office: Office) -> Look:
    card = read_card(str(office.root), office.owner)
    assert card is not None
    links = sorted(path.name for path in (office.root / "names").iterdir() if not path.name.startswith("0x"))
    return card.aliases, links, rack(office)


def removed(office: Office) -> Look:
    """Removed again, or found to be gone, no trace is left but the audit log."""
    with suppress(UsageFault):  # it is done
        do_again(office, "remove")
    return traces(office)


def traces(office: Office) -> "list[str]":
    """What is left of an owner."""
    below = [str(path.relative_to(office.root)) for path in office.root.rglob("*") if not path.is_dir()]
    return sorted(name for name in below if not name.startswith(("audit/", "lock/")) and name != "install.key")


def restored(office: Office) -> Look:
    """Restored again, every value is there, sealed to the owner and the backup."""
    do_again(office, "restore", ("identity-path", str(office.root.parent / "backup.key")))
    values, sealed_to, wallet, via = rack(office)  # type: ignore[misc]
    return values, len(sealed_to), wallet, via, office.leftovers()


DEEDS = [
    Deed("init", "init", empty, made, again=True),
    Deed("a first set", "set", lambda office: [*_only_init(office), ("slug", SLUG), ("value", b"new")], rack),
    Deed("set", "set", with_fields(("slug", SLUG), ("value", b"new")), rack),
    Deed("set large", "set", with_fields(("slug", LARGE), ("value", b"larger" * 5_000)), rack),
    Deed("set elsewhere", "set", with_fields(("slug", SLUG), ("value", b"new"), ("vault", "os.direct")), rack),
    Deed("del plain text", "del", in_plain_text, rack, gone=b"plain"),
    Deed("del", "del", with_fields(("slug", LARGE)), rack),
    Deed("recipient set", "recipient-set", to_a_backup, rack),
    Deed("recipient del", "recipient-del", from_a_backup, rack),
    Deed("alias", "alias", with_fields(("alias", "turtle")), given_alias, again=True),
    Deed("alias away", "alias", named, taken_alias, again=True),
    Deed("restore", "restore", lost, restored, again=True),
    Deed("remove", "remove", with_fields(), removed, again=True),
]


def _only_init(office: Office) -> "list[Field]":
    office.do("init", ("via", "file"))
    return []
