"""The one base error, and the exit codes that are this program's interface.

Every failure a user can meet is an `AgentkeysError` with a message, a hint to paste and an exit code.
Anything else that escapes is a bug and is reported as one. No message ever holds a value, a passphrase or
the bytes of a request.
"""

OK = 0
MALFUNCTION = 1
USAGE = 2
"""Wrong usage, or anything else the caller can mend."""
NO_AGENT = 3
LOCKED = 4
"""Locked or expired: `agentkeys unlock` mends it."""
ABSENT = 5
DENIED = 6
"""Refused by peer check, scope, policy or name rule."""
VAULT = 7
"""A vault, a keychain or an upstream failed."""
UNKNOWN_OUTCOME = 8
"""The agent died while it was asked; whether it acted is not known."""
TIMED_OUT = 124
CANNOT_EXECUTE = 126
NOT_FOUND = 127
INTERRUPTED = 130


class AgentkeysError(Exception):
    """A failure with a way out: `message` is lower case without a period, `hint` is a command or one sentence."""

    exit_code = MALFUNCTION

    def __init__(self, message: str, hint: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code


class UsageFault(AgentkeysError):
    """The caller asked for something that can't be; asking differently mends it."""

    exit_code = USAGE


class NoAgent(AgentkeysError):
    """No agent of that owner answers."""

    exit_code = NO_AGENT


class Locked(AgentkeysError):
    """The key is in the rack, but the agent doesn't hold it now."""

    exit_code = LOCKED


class Absent(AgentkeysError):
    """There is no such key."""

    exit_code = ABSENT


class Denied(AgentkeysError):
    """Refused on purpose."""

    exit_code = DENIED


class VaultFault(AgentkeysError):
    """A store of secrets can't be read, can't be trusted or can't be written."""

    exit_code = VAULT


class AuditFault(VaultFault):
    """The audit log can't be written, so nothing may be done; not the fault of a vault, and exit 1."""

    exit_code = MALFUNCTION


class OutcomeUnknown(AgentkeysError):
    """The other side vanished after it was asked."""

    exit_code = UNKNOWN_OUTCOME


class TimedOut(AgentkeysError):
    """The other side didn't answer in time."""

    exit_code = TIMED_OUT
