"""What `setup` does to a machine: files and commands, each said as it happens, or only said with `--dry-run`.

Rule 1: what is already as it should be is left alone, so that a second run does nothing and says so.
Rule 2: a file that we didn't write is never replaced or removed; ours are known by a line of their template.
"""

import os
import shlex
from collections.abc import Callable

from agentkeys import procs
from agentkeys.errors import UsageFault
from agentkeys.stores import atomic

Runner = Callable[["list[str]"], procs.Done]


class Deeds:
    """One run of `setup`."""

    def __init__(self, say: Callable[[str], None], dry: bool = False, run: Runner = procs.run_tool) -> None:
        """`say` prints a line of success. `run` is procs.run_tool, but in tests."""
        self._say = say
        self.dry = dry
        self._run = run

    def write(self, path: str, text: str, mark: str) -> bool:
        """Have `text` at `path`; whether it wasn't there already.

        Raises UsageFault for a file without our `mark`, VaultFault.
        """
        there = self._ours(path, mark)
        if there == text:
            self._say(f"unchanged {path}")
            return False
        if not self.dry:
            _make_dir(os.path.dirname(path))
            atomic.write_file(path, text.encode("utf-8"))
        self._say(f"{'would write' if self.dry else 'wrote'} {path}")
        return True

    def remove(self, path: str, mark: str) -> bool:
        """Have nothing at `path`; whether there was something. Raises UsageFault, VaultFault."""
        if self._ours(path, mark) is None:
            return False
        if not self.dry:
            atomic.remove_file(path)
        self._say(f"{'would remove' if self.dry else 'removed'} {path}")
        return True

    def unlink(self, path: str) -> None:
        """Have no symlink at `path`. Raises VaultFault."""
        if os.path.islink(path):
            if not self.dry:
                atomic.remove_file(path)
            self._say(f"{'would remove' if self.dry else 'removed'} {path}")

    def run(self, *argv: str) -> None:
        """Run a system's tool that changes something. Raises UsageFault with what it said when it fails."""
        if self.dry:
            self._say(f"would run {shlex.join(argv)}")
            return
        done = self._run([*argv])
        if done.code:
            raise UsageFault(f"{shlex.join(argv)} failed: {done.noise}", shlex.join(argv))
        self._say(f"ran {shlex.join(argv)}")

    def asks(self, *argv: str) -> bool:
        """Whether a tool that changes nothing says yes; in a dry run as well."""
        return self._run([*argv]).code == 0

    @staticmethod
    def _ours(path: str, mark: str) -> "str | None":
        """The text of our own file, or None when there is none. Raises UsageFault for another's, VaultFault."""
        data = atomic.read_file(path)
        if data is None:
            return None
        if mark.encode() not in data:
            raise UsageFault(f"{path} is there and is not ours", f"mv {path} {path}.old")
        return data.decode("utf-8", "replace")


def _make_dir(path: str) -> None:
    """A user's own directory of settings: made 0700, and left as it is where it exists."""
    if not os.path.isdir(path):
        atomic.make_private_dir(path)
