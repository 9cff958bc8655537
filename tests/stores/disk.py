"""What a power cut can leave of what a program wrote: its system calls, replayed on a model of a disk.

The model keeps less than any file system in use, and no more than fsync(2) and POSIX promise:

Rule 1: bytes are kept once their file was synced. Before that the file holds what it held after any one of the writes
        since, or half of the last one.
Rule 2: a name (made, moved, removed) is kept once its directory was synced. Before that the changes of one directory
        are kept up to any one of them, whatever becomes of other directories and of the bytes behind the names.

So a name may be there without its bytes, and a file without a name that was made earlier in another directory.
"""

import os
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

Tree = dict[str, "bytes | str | None"]
"""Path below the root → bytes of a file, text of a symlink, None for a directory."""

CALL = re.compile(r"^(\w+)\((.*)\) += (\d+)")
"""One finished call in a log of `strace -y -xx`; those that failed did nothing."""

TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
PATH = re.compile(r"<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")

CALLS = (
    "openat", "mkdir", "mkdirat", "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2",
    "unlink", "unlinkat", "rmdir", "ftruncate", "symlink", "symlinkat",
)  # fmt: skip
"""The calls that the model knows. What else writes (writev, mmap, link) isn't used by the stores."""

OPTIONS = ("-qq", "-y", "-xx", "-s", "4194304", "-e", f"trace={','.join(CALLS)}")
"""Of strace: every byte of every write, and every path in full."""

SOME = 2
"""Of what may be found after a call, beside the two extremes: how much each run of the tests looks at."""

MIXTURES = 20
"""Of kept and lost, drawn for each call when everything is looked at."""


class File:
    """A file's bytes as they were after each write since the last sync; a symlink's never change."""

    def __init__(self, content: "bytes | str") -> None:
        self.past: list[bytes | str] = [content]


class Directory:
    """A directory's names as they were after each change since the last sync."""

    def __init__(self) -> None:
        self.past: list[dict[str, File | Directory]] = [{}]

    @property
    def names(self) -> "dict[str, File | Directory]":
        """As a program sees them."""
        return self.past[-1]

    def change(self, name: str, node: "File | Directory | None") -> None:
        """Give a name another meaning, or none."""
        names = {**self.names}
        if node is None:
            del names[name]
        else:
            names[name] = node
        self.past.append(names)


Node = File | Directory
Choice = dict[int, int]
"""id of a node → which of its pasts is kept; 0 where it isn't named."""


