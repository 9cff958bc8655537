"""Each error ends with a way out that can be pasted into a shell."""

import shutil

import pytest

from tests.agent.seat import Seat

BUILTINS = {"eval", "export", "unset", "printf", "echo", "cd", "umask", "ulimit"}

FAILURES: dict[str, list[str]] = {
    "no verb of ours": ["unlok"],
    "no option of ours": ["get", "X", "--loud"],
    "no owner": ["list", "--for", "nosuch"],
    "no owner's name": ["list", "--for", "a/b"],
    "no wallet": ["list", "--for", "0x12"],
    "no owner of that wallet": ["list", "--for", "0x" + "12" * 20],
    "no agent": ["get", "X", "--sock", "/nonexistent"],
    "locked": ["get", "GITHUB_TOKEN"],
    "absent": ["get", "NOPE"],
    "no key's name": ["get", "a-b"],
    "no slug": ["get", "a.b"],
    "no env": ["get", "X", "--env", "Prod"],
    "no org": ["get", "X", "--org", "a/b"],
    "no command": ["exec", "--"],
    "no such command": ["exec", "--", "no-such-command-0123"],
    "not executable": ["exec", "--", "/etc/passwd"],
    "sudo without a name": ["exec", "--env", "sudo", "--", "true"],
    "unlock sudo without a name": ["unlock", "--env", "sudo"],
    "unlock of nothing": ["unlock", "NOPE"],
    "no duration": ["unlock", "--duration", "soon"],
    "value as an argument": ["set", "X", "argument"],
    "no value": ["set", "X"],
    "no file": ["set", "X", "--from-file", "/nonexistent"],
    "no variable": ["set", "X", "--from-env", "UNSET"],
    "two sources": ["set", "X", "--from-env", "HOME", "--from-file", "/etc/passwd"],
    "no name": ["set"],
    "no vault": ["set", "X", "--vault", "nowhere", "--from-file", "/etc/passwd"],
    "no way to keep an identity": ["init", "--for", "x", "--via", "pigeon"],
    "no public key": ["init", "--for", "x", "--via", "ssh", "--pubkey", "/nonexistent"],
    "pubkey alone": ["init", "--for", "x", "--pubkey", "/nonexistent"],
    "another via": ["init", "--via", "ssh"],
    "foreign file in the way": ["setup", "launcher", "--to", "/etc/passwd"],
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_hint_begins_with_a_command(failure: str, shared: Seat) -> None:
    """Its first word is a program of this machine, agentkeys itself, or a shell's builtin; and sh can parse it."""
    shared.cli("relock", check=True)
    done = shared.cli(*FAILURES[failure], env={"SHELL": "/bin/sh"})
    assert done.code not in (0, 1)
    error, *hints = done.err.decode().splitlines()
    assert error.startswith("agentkeys: error: ")
    text = error.removeprefix("agentkeys: error: ")
    assert text[0] == text[0].lower()
    assert not text.endswith(".")
    assert hints
    for hint in hints:
        assert hint.startswith("agentkeys: hint: ")
        command = hint.removeprefix("agentkeys: hint: ")
        word = command.split()[0]
        assert word == "agentkeys" or word in BUILTINS or shutil.which(word), hint
        parsed = shared.cli.with_prefix("sh", "-n")(input=command.encode() + b"\n")
        assert parsed.code == 0, hint


def test_the_hints_lead_from_nothing_to_a_running_command(locked: Seat) -> None:
    """Following them: absent, then locked, then it works."""

    def hint(*args: str) -> list[str]:
        (line,) = [it for it in locked.cli(*args).err.decode().splitlines() if ": hint: " in it]
        return line.partition(": hint: ")[2].split()

    command = hint("exec", "--key", "NEW_TOKEN", "--", "true")
    assert command[:3] == ["agentkeys", "set", "NEW_TOKEN"]
    locked.cli(*command[1:], input=b"value", check=True)
    command = hint("exec", "--key", "NEW_TOKEN", "--", "true")
    assert command[:2] == ["agentkeys", "unlock"]
    locked.cli(*command[1:], check=True)
    locked.cli("exec", "--key", "NEW_TOKEN", "--", "true", check=True)
