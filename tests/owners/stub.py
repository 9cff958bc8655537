#!/usr/bin/python3
"""age-plugin-akteststub: the C2SP age-plugin protocol over a wrapping that protects nothing, for tests alone.

Identity and recipient hold the same key; a stanza's body is the file key XOR that key. A key whose first byte is
1 makes it ask for a PIN, 1234, before it unwraps.
"""

import base64
import sys

PIN = b"1234"
ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def unpack(text: str) -> bytes:
    """The data of a Bech32 string; its checksum has been looked at by the client."""
    bits = "".join(f"{ALPHABET.index(letter):05b}" for letter in text.lower().rpartition("1")[2][:-6])
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) // 8 * 8, 8))


def encoded(data: bytes) -> str:
    """Base64 without padding."""
    return base64.b64encode(data).decode().rstrip("=")


def send(kind: str, *arguments: str, body: bytes = b"") -> None:
    """One stanza."""
    text = encoded(body)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    if not lines or len(lines[-1]) == 64:
        lines.append("")
    sys.stdout.write(" ".join(["->", kind, *arguments]) + "\n" + "\n".join(lines) + "\n")
    sys.stdout.flush()


def receive() -> tuple[list[str], bytes]:
    """The next stanza: its words, its body."""
    words = sys.stdin.readline().split()[1:]
    text = ""
    while True:
        line = sys.stdin.readline().rstrip("\n")
        text += line
        if len(line) < 64:
            return words, base64.b64decode(text + "=" * (-len(text) % 4))


def phase() -> list[tuple[list[str], bytes]]:
    """Everything up to `done`."""
    found = []
    while True:
        words, body = receive()
        if words[0] == "done":
            return found
        found.append((words, body))


def mixed(data: bytes, key: bytes) -> bytes:
    """XOR."""
    return bytes(a ^ b for a, b in zip(data, key, strict=True))


def wrap() -> None:
    """recipient-v1."""
    stanzas = phase()
    keys = [unpack(words[1]) for words, _ in stanzas if words[0] in ("add-recipient", "add-identity")]
    for number, file_key in enumerate([body for words, body in stanzas if words[0] == "wrap-file-key"]):
        for key in keys:
            send("recipient-stanza", str(number), "akteststub", encoded(key[:4]), body=mixed(file_key, key))
            receive()
    send("done")


def unwrap() -> None:
    """identity-v1."""
    stanzas = phase()
    keys = [unpack(words[1]) for words, _ in stanzas if words[0] == "add-identity"]
    for words, body in stanzas:
        if words[0] != "recipient-stanza" or words[2] != "akteststub":
            continue
        for key in keys:
            if encoded(key[:4]) != words[3]:
                continue
            if key[0] == 1:
                send("request-secret", body=b"PIN of the stub")
                answer, pin = receive()
                if answer[0] != "ok" or pin != PIN:
                    send("error", "identity", "0", body=b"wrong PIN")
                    receive()
                    continue
            send("file-key", words[1], body=mixed(body, key))
            receive()
            break
    send("done")


if __name__ == "__main__":
    machine = sys.argv[-1].removeprefix("--age-plugin=")
    {"recipient-v1": wrap, "identity-v1": unwrap}[machine]()
