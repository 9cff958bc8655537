"""What a shell's hook has set, as a note in the shell's own environment: names and hashes, never a value.

    AGENTKEYS_LOADED="GITHUB_TOKEN:5f0c… AGENTKEYS_SOCK:91aa…"

The hash, keyed with the home's install key, tells a variable that is still ours from one that the user has changed
since. A child shell inherits variables and note alike, so it can let go of what it didn't set itself.
"""

from agentkeys import paths

NAME = b"AGENTKEYS_LOADED"

DIGEST_SIZE = 8
"""Bytes of a hash: an accident is a user's own value that is taken for ours, and there are 2**64 of them."""


class Loaded:
    """The note that an environment holds."""

    def __init__(self, environ: "dict[bytes, bytes]", root: str) -> None:
        self._key = paths.read_small(paths.install_key(root))[:64]
        self.environ = environ
        self.digests: dict[bytes, bytes] = {}
        """By name, what was set."""
        for entry in environ.get(NAME, b"").split():
            name, colon, digest = entry.partition(b":")
            if colon and name.replace(b"_", b"").isalnum() and not name[:1].isdigit():
                self.digests[name] = digest

    def digest(self, name: bytes, value: bytes) -> bytes:
        """What stands for a value."""
        return paths.digest(name + b"=" + value, DIGEST_SIZE, self._key).encode("ascii")

    def is_ours(self, name: bytes) -> bool:
        """Whether the hook set a variable, and nobody changed it since."""
        value = self.environ.get(name)
        return value is not None and self.digests.get(name) == self.digest(name, value)


def note(digests: "dict[bytes, bytes]") -> bytes:
    """The note's text."""
    return b" ".join([name + b":" + digest for name, digest in digests.items()])
