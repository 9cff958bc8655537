"""os.direct: values in plain text on this disk, 0600, for what is no secret or must be readable without agentkeys.

Authenticated by the manifest like every other, so it can be read by others of this uid but not changed unnoticed.
"""

from agentkeys.vaults.generations import GenerationVault


class OsDirect(GenerationVault):
    """One JSON file for each generation, `vault/<owner>/direct.<generation>.json`."""

    name = "os.direct"
    protection = "plaintext"
    prefix = "direct."
    suffix = ".json"
