"""This system's Poller."""

import sys

if sys.platform == "darwin":
    from agentkeys.agent.poller_macos import Poller
else:
    from agentkeys.agent.poller_linux import Poller

__all__ = ["Poller"]
