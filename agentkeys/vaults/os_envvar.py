"""os.envvar: values that somebody else puts into the environment (a CI runner, direnv), read anew at each unlock.

The rack keeps the variable's name. The value is asked of the process that runs `unlock`, never of a worker's or an
agent's own environment, and rests nowhere.
"""

from agentkeys.core import refs
from agentkeys.errors import Absent, AgentkeysError, UsageFault, VaultFault
from agentkeys.vaults.base import Fetched, State, Vault


class OsEnvvar(Vault):
    """State: {"variables": {slug: name}}."""

    name = "os.envvar"
    protection = "reference"

    def read(self, state: State) -> "dict[str, bytes]":
        """See Vault."""
        values: dict[str, bytes] = {}
        for slug, found in self.fetch(state, list(_variables(state))).items():
            if isinstance(found, AgentkeysError):
                raise VaultFault(found.message, found.hint)
            values[slug] = found
        return values

    def fetch(self, state: State, slugs: "list[str]") -> Fetched:
        """See Vault; only the variables of `slugs` are asked for, and an empty one is as good as none."""
        names = _variables(state)
        found: Fetched = {}
        for slug in slugs:
            if slug in names:
                unset = Absent(f"the variable {names[slug]} is unset or empty", f"export {names[slug]}=…")
                found[slug] = self.place.variable(names[slug]) or unset
        return found

    def write(self, state: State, changes: "dict[str, bytes | None]") -> State:
        """See Vault; a change is a variable's name."""
        names = dict(_variables(state))
        for slug, reference in changes.items():
            if reference is None:
                names.pop(slug, None)
                continue
            name = reference.decode("ascii", "replace")
            if not refs.is_name(name):
                raise UsageFault(
                    f"not a variable's name: {refs.shown(name)}", "agentkeys set NAME --vault os.envvar --ref VARIABLE"
                )
            names[slug] = name
        return {"variables": names}

    def settle(self, state: State) -> None:
        """See Vault; nothing rests anywhere."""


def _variables(state: State) -> "dict[str, str]":
    names = state.get("variables", {})
    return names if isinstance(names, dict) else {}
