"""What an agent goes by: config.toml, and the flags that it was started with, which can only tighten.

The file is read at the start, at `agentkeys agent --reload` and at each unlock. What can't be read or isn't understood
changes nothing, and whoever asked is told.
"""

from agentkeys.agent.connection import Connection
from agentkeys.agent.peer import PeerRule
from agentkeys.stores import config


class Settings:
    """The operator's config as it was last read."""

    def __init__(self, path: str, rule: PeerRule, longest: int, idle: int) -> None:
        """`longest` and `idle` are the flags' limits in seconds, 0 for none."""
        self.path = path
        self.rule = rule
        self._longest = longest
        self._idle = idle

    def read(self) -> config.Config:
        """Read config.toml, have the rule go by it, and return it with the flags' limits. Raises Denied, UsageFault."""
        found = config.load(self.path, self.rule.session)
        self.rule.strict_session, self.rule.allow_root = found.strict_session, found.allow_root
        found.longest = min(found.longest, self._longest or found.longest)
        found.idle = min(filter(None, (found.idle, self._idle)), default=0)
        return found

    def turned_away(self, connections: "dict[int, Connection]") -> "list[Connection]":
        """Judge those again who are connected; the ones that aren't served any more.

        A limit stays for as long as its connection: the process behind the pid it was judged by may be gone by now.
        """
        for connection in connections.values():
            peer = connection.peer
            peer.limited = peer.limited or self.rule.limit(connection.sock, peer)
        return [connection for connection in connections.values() if self.rule.refusal(connection.peer)]
