"""Where values rest: `base` is the contract, every other module one vault.

A vault of ours is found by its name here; another package's by the entry point group `agentkeys.vaults`, which
costs 35 ms to look through and is only asked for a name that isn't ours.
"""

from collections.abc import Callable
from importlib import import_module

from agentkeys.core.grades import PROTECTIONS
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

    for point in entry_points(group=GROUP):
        if point.name == name:
            return _loaded(point.value, point.load)
    raise UsageFault(f"no vault {name!r}; there is {', '.join(names())}", "agentkeys set --vault os.secure …")


def names() -> "list[str]":
    """Every vault there is: ours, then those of other packages, sorted."""
    from importlib.metadata import entry_points

    return [*OURS, *sorted({point.name for point in entry_points(group=GROUP)} - OURS.keys())]


def _loaded(what: str, load: Callable[[], object]) -> type[Vault]:
    """What another package declares, if it is a vault whose keys can have a grade. Raises UsageFault."""
    try:
        found = load()
    except Exception as fault:  # noqa: BLE001 - foreign code; one broken package must not take every key along
        raise UsageFault(f"{what} can't be loaded: {type(fault).__name__}", "pip check") from None
    if not (isinstance(found, type) and issubclass(found, Vault)):
        raise UsageFault(f"{what} is no vault: not a subclass of agentkeys.vaults.base.Vault", "pip list")
    if getattr(found, "protection", "") not in PROTECTIONS:
        raise UsageFault(f"{what} is no vault: its protection is none of {', '.join(PROTECTIONS)}", "pip list")
    return found
