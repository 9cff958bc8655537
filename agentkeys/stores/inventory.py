"""Inventory markers: an empty file for each key, by which the client tells locked from absent without decrypting.

A marker is made before the commit that adds its key and removed after the one that drops it, so a crash leaves a
marker too many (the key shows as locked until the next unlock) and never one too few.
"""

import os
import secrets

from agentkeys import paths
from agentkeys.stores import atomic


def prepare(root: str) -> None:
    """Make the key that hides the names, once for the whole home. Raises VaultFault."""
    path = paths.install_key(root)
    if atomic.read_file(path) is None:
        with atomic.FileLock(f"{root}/lock/install.lock"):
            if atomic.read_file(path) is None:
                atomic.write_file(path, secrets.token_bytes(32))


def add(root: str, owner: str, slug: str) -> None:
    """Mark `slug` as there. Raises VaultFault."""
    path = paths.inventory_marker(root, owner, slug)
    if not paths.exists(path):
        atomic.make_private_dir(paths.inventory_dir(root, owner))
        atomic.write_once(path, b"")
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
    if len(found) == len(slugs):
        return  # a crash changes their number, and hashing 10,000 names at each unlock would cost 10 ms
    wanted = {os.path.basename(paths.inventory_marker(root, owner, slug)) for slug in slugs}
    atomic.make_private_dir(directory)
    for name in wanted - found:
        atomic.write_once(f"{directory}/{name}", b"")
    for name in found - wanted:
        atomic.remove_file(f"{directory}/{name}")
