"""What a shell's user had before the hook is there after it: status, traps, options, and the prompt's other tenants."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.agent.seat import Seat, eventually
from tests.shell.conformance.terminals import AT_PROMPT, KINDS, Terminal, count, counting

Open = Callable[..., Terminal]


@pytest.fixture
def terminal(shared: Seat) -> Iterator[Open]:
    """Starts shells of the module's seat, and closes them."""
    opened = []

    def start(name: str, **options: object) -> Terminal:
        opened.append(Terminal(shared, name, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield start
    for it in opened:
        it.close()


ROUSED = "cd /usr"
"""Makes the hook ask, or at least look."""


def reload(shared: Seat) -> None:
    """Make every hook ask at its next prompt."""
    shared.cli("agent", "--reload", check=True)


@pytest.mark.parametrize("name", AT_PROMPT)
def test_the_status_is_the_users_row_45(name: str, shared: Seat, terminal: Open) -> None:
    """Where the hook had nothing to do, and where it asked."""
    shell = terminal(name)
    show = f"echo {shell.kind.status}"
    fail = "sh -c 'exit 7'"
    assert shell.output(show, fail).strip() == "7"
    assert shell.output(show, "true").strip() == "0"
    reload(shared)
    assert shell.output(show, fail).strip() == "7"


def test_a_reader_behind_the_hook_sees_the_status_row_46(shared: Seat, terminal: Open) -> None:
    """In one text of commands, and in an array of them."""
    file = shared.home.path / "seen"
    reader = f'echo "$?" >> {file}'
    for before in (f"PROMPT_COMMAND='{reader}'", f"PROMPT_COMMAND=('{reader}' true)"):
        shell = terminal("bash", before=before)
        reload(shared)
        file.write_text("")
        shell.run("(exit 9)")
        shell.run("(exit 8)")
        assert file.read_text().split()[:1] == ["9"]
        assert "8" in file.read_text().split()


def test_an_array_stays_one_row_47(terminal: Open) -> None:
    """The hook is its first element, once."""
    shell = terminal("bash", before="PROMPT_COMMAND=(true 'x=$x.')", after=KINDS["bash"].hook)
    assert shell.output("declare -p PROMPT_COMMAND").strip() == (
        """declare -a PROMPT_COMMAND=([0]="__agentkeys_hook" [1]="true" [2]="x=\\$x.")"""
    )
    assert shell.output('echo "$x"').startswith("..")


LOADED = {
    "bash": 'echo "$PROMPT_COMMAND"',
    "zsh": 'echo "$precmd_functions $chpwd_functions"',
    "fish": "functions --handlers | string match '*__agentkeys_hook'",
    "mksh": 'echo "$PS1"',
    "tcsh": "alias precmd",
}


@pytest.mark.parametrize("name", AT_PROMPT)
def test_loaded_twice_it_is_there_once_row_48(name: str, shared: Seat, terminal: Open) -> None:
    """A start-up file that is sourced again, as people do; and it asks once for each change."""
    path, calls = counting(shared)
    shell = terminal(name, after=KINDS[name].hook, env={"PATH": path})
    shell.run(KINDS[name].hook)
    places = {"zsh": 2, "fish": 2}.get(name, 1)
    assert shell.output(LOADED[name]).count("__agentkeys_hook") == places
    shell.run()
    before = count(calls)
    reload(shared)
    shell.run("true", "true")
    assert count(calls) == before + 1


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ("PROMPT_COMMAND='x=$x.;'", "__agentkeys_hook;x=$x.;"),
        ("PROMPT_COMMAND='x=$x. # so it is'", "__agentkeys_hook;x=$x. # so it is"),
        ("PROMPT_COMMAND=", "__agentkeys_hook"),
        ("unset PROMPT_COMMAND", "__agentkeys_hook"),
        ("readonly PROMPT_COMMAND='x=$x.'", "x=$x."),
    ],
    ids=["semicolon", "comment", "empty", "unset", "readonly"],
)
def test_whatever_is_at_the_prompt_the_shell_lives_row_49(before: str, left: str, terminal: Open) -> None:
    """No syntax error; a readonly one is said to be, once, and the rest of the start-up file is read."""
    shell = terminal("bash", before=before, after="later=read")
    assert shell.output('echo "$PROMPT_COMMAND,$later"').strip() == f"{left},read"
    shown = shell.screen()
    assert "syntax error" not in shown
    assert shown.count("agentkeys: error: PROMPT_COMMAND is readonly") == before.count("readonly")
    assert (shell.state() is None) == ("readonly" in before)


