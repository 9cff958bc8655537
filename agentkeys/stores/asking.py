"""What the stores get from the person and the caller: answers to questions, and an identity handed in."""

from collections.abc import Callable

Ask = Callable[[str], bytes]
"""Puts a question and returns what was typed, unseen. Raises AgentkeysError when nobody can be asked."""

Variable = Callable[[str], bytes | None]
"""Reads a variable of the caller's environment; None when it is unset."""


class Means:
    """What a job may use to open an identity."""

    def __init__(self, ask: Ask, given: bytes = b"") -> None:
        self.ask = ask
        self.given = given
        """$AGENTKEYS_IDENTITY of the caller: the identity of an owner that keeps it in a variable."""
