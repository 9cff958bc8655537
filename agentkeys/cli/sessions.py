"""session: where the owners' sessions are, whether they are good, and moving and forgetting them."""

import json
from typing import Annotated

from agentkeys import client
from agentkeys.cli import options as o
from agentkeys.cli import robots
from agentkeys.cli.grammar import Argument, Family, Option
from agentkeys.cli.work import home, owner_here, work
from agentkeys.core import session, wallet
from agentkeys.errors import Absent, UsageFault
from agentkeys.stores import slots
from agentkeys.stores.card import read_card

app = Family()
verbs = app.group("session", "Show, move and forget the sessions of this home.")

Who = Annotated[str, Argument(metavar="[SESSION]", help="A session's id, or its owner, alias or wallet.")]


@verbs.command("list")
def list_(as_json: o.Json = False) -> None:
    """List every session of this home: whose, where it is kept, its state, until when.

    \b
    agentkeys session list --json
    """
    rows = [json.loads(row) for row in work("session-list", [("home", home())]).texts("row")]
    if as_json:
        o.say(json.dumps(rows, indent=1))
        return
    if not rows:
        o.say("no session yet: agentkeys init")
    width = max([len(row["owner"] or "-") for row in rows], default=0)
    for row in rows:
        until = f"until {row['expires_at'][:10]}" if row["state"] == session.READY else row["state"]
        o.say(f"{row['owner'] or '-':<{width}}  {row['wallet']}  {row['place']:<8}  {until}{_role(row['id'])}")


@verbs.command()
def show(who: Who = "", owner: o.Owner = "", as_json: o.Json = False) -> None:
    """Show one session: its id, where it is kept and why, its state, until when. Never the token.

    \b
    agentkeys session show seaturtle
    """
    root = home()
    row = json.loads(work("session-show", [("home", root), ("session", _named(root, who, owner))]).text("row"))
    if as_json:
        o.say(json.dumps(row, indent=1))
        return
    issued = "by its owner to itself" if row["grant"] is None else f"by grant {row['grant']}"
    for label, value in (
        ("session", row["id"]),
        ("owner", row["owner"] or "none here has that wallet"),
        ("wallet", row["wallet"]),
        ("kept", f"{slots.where(row['place'])}: {row['why']}"),
        ("path", row["path"]),
        ("state", row["problem"] or row["state"]),
        ("issued", f"{row['issued_at']}, {issued}"),
        ("expires", row["expires_at"]),
    ):
        if value:
            o.say(f"{label:<8}  {value}")


@verbs.command()
def move(
    who: Who = "",
    owner: o.Owner = "",
    to: Annotated[str, Option("--to", metavar="PLACE", help="keychain or file.")] = "",
) -> None:
    """Keep a session in the other place from now on: the keychain, or a file. Its old copy goes.

    \b
    agentkeys session move seaturtle --to keychain
    """
    if to not in (slots.FILE, slots.KEYCHAIN):
        raise UsageFault("--to is keychain or file", "agentkeys session move seaturtle --to keychain")
    root = home()
    answer = work("session-move", [("home", root), ("session", _named(root, who, owner)), ("to", to)])
    robots.tell_agents(root, slots.owner_of(root, answer.text("session")))
    done = "moved" if answer.text("effect") == "moved" else "already there, nothing changed:"
    o.say(f"{done} session {answer.text('session')}, {slots.where(to)}")
    if answer.text("left-behind"):
        client.note("the older copy in the keychain couldn't be removed; it is never taken for the session again")


@verbs.command()
def clear(
    who: Who = "",
    owner: o.Owner = "",
    leave: Annotated[
        bool, Option("--leave", help="Also where its keychain can't be reached; what is in it counts no more.")
    ] = False,
) -> None:
    """Forget one session. No key is lost, and no other session is touched: `init` makes another one.

    \b
    agentkeys session clear seaturtle
    """
    if not (who or owner):
        raise UsageFault("name the session to clear", "agentkeys session clear seaturtle")
    root = home()
    fields: list[tuple[str, bytes | str]] = [("home", root), ("session", _named(root, who, owner))]
    answer = work("session-clear", [*fields, ("leave", "1" if leave else "")])
    session_id = answer.text("session")
    name = slots.owner_of(root, session_id)
    robots.tell_agents(root, name)
    if answer.text("effect") == "absent":
        o.say(f"there was no session {session_id}")
        return
    again = f"; to make another: agentkeys init --for {name}" if name else ""
    o.say(f"cleared session {session_id}{again}")
    if answer.text("left-behind"):
        client.note("its copy in the keychain couldn't be removed; it is never taken for the session again")


@verbs.command()
def doctor(owner: o.Owner = "", as_json: o.Json = False) -> int:
    """Say of each session where it lives and why, what is wrong with it, and what mends it. Changes nothing.

    \b
    agentkeys session doctor --for seaturtle
    """
    from agentkeys.cli.doctor import report  # what every check needs, and no other verb here

    return report(owner, as_json, "sessions")


def _named(root: str, who: str, owner: str) -> str:
    """The id of the session that was named by that or by whose it is; or a wallet that is no owner's here.

    Raises UsageFault, and Absent for an owner without a wallet.
    """
    if who and not owner and (session.is_id(who) or who.startswith(session.PREFIX)):
        return session.check_id(who)
    text = who or owner
    if wallet.is_address(text) and client.owner_of(root, text) is None:
        return text  # the worker knows its checksum
    name = owner_here(root, text)
    card = read_card(root, name)
    if card is None or not card.wallet:
        raise Absent(f"{name} has no wallet yet, and so no session", f"agentkeys init --for {name}")
    return session.id_of(name, card.wallet)


def _role(session_id: str) -> str:
    return "  (master)" if session_id == session.MASTER else ""
