"""owner, recipient, restore: who there is, and who can open what."""

import json
import os
from typing import Annotated

from agentkeys import client, paths
from agentkeys.cli import options as o
from agentkeys.cli.grammar import Argument, Family, Option
from agentkeys.cli.values import prompt
from agentkeys.cli.work import KEY_BEGINS, absolute, home, key_or_path, owner_here, work
from agentkeys.client.near import no_owner, owners
from agentkeys.errors import UsageFault
from agentkeys.stores.card import MAX_CARD, read_card

app = Family()
owner = app.group("owner", "List, show, name and remove owners.")
recipient = app.group("recipient", "Who else can restore a rack.")

Who = Annotated[str, Argument(metavar="[OWNER]", help="Owner, alias or wallet.")]
Yes = Annotated[bool, Option("--yes", help="Don't ask; for scripts.")]
Label = Annotated[str, Option("--label", metavar="LABEL", help="What you call it: backup, laptop.")]

RESTORE_VIA = "Make a new identity, kept so: keychain, file, ssh, passphrase, env, plugin:NAME."


def _card(root: str, name: str) -> "dict[str, object]":
    """An owner's public card. Raises UsageFault for no such owner, VaultFault when the card is damaged."""
    found = read_card(root, name)
    if found is None:
        raise no_owner(root, name)
    return found.as_json()


@owner.command("list")
def list_(as_json: o.Json = False) -> None:
    """List every owner of this home: name, wallet, how its identity is kept, aliases.

    \b
    agentkeys owner list --json
    """
    root = home()
    cards = [_card(root, name) for name in owners(root)]
    if as_json:
        o.say(json.dumps(cards, indent=1))
        return
    if not cards:
        o.say("no owner yet: agentkeys init")
    width = max([len(str(card["owner"])) for card in cards], default=0)
    for card in cards:
        aliases = card.get("aliases")
        also = f"  also {', '.join(aliases)}" if isinstance(aliases, list) and aliases else ""
        o.say(f"{card['owner']!s:<{width}}  {card['wallet']}  via {card['via']}{also}")


@owner.command()
def show(who: Who = "", owner: o.Owner = "", as_json: o.Json = False) -> None:
    """Show one owner's public facts, and where its rack lies.

    \b
    agentkeys owner show seaturtle
    """
    root = home()
    name = owner_here(root, who or owner)
    card = {**_card(root, name), "manifest": paths.manifest(root, name)}
    if as_json:
        o.say(json.dumps(card, indent=1))
        return
    for member, value in card.items():
        text = ", ".join([str(item) for item in value]) if isinstance(value, list) else str(value)
        if text:
            o.say(f"{member.replace('_', ' '):<10}  {text}")


@owner.command()
def alias(
    who: Annotated[str, Argument(metavar="OWNER", help="The owner that gets it.")],
    name: Annotated[str, Argument(metavar="ALIAS", help="The other name.")],
    remove: Annotated[bool, Option("--remove", help="Take the alias away instead.")] = False,
) -> None:
    """Give an owner one more name that --for takes.

    \b
    agentkeys owner alias seaturtle turtle
    """
    root = home()
    chosen = owner_here(root, who)
    answer = work("alias", [("home", root), ("owner", chosen), ("alias", name), ("remove", "1" if remove else "")])
    if answer.text("effect") == "found":
        o.say(f"{answer.text('alias')} is an alias of {chosen} already")
    else:
        o.say(f"{answer.text('effect')} alias {answer.text('alias')} of {chosen}")


@owner.command()
def remove(who: Who = "", owner: o.Owner = "", yes: Yes = False) -> None:
    """Remove an owner for good: keys, values, wallet, and the identity that agentkeys keeps. Backups stay yours.

    \b
    agentkeys owner remove seaturtle
    """
    if not (who or owner):
        raise UsageFault("name the owner to remove", "agentkeys owner remove seaturtle")
    root = home()
    name = owner_here(root, who or owner)
    card = _card(root, name)
    count = len(os.listdir(paths.inventory_dir(root, name))) if os.path.isdir(paths.inventory_dir(root, name)) else 0
    kept = "the ssh key stays" if card["via"] == "ssh" else "its identity goes too"
    client.note(f"lost for good: {count} keys of {name}, wallet {card['wallet']}; {kept}")
    if not yes and prompt(f"type {name} to remove it: ") != name:
        raise UsageFault("nothing was removed")
    work("remove", [("home", root), ("owner", name)])
    o.say(f"removed owner {name}")


