"""The form of everything we seal: JSON whose last member is the MAC of all the bytes before it.

    {
      "format": "agentkeys/manifest/1",
      …
      "mac": "<64 hex>"
    }

The MAC is over the text as it stands, so that checking it needs no canonical form and no second serialising, and
a person who opens the file with `age -d` can still read it.
"""

import json

from agentkeys.core import derive
from agentkeys.errors import VaultFault

RESTORE_HINT = "agentkeys restore --help"
"""What is left when a file can't be trusted: nothing was changed, and only an untouched copy helps."""

_MAC = b',\n  "mac": "'
_END = b'"\n}\n'


def dump(members: "dict[str, object]", rows: str, key: bytes) -> bytes:
    """`members`, a line each, and the dict in member `rows` with a line for each of its items; closed by its MAC."""
    lines = []
    for name, value in members.items():
        if name == rows and isinstance(value, dict):
            items = ",\n".join([f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()])
            lines.append(f"  {json.dumps(name)}: {{\n{items}\n  }}" if value else f"  {json.dumps(name)}: {{}}")
        else:
            lines.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    text = ("{\n" + ",\n".join(lines)).encode("ascii")
    return text + _MAC + derive.mac(key, text).encode("ascii") + _END


def load(data: bytes, key: bytes | None, what: str, file_format: str, owner: str) -> "dict[str, object]":
    """The members of what dump() made, without `mac`.

    Without a key the MAC isn't checked: for `restore` alone, which says so.
    Raises VaultFault when it is damaged, of another format, of another owner, or not made with this key; `what`
    names the file.
    """
    text, _, rest = data.rpartition(_MAC)
    if len(rest) != 64 + len(_END) or not rest.endswith(_END):
        raise VaultFault(f"{what} is damaged", RESTORE_HINT)
    if key is not None and not derive.same(rest[:64].decode("ascii", "replace"), derive.mac(key, text)):
        raise VaultFault(
            f"{what} was not written by this owner: someone without the identity made or changed it",
            RESTORE_HINT,
        )
    try:
        found = json.loads(text + b"\n}")
    except (ValueError, RecursionError):
        raise VaultFault(f"{what} is damaged", RESTORE_HINT) from None
    if not isinstance(found, dict) or found.get("format") != file_format:
        raise VaultFault(f"{what} has a format this version doesn't know", "pipx upgrade agentkeysd")
    if found.get("owner") != owner:
        raise VaultFault(f"{what} belongs to another owner", RESTORE_HINT)
    return found


def mac_of(data: bytes) -> str:
    """The MAC that closes what dump() made: it stands for the whole text."""
    return data[-len(_END) - 64 : -len(_END)].decode("ascii", "replace")
