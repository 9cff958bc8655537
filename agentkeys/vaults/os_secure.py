"""os.secure, the default: values sealed by age to the owner, on this disk."""

from agentkeys.vaults.generations import GenerationVault


class OsSecure(GenerationVault):
    """One age file for each generation, `vault/<owner>/<generation>.age`; the stock `age -d` opens it."""

    name = "os.secure"
    protection = "encrypted"
    prefix = ""
    suffix = ".age"