PREEXEC = r"""
__bp_install() { PROMPT_COMMAND="__bp_precmd; ${PROMPT_COMMAND/__bp_first/:}; __bp_last"; trap '__bp_debug' DEBUG; }
__bp_precmd() { __bp_status=$?; for f in "${precmd_functions[@]}"; do $f; done; return $__bp_status; }
__bp_first() { __bp_install; }
__bp_last() { seen="$seen+"; }
__bp_debug() { :; }
precmd_functions=(__bp_one)
__bp_one() { seen="$seen<$__bp_status"; }
PROMPT_COMMAND="__bp_first${PROMPT_COMMAND:+;$PROMPT_COMMAND}"
"""
"""What bash-preexec does to PROMPT_COMMAND at its first prompt, in ten lines: rewrites it, and traps DEBUG."""

STARSHIP = r"""
_starship_old=${PROMPT_COMMAND-}
starship_precmd() { _status=$?; seen="$seen<$_status"; (exit $_status); eval "${_starship_old-}"; }
PROMPT_COMMAND=starship_precmd
"""
"""What starship does: keeps what was there, and evaluates it at each prompt."""


@pytest.mark.parametrize("other", [PREEXEC, STARSHIP], ids=["bash-preexec", "starship"])
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_others_at_the_prompt_go_on_row_50(other: str, first: bool, shared: Seat, terminal: Open) -> None:
    """Loaded before the hook or after it: both do their work, and both see the status."""
    shell = terminal("bash", **({"before": other} if first else {"after": other}))
    reload(shared)
    assert shell.output('echo "$? $seen"', "seen=", "(exit 6)").strip().startswith("6 <0")
    assert "<6" in shell.output('echo "$seen"')
    assert shell.state() == "unlocked"


@pytest.mark.parametrize("before", ["export PROMPT_COMMAND='x=$x.'", "set -a\nPROMPT_COMMAND='x=$x.'"])
def test_a_shell_within_without_the_hook_is_quiet_row_51(before: str, terminal: Open) -> None:
    """It inherits PROMPT_COMMAND, and no function: nothing is said at its prompts, and the user's part of it works."""
    shell = terminal("bash", before=before)
    assert shell.state() == "unlocked"
    shell.screen()
    shell.run("bash --norc", "x=", "true")
    assert shell.output('echo "$x"').startswith("..")
    assert "command not found" not in shell.screen()


TRAPS = {
    "bash": ("trap 'echo caught' INT", "trap -p INT"),
    "zsh": ("trap 'echo caught' INT", "trap"),
    "zsh, a function": ("TRAPINT() { echo caught; return 1 }", "functions TRAPINT"),
    "mksh": ("trap 'echo caught' INT", "trap"),
    "dash": ("trap 'echo caught' INT", "trap"),
}


@pytest.mark.parametrize("which", TRAPS)
def test_a_users_trap_is_still_theirs_rows_52_53(which: str, shared: Seat, terminal: Open) -> None:
    """After prompts at which the hook asked."""
    shell = terminal(which.partition(",")[0])
    trap, show = TRAPS[which]
    shell.run(trap)
    before = shell.output(show)
    assert "echo caught" in before
    for _ in range(2):
        reload(shared)
        shell.run(ROUSED, "cd")
    assert shell.output(show) == before


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_ctrl_c_at_a_read_leaves_the_shell_row_54(name: str, terminal: Open) -> None:
    """Back at the prompt, with 130."""
    shell = terminal(name)
    file = shell.notes / f"read-{name}"
    shell.child.sendline(f"echo > {file}; read x".encode())
    eventually(file.exists)
    shell.press("c")
    assert shell.output("echo $?").strip() in ("130", "1")
    assert shell.is_alive()


@pytest.mark.parametrize("name", ["bash", "zsh", "mksh", "dash"])
def test_nounset_says_nothing_row_55(name: str, shared: Seat, terminal: Open) -> None:
    """At no prompt, whether the hook asks or not; whatever else is unset."""
    shell = terminal(name, before="set -u")
    shell.run("unset AGENTKEYS_OWNER AGENTKEYS_SOCK AGENTKEYS_STATE")
    reload(shared)
    shell.run(ROUSED, "cd", "true")
    assert not re.search("not set|unbound|unset:", shell.screen())
    assert shell.state() == "unlocked"


