"""Inventory markers: an empty file for each key, by which the client tells locked from absent without decrypting.

A marker is made before the commit that adds its key and removed after the one that drops it, so a crash leaves a
marker too many (the key shows as locked until the next unlock) and never one too few.
"""

import os

from agentkeys import paths
from agentkeys.errors import VaultFault
from agentkeys.stores import atomic

KEY_SIZE = 32
"""Bytes: what BLAKE2b takes for a key of its security."""

RECONCILE_ALL = 2_000
"""Keys up to which an unlock compares every marker: 1 ms for each thousand. A larger rack compares their number."""


def prepare(root: str) -> bytes:
    """The key that hides the names, made once for the whole home. Raises VaultFault, also when it is damaged."""
    path = paths.install_key(root)
    key = atomic.read_file(path)
    if key is None:
        with atomic.FileLock(f"{root}/lock/install.lock"):
            atomic.remove_leftovers(root, "install.key.")
            key = atomic.read_file(path)
            if key is None:
                key = os.urandom(KEY_SIZE)
                atomic.write_file(path, key)
    if len(key) != KEY_SIZE:
        raise VaultFault(f"{path} is damaged", f"rm {path}")  # the next unlock makes another, and all markers anew
    return key


def add(root: str, owner: str, *slugs: str) -> None:
    """Mark `slugs` as there. Raises VaultFault."""
    missing = [path for path in [paths.inventory_marker(root, owner, slug) for slug in slugs] if not paths.exists(path)]
    if missing:
        atomic.make_private_dir(paths.inventory_dir(root, owner))
        for path in missing:
            atomic.touch(path)  # an empty file has no bytes to sync
        atomic.sync_dir(paths.inventory_dir(root, owner))


def remove(root: str, owner: str, slug: str) -> None:
    """Mark `slug` as gone. Raises VaultFault."""
    atomic.remove_file(paths.inventory_marker(root, owner, slug))


def reconcile(root: str, owner: str, slugs: "list[str]") -> None:
    """Make the markers those of `slugs`, where a crash or a restored backup left others. Raises VaultFault."""
    directory = paths.inventory_dir(root, owner)
    try:
        found = set(os.listdir(directory))
    except FileNotFoundError:
        found = set()
    if len(found) == len(slugs) and len(slugs) > RECONCILE_ALL:
        return
    wanted = set(paths.marker_names(prepare(root), slugs))
    if wanted == found:
        return
    atomic.make_private_dir(directory)
    for name in wanted - found:
        atomic.touch(f"{directory}/{name}")  # 10,000 fsyncs would hold the lock for seconds
    atomic.sync_dir(directory)
    for name in found - wanted:
        atomic.remove_file(f"{directory}/{name}")
