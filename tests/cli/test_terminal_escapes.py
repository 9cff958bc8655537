"""Whatever a name, a path or a file holds, nothing that it prints moves a terminal's cursor or fills its clipboard."""

import json
import re

import pytest

from tests.agent.seat import Seat

ESC = "\x1b]52;c;Y2xpcGJvYXJk\x07\x1b[2J\x08\r\x9b31m\u202e\u2028end"
"""OSC 52, BEL, CSI, BS, CR, C1, a bidi override and a line separator."""

LIVELY = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal may act on; a newline ends our own lines."""

SAYINGS = {
    "an unknown key": ["get", f"A{ESC}"],
    "a key to be set": ["set", f"A{ESC}"],
    "an owner": ["list", "--for", f"a{ESC}"],
    "an env": ["unlock", "--env", f"a{ESC}"],
    "a duration": ["unlock", "--duration", f"1h{ESC}"],
    "a vault": ["set", "A", "--vault", f"x{ESC}", "--from-env", "HOME"],
    "a file": ["set", "A", "--from-file", f"/nonexistent/{ESC}"],
    "a variable": ["set", "A", "--from-env", f"A{ESC}"],
    "a way to keep an identity": ["init", "--for", "crab", "--via", f"x{ESC}"],
    "a public key's path": ["init", "--for", "crab", "--via", "ssh", "--pubkey", f"/nonexistent/{ESC}"],
    "a label": ["recipient", "set", "--label", f"x{ESC}", "--pubkey", "age1x"],
    "a recipient": ["recipient", "set", "--pubkey", f"age1{ESC}"],
    "an alias": ["owner", "alias", "human", f"x{ESC}"],
    "a socket": ["get", "A", "--sock", f"/nonexistent/{ESC}"],
    "a command": ["exec", "--", f"/nonexistent/{ESC}"],
    "a verb": [f"x{ESC}"],
    "an option": ["get", f"--x{ESC}"],
    "a backup's file": ["restore", "--identity", f"/nonexistent/{ESC}", "--yes"],
    "a launcher's path": ["setup", "launcher", "--to", f"/dev/null/{ESC}"],
}


def is_inert(text: bytes) -> bool:
    """Whether a terminal does nothing but show it."""
    return LIVELY.search(text.decode("utf-8")) is None


@pytest.mark.parametrize("saying", SAYINGS)
def test_what_was_typed_is_shown_without_its_escapes(saying: str, shared: Seat) -> None:
    """An error that repeats it, on a pipe too, in UTF-8 as in C: as escapes that a person can read, or not at all."""
    for locale in ("C.UTF-8", "C"):
        done = shared.cli(*SAYINGS[saying], env={"LC_ALL": locale})
        assert done.code not in (0, 1), done.err
        assert b"agentkeys: error: " in done.err
        assert is_inert(done.err), done.err
        assert is_inert(done.out), done.out


@pytest.mark.parametrize("name", ["AGENTKEYS_OWNER", "AGENTKEYS_SOCK", "AGENTKEYS_HOME", "XDG_RUNTIME_DIR"])
def test_what_a_variable_holds_is_shown_without_its_escapes(name: str, shared: Seat) -> None:
    """A repository's .env file may set it."""
    env = {"AGENTKEYS_OWNER": "human"} | {name: f"/nonexistent/{ESC}"}
    for words in (["get", "GITHUB_TOKEN"], ["status"], ["list"], ["agent", "--print-socket"]):
        done = shared.cli(*words, env=env, reveals=words[0] == "get")
        assert is_inert(done.err), (words, done.err)
        assert is_inert(done.out) or words[0] == "get", (words, done.out)


def test_what_a_card_holds_is_shown_without_its_escapes(rack: Seat) -> None:
    """A home that came from elsewhere: `owner list` and `show`, for people and as JSON."""
    path = rack.home.root / "owners" / "human.json"
    card = json.loads(path.read_bytes())
    path.write_text(json.dumps({**card, "via": f"x{ESC}", "wallet": f"0x{ESC}", "aliases": [f"a{ESC}"]}))
    for words in (["owner", "list"], ["owner", "show", "human"], ["list"], ["doctor"]):
        for more in ([], ["--json"]):
            done = rack.cli(*words, *more)
            assert is_inert(done.out), (words, done.out)
            assert is_inert(done.err), (words, done.err)
            assert b"end" in done.out + done.err or words in (["list"], ["doctor"])