@pytest.mark.parametrize("name", ["bash", "zsh", "mksh", "dash"])
def test_errexit_ends_no_shell_row_56(name: str, rack: Seat) -> None:
    """Interactive set -e, with pipefail where there is such a thing, and no agent; a status that isn't 0 besides."""
    strict = "set -e" + ("" if name == "dash" else "o pipefail")
    shell = Terminal(rack, name, before=strict)
    shell.run(strict, ROUSED, "cd", "! true", "true")
    assert shell.is_alive()
    assert shell.state() == "no-agent"
    assert "e" in shell.output("echo $-")


@pytest.mark.parametrize("name", ["bash", "zsh", "mksh", "dash"])
def test_allexport_exports_no_helper_row_58(name: str, shared: Seat, terminal: Open) -> None:
    """Only the variables that are meant for programs reach them."""
    shell = terminal(name, after="set -a")
    reload(shared)
    shell.run(ROUSED, "cd /")
    helpers = [it for it in shell.environ() if "agentkeys_" in it]
    assert helpers == []
    assert "a" in shell.output("echo $-")


OPTIONS = "ksharrays posixidentifiers noclobber errreturn nounset shwordsplit globsubst noglob nomultibyte extendedglob"


@pytest.mark.parametrize("place", ["before", "after"])
def test_zsh_options_do_not_matter_and_stay_row_60(place: str, shared: Seat, terminal: Open) -> None:
    """Set before the hook is loaded, or later."""
    shell = terminal("zsh", **{place: f"setopt {OPTIONS}"})
    reload(shared)
    shell.run(ROUSED)
    assert shell.state() == "unlocked"
    assert shell.output("setopt | grep -c -e ksharrays -e posixidentifiers -e noclobber -e errreturn").strip() == "4"


HOSTILE = """
IFS=:_aeot
alias cd='false' eval='false' local='false' export='false' unset='false' printf='false' return='false' command='false'
alias builtin='false' set='false' case='false' '[=false'
GREP_OPTIONS=-v
"""

FUNCTIONS = """
export() { false; }; unset() { false; }; printf() { false; }; eval() { false; }; set() { false; }
agentkeys() { false; }; test() { false; }
"""


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_names_that_the_user_took_do_not_matter_row_61(name: str, shared: Seat, terminal: Open) -> None:
    """IFS, aliases and functions that are called like what the hook uses; from before it and from after it."""
    after = FUNCTIONS.replace("eval() { false; }; set() { false; }", "")
    shell = terminal(name, before=HOSTILE.replace("eval='false' ", "").replace("case='false' ", ""), after=after)
    reload(shared)
    shell.run("builtin cd /usr" if name == "zsh" else "\\cd /usr")
    assert shell.state() == "unlocked"


@pytest.mark.parametrize("name", AT_PROMPT)
def test_a_directory_with_any_name_does_no_harm(name: str, shared: Seat, terminal: Open) -> None:
    """Quotes, commands, globs, a newline, bytes that are no text: nothing is run, nothing is said."""
    place = shared.home.path / "odd"
    place.mkdir(exist_ok=True)
    odd = os.fsencode(place) + b"/a b'\"$(touch ran)`touch ran`*!;{x,y}~\\#\n|caf\xe9"
    os.makedirs(odd, exist_ok=True)
    shell = terminal(name, env={"ODD": os.fsdecode(odd)})
    shell.screen()
    for _ in range(2):
        shell.run('cd "$ODD:q"' if name == "tcsh" else 'cd "$ODD"')
        reload(shared)
        shell.run("true")
        shell.run("cd /")
    assert shell.state() == "unlocked"
    assert os.listdir(place) == [os.path.basename(os.fsdecode(odd))]
    assert os.listdir(odd) == []
    assert "agentkeys:" not in shell.screen()


def test_zsh_directory_stack_and_subshells_row_65(shared: Seat, terminal: Open) -> None:
    """pushd, popd, cd -q and a subshell; the parent is where it was, and nothing is asked while nothing changes."""
    path, calls = counting(shared)
    shell = terminal("zsh", env={"PATH": path})
    before = count(calls)
    shell.run("pushd /usr", "popd", "cd -q /usr", "(cd /tmp; cd /)", "cd /")
    assert shell.state() == "unlocked"
    assert count(calls) == before


