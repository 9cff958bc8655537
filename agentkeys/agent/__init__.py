"""The keyholder daemon: the driver around `agentkeys.core.agent`. No vault, age, YAML or HTTP code is loaded here."""
