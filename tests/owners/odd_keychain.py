"""A Secret Service for one collection and a few items, which misbehaves when its mood says so.

Its mood is a file with one line, read at each call, such as `refuses CreateItem`:

    refuses METHOD      answers that call with org.freedesktop.DBus.Error.AccessDenied
    leaves METHOD       its process ends when that call comes
    hangs METHOD        that call gets no answer
    dismisses           CreateItem wants a dialog, and nobody agrees in it
    drops               CreateItem succeeds and keeps nothing
    alters              CreateItem keeps other bytes
    keeps               Delete succeeds and keeps the item

With `locked ` before it the collection is locked until a person agrees, and the rest says what that person does:

    agrees              types the password
    dismisses           clicks the dialog away
    sleeps              does nothing
    pretends            the dialog ends as if they had agreed, and all is locked still

Each dialog leaves a line in the mood file's neighbour, `asked`.
"""

import sys
from pathlib import Path

from jeepney import HeaderFields, Message, MessageType, message_bus, new_error, new_method_return, new_signal
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import DBusAddress

COLLECTION = "/org/freedesktop/secrets/collection/odd"
SESSION = "/org/freedesktop/secrets/session/1"
PROMPT = "/org/freedesktop/secrets/prompt/1"
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
UNSUPPORTED = "org.freedesktop.DBus.Error.NotSupported"

LOCKED = "locked "

READY = "there"


class OddKeychain:
    """Items by path: their attributes and their secret."""

    def __init__(self, connection: DBusConnection, mood: Path) -> None:
        self.connection = connection
        self.mood_file = mood
        self.items: dict[str, tuple[dict[str, str], bytes]] = {}
        self.locked = False
        self.agreed = False
        """Whether somebody has unlocked it since it was locked."""
        self.made = 0

    def serve(self) -> None:
        """Answer until the mood is to leave."""
        while True:
            call = self.connection.receive()
            if call.header.message_type is MessageType.method_call:
                self.answer(call)

    def answer(self, call: Message) -> None:
        """One call, by the mood of this moment."""
        method, path = call.header.fields[HeaderFields.member], call.header.fields[HeaderFields.path]
        mood = self.mood_file.read_text().strip()
        self.agreed = self.agreed and mood.startswith(LOCKED)
        self.locked = mood.startswith(LOCKED) and not self.agreed
        mood = mood.removeprefix(LOCKED)
        if mood == f"leaves {method}":
            sys.exit()
        elif mood == f"refuses {method}":
            self.connection.send(new_error(call, DENIED, "s", ("a text of its own",)))
        elif mood != f"hangs {method}":
            signature, body = getattr(self, method)(path, mood, *call.body)
            if signature == "error":
                self.connection.send(new_error(call, body))
            else:
                self.connection.send(new_method_return(call, signature, body))

    # --- the calls of the specification (Secret Service API, 0.2) that secretstorage makes

    def ReadAlias(self, path: str, mood: str, name: str) -> tuple[str, object]:  # noqa: N802 - D-Bus's name
        """One collection, whatever it is called."""
        return "o", (COLLECTION,)

    def Get(self, path: str, mood: str, interface: str, name: str) -> tuple[str, object]:  # noqa: N802
        """`Locked` is all that is asked."""
        return "v", (("b", self.locked),)

    def OpenSession(self, path: str, mood: str, algorithm: str, given: object) -> tuple[str, object]:  # noqa: N802
        """In plain text."""
        return ("vo", (("s", ""), SESSION)) if algorithm == "plain" else ("error", UNSUPPORTED)

    def SearchItems(self, path: str, mood: str, wanted: dict[str, str]) -> tuple[str, object]:  # noqa: N802
        """Those that have all of these."""
        found = [at for at, (attributes, _) in self.items.items() if wanted.items() <= attributes.items()]
        return "ao", (found,)

    def CreateItem(  # noqa: N802
        self,
        path: str,
        mood: str,
        properties: "dict[str, tuple[str, object]]",
        secret: "tuple[object, ...]",
        replace: bool,
    ) -> tuple[str, object]:
        """A new one, or another secret for one with the same attributes."""
        if mood == "dismisses":
            return "oo", ("/", PROMPT)
        attributes = properties["org.freedesktop.Secret.Item.Attributes"][1]
        assert isinstance(attributes, dict)
        assert isinstance(secret[2], bytes)
        self.made += 1
        at = next((at for at, item in self.items.items() if item[0] == attributes), f"{COLLECTION}/{self.made}")
        if mood != "drops":
            self.items[at] = (attributes, secret[2] + (b" altered" if mood == "alters" else b""))
        return "oo", (at, "/")

    def GetSecret(self, path: str, mood: str, session: str) -> tuple[str, object]:  # noqa: N802
        """As it was put in."""
        return "(oayays)", ((SESSION, b"", self.items[path][1], "text/plain"),)

    def Delete(self, path: str, mood: str) -> tuple[str, object]:  # noqa: N802
        """Without a dialog."""
        if mood != "keeps":
            del self.items[path]
        return "o", ("/",)

    def Unlock(self, path: str, mood: str, wanted: "list[str]") -> tuple[str, object]:  # noqa: N802
        """By a dialog."""
        return "aoo", (([], PROMPT) if self.locked else (wanted, "/"))

    def Prompt(self, path: str, mood: str, window: str) -> tuple[str, object]:  # noqa: N802
        """A dialog, in which somebody does what the mood says; to click it away is the usual."""
        with self.mood_file.with_name("asked").open("a") as asked:
            asked.write("once\n")
        if mood == "sleeps":
            return "", ()
        self.agreed = mood == "agrees"
        dismissed = mood not in ("agrees", "pretends")
        signal = new_signal(
            DBusAddress(PROMPT, "org.freedesktop.secrets", "org.freedesktop.Secret.Prompt"),
            "Completed",
            "bv",
            (dismissed, ("s", "") if dismissed else ("ao", [COLLECTION])),
        )
        self.connection.send(signal)
        return "", ()


def main(address: str, mood: str) -> None:
    """Own the service's name on that bus."""
    connection = open_dbus_connection(bus=address)
    connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.secrets"))
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    OddKeychain(connection, Path(mood)).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
