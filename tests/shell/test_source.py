"""`agentkeys source`: a shell that runs what it prints has the keys, or has failed and has none of them."""

import re
from collections.abc import Callable

import pytest

from tests.agent.seat import Seat
from tests.shell.shells import EXPORTED, PLAINLY, Shell, line, run, shell_named
from tests.support.argvwatch import ArgvWatch
from tests.support.homes import Home
from tests.support.plugin import Plant
from tests.support.runner import Result

HOSTILE = b" a  b'\"!$(touch ran)`touch ran`*?\\~#;&|<>{a,b}\t\r\xc3\xa9"


def variables(done: Result) -> dict[str, bytes]:
    """What `env -0` printed."""
    pairs = [entry.partition(b"=") for entry in done.out.split(b"\0") if entry]
    return {name.decode(): value for name, _, value in pairs}


def sourced(seat: Seat, shell: Shell, *args: str) -> dict[str, bytes]:
    """The environment of a child of the shell, after that took what `source` printed; empty when it failed."""
    done = run(seat.cli, shell, shell.taking(line(seat.cli, "source", *args), "env -0"))
    assert b"a bug" not in done.err
    return variables(done)


@pytest.mark.parametrize("name", PLAINLY)
def test_the_shell_has_the_keys(name: str, seat: Seat, canary: Plant) -> None:
    """Every shell, without being told which it is: exact bytes, exported, nothing run, nothing else set."""
    seat.values["HOSTILE"] = canary("HOSTILE", suffix=HOSTILE)
    seat.set("HOSTILE", seat.values["HOSTILE"])
    seat.unlock()
    found = sourced(seat, shell_named(name))
    assert {key: found.get(key) for key in seat.values} == seat.values
    assert not set(EXPORTED) & set(found)
    assert not (seat.home.path / "ran").exists()


@pytest.mark.parametrize("name", PLAINLY)
def test_only_what_is_named_is_set_and_under_the_name_asked_for(name: str, seat: Seat) -> None:
    """--key is repeatable, and takes NAME or NAME=VARIABLE."""
    found = sourced(seat, shell_named(name), "--key", "GITHUB_TOKEN=GH_TOKEN", "--key=@all.all.OPENAI_API_KEY")
    assert found["GH_TOKEN"] == seat.values["GITHUB_TOKEN"]
    assert found["OPENAI_API_KEY"] == seat.values["OPENAI_API_KEY"]
    assert "GITHUB_TOKEN" not in found


@pytest.mark.parametrize("name", [*PLAINLY, "bash, posix and strict", "fish, eval"])
def test_a_failure_fails_in_the_shell(name: str, locked: Seat) -> None:
    """Locked: what follows doesn't run, the reason is on stderr, and nothing is set."""
    shell = shell_named(name)
    done = run(locked.cli, shell, shell.taking(line(locked.cli, "source"), "env -0"))
    assert done.out == b""
    assert done.code != 0
    assert b"agentkeys: error: nothing is unlocked for human in env all" in done.err


def strict(seat: Seat, code: int, *args: str) -> Result:
    """`source` fails with `code`, `false;` and an error, as `exec` of the same keys would."""
    done = seat.cli("source", *args)
    assert (done.code, done.out) == (code, b"false;\n")
    assert done.err.startswith(b"agentkeys: error: ")
    assert b"\nagentkeys: hint: " in done.err
    same = [arg for arg in args if arg not in ("--strict", "--shell", "sh", "csh", "fish", "json")]
    assert seat.cli("exec", *same, "--", "true").code == code
    return done


BOTH = ("--key", "GITHUB_TOKEN", "--key")


