"""A locked keychain and a person: one dialog of its own, announced, whatever comes of it said; and none otherwise."""

import time
from pathlib import Path

import pexpect
import pytest

from agentkeys.cli.work import DIALOG_OPENS
from agentkeys.errors import AgentkeysError
from agentkeys.stores import keychain_linux
from tests.agent.seat import Seat
from tests.owners.bus import PASSWORD, Bus, prompter
from tests.owners.moods import Mood, asked
from tests.owners.test_keychain import files
from tests.support.plugin import Plant
from tests.support.runner import Runner

DISPLAY: "dict[str, str | None]" = {"DISPLAY": ":99"}
"""Of somebody who sits at a desktop. Nothing connects to it: the keychain's own process shows the dialog."""

OPENS = b"agentkeys: " + DIALOG_OPENS.encode()

ENDS = {
    "dismisses": (4, b"the keychain is locked still: its dialog was dismissed, or couldn't be shown"),
    "pretends": (7, b"the keychain ended its dialog, and is locked still"),
    "refuses Unlock": (7, b"the keychain refused: AccessDenied"),
    "leaves Prompt": (7, b"the keychain went away while it was asked"),
}
"""What comes of the dialog, and how the verb ends."""


@pytest.fixture
def owner(mood: Mood, human: Seat, canary: Plant) -> Seat:
    """Owner human: identity, session and TOKEN in a keychain that is open until a test locks it."""
    human.cli("init", "--via", "keychain", check=True)
    human.values["TOKEN"] = canary("TOKEN")
    human.set("TOKEN", human.values["TOKEN"], "--vault", "keychain")
    return human.start()


def test_a_person_at_a_display_unlocks_it_once(mood: Mood, owner: Seat) -> None:
    """`unlock` needs it for the identity and for a value: a line, one dialog, and all is there."""
    mood("locked agrees")
    done = owner.cli("unlock", env=DISPLAY, check=True)
    assert done.err.splitlines()[0] == OPENS
    assert asked(mood) == 1
    assert owner.get("TOKEN").out == owner.values["TOKEN"]


def test_every_verb_that_opens_the_keychain_may_ask(mood: Mood, owner: Seat) -> None:
    """Identities, sessions and values alike: it works as if the keychain had been open."""
    for number, words in enumerate(["list", "set OTHER", "del TOKEN", "init", "session move master --to file"], 1):
        mood("")
        owner.cli("list", env=DISPLAY, check=True)  # the keychain has seen that it is open
        mood("locked agrees")
        done = owner.cli(*words.split(), input=b"x", env={"WAYLAND_DISPLAY": "wayland-0"}, check=True)
        assert OPENS in done.err, words
        assert asked(mood) == number, words


def test_a_new_identity_goes_into_a_keychain_that_somebody_unlocks(mood: Mood, human: Seat) -> None:
    """A first `init` on a desktop whose keychain is locked: not a file, though nobody said --via."""
    mood("locked agrees")
    made = human.cli("init", "--json", env=DISPLAY, check=True).json()
    assert (made["via"], made["session"]) == ("keychain", "keychain")
    assert asked(mood) == 1


def test_a_person_at_a_terminal_is_asked(mood: Mood, owner: Seat) -> None:
    """No display is named, and stderr is a terminal: the line is on it."""
    mood("locked agrees")
    child = owner.cli.on_tty("unlock")
    child.expect_exact(OPENS)
    child.expect_exact(b"unlocked @all.all.TOKEN")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize(("end", "expected"), ENDS.items(), ids=ENDS)
def test_what_became_of_the_dialog_is_said(end: str, expected: "tuple[int, bytes]", mood: Mood, owner: Seat) -> None:
    """Each end has its message and exit code; one dialog, no traceback, nothing of the home changed."""
    before = files(owner.home.root)
    mood(f"locked {end}")
    done = owner.cli("list", env=DISPLAY)
    assert (done.code, done.out) == (expected[0], b""), done.err
    line, error, hint = done.err.splitlines()
    assert line == OPENS
    assert error.startswith(b"agentkeys: error: " + expected[1])
    assert hint.startswith(b"agentkeys: hint: ")
    assert asked(mood) <= 1
    assert files(owner.home.root) == before


def test_a_dialog_that_was_dismissed_doesnt_come_back(mood: Mood, owner: Seat) -> None:
    """However often a job needs the keychain, its dialog opens once; nothing is changed, and no owner made anew."""
    before = files(owner.home.root)
    mood("locked dismisses")
    for number, words in enumerate(["unlock", "set TOKEN --vault keychain", "owner remove human --yes", "init"], 1):
        done = owner.cli(*words.split(), input=b"x", env=DISPLAY)
        assert (done.code, ENDS["dismisses"][1] in done.err) == (4, True), words
        assert asked(mood) == number, words
    assert files(owner.home.root) == before


