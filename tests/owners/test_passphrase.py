"""An identity under a passphrase: asked at each verb that opens the rack, on a terminal and nowhere else."""

from pathlib import Path

import pexpect
import pytest

from agentkeys.errors import VaultFault
from agentkeys.stores import identity_sealed
from tests.agent.seat import Seat
from tests.owners.tty import converse
from tests.support.plugin import Plant

HEADER = b"age-encryption.org/v1\n-> scrypt "


@pytest.fixture
def word(canary: Plant) -> bytes:
    """The passphrase."""
    return canary("passphrase")


@pytest.fixture
def guarded(human: Seat, word: bytes) -> Seat:
    """An owner via passphrase, made on a terminal; how often that asked is another test's affair."""
    child = human.cli.on_tty("init", "--via", "passphrase")
    while (
        child.expect_exact([b"passphrase for human: ", b"new passphrase for human: ", b"same again: ", pexpect.EOF]) < 3
    ):
        child.sendline(word)
    child.close()
    assert child.exitstatus == 0
    return human


def sealed(seat: Seat) -> Path:
    """The identity file."""
    return seat.home.root / "identity" / "human.key"


def test_a_passphrase_owner_end_to_end(guarded: Seat, word: bytes, canary: Plant) -> None:
    """list, set, del and unlock ask for the passphrase; get, exec, status and relock never do."""
    value = canary("behind a passphrase")
    data = sealed(guarded).read_bytes()
    assert data.startswith(HEADER)
    factor = int(data.split(b"\n")[1].split()[3])
    assert 10 <= factor <= 20
    assert sealed(guarded).stat().st_mode & 0o777 == 0o600
    guarded.cli("agent", check=True)
    path = guarded.home.path / "value"
    path.write_bytes(value)
    asked = [(b"passphrase for human", word)]
    code, shown = converse(guarded.cli, "set", "TOKEN", "--from-file", str(path), replies=asked)
    path.unlink()
    assert (code, b"added" in shown) == (0, True), shown
    code, shown = converse(guarded.cli, "list", replies=asked)
    assert (code, b"@all.all.TOKEN" in shown) == (0, True)
    code, shown = converse(guarded.cli, "unlock", replies=asked)
    assert (code, b"unlocked" in shown) == (0, True)
    assert guarded.get("TOKEN", check=True).out == value
    assert guarded.cli("exec", "--", "printenv", "TOKEN", reveals=True, check=True).out == value + b"\n"
    guarded.cli("status", check=True)
    guarded.cli("relock", check=True)
    assert guarded.get("TOKEN").code == 4
    code, _ = converse(guarded.cli, "del", "TOKEN", replies=asked)
    assert code == 0
    assert sealed(guarded).read_bytes() == data


def test_init_refuses_an_empty_passphrase_and_a_mismatch(human: Seat, word: bytes) -> None:
    """Exit 2 with a reason, no identity, no owner; afterwards init works, asking twice and saying when it asks."""
    code, shown = converse(human.cli, "init", "--via", "passphrase", replies=[(b"new passphrase", b"")])
    assert (code, b"empty" in shown) == (2, True), shown
    replies = [(b"new passphrase", word), (b"same again", word + b"x")]
    code, shown = converse(human.cli, "init", "--via", "passphrase", replies=replies)
    assert (code, b"differ" in shown) == (2, True), shown
    assert not sealed(human).exists()
    assert not (human.home.root / "owners").exists()
    replies = [(b"new passphrase", word), (b"same again", word)]
    code, shown = converse(human.cli, "init", "--via", "passphrase", replies=replies)
    assert (code, b"asked at each verb" in shown) == (0, True), shown
    assert word not in shown


def test_wrong_three_times_is_exit_4_and_right_on_the_third_is_right(guarded: Seat, word: bytes) -> None:
    """As ssh-add: three tries, the later ones told from a first; what was typed is never shown."""
    wrong = (b"passphrase for human", b"not this one")
    again = (b"that was wrong; passphrase for human", b"not this one")
    code, shown = converse(guarded.cli, "list", replies=[wrong, again, again])
    assert (code, b"wrong passphrase" in shown) == (4, True), shown
    assert b"hint: agentkeys restore --for human --identity backup.key" in shown
    code, shown = converse(guarded.cli, "list", replies=[wrong, wrong, (b"passphrase for human", word)])
    assert code == 0, shown
    assert b"not this one" not in shown