@pytest.mark.parametrize("more", [(), ("--strict",), ("--shell", "json")], ids=" ".join)
def test_one_key_that_is_missing_keeps_back_all(more: tuple[str, ...], seat: Seat) -> None:
    """Absent 5, locked 4, a name that loads code 6: the exit codes of exec, and only `false;` on stdout."""
    strict(seat, 5, *BOTH, "NOPE", *more)
    strict(seat, 6, *BOTH, "OPENAI_API_KEY=LD_PRELOAD", *more)
    strict(seat, 2, *BOTH, "OPENAI_API_KEY=GITHUB_TOKEN", *more)
    seat.cli("relock", "OPENAI_API_KEY", check=True)
    assert b"@all.all.OPENAI_API_KEY is locked" in strict(seat, 4, *BOTH, "OPENAI_API_KEY", *more).err


def expired(seat: Seat) -> Seat:
    """GITHUB_TOKEN's time is over."""
    seat.unlock("--key", "GITHUB_TOKEN", "--duration", "1s")
    while seat.states()["GITHUB_TOKEN"] != "expired":
        pass
    return seat


def test_an_expired_key_keeps_back_all(seat: Seat) -> None:
    """Asked for or not: a shell that had it in the morning isn't given less in the evening unsaid."""
    expired(seat)
    strict(seat, 4, *BOTH, "OPENAI_API_KEY")
    assert b"@all.all.GITHUB_TOKEN is expired" in strict(seat, 4).err


def test_locked_and_absent_are_told_apart_before_the_first_unlock(locked: Seat) -> None:
    """As everywhere."""
    strict(locked, 4, "--key", "GITHUB_TOKEN")
    strict(locked, 5, "--key", "NOPE")


def test_no_agent_is_3(rack: Seat) -> None:
    """And none is started; --lenient is about keys, not about agents."""
    strict(rack, 3)
    done = rack.cli("source", "--lenient")
    assert (done.code, done.out) == (3, b"false;\n")
    assert rack.home.agents() == []


def test_no_such_owner_is_2(rack: Seat) -> None:
    """Nor is one made."""
    strict(rack, 2, "--for", "nosuch")


@pytest.mark.parametrize(
    "args",
    [
        ["--strict", "--lenient"],
        ["--lenient", "--strict", "--key", "GITHUB_TOKEN"],
        ["--env", "sudo"],
        ["--env", "sudo", "--lenient"],
        ["--shell", "cmd.exe"],
        ["--shell", "sh", "--shell", "fish", "--nonsense"],
        ["--key", "a-b"],
        ["--key", "a-b", "--lenient"],
        ["--key", "GITHUB_TOKEN=1A", "--lenient"],
        ["--env", "Prod"],
        ["GITHUB_TOKEN"],
        ["--json"],
    ],
    ids=" ".join,
)
def test_usage_is_2_and_fails_in_the_shell(args: list[str], seat: Seat) -> None:
    """`false;`, and the reason with a hint."""
    done = seat.cli("source", *args)
    assert (done.code, done.out) == (2, b"false;\n")
    assert re.match(rb"agentkeys: error: .+\nagentkeys: hint: agentkeys ", done.err)


def test_hints_speak_of_source(seat: Seat) -> None:
    """The agent's answer was made for exec; what is pasted must be this verb."""
    hints = {
        ("--env", "sudo"): b"agentkeys source --env sudo --key NAME",
        ("--key", "GITHUB_TOKEN=LD_PRELOAD"): b"agentkeys source --key GITHUB_TOKEN=OTHER_NAME",
    }
    for args, hint in hints.items():
        assert seat.cli("source", *args).err.endswith(b"agentkeys: hint: " + hint + b"\n")


