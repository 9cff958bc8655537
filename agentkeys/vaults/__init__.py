"""Where values rest: `base` is the contract, every other module one vault.

A vault of ours is found by its name here; another package's by the entry point group `agentkeys.vaults`, which
costs 35 ms to look through and is only asked for a name that isn't ours.
"""

from importlib import import_module

from agentkeys.errors import UsageFault
from agentkeys.vaults.base import Place, Vault

OURS = {
    "os.secure": ("os_secure", "OsSecure"),
    "os.direct": ("os_direct", "OsDirect"),
    "os.envvar": ("os_envvar", "OsEnvvar"),
    "os.daemon": ("os_daemon", "OsDaemon"),
    "keychain": ("keychain", "KeychainVault"),
}
"""Module and class; one is loaded when it is used."""

GROUP = "agentkeys.vaults"


def open_vault(name: str, place: Place) -> Vault:
    """The vault of that name, at an owner's place. Raises UsageFault, listing those there are."""
    return vault_class(name)(place)


def vault_class(name: str) -> type[Vault]:
    """The vault's class, for what it says of itself. Raises UsageFault, listing those there are."""
    if name in OURS:
        module, kind = OURS[name]
        ours: type[Vault] = getattr(import_module(f"agentkeys.vaults.{module}"), kind)
        return ours
    from importlib.metadata import entry_points

    points = entry_points(group=GROUP)
    for point in points:
        if point.name == name:
            found = point.load()
            if isinstance(found, type) and issubclass(found, Vault):
                return found
            raise UsageFault(f"{point.value} is no vault: not a subclass of agentkeys.vaults.base.Vault", "pip list")
    known = ", ".join([*OURS, *sorted({point.name for point in points} - OURS.keys())])
    raise UsageFault(f"no vault {name!r}; there is {known}", "agentkeys set --vault os.secure …")
