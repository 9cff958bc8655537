"""Sealed files open for their identity alone, and damage is always noticed."""

import os
from pathlib import Path

import pytest

from agentkeys.errors import UsageFault, VaultFault
from agentkeys.stores import age, identity
from tests.stores.racks import make_identity, recipient_of, ssh_key
from tests.support.runner import Runner

PLAIN = b"what is sealed"


def test_each_recipient_opens_it_and_no_other(tmp_path: Path, program: Runner) -> None:
    """The owner and each backup; a stranger's identity is told only that it can't."""
    ana, bob, eve = (make_identity(tmp_path, name) for name in ("ana", "bob", "eve"))
    key = ssh_key(program, tmp_path / "id", "-t", "ed25519")
    sealed = age.seal(PLAIN, [ana.recipient, bob.recipient, recipient_of(key)])
    for opened in (ana, bob, identity.open_ssh(str(key), recipient_of(key))):
        assert age.open_sealed(sealed, opened.decryptor, "it") == PLAIN
    with pytest.raises(VaultFault, match="it can't be opened"):
        age.open_sealed(sealed, eve.decryptor, "it")


@pytest.mark.parametrize("kind", ["x25519", "ed25519"])
def test_any_changed_bit_is_refused(kind: str, tmp_path: Path, program: Runner) -> None:
    """Each of every byte of header and payload: VaultFault, never another exception and never other bytes."""
    if kind == "x25519":
        opened = make_identity(tmp_path)
    else:
        key = ssh_key(program, tmp_path / "id", "-t", "ed25519")
        opened = identity.open_ssh(str(key), recipient_of(key))
    sealed = age.seal(PLAIN, [opened.recipient])
    for at in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[at] ^= 1 << bit
            with pytest.raises(VaultFault):
                age.open_sealed(bytes(changed), opened.decryptor, "it")


def test_any_cut_and_any_addition_is_refused(tmp_path: Path) -> None:
    """At every length, also between two chunks of the payload."""
    opened = make_identity(tmp_path)
    small, large = (age.seal(data, [opened.recipient]) for data in (PLAIN, bytes(2 * 64 * 1024)))
    chunk = 64 * 1024 + 16
    parts = [small[:length] for length in range(len(small))]
    parts += [large[: len(large) - cut] for cut in (1, 16, chunk, chunk + 1)]
    parts += [small + more for more in (b"\0", b"\n", small)]
    for part in parts:
        with pytest.raises(VaultFault):
            age.open_sealed(part, opened.decryptor, "it")


def test_the_file_is_named_and_nothing_of_it_shown(tmp_path: Path) -> None:
    """The message is ours: a library's may quote what it read."""
    opened = make_identity(tmp_path)
    for data in (b"canary-like text", age.HEADER + b"canary-like text"):
        with pytest.raises(VaultFault, match="host") as refusal:
            age.open_sealed(data, opened.decryptor, "host.ana.yml.age")
        assert "canary" not in f"{refusal.value} {refusal.value.hint} {refusal.value.__cause__}"


NO_RECIPIENTS = [
    "", "age1", "age1" + "q" * 58, "age1../x1abcdef", "age1yubikey1qwerty", "AGE-PLUGIN-X-1", "ssh-ed25519",
    "ssh-rsa AAAA", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3MAAACBA", "ecdsa-sha2-nistp256 AAAA", "age1é", "\n",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_RECIPIENTS)
def test_what_is_no_recipient_is_refused(text: str, tmp_path: Path) -> None:
    """Plugins too: no program is looked for, and nothing is sealed to fewer than were named."""
    good = make_identity(tmp_path).recipient
    for attempt in (lambda: age.recipient(text), lambda: age.seal(PLAIN, [good, text])):
        with pytest.raises((VaultFault, UsageFault)) as refusal:
            attempt()
        assert refusal.value.hint


def test_no_program_is_run_for_a_recipient_s_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that lies in PATH or in the working directory isn't ours to start."""
    plugin = tmp_path / "age-plugin-planted"
    plugin.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    plugin.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VaultFault, match="age-plugin-planted"):
        age.seal(PLAIN, ["age1planted1qqqqqqqqqqqqqq"])
    assert not (tmp_path / "ran").exists()


def test_nothing_is_sealed_to_nobody() -> None:
    """A file that no identity opens would be a loss that nobody notices."""
    with pytest.raises(VaultFault):
        age.seal(PLAIN, [])