def test_a_first_init_whose_dialog_was_dismissed_keeps_a_file_and_says_so(mood: Mood, human: Seat) -> None:
    """Nothing of ours is in that keychain, so a file it is, as without a person; --via keychain is an error."""
    mood("locked dismisses")
    forced = human.cli("init", "--via", "keychain", env=DISPLAY)
    assert (forced.code, ENDS["dismisses"][1] in forced.err) == (4, True)
    assert list(human.home.root.glob("owners/*")) == []
    done = human.cli("init", "--json", env=DISPLAY, check=True)
    assert (done.json()["via"], done.json()["session"]) == ("file", "file")
    assert b"the keychain is locked, so the identity is kept in a file" in done.err
    assert asked(mood) == 2


def test_nobody_is_asked_where_nobody_is(mood: Mood, owner: Seat) -> None:
    """No terminal and no display; and what a service manager started, on a desktop too: exit 4, at once."""
    mood("locked agrees")
    assert owner.cli("list").code == 4
    unit = ["sh", "-c", 'SYSTEMD_EXEC_PID=$$ exec "$@"', "sh"]
    done = Runner(owner.cli.logs, [*unit, *owner.cli.prefix], owner.cli.env, owner.cli.cwd)("list", env=DISPLAY)
    assert (done.code, b"the keychain is locked, and identity-human is in it" in done.err) == (4, True)
    assert asked(mood) == 0


def test_what_only_looks_asks_nobody(mood: Mood, owner: Seat) -> None:
    """Not on a desktop either. Nor does a fleet: twenty dialogs at a time help nobody, and its line says locked."""
    mood("locked agrees")
    for words in ("doctor", "status", "session list", "session show", "session doctor", "agent --all"):
        owner.cli(*words.split(), env=DISPLAY)
    done = owner.cli("agent", "--all", "--unlock", env=DISPLAY)
    assert (done.code, b"locked" in done.out, asked(mood)) == (4, True, 0)


def test_a_dialog_that_nobody_answers_ends_by_itself(
    mood: Mood, bus: Bus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """124 after PROMPT_SECONDS, a second here; the service is asked once, and answers others meanwhile."""
    assert f"within {keychain_linux.PROMPT_SECONDS:g} s" in DIALOG_OPENS
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
    monkeypatch.setattr(keychain_linux, "PROMPT_SECONDS", 1.0)
    mood("locked sleeps")
    service = keychain_linux.SecretService()
    with pytest.raises(AgentkeysError, match="nobody answered the keychain's dialog within 1 s") as raised:
        service.unlock()
    assert raised.value.exit_code == 124
    assert service.state() == "locked"
    assert asked(mood) == 1


def test_gnome_keyring_opens_its_own_dialog(wallet: Bus, human: Seat, canary: Plant) -> None:
    """Its window is closed: exit 4. The password is typed: all is there. Nothing of ours needs the display."""
    human.cli("init", check=True)
    value = canary("TOKEN")
    human.set("TOKEN", value, "--vault", "keychain")
    human.start()
    wallet.lock()
    with prompter(wallet, None):
        done = human.cli("unlock", env=DISPLAY)
        assert (done.code, ENDS["dismisses"][1] in done.err) == (4, True)
    with prompter(wallet, PASSWORD):
        done = human.cli("unlock", env=DISPLAY, check=True)
        assert done.err.splitlines()[0] == OPENS
    assert human.get("TOKEN").out == value


def test_gnome_keyring_without_a_window_to_ask_in(wallet: Bus, human: Seat) -> None:
    """Over ssh nothing on the session's bus can show a dialog: exit 4 by itself."""
    human.cli("init", check=True)
    wallet.lock()
    done = human.cli("list", env=DISPLAY)
    assert (done.code, ENDS["dismisses"][1] in done.err) == (4, True)


@pytest.mark.soak
def test_a_person_has_sixty_seconds(mood: Mood, owner: Seat) -> None:
    """The whole of it, from a terminal: no sooner than a minute, and then 124."""
    mood("locked sleeps")
    begun = time.monotonic()
    done = owner.cli("list", env=DISPLAY, timeout=120)
    assert (done.code, b"nobody answered the keychain's dialog within 60 s" in done.err) == (124, True)
    assert time.monotonic() - begun >= keychain_linux.PROMPT_SECONDS
