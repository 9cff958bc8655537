"""ssh-agent for API keys: one encrypted rack, one daemon and one socket for every agent on a machine."""

__version__ = "0.1.0"