@recipient.command("set")
def set_(
    owner: o.Owner = "",
    label: Label = "backup",
    pubkey: Annotated[str, Option("--pubkey", metavar="KEY", help="age1…, ssh-ed25519 …, or a .pub file.")] = "",
) -> None:
    """Let one more key restore the rack: manifest and all values are sealed to it, all or nothing.

    \b
    agentkeys recipient set --for vlad --label backup --pubkey age1…
    """
    if not pubkey:
        raise UsageFault("name the public key", "agentkeys recipient set --label backup --pubkey age1…")
    root = home()
    chosen = owner_here(root, owner)
    fields: list[tuple[str, bytes | str]] = [("home", root), ("owner", chosen), ("label", label)]
    work("recipient-set", [*fields, ("recipient", _public_key(pubkey))])
    o.say(
        f"added recipient {label}; it opens the rack of {chosen} by: agentkeys restore --for {chosen} --identity FILE"
    )


def _public_key(text: str) -> str:
    """A key as given, or the one in a public key file, without its comment."""
    if text.startswith(KEY_BEGINS):
        return " ".join(text.split()[:2])
    try:
        with open(os.path.expanduser(text), encoding="utf-8", errors="replace") as file:
            return " ".join(file.read(MAX_CARD).split()[:2])
    except OSError as error:
        raise UsageFault(
            f"{text!a} is no public key, and no file: {error.strerror}", "age-keygen -y backup.key"
        ) from None


@recipient.command("get")
def get(owner: o.Owner = "", as_json: o.Json = False) -> None:
    """List the rack's recipients.

    \b
    agentkeys recipient get --for vlad
    """
    root = home()
    answer = work("recipient-get", [("home", root), ("owner", owner_here(root, owner))])
    rows = [json.loads(row) for row in answer.texts("row")]
    if as_json:
        o.say(json.dumps(rows, indent=1))
        return
    for row in rows:
        o.say(f"{row['label']:<10}  {row['recipient']}")


@recipient.command("del")
def del_(owner: o.Owner = "", label: Label = "") -> None:
    """Take a recipient away. What it could read before, it may have read: replace what matters.

    \b
    agentkeys recipient del --for vlad --label backup
    """
    if not label:
        raise UsageFault("name the recipient", "agentkeys recipient del --label backup")
    root = home()
    chosen = owner_here(root, owner)
    work("recipient-del", [("home", root), ("owner", chosen), ("label", label)])
    o.say(f"removed recipient {label}; copies made before can still be opened with its key")


@app.command()
def restore(
    owner: o.Owner = "",
    identity: Annotated[str, Option("--identity", metavar="FILE", help="A backup recipient's private key.")] = "",
    via: Annotated[str, Option("--via", metavar="HOW", help=RESTORE_VIA)] = "",
    pubkey: Annotated[
        str, Option("--pubkey", metavar="KEY", help="The ssh public key's path, or a plugin's recipient.")
    ] = "",
    plugin_identity: Annotated[
        str, Option("--plugin-identity", metavar="FILE", help="What age-plugin-NAME wrote for your key.")
    ] = "",
    accept_older: Annotated[bool, Option("--accept-older", help="Accept an older copy of the rack.")] = False,
    yes: Yes = False,
) -> None:
    """Make a rack its owner's again: with a backup identity when its own is lost, or from an older copy.

    What a backup identity opens is not verified: whoever knew its public key could have written it. Look at it.

    \b
    agentkeys restore --for vlad --identity backup.key
    agentkeys restore --for vlad --identity backup.key --via plugin:yubikey --plugin-identity yubi.txt
    agentkeys restore --for vlad --accept-older
    """
    root = home()
    chosen = owner_here(root, owner)
    if (via or pubkey or plugin_identity) and not identity:
        raise UsageFault(
            "a new identity is only made with a backup's",
            f"agentkeys restore --for {chosen} --identity backup.key --via {via or 'HOW'}",
        )
    if identity:
        client.note(f"not verified: anyone who knew the backup's public key could have written this rack of {chosen}")
    elif accept_older:
        client.note(f"an older rack of {chosen} brings back what was deleted and replaced since")
    if (identity or accept_older) and not yes and prompt("restore it? (yes/no) ") != "yes":
        raise UsageFault("nothing was restored", "type yes in full to go on")
    fields: list[tuple[str, bytes | str]] = [("home", root), ("owner", chosen), ("via", via)]
    fields += [("pubkey", key_or_path(pubkey))]
    fields += [("identity-path", absolute(identity))] if identity else []
    fields += [("plugin-identity", absolute(plugin_identity))] if plugin_identity else []
    fields += [("accept-older", "1")] if accept_older else []
    answer = work("restore", fields)
    kept = f", via {answer.text('via')}" if identity else ""
    o.say(f"restored the rack of {chosen}{kept}: {answer.text('keys')} keys" + (", not verified" if identity else ""))
    for label in answer.texts("dropped"):
        client.note(f"backup recipient {label} is not sealed to any more; to have it back: agentkeys recipient set")
    for note in answer.texts("note"):
        client.note(note)
    if identity:
        o.say(f"next: agentkeys list --for {chosen}")
