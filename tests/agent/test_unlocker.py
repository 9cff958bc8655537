"""Unlocked again by itself: the one process that an agent starts, from its job to its end, and who may call it off."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agentkeys import wire
from agentkeys.agent import unlocker
from agentkeys.agent.unlocker import ENDS, SAID_NOTHING, Unlocker
from agentkeys.stores.rack import open_rack
from tests.agent.dialogue import Dialogue, code
from tests.agent.seat import Seat, eventually
from tests.support.homes import Home, short_dir
from tests.support.plugin import Run
from tests.support.runner import Logs, Runner, agentkeys_command

FACTS = [(b"home", b"/h"), (b"owner", b"ana"), (b"socket", b"/s"), (b"config", b"/c")]

HEAD = """
import os, sys, time
from agentkeys import wire
job = os.read(0, 1 << 20)
def answer(*fields):
    data = wire.encode(*fields)
    while data:
        data = data[os.write(1, data):]
"""


# --- the process alone


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[object]":
    """Make a stand-in for the worker out of its statements; at the end of the test no descriptor is left open."""
    before, others = set(os.listdir("/proc/self/fd")), psutil.Process().children()

    def make(text: str) -> Unlocker:
        path = tmp_path / "worker.py"
        path.write_text(HEAD + text)
        monkeypatch.setattr(unlocker, "SCRIPT", str(path))
        return Unlocker(FACTS)

    yield make
    assert set(os.listdir("/proc/self/fd")) <= before
    assert psutil.Process().children() == others


def finish(made: Unlocker) -> str:
    """What it says at the end of its worker."""
    return str(eventually(lambda: (said := made.read()) is not None and f"said:{said}")).removeprefix("said:")


def test_it_is_given_the_job_and_nobody_to_ask(script) -> None:  # type: ignore[no-untyped-def]
    """The agent's facts first, so that no request can say otherwise; then what was asked, then what is withheld."""
    made = script(
        """
    fields = wire.split_fields(memoryview(job)[wire.HEADER:])
    end = os.read(0, 1)
    text = "\\n".join(bytes(field).decode() for field in fields) + f"\\nend:{end!r}"
    answer(b"error", b"message", text.encode())
    """.replace("\n    ", "\n")
    )
    assert made.start(b"org=@all\nenv=prod\nhome=/elsewhere\nkey=A=B", ["@all.all.X", "@all.all.Y"]) == ""
    assert finish(made).split("\n") == [
        *"unlock home /h owner ana socket /s config /c auto 1 alone 1".split(),
        *"org @all env prod home /elsewhere key A=B except @all.all.X except @all.all.Y end:b''".split(),
    ]


ANSWERS = {
    "a success": ('answer(b"ok", b"unlocked", b"600\\n@all.all.A")', ""),
    "a long success": ('answer(b"ok", b"unlocked", b"x" * 500_000)', ""),
    "a success in pieces": (
        'data = wire.encode(b"ok")\nfor byte in data:\n  os.write(1, bytes([byte])); time.sleep(0.002)',
        "",
    ),
    "an error": ('answer(b"error", b"code", b"4", b"message", b"the keychain is locked")', "the keychain is locked"),
    "an error without words": ('answer(b"error", b"code", b"4")', SAID_NOTHING),
    "nothing": ("", SAID_NOTHING),
    "half an answer": ('os.write(1, wire.encode(b"error", b"message", b"x")[:-1])', SAID_NOTHING),
    "no message": ('os.write(1, b"Traceback (most recent call last)")', SAID_NOTHING),
    "a question": ('answer(b"ask", b"text", b"passphrase: ")\nsys.exit(0 if os.read(0, 1) else 1)', SAID_NOTHING),
    "a crash": ("os.abort()", SAID_NOTHING),
    "a kill": ("os.kill(os.getpid(), 9)", ENDS[signal.SIGKILL]),
    "no more time": ("os.kill(os.getpid(), 24)", ENDS[signal.SIGXCPU]),
    "noise on stderr": ('sys.stderr.write("secret"); answer(b"ok")', ""),
}


@pytest.mark.parametrize(("text", "said"), ANSWERS.values(), ids=ANSWERS)
def test_its_end_is_told_in_its_words(script, text: str, said: str) -> None:  # type: ignore[no-untyped-def]
    """Or in ours, when it has none."""
    made = script(text)
    assert made.start(b"env=all", []) == ""
    assert made.fd >= 0
    assert finish(made) == said
    assert made.fd == -1