def test_lenient_prints_what_there_is_and_says_what_it_left_out(seat: Seat, canary: Plant) -> None:
    """Absent, locked, expired, denied or impossible: exit 0, the others are set, each that isn't is named on stderr."""
    seat.values["LAST"] = canary("LAST")
    seat.set("LAST", seat.values["LAST"])
    seat.set("NUL", b"a\0b")
    expired(seat.unlock())
    seat.cli("relock", "OPENAI_API_KEY", check=True)
    asked = ("LAST", "NOPE", "GITHUB_TOKEN", "OPENAI_API_KEY", "LAST=PATH", "NUL", "LAST=path")
    keys = [word for key in asked for word in ("--key", key)]
    done = seat.cli("source", "--lenient", "--shell", "json", *keys[:-2], check=True, reveals=True)
    assert {name: value.encode() for name, value in done.json().items()} == {"LAST": seat.values["LAST"]}
    assert [text.partition(": left out: ")[2] for text in done.err.decode().splitlines()] == [
        "human has no key 'NOPE' in env all",
        "@all.all.GITHUB_TOKEN is expired",
        "@all.all.OPENAI_API_KEY is locked",
        (
            "PATH changes how programs load or run code; it is not put into an environment "
            "unless config.toml names it in exec.allow_names"
        ),
        "NUL holds a NUL byte, which no environment variable can",
    ]
    done = seat.cli("source", "--lenient", "--shell", "sh", *keys, check=True, reveals=True)
    assert done.out == b"export LAST='%s';\n" % seat.values["LAST"]
    assert b"left out: path is a variable of some shell's own" in done.err


def test_lenient_without_names_leaves_out_what_expired(seat: Seat) -> None:
    """Everything else that is unlocked is given."""
    expired(seat)
    done = seat.cli("source", "--lenient", check=True, reveals=True)
    assert done.out == b"export OPENAI_API_KEY='%s';\n" % seat.values["OPENAI_API_KEY"]
    assert done.err == b"agentkeys: left out: @all.all.GITHUB_TOKEN is expired\n"


@pytest.mark.parametrize(("shell", "nothing"), [("sh", b""), ("csh", b""), ("fish", b""), ("json", b"{}\n")])
def test_lenient_with_nothing_to_give_gives_nothing(shell: str, nothing: bytes, locked: Seat) -> None:
    """Exit 0, before the first unlock as after it, and locked is still told from absent for each key."""
    lenient = ("source", "--lenient", "--shell", shell)
    done = locked.cli(*lenient, check=True)
    assert (done.out, done.err) == (nothing, b"agentkeys: left out: nothing is unlocked for human in env all\n")
    done = locked.cli(*lenient, "--key", "NOPE", "--key", "GITHUB_TOKEN", "--key", "NADA", check=True)
    assert done.out == nothing
    assert [text.partition(": left out: ")[2] for text in done.err.decode().splitlines()] == [
        "human has no key NOPE",
        "'GITHUB_TOKEN' is locked: nothing was unlocked for human yet",
        "human has no key NADA",
    ]


def test_what_a_dialect_cannot_carry_is_not_printed(seat: Seat, canary: Plant) -> None:
    """A newline in csh, bytes in JSON: exit 2 with the name, or, lenient, the others."""
    seat.set("PEM", canary("PEM", suffix=b"\nsecond line\n"))
    seat.set("RAW", canary("RAW", suffix=b"\xff"))
    seat.unlock()
    for shell, name, why in (("csh", "PEM", b"holds a newline"), ("json", "RAW", b"is not UTF-8")):
        done = seat.cli("source", "--shell", shell, "--key", "GITHUB_TOKEN", "--key", name)
        assert (done.code, done.out) == (2, b"false;\n")
        assert b"error: %s %s" % (name.encode(), why) in done.err
        done = seat.cli("source", "--shell", shell, "--lenient", check=True, reveals=True)
        assert seat.values["GITHUB_TOKEN"] in done.out.replace(b"\\", b"")
        assert b"left out: %s %s" % (name.encode(), why) in done.err