def test_fish_asks_only_where_a_person_is_row_66(shared: Seat, terminal: Open) -> None:
    """A script that changes directories pays nothing; within the prompt's own fish it is current at once."""
    path, calls = counting(shared)
    shell = terminal("fish", env={"PATH": path})
    before = count(calls)
    shell.run("fish -c 'cd /usr; cd /'")
    assert count(calls) == before


@pytest.mark.parametrize("name", AT_PROMPT)
def test_a_frozen_agent_holds_no_prompt_row_71(name: str, seat: Seat) -> None:
    """It is asked once, said once to be silent, and left alone until something changes; dead, it is gone."""
    path, calls = counting(seat)
    shell = Terminal(seat, name, env={"PATH": path})
    assert shell.state() == "unlocked"
    seat.cli("agent", "--reload", check=True)
    process = seat.process
    process.send_signal(signal.SIGSTOP)
    try:
        shell.screen()
        before = count(calls)
        shell.run("true", "true", "true")
        assert count(calls) == before + 1
        assert shell.state() == "no-answer"
        shown = shell.screen()
        assert len(re.findall("doesn't answer within|doesn't read its|doesn't accept", shown)) == 1, shown
        shell.run(ROUSED, "true")
        assert "doesn't" not in shell.screen()
    finally:
        process.send_signal(signal.SIGCONT)
    seat.cli("agent", "-k", check=True)
    assert shell.output("echo x", "true") == "x\n"
    assert shell.state() == "no-agent"
    seat.start()
    shell.run("true")
    assert shell.state() == "locked"


@pytest.mark.parametrize("name", AT_PROMPT)
def test_what_fails_is_not_tried_at_each_prompt_row_72(name: str, shared: Seat, terminal: Open) -> None:
    """The program is broken or gone: one error, and the next try when something changes."""
    directory = shared.home.path / "broken"
    directory.mkdir(exist_ok=True)
    shell = terminal(name)
    broken = directory / "agentkeys"
    broken.write_text("#!/bin/sh\necho broken as can be >&2\nexit 1\n")
    broken.chmod(0o755)
    shell.export("PATH", f"{directory}:/usr/bin:/bin")
    shell.screen()
    reload(shared)
    shell.run("true", "true", "true")
    assert shell.screen().count("broken as can be") == 1
    with suppress(FileNotFoundError):
        broken.unlink()


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_ctrl_c_while_it_asks_gives_the_prompt_back_row_73(name: str, shared: Seat, terminal: Open) -> None:
    """What was told last stays, and the next prompt asks again."""
    directory = shared.home.path / "slow"
    directory.mkdir(exist_ok=True)
    begun = shared.home.path / f"begun-{name}"
    program = directory / "agentkeys"
    program.write_text(f"#!/bin/sh\necho > {begun}\nexec sleep 60\n")
    program.chmod(0o755)
    shell = terminal(name)
    path = shell.environ()["PATH"]
    shell.export("PATH", f"{directory}:{path}")
    reload(shared)
    shell.child.sendline(b"true")
    eventually(begun.exists)
    shell.press("c")
    program.unlink()
    shell.run("true")
    assert shell.state() == "unlocked"


SETTINGS = {
    "bash": "compgen -A function; compgen -v | grep -v -e _ -e BASH; trap; echo $-; echo ${PROMPT_COMMAND-none}",
    "zsh": "print -l ${(ok)functions} $precmd_functions $chpwd_functions; trap; setopt",
    "fish": "functions --all --names; functions --handlers",
    "mksh": 'typeset -f; alias; trap; echo "$- $PS1"',
    "dash": 'type cd; trap; echo "$-"; set | grep -c agentkeys_',
    "tcsh": "alias; set | grep agentkeys",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_it_can_be_taken_off_row_74(name: str, terminal: Open) -> None:
    """Functions, traps, options, hooks and variables are what they are in a shell that never had it."""
    plain = terminal(name, hook=False)
    hooked = terminal(name)
    assert hooked.references()
    hooked.run('eval "$__agentkeys_off"' if name == "tcsh" else "__agentkeys_off")
    for shell in (plain, hooked):
        shell.run(ROUSED)
    assert hooked.references() == plain.references() == {}
    assert hooked.output(SETTINGS[name]) == plain.output(SETTINGS[name])
