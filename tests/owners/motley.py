"""A rack with a key in each of the states that an unlock can find, and hands to put a key into one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentkeys.core.manifest import Manifest
from agentkeys.stores.rack import open_rack
from tests.agent.seat import Seat
from tests.support.plugin import Plant

ENDED = "2020-01-01T00:00:00Z"

SHOWN = {
    "FINE": "unlocked", "CAPPED": "capped", "UNSET": "absent", "GONE": "lost", "ENDED": "expired", "BLOCKED": "refused",
    "BROKEN": "failed",
}  # fmt: skip
"""What an unlock says of each key of a motley rack."""


@contextmanager
def rewriting(seat: Seat) -> Iterator[Manifest]:
    """The owner's manifest, committed as it was changed."""
    rack = open_rack(str(seat.home.root), seat.owner)
    with rack.lock:
        manifest = rack.require()
        yield manifest
        rack.commit(manifest)


def manifest_of(seat: Seat) -> Manifest:
    """The owner's manifest."""
    return open_rack(str(seat.home.root), seat.owner).require()


def values_of(seat: Seat) -> Path:
    """The directory of the owner's values."""
    return seat.home.root / "vault" / seat.owner


def configure(seat: Seat, text: str) -> None:
    """The operator's config.toml."""
    path = seat.home.path / ".config" / "agentkeys" / "config.toml"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(text)


def end(seat: Seat, name: str) -> None:
    """Its issuer has ended it by now."""
    with rewriting(seat) as manifest:
        manifest.keys[f"@all.all.{name}"].expires = ENDED


def lose(seat: Seat, name: str) -> None:
    """Its value, which is large, isn't where its vault has put it."""
    large = manifest_of(seat).vaults["os.secure"]["large"]
    assert isinstance(large, dict)
    (values_of(seat) / large[f"@all.all.{name}"][0]).unlink()


def damage(seat: Seat) -> None:
    """The vault os.direct can't be read any more."""
    (path,) = values_of(seat).glob("direct.*.json")
    path.write_bytes(b"{}")


def make_motley(seat: Seat, canary: Plant) -> None:
    """The keys of SHOWN, in place of those there were."""
    for name in seat.values:
        seat.cli("del", name, check=True)
    seat.values.clear()
    values = {
        "FINE": canary("FINE"),
        "CAPPED": canary("CAPPED"),
        "ENDED": canary("ENDED"),
        "GONE": canary("GONE") + b"\n" * 20_000,
        "BLOCKED": b"ghp_" + canary("BLOCKED"),
        "BROKEN": canary("BROKEN", allowed=["*/vault/human/direct.*"]),
    }
    more = {"CAPPED": ("--max-duration", "10m"), "BROKEN": ("--vault", "os.direct")}
    for name, value in values.items():
        seat.cli("set", name, *more.get(name, ()), input=value, check=True)
        seat.values[name] = value
    seat.cli("set", "UNSET", "--vault", "os.envvar", check=True)


def spoil(seat: Seat) -> None:
    """Make each key of a motley rack what SHOWN says."""
    end(seat, "ENDED")
    lose(seat, "GONE")
    damage(seat)
    configure(seat, 'dangerous_tokens = "block"\n')


def second_agent(seat: Seat) -> Path:
    """One more agent of the owner; its socket."""
    socket = seat.home.runtime / "agentkeys" / "second.sock"
    seat.cli("agent", "--for", seat.owner, "-a", socket, check=True)
    return socket