class Disk:
    """One directory tree: as it is, and as it might be found after the power was cut."""

    def __init__(self, root: Path) -> None:
        """Begin with what is at `root`, all of it kept."""
        self.root = os.fsencode(root)
        self.top = Directory()
        self.answered = False
        """Whether the program has written to its stdout, which acknowledges."""
        self._seen: set[tuple[bool, frozenset[tuple[str, bytes | str | None]]]] = set()
        for path in sorted(root.rglob("*")) if root.is_dir() else []:
            name = os.fsencode(path)
            if path.is_symlink():
                node: Node = File(os.readlink(path))
            else:
                node = Directory() if path.is_dir() else File(path.read_bytes())
            self._place(name)[0].names[self._place(name)[1]] = node

    # --- replaying

    def replay(self, log: Path) -> "Iterator[str]":
        """Do each call of a trace that changes this tree; the calls, each after it is done."""
        for line in log.read_text().splitlines():
            found = CALL.match(line)
            if found and self._do(found[1], found[2]):
                yield line.split("(")[0]

    def _do(self, name: str, arguments: str) -> bool:
        texts = [_unescape(text) for text in TEXT.findall(arguments)]
        paths = [_unescape(path) for path, deleted in PATH.findall(arguments) if not deleted]
        if name == "write" and arguments.startswith("1<"):
            self.answered = True
            return True
        if name in ("write", "pwrite64", "ftruncate", "fsync", "fdatasync"):
            return bool(paths) and self._on_descriptor(name, paths[0], texts, arguments)
        where = texts[-1] if name.startswith("symlink") else texts[0]
        where = where if where.startswith(b"/") else os.path.join(paths[0], where)
        if not self._is_ours(where):
            return False
        parent, last = self._place(where)
        if name == "openat":
            if "O_CREAT" not in arguments or last in parent.names:
                assert "O_TRUNC" not in arguments, "a file is replaced, never emptied"
                return False
            parent.change(last, File(b""))
        elif name.startswith("mkdir"):
            parent.change(last, Directory())
        elif name.startswith("symlink"):
            parent.change(last, File(os.fsdecode(texts[0])))
        elif name.startswith("rename"):
            target, new = self._place(texts[1])
            assert target is parent, "a rename across directories isn't one change of one directory"
            names = {**parent.names, new: parent.names[last]}
            del names[last]
            parent.past.append(names)
        else:
            parent.change(last, None)
        return True

    def _on_descriptor(self, name: str, path: bytes, texts: "list[bytes]", arguments: str) -> bool:
        if path == self.root and "sync" in name:
            self.top.past = self.top.past[-1:]
            return True
        if not self._is_ours(path):
            return False
        parent, last = self._place(path)
        node = parent.names[last]
        if "sync" in name:
            del node.past[:-1]
            return True
        assert isinstance(node, File)
        data = node.past[-1]
        assert isinstance(data, bytes)
        number = int(arguments.rpartition(", ")[2])
        if name == "ftruncate":
            node.past.append(data[:number])
        elif name == "pwrite64":
            node.past.append(data[:number] + texts[0] + data[number + len(texts[0]) :])
        else:  # every descriptor of ours appends, or is a new file's
            node.past += [data + texts[0][: len(texts[0]) // 2], data + texts[0]]
        return True

    def _is_ours(self, path: bytes) -> bool:
        return path == self.root or path.startswith(self.root + b"/")

    def _place(self, path: bytes) -> "tuple[Directory, str]":
        """The directory that has a path's last name; the tree's own root has none, and is made once."""
        node = self.top
        *above, last = os.fsdecode(path.removeprefix(self.root)).strip("/").split("/")
        for name in above:
            below = node.names[name]
            assert isinstance(below, Directory)
            node = below
        return node, last

    # --- cutting the power

    def cuts(self, dice: random.Random, all_of_them: bool = False) -> "Iterator[Tree]":
        """Trees that a power cut now could leave, and that no earlier one could.

        Always: all that was done (as kill -9 leaves it), and nothing that wasn't synced. Then each unsynced file or
        directory alone lost or kept, at each of its pasts, and MIXTURES; or SOME of these.
        """
        dirty = [node for node in self._nodes(self.top) if len(node.past) > 1]
        last = {id(node): len(node.past) - 1 for node in dirty}
        between: list[Choice] = []
        for node in dirty:
            between += [{**last, id(node): number} for number in range(len(node.past) - 1)]
            between += [{id(node): number} for number in range(1, len(node.past))]
        for _ in range(MIXTURES if len(dirty) > 1 else 0):
            between.append({id(node): dice.randrange(len(node.past)) for node in dirty})
        if not all_of_them:
            between = dice.sample(between, min(SOME, len(between)))
        for choice in (last, {}, *between):
            tree = self._tree(choice)
            mark = (self.answered, frozenset(tree.items()))
            if mark not in self._seen:
                self._seen.add(mark)
                yield tree

    def _nodes(self, node: Node) -> "Iterator[Node]":
        """Every node that any past leads to, once."""
        found = {id(node): node}
        pending = [node]
        while pending:
            at = pending.pop()
            for names in at.past if isinstance(at, Directory) else ():
                for below in names.values():
                    if id(below) not in found:
                        found[id(below)] = below
                        pending.append(below)
        yield from found.values()

    def _tree(self, choice: Choice) -> Tree:
        tree: Tree = {}
        pending: list[tuple[str, Directory]] = [("", self.top)]
        while pending:
            prefix, directory = pending.pop()
            for name, node in directory.past[choice.get(id(directory), 0)].items():
                if isinstance(node, Directory):
                    tree[prefix + name] = None
                    pending.append((f"{prefix}{name}/", node))
                else:
                    tree[prefix + name] = node.past[choice.get(id(node), 0)]
        return tree


def lay_out(tree: Tree, root: Path) -> None:
    """Put a tree in the place of what is at `root`."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(mode=0o700)
    for name, content in sorted(tree.items()):
        path = root / name
        if content is None:
            path.mkdir(mode=0o700)
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
            path.chmod(0o600)


def _unescape(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