def test_it_can_be_started_again(script) -> None:  # type: ignore[no-untyped-def]
    """Nothing of one answer is in the next."""
    made = script('answer(b"error", b"message", b"no")')
    for _ in range(3):
        made.start(b"env=all", [])
        assert finish(made) == "no"


def test_an_endless_answer_is_the_end(script) -> None:  # type: ignore[no-untyped-def]
    """What it may say is bounded, and it ends by losing its reader."""
    made = script('while True:\n  os.write(1, b"x" * 65536)')
    made.start(b"env=all", [])
    assert finish(made) == SAID_NOTHING


def test_one_that_never_ends_is_given_up(script) -> None:  # type: ignore[no-untyped-def]
    """Killed and reaped; it is said how long it was waited for."""
    made = script("time.sleep(600)")
    others = psutil.Process().children()
    made.start(b"env=all", [])
    assert made.read() is None
    (child,) = set(psutil.Process().children()) - set(others)
    assert made.give_up() == "its worker didn't end within 120 s"
    assert not child.is_running()
    assert made.fd == -1


def test_one_that_ignores_its_job_is_told_too(script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """It dies before it reads a byte."""
    made = script("")
    (tmp_path / "worker.py").write_text("import os; os._exit(3)")
    made.start(b"env=all", ["@all.all.X"] * 500)
    assert finish(made) == SAID_NOTHING


def test_a_job_that_fits_no_pipe_is_not_begun(script) -> None:  # type: ignore[no-untyped-def]
    """Nobody here waits for a reader."""
    made = script("")
    assert made.start(b"env=all", ["@all.all." + "X" * 100] * 1000) == "it names too many keys"
    assert made.fd == -1


def test_an_interpreter_that_is_gone_is_said(script, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """An upgrade took it from under a running agent."""
    made = script("")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert made.start(b"env=all", []) == "no worker could be started: No such file or directory"
    assert made.fd == -1


def test_its_command_line_and_surroundings_say_nothing(script, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """argv is the interpreter, isolated, and the script; it has its three descriptors and none of our making."""
    ours = {
        fd
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}") and os.get_inheritable(int(fd))
    }
    made = script(
        'fds = [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]\n'
        'line = open("/proc/self/cmdline").read().split(chr(0))[1:-1]\n'
        'answer(b"error", b"message", f"{line} {sorted(fds, key=int)} {sys.flags.isolated}".encode())'
    )
    made.start(b"env=all", ["@all.all.X"])
    expected = sorted({"0", "1", "2", *ours}, key=int)
    assert finish(made) == f"['-I', '{unlocker.SCRIPT}'] {expected} 1"


# --- the agent, its worker and a real rack


def unlocks(seat: Seat) -> "list[list[str]]":
    """What each unlock on record brought."""
    return [sorted(key.rpartition(".")[2] for key in line["keys"]) for line in seat.chain() if line["verb"] == "unlock"]


@pytest.fixture(scope="module")
def brief(
    run: Run, logs: Logs, template: tuple[Path, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, bytes]]:
    """A home's files with keys A and B, which stay for a second each, and their values."""
    home = Home(tmp_path_factory.mktemp("brief"), run.keep_track_of(short_dir()))
    shutil.copytree(template[0], home.root, symlinks=True)
    cli = Runner(logs, agentkeys_command(), home.env, home.path)
    for name in template[1]:
        cli("del", name, check=True)
    values = {name: f"the value of {name}".encode() for name in ("A", "B")}
    for name, value in values.items():
        cli("set", name, "--max-duration", "1s", input=value, check=True)
    return home.root, values


@pytest.fixture
def auto(home: Home, cli: Runner, brief: tuple[Path, dict[str, bytes]]) -> Seat:
    """Keys A and B, for a second each, unlocked again by themselves."""
    shutil.copytree(brief[0], home.root, symlinks=True)
    cli("agent", "--auto-unlock", check=True)
    return Seat(home, cli, dict(brief[1]))


def assert_over(seat: Seat) -> None:
    """No worker runs, and none is due."""
    eventually(lambda: seat.process.children() == [])
    status = seat.status()
    assert (status["auto_unlock_in_seconds"], status["auto_unlock_fault"]) == (None, "")
    assert {key["state"] for key in status["keys"]} == {"locked"}


def test_keys_come_back_before_or_after_they_expire(auto: Seat) -> None:
    """Again and again, on record each time; status says when the next time is, and leaves no child behind."""
    eventually(lambda: len(unlocks(auto)) >= 4)
    assert set(map(tuple, unlocks(auto))) == {("A", "B")}
    for name, value in auto.values.items():
        assert eventually(lambda name=name: auto.get(name).out) == value
    eventually(lambda: auto.status()["auto_unlock_in_seconds"] is not None)
    assert auto.status()["auto_unlock_fault"] == ""
    states = {child.status() for child in auto.process.children()}
    assert psutil.STATUS_ZOMBIE not in states


def test_a_new_key_of_the_rack_comes_along(auto: Seat) -> None:
    """It is asked for what there is then, not for a list of names."""
    auto.cli("set", "NEW", input=b"new", check=True)
    assert eventually(lambda: auto.get("NEW").out) == b"new"


def test_a_relock_of_everything_ends_it(auto: Seat) -> None:
    """No worker comes afterwards, status says nothing of it, and every key stays locked."""
    auto.cli("relock", check=True)
    seen = len(unlocks(auto))
    assert_over(auto)
    assert len(unlocks(auto)) == seen


def test_a_relocked_key_is_left_out_until_a_person_unlocks_it(auto: Seat) -> None:
    """The other goes on."""
    auto.cli("relock", "A", check=True)
    seen = len(unlocks(auto))
    eventually(lambda: len(unlocks(auto)) >= seen + 2)
    assert set(map(tuple, unlocks(auto)[seen:])) == {("B",)}
    assert auto.get("A").code == 4
    auto.cli("unlock", "A", check=True)
    seen = len(unlocks(auto))
    eventually(lambda: ["A", "B"] in unlocks(auto)[seen:])


@pytest.fixture
def waiting(auto: Seat) -> "Iterator[Seat]":
    """Its worker waits for the rack's lock, which another program holds; `auto.holder` is that."""
    lock = auto.home.root / "lock" / "human.lock"
    holder = auto.cli.with_prefix("flock", "-x", lock, "sleep", "60").start()
    eventually(lambda: psutil.Process(holder.pid).children())
    eventually(auto.process.children)

    def release() -> None:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()

    auto.release = release  # type: ignore[attr-defined]
    yield auto
    if holder.poll() is None:
        release()


def test_a_worker_that_waits_keeps_nobody_waiting(waiting: Seat) -> None:
    """The agent answers all the while."""
    with Dialogue(waiting.socket).greet() as client:
        assert client.ask(b"ping") == [b"ok"]
        assert b'"auto_unlock_in_seconds":null' in client.ask(b"status", b"format", b"json")[2]
    (child,) = waiting.process.children()
    assert child.is_running()
    waiting.release()  # type: ignore[attr-defined]
    assert eventually(lambda: waiting.get("A").out) == waiting.values["A"]


def test_a_relock_of_everything_outruns_the_worker(waiting: Seat) -> None:
    """It was started before and brings its values after: they are refused, and nothing is tried again."""
    waiting.cli("relock", check=True)
    seen = len(unlocks(waiting))
    waiting.release()  # type: ignore[attr-defined]
    assert_over(waiting)
    assert len(unlocks(waiting)) == seen


def test_a_relock_of_a_key_outruns_the_worker(waiting: Seat) -> None:
    """What it brings of that key is dropped."""
    waiting.cli("relock", "A", check=True)
    seen = len(unlocks(waiting))
    waiting.release()  # type: ignore[attr-defined]
    eventually(lambda: len(unlocks(waiting)) > seen)
    assert unlocks(waiting)[seen] == ["B"]
    assert waiting.get("A").code == 4


def test_an_agent_that_stops_takes_its_worker_along(waiting: Seat) -> None:
    """No process is left that would wait for a lock."""
    (child,) = waiting.process.children()
    waiting.cli("agent", "-k", check=True)
    eventually(lambda: not child.is_running())


def test_why_it_failed_is_shown(auto: Seat) -> None:
    """By status, until it works; what was held expires as ever, and the agent goes on."""
    manifest = auto.home.root / "host.human.yml.age"
    whole = manifest.read_bytes()
    manifest.write_bytes(b"damaged")
    fault = eventually(lambda: auto.status()["auto_unlock_fault"])
    assert "host.human.yml.age" in fault
    assert b"auto     the last automatic unlock failed: " in auto.cli("status", check=True).out
    assert auto.status()["auto_unlock_in_seconds"] is not None
    eventually(lambda: set(auto.states().values()) == {"expired"})
    manifest.write_bytes(whole)
    auto.cli("unlock", check=True)
    assert auto.get("A").out == auto.values["A"]


def test_nobodys_environment_is_no_environment(auto: Seat) -> None:
    """A variable that the agent was started with, or that a person unlocked from, isn't read by a later worker."""
    auto.cli("set", "HOME_KEY", "--vault", "os.envvar", "--ref", "HOME", "--max-duration", "1s", check=True)
    auto.cli("unlock", "HOME_KEY", check=True)
    assert "variables are read from whoever unlocks" in eventually(lambda: auto.status()["auto_unlock_fault"])
    eventually(lambda: auto.states()["HOME_KEY"] == "expired")
    assert auto.get("HOME_KEY").code == 4


def test_a_key_in_memory_is_kept_by_it(auto: Seat) -> None:
    """What only the agent has gets its new time as well, and is on record with the rest."""
    auto.cli("relock", check=True)
    auto.cli("set", "SESSION", "--vault", "os.daemon", "--max-duration", "5s", input=b"session", check=True)
    auto.cli("agent", "--auto-unlock", check=True)
    seen = len(unlocks(auto))
    eventually(lambda: len(unlocks(auto)) > seen + 7)
    assert auto.get("SESSION", check=True).out == b"session"


# --- over the wire


def state_key(seat: Seat) -> bytes:
    """What chains its audit log."""
    return open_rack(str(seat.home.root), seat.owner).keys.state


def commit(client: Dialogue, seat: Seat, *more: bytes) -> list[bytes]:
    """An unlock for a second that brings one value, and what it is to be followed by."""
    assert client.ask(b"unlock")[0] == b"ok"
    facts = (b"vault", b"os.secure", b"grade", b"encrypted/permanent", b"ttl", b"1")
    rows = (b"slugs", b"@all.all.GITHUB_TOKEN", b"sizes", b"8", b"values", b"intruder")
    assert client.ask(b"unlock-add", *facts, *rows) == [b"ok"]
    names = b"directory", b"@all.all.GITHUB_TOKEN\n@all.all.OPENAI_API_KEY"
    return client.ask(b"unlock-commit", *names, b"state-key", state_key(seat), *more)


def test_an_unlock_says_what_is_to_follow_it(seat: Seat) -> None:
    """`renew` in a commit: nine tenths of a second later a worker brings what is in the rack."""
    with Dialogue(seat.socket).greet() as client:
        assert commit(client, seat, b"renew", b"org=@all\nenv=all\nduration=0") == [b"ok"]
        assert client.ask(b"get", b"key", b"GITHUB_TOKEN")[2:] == [b"intruder"]
    value = seat.values["GITHUB_TOKEN"]
    eventually(lambda: seat.get("GITHUB_TOKEN").out == value)


def test_a_request_has_no_say_in_whose_rack_it_is(seat: Seat, tmp_path: Path) -> None:
    """Home, owner, socket and config are the agent's own, whatever its lines say."""
    lines = f"org=@all\nenv=all\nduration=0\nhome={tmp_path}\nowner=crab\nsocket=/nowhere\nconfig={tmp_path}"
    with Dialogue(seat.socket).greet() as client:
        assert commit(client, seat, b"renew", lines.encode()) == [b"ok"]
    eventually(lambda: seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"])


@pytest.mark.parametrize("request_lines", [b"nonsense", b"\xff=\xff", b"env=PROD", b"env=sudo", b"=", b"\n\n", b"key="])
def test_a_request_that_makes_no_sense_costs_an_agent_nothing(request_lines: bytes, seat: Seat) -> None:
    """A fault at most, and no worker is left."""
    with Dialogue(seat.socket).greet() as client:
        assert commit(client, seat, b"renew", request_lines) == [b"ok"]
        value = seat.values["GITHUB_TOKEN"]
        eventually(lambda: seat.status()["auto_unlock_fault"] or seat.get("GITHUB_TOKEN").out == value)
        eventually(lambda: seat.process.children() == [])
        assert client.ask(b"ping") == [b"ok"]


def test_who_is_no_worker_of_the_agents_can_t_say_so(seat: Seat) -> None:
    """`again` without a worker under way is refused, and what came with it isn't held."""
    with Dialogue(seat.socket).greet() as client:
        assert code(commit(client, seat, b"again", b"1")) == 4
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]


def test_a_frame_is_what_the_worker_is_known_by() -> None:
    """The beginning of a success, as the wire has it."""
    assert wire.encode(b"ok")[wire.HEADER :] == unlocker.OK
    assert wire.encode(b"ok", b"unlocked", b"x")[wire.HEADER :].startswith(unlocker.OK)
    assert not wire.encode(b"okay")[wire.HEADER :].startswith(unlocker.OK)