def test_long_values_come_through(seat: Seat, canary: Plant) -> None:
    """Several frames, many pages: 100,000 bytes in every shell."""
    seat.values["LONG"] = canary("LONG", suffix=b" it's \\ long! " * 7000)
    seat.set("LONG", seat.values["LONG"])
    seat.unlock()
    for name in PLAINLY:
        assert sourced(seat, shell_named(name), "--key", "LONG").get("LONG") == seat.values["LONG"], name


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "explained"])
def test_each_dialect_is_the_one_that_was_asked_for(fast: bool, seat: Seat) -> None:
    """--shell wins over everything else, takes shells' names and paths, and both paths of the program agree."""
    value = seat.values["GITHUB_TOKEN"]
    plain = b"".join(
        b"\\%c" % byte if byte not in b"-_./" and not chr(byte).isalnum() else b"%c" % byte for byte in value
    )
    wanted = {
        b"export GITHUB_TOKEN='%s';\n" % value: "sh bash dash zsh mksh ksh93 /usr/bin/zsh-5.9 -bash".split(),
        b"setenv GITHUB_TOKEN %s;\n" % plain: ["csh", "tcsh", "/bin/tcsh"],
        b"set -gx GITHUB_TOKEN '%s';\n" % value: ["fish", "/usr/local/bin/fish"],
        b'{"GITHUB_TOKEN":"%s"}\n' % value: ["json"],
    }
    for out, names in wanted.items():
        for name in names:
            args = ["--shell", name, "--key", "GITHUB_TOKEN"]
            args += [] if fast else ["--"]  # which is left to the path that explains
            env = {"SHELL": "/usr/bin/fish"}
            assert seat.cli("source", *args, env=env, check=True, reveals=True).out == out, name


def test_other_envs_orgs_and_owners(seat: Seat, canary: Plant) -> None:
    """--env, --org, --sock and --for mean what they mean to exec."""
    seat.set("acme.prod.GITHUB_TOKEN", value := canary("acme.prod"))
    seat.unlock("--org", "acme", "--env", "prod")
    args = ("source", "--shell", "json", "--key", "GITHUB_TOKEN")
    where = ("--org", "acme", "--env", "prod")
    assert seat.cli(*args, *where, check=True, reveals=True).json()["GITHUB_TOKEN"].encode() == value
    assert seat.cli(*args, "--owner", "human", check=True, reveals=True).json() != {"GITHUB_TOKEN": value.decode()}
    seat.cli(*args, "--sock", str(seat.socket), check=True, reveals=True)
    done = seat.cli(*args, "--sock", "/nowhere")
    assert (done.code, done.out) == (3, b"false;\n")


def test_no_command_line_shows_a_value(seat: Seat, argv_watch: Callable[[], ArgvWatch]) -> None:
    """All of /proc is read over and over while every shell takes the keys."""
    with argv_watch() as watch:
        for name in PLAINLY:
            assert sourced(seat, shell_named(name))["GITHUB_TOKEN"] == seat.values["GITHUB_TOKEN"]
    assert watch.sweeps > 2
    assert watch.hits == []


def test_a_terminal_is_told_where_the_values_went(seat: Seat) -> None:
    """They are printed, as `get` and `op read` do; a note says what was probably meant."""
    child = seat.cli.on_tty("source", "--shell", "fish", "--key", "GITHUB_TOKEN", reveals=True)
    child.expect_exact(seat.values["GITHUB_TOKEN"])
    child.expect_exact(b"agentkeys: the values went to the terminal; to set them: agentkeys source | source")
    child.close()
    assert seat.cli("source", check=True, reveals=True).err == b""


def test_each_use_is_audited(seat: Seat) -> None:
    """As the `exec` that it asks the agent for; what lenient left out is a denial of its own."""
    seat.cli("source", check=True, reveals=True)
    seat.cli("source", "--lenient", "--key", "GITHUB_TOKEN", "--key", "NOPE", check=True, reveals=True)
    shown = [(row["verb"], row["keys"], row["decision"], row.get("why", "")) for row in seat.chain()[-3:]]
    assert shown == [
        ("exec", ["@all.all.GITHUB_TOKEN", "@all.all.OPENAI_API_KEY"], "allow", ""),
        ("exec", ["@all.all.GITHUB_TOKEN"], "allow", ""),
        ("exec", ["NOPE"], "deny", "human has no key 'NOPE' in env all"),
    ]


def test_another_homes_agent_is_not_asked(seat: Seat, make_home: Callable[[str], Home]) -> None:
    """As for every verb."""
    other = make_home("other")
    env = {"AGENTKEYS_HOME": str(other.path / "nothing")}
    done = seat.cli("source", env=env)
    assert (done.code, done.out) == (2, b"false;\n")
