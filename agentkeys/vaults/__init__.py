"""Where values rest: `base` is the contract, every other module one vault.

A vault of ours is found by its name here; another package's by the entry point group `agentkeys.vaults`, which
costs 35 ms to look through and is only asked for a name that isn't ours.
"""

from agentkeys.errors import UsageFault
from agentkeys.vaults.base import Place, Vault

OURS = ("os.secure", "os.direct")


def open_vault(name: str, place: Place) -> Vault:
    """The vault of that name, at an owner's place. Raises UsageFault, listing those there are."""
    if name == "os.secure":
        from agentkeys.vaults.os_secure import OsSecure

        return OsSecure(place)
    if name == "os.direct":
        from agentkeys.vaults.os_direct import OsDirect

        return OsDirect(place)
    from importlib.metadata import entry_points

    for point in entry_points(group="agentkeys.vaults"):
        if point.name == name:
            found = point.load()
            if isinstance(found, type) and issubclass(found, Vault):
                return found(place)
    raise UsageFault(f"no vault {name!r}; there is {', '.join(OURS)}", "agentkeys set --vault os.secure …")