def test_without_a_terminal_a_passphrase_owner_is_locked(guarded: Seat) -> None:
    """Nobody can be asked: exit 4 with a hint at every verb that opens the rack, and init asks as little."""
    before = sealed(guarded).read_bytes()
    for args in (["list"], ["set", "TOKEN"], ["del", "TOKEN"], ["recipient", "get"]):
        done = guarded.cli(*args, input=b"x")
        assert done.code == 4, args
        assert b"terminal" in done.err, args
        assert done.err.endswith(b"agentkeys: hint: run the same command at a terminal\n"), args
    done = guarded.cli("agent", "--auto-unlock")
    assert done.code == 2
    assert done.err.endswith(b"agentkeys: hint: agentkeys agent --for human --unlock\n")
    assert guarded.cli("init", "--for", "other", "--via", "passphrase").code == 4
    assert not (guarded.home.root / "identity" / "other.key").exists()
    assert sealed(guarded).read_bytes() == before


def test_the_passphrase_and_the_identity_rest_nowhere(guarded: Seat, word: bytes) -> None:
    """No file of the home holds either; the search at the end looks for the passphrase everywhere else."""
    paths = [path for path in guarded.home.path.rglob("*") if path.is_file()]
    assert len(paths) > 4
    for path in paths:
        data = path.read_bytes()
        assert b"AGE-SECRET-KEY" not in data, path
        assert word not in data, path


@pytest.mark.parametrize("factor", [b"21", b"22", b"30", b"63", b"99", b"100", b"-1", b"", b"1e1", "²".encode()])
def test_a_factor_over_20_is_refused_from_the_header(factor: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any scrypt is run: a file that somebody else wrote can't stop the machine."""
    ran = []
    monkeypatch.setattr(identity_sealed.pyrage.passphrase, "decrypt", lambda *_: ran.append(1))
    data = HEADER + b"7bSSSWMDeHlQZfb3Rp1lHA " + factor + b"\n" + b"A" * 43 + b"\n--- " + b"B" * 43 + b"\n" + bytes(99)
    with pytest.raises(VaultFault):
        identity_sealed.unseal(data, "x", "it")
    assert not ran
    good = data.replace(b" " + factor + b"\n", b" 18\n", 1)
    identity_sealed.unseal(good, "x", "it")
    assert ran, "the same header with a bearable factor is tried"


def test_a_passphrase_file_that_was_replaced_is_refused_before_it_is_asked_for(guarded: Seat) -> None:
    """A factor of 2^30, a file cut short in its header, a plain identity: exit 7 without a long wait."""
    data = sealed(guarded).read_bytes()
    lines = data.split(b"\n")
    words = lines[1].split(b" ")
    heavy = b"\n".join([lines[0], b" ".join([*words[:3], b"30"]), *lines[2:]])
    for bad in (heavy, data[:10], data[:30], b""):
        sealed(guarded).write_bytes(bad)
        code, shown = _list(guarded, b"x")
        assert code == 7, (bad[:60], shown)


def test_a_passphrase_file_cut_short_opens_with_no_passphrase(guarded: Seat, word: bytes) -> None:
    """Its header whole and its payload gone: not opened, no traceback, and nothing new is made."""
    data = sealed(guarded).read_bytes()
    sealed(guarded).write_bytes(data[:-20])
    code, shown = converse(guarded.cli, "list", replies=[(b"passphrase for human", word)] * 3)
    assert code in (4, 7), shown
    assert b"Traceback" not in shown
    assert sealed(guarded).read_bytes() == data[:-20]


def _list(seat: Seat, answer: bytes) -> tuple[int, bytes]:
    """`list` on a terminal, answering whatever is asked."""
    child = seat.cli.on_tty("list")
    shown = b""
    while child.expect_exact([b"passphrase for human", b"agentkeys: error"]) == 0:
        child.sendline(answer)
    shown += child.read()
    child.close()
    return child.exitstatus, shown


def test_forty_characters_of_any_kind_are_a_passphrase(human: Seat, canary: Plant) -> None:
    """Spaces, quotes, letters beyond ASCII: what was typed at init opens the rack."""
    word = canary("odd passphrase", suffix=' "$x" \\ ü€🙂'.encode())
    code, shown = converse(
        human.cli, "init", "--via", "passphrase", replies=[(b"new passphrase", word), (b"same again", word)]
    )
    assert code == 0, shown
    code, shown = converse(human.cli, "list", replies=[(b"passphrase for human", word)])
    assert code == 0, shown
