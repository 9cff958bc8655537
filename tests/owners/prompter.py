"""Stands in for the window in which gnome-keyring asks for a password: org.gnome.keyring.SystemPrompter.

Prompter and keyring agree on a key first, so that no password crosses the bus: libgcr's exchange `sx-aes-1`, written
after gcr-secret-exchange.c and gcr-system-prompter.c. A password given as an argument is typed; without one the window
is closed.
"""

import base64
import os
import sys

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jeepney import HeaderFields, MessageType, message_bus, new_method_call, new_method_return
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import DBusAddress

PRIME = int(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd"
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f"
    "83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca237327ffffffffffffffff",
    16,
)
"""RFC 3526, group 5; its generator is 2."""

SIZE = 192
"""Bytes of it."""

READY = "there"


class Exchange:
    """The prompter's side."""

    def __init__(self) -> None:
        self._private = int.from_bytes(os.urandom(SIZE), "big") % PRIME
        self._key = b""

    def begin(self) -> str:
        """What the other side needs."""
        return self._text(public=pow(2, self._private, PRIME).to_bytes(SIZE, "big"))

    def receive(self, text: str) -> None:
        """What the other side sent."""
        (line,) = [line for line in text.splitlines() if line.startswith("public=")]
        shared = pow(int.from_bytes(base64.b64decode(line.removeprefix("public=")), "big"), self._private, PRIME)
        self._key = HKDF(hashes.SHA256(), 16, None, None).derive(shared.to_bytes(SIZE, "big"))

    def send(self, secret: bytes) -> str:
        """A secret for it."""
        iv = os.urandom(16)
        padder, cipher = padding.PKCS7(128).padder(), Cipher(algorithms.AES(self._key), modes.CBC(iv)).encryptor()
        sealed = cipher.update(padder.update(secret) + padder.finalize()) + cipher.finalize()
        return self._text(public=pow(2, self._private, PRIME).to_bytes(SIZE, "big"), secret=sealed, iv=iv)

    @staticmethod
    def _text(**parts: bytes) -> str:
        rows = "".join(f"{name}={base64.b64encode(part).decode()}\n" for name, part in parts.items())
        return f"[sx-aes-1]\n{rows}"


def main(address: str, password: bytes | None) -> None:
    """Own the prompter's name on that bus, and answer every question in the same way."""
    connection = open_dbus_connection(bus=address)
    connection.send_and_get_reply(message_bus.RequestName("org.gnome.keyring.SystemPrompter"))
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    exchanges: dict[str, Exchange] = {}
    while True:
        call = connection.receive()
        if call.header.message_type is not MessageType.method_call:
            continue
        connection.send(new_method_return(call))
        method, whose = call.header.fields[HeaderFields.member], call.header.fields[HeaderFields.sender]
        callback = DBusAddress(call.body[0], whose, "org.gnome.keyring.internal.Prompter.Callback")
        if method == "BeginPrompting":
            exchanges[call.body[0]] = Exchange()
            _ready(connection, callback, "", exchanges[call.body[0]].begin())
        elif method == "PerformPrompt":
            exchange = exchanges[call.body[0]]
            exchange.receive(call.body[3])
            answer = ("no", exchange.begin()) if password is None else ("yes", exchange.send(password))
            _ready(connection, callback, *answer)
        elif method == "StopPrompting":
            connection.send(new_method_call(callback, "PromptDone"))


def _ready(connection: DBusConnection, callback: DBusAddress, reply: str, exchange: str) -> None:
    connection.send(new_method_call(callback, "PromptReady", "sa{sv}s", (reply, {}, exchange)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].encode() if len(sys.argv) > 2 else None)
