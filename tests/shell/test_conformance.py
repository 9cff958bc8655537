"""What users of ssh-agent, direnv and aws-vault count on, row by row, and the tests that hold it.

A row is a promise; below it stand the tests that hold it, in this file or elsewhere under tests/.
Rows 1 to 35 are `agentkeys agent`, 75 to 82 `exec`, 87 to 90 what is around them.

    1 eval of what is printed sets and exports the socket, in every shell
        shell/test_agent_dialects.py::test_start_export_and_stop
        shell/test_agent_at_a_prompt.py::test_an_agent_comes_and_goes_in_somebodys_shell
    2 run twice: the same socket and pid, one process
        ::test_a_second_start_in_any_shell_finds_the_first
        shell/test_agent_at_a_prompt.py::test_an_agent_comes_and_goes_in_somebodys_shell
        agent/test_start.py::test_starting_twice_is_starting_once
        cli/test_agent_terminal.py::test_a_line_in_the_start_up_file_row_2
    3 twenty starts at once are one agent
        agent/test_start_flags.py::test_twenty_first_starts_at_once_row_3
        agent/test_start.py::test_fifty_first_starts_at_once_make_one_agent
    4 a start behind one that hangs ends, with an error
        agent/test_start_trouble.py::test_a_start_behind_one_that_hangs_ends_and_names_it
    5 a failing start fails the eval, under set -e too
        shell/test_agent_dialects.py::test_a_failure_fails_in_every_shell
        shell/test_agent_at_a_prompt.py::test_an_agent_comes_and_goes_in_somebodys_shell
        cli/test_agent_output.py::test_an_eval_of_a_failing_agent_fails
        cli/test_agent_terminal.py::test_a_failing_start_inside_an_envrc_is_a_failing_envrc_row_5
    6 a failing start prints false and nothing else
        cli/test_agent_output.py::test_a_failing_agent_prints_false_and_nothing_else
        shell/test_agent_dialects.py::test_a_failure_prints_false_in_every_dialect
    7 --shell decides, whatever the caller is
        shell/test_agent_dialects.py::test_the_dialect_asked_for_wins_over_the_caller
    8 the caller is known by what it is, not by $SHELL
        shell/test_agent_dialects.py::test_a_shell_is_answered_in_its_own_dialect
    9 an odd socket path arrives exactly through a quoted eval, and nothing is run
        shell/test_agent_dialects.py::test_an_odd_socket_path_arrives_exactly
        cli/test_socket_quoting.py::test_a_socket_path_survives_a_quoted_eval
    10 what a line can't carry is refused, and nothing is printed
        cli/test_socket_quoting.py::test_a_path_that_no_shell_line_can_carry_is_not_printed
        shell/test_dialects.py::test_a_nul_is_refused
        shell/test_dialects.py::test_csh_refuses_a_newline
        shell/test_source.py::test_what_a_dialect_cannot_carry_is_not_printed
    11 a command substitution returns
        agent/test_start.py::test_command_substitution_returns
        agent/test_command.py::test_a_command_substitution_ends_with_the_command_row_11
    12 descriptors 3 and 9 are closed: their readers see the end
        agent/test_start.py::test_the_daemon_keeps_no_descriptor_of_its_caller
    13 a start inside an .envrc doesn't hold direnv up
        cli/test_agent_terminal.py::test_a_start_inside_an_envrc_does_not_hold_direnv_up_row_13
    14 -k of nobody is exit 3, whatever the pid in the variable; the variable is named
        agent/test_kill.py::test_there_is_no_agent_whatever_the_pid_row_14
        agent/test_kill.py::test_a_variable_that_leads_nowhere_is_named_row_14
        shell/test_agent_at_a_prompt.py::test_an_agent_comes_and_goes_in_somebodys_shell
    15 -k unsets each variable, and the socket is gone
        agent/test_kill.py::test_when_it_returns_the_agent_is_gone_row_15
        shell/test_agent_dialects.py::test_stopping_prints_the_opposite_in_the_same_dialect
        shell/test_agent_at_a_prompt.py::test_an_agent_comes_and_goes_in_somebodys_shell
        cli/test_agent_output.py::test_stopping_an_agent_unsets_what_it_exported
    16 after kill -9 a start replaces what was left
        agent/test_start.py::test_a_start_after_kill_9_needs_no_hand
        agent/test_private.py::test_its_own_dead_socket_is_replaced_row_16
    17 a live listener of somebody else at the path stays
        agent/test_start_trouble.py::test_a_live_strangers_socket_is_left_alone
        agent/test_private.py::test_a_live_one_is_refused_row_17
        agent/test_private.py::test_a_live_strangers_socket_is_left_alone_row_17
    18 so do a file, a symlink and what another user left
        agent/test_start_trouble.py::test_a_file_in_the_way_is_left_alone
        agent/test_start_trouble.py::test_a_symlink_in_the_way_is_not_followed
        agent/test_start_trouble.py::test_another_users_socket_or_directory_is_refused
        agent/test_private.py::test_what_is_in_the_way_is_left_alone_row_18
        agent/test_private.py::test_what_another_user_left_there_is_left_alone_row_18
    19 a pid that lives is not an agent
        agent/test_start_trouble.py::test_a_pid_that_lives_is_not_an_agent
    20 TERM and HUP end it: socket and lock gone, exit 0
        agent/test_leaving.py::test_a_signal_ends_it_cleanly
        agent/test_foreground.py::test_it_serves_until_a_signal
    21 a zombie is no agent
        agent/test_foreground.py::test_a_killed_one_is_no_agent_row_21
    22 a socket directory that others may enter is refused, with the chmod
        agent/test_start_trouble.py::test_a_socket_directory_that_others_can_enter_is_refused
        agent/test_private.py::test_a_directory_that_others_can_write_is_refused_row_22
    23 whatever the umask, 0600 and 0700
        agent/test_start.py::test_a_umask_changes_no_mode
        cli/test_agent_terminal.py::test_a_umask_changes_no_mode_of_a_private_one_row_23
    24 another user who can connect is refused without a byte
        security/test_other_users.py::test_an_agent_closes_another_users_connection_before_any_byte
    25 a path over 103 bytes
        agent/test_private.py::test_a_path_too_long_for_a_socket_row_25
        agent/test_runtime_dir.py::test_a_path_too_long_for_a_socket_is_shortened_alike_on_both_sides
    26 no HOME, a home that can't be written, one that another machine uses too
        agent/test_homes.py::test_without_a_home_the_root_may_be_named_row_26
        agent/test_homes.py::test_a_home_that_can_not_be_written_row_26
        agent/test_private.py::test_another_machines_agents_are_not_ours_row_26
    27 `agent -- command`: its exit code, its agent's end, its children's variable
        agent/test_command.py::test_an_agent_for_one_command_row_27
        shell/test_agent_at_a_prompt.py::test_an_agent_for_one_command_ends_as_that_does
    28 of a command that isn't there: 127, and no agent
        agent/test_command.py::test_a_command_that_is_not_there_row_28
        shell/test_agent_at_a_prompt.py::test_an_agent_for_one_command_ends_as_that_does
    29 of one that dies of a signal: 128 and its number
        agent/test_command.py::test_a_signal_is_the_commands_own_row_29
        shell/test_agent_at_a_prompt.py::test_an_agent_for_one_command_ends_as_that_does
    30 socket activation: a right pair serves, anything else is refused; TERM is exit 0
        agent/test_activation.py::test_the_socket_is_served_and_announced
        agent/test_activation.py::test_what_is_not_plainly_ours_is_refused
        agent/test_activation.py::test_sigterm_ends_it_with_0_and_leaves_the_path
    31 after its time a key is refused and wiped; so is everything after the idle limit
        agent/test_expiry.py::test_a_key_expires_by_itself
        core/test_agent_time.py::test_each_tick_takes_what_is_due_and_sets_the_next
        owners/test_operator_rules.py::test_idle_forgets_everything
    32 the cap ends it however much it is used
        core/test_agent_idle.py::test_nothing_stays_over_the_cap_however_much_it_is_used
        agent/test_expiry.py::test_no_key_stays_longer_than_a_week
    33 asking extends nothing
        agent/test_expiry.py::test_asking_does_not_extend_it
        core/test_agent_idle.py::test_asking_is_no_use
    34 suspend counts, the wall clock doesn't
        agent/test_expiry.py::test_the_wall_clock_does_not_matter
    35 a time that is none is exit 2
        cli/test_exit_codes.py::test_wrong_usage_is_2
        agent/test_start_flags.py::test_flags_that_contradict_each_other_are_refused
    75 Ctrl-C is exactly one SIGINT, in every shell
        ::test_ctrl_c_is_one_interrupt
        cli/test_exec_terminal.py::test_ctrl_c_ends_a_command_that_does_not_mind
    76 Ctrl-Z stops, fg resumes, a resize is seen, the terminal is as it was, in every shell
        ::test_ctrl_z_fg_and_a_resize
        cli/test_exec_terminal.py::test_the_terminal_is_as_it_was
    77 exit codes: the command's own, 128 and a signal's number, 127, 126
        ::test_the_exit_code_is_what_every_shell_sees
        cli/test_exec_command.py::test_every_exit_code_is_the_commands_own
        cli/test_exec_command.py::test_a_signals_death_is_the_commands_own
        cli/test_exec_command.py::test_a_command_that_can_not_run_asks_for_no_key
    78 pipes and no terminal: not a byte more or less
        cli/test_exec_command.py::test_pipes_pass_through_untouched
        cli/test_exec_command.py::test_nothing_is_read_from_stdin
        ::test_at_a_terminal_stdout_is_still_the_commands
    79 missing, locked, denied: the command doesn't run, and each has its code
        ::test_the_exit_code_is_what_every_shell_sees
        cli/test_exec_fails_closed.py::test_nothing_runs_on_a_locked_key
        cli/test_exec_fails_closed.py::test_nothing_runs_on_an_absent_key
        cli/test_exec_fails_closed.py::test_nothing_runs_on_a_denied_name
    80 a variable that was there, even twice, is there once, and ours
        cli/test_exec_environment.py::test_a_variable_given_twice_arrives_once
        cli/test_exec_keys.py::test_a_variable_that_was_there_is_replaced
    81 exec in exec: the inner one wins, for the same owner and another
        cli/test_exec_environment.py::test_the_inner_exec_of_two_wins
        cli/test_exec_environment.py::test_an_exec_inside_serves_the_same_owner_unasked
        ::test_an_exec_inside_asks_the_agent_itself
    82 no secret in ps or /proc/PID/cmdline during a run
        cli/test_exec_privacy.py::test_a_running_command_shows_only_what_it_was_given
        cli/test_exec_privacy.py::test_no_command_line_shows_a_value
        security/test_socket_exposure.py::test_the_agents_command_line_is_fit_to_be_seen
    87 sudo and su: as documented, and never another user's agent
        ::test_su_takes_nobodys_agent_along
        cli/test_exit_codes.py::test_a_home_of_another_user_is_6
        security/test_other_users.py::test_the_clients_own_check_refuses_another_users_agent
        agent/test_runtime_dir.py::test_a_runtime_directory_of_another_user_is_not_used
    88 a client and an agent of other versions: negotiated, or said; no value is lost or told
        agent/test_skew.py::test_an_agent_of_another_protocol_is_said_to_be_one
        agent/test_skew.py::test_a_value_is_not_told_to_one
        agent/test_skew.py::test_ranges_that_overlap_are_enough
        agent/test_skew.py::test_the_agent_answers_a_client_of_another_protocol
    89 /proc/AGENT/{mem,environ,maps,fd} are closed to this user; no core
        security/test_memory.py::test_no_channel_leads_into_an_agent
        security/test_memory.py::test_an_agent_that_crashes_leaves_no_core
    90 help and completion prompt for nothing and wait for nobody: with the agent locked, frozen or not there
        cli/test_help.py::test_each_verb_explains_itself
        cli/test_help.py::test_the_top_help_names_every_verb
        ::test_help_asks_no_agent
        completion/test_words.py::test_completion_never_unlocks
        completion/test_words.py::test_completion_knows_nothing_of_a_locked_agent
        completion/test_words.py::test_completion_does_not_wait_for_a_stopped_agent
        completion/test_words.py::test_completion_starts_nothing
        completion/test_shells.py::test_tab_completes
"""

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pexpect
import psutil
import pytest

from agentkeys.cli.app import FAMILIES
from tests.agent.seat import Seat, eventually
from tests.shell.prompt import INTERACTIVE, STATUS, Prompt
from tests.shell.shells import PLAINLY, line, run, shell_named
from tests.support.plugin import Plant
from tests.support.runner import Runner
from tests.support.tables import check_table
from tests.support.uids import User, require

NUMBERS = [*range(1, 36), *range(75, 83), *range(87, 91)]


def test_each_row_names_tests_that_there_are() -> None:
    """Each with its tests or the reason why it has none."""
    check_table(__file__, __doc__, NUMBERS)


@pytest.mark.parametrize("name", PLAINLY)
def test_a_second_start_in_any_shell_finds_the_first(name: str, rack: Seat) -> None:
    """The same socket and pid, and one process."""
    shell = shell_named(name)
    show = "env printenv AGENTKEYS_SOCK AGENTKEYS_AGENT_PID"  # tcsh has a printenv of its own, for one name
    found = [run(rack.cli, shell, shell.taking(line(rack.cli, "agent"), show), check=True).out for _ in range(2)]
    assert found == [f"{rack.socket}\n{rack.pid}\n".encode()] * 2
    assert len(rack.home.agents()) == 1


@pytest.fixture(params=INTERACTIVE)
def prompt(request: pytest.FixtureRequest, seat: Seat) -> Iterator[Prompt]:
    """Each shell in turn, at its prompt."""
    found = Prompt(request.param, seat)
    yield found
    found.child.close(force=True)


def test_ctrl_c_is_one_interrupt(prompt: Prompt) -> None:
    """One key, one SIGINT to the command, none to anything else of ours; what is typed then is the command's."""
    process = prompt.start_counting()
    prompt.child.sendintr()
    prompt.child.expect_exact(b"^C")
    prompt.type("hello")
    prompt.child.expect_exact(b"got ['INT'] line hello")
    assert prompt.code() == 0
    assert not process.is_running()


def test_ctrl_z_fg_and_a_resize(prompt: Prompt) -> None:
    """It stops, the shell has the terminal, fg gives it back with SIGWINCH and the input; modes are as before."""
    before = prompt.modes()
    process = prompt.start_counting()
    prompt.child.sendcontrol("z")
    prompt.child.expect_exact(b"ready> ")
    assert process.status() == psutil.STATUS_STOPPED
    prompt.type("fg")
    eventually(lambda: process.status() != psutil.STATUS_STOPPED)
    prompt.child.setwinsize(40, 200)
    prompt.child.expect_exact(b"resized")
    prompt.type("hello")
    prompt.child.expect_exact(b"got [] line hello")
    assert prompt.code() == 0
    assert prompt.modes() == before


def scripts(place: Path) -> dict[str, Path]:
    """Commands by what comes of them."""
    found = {}
    for name, body in {"0": ":", "7": "exit 7", "255": "exit 255", "137": "kill -9 $$", "143": "kill $$"}.items():
        found[name] = place / f"exit-{name}"
        found[name].write_text(f"#!/bin/sh\necho ran\n{body}\n")
        found[name].chmod(0o755)
    found["126"] = place / "not-executable"
    found["126"].write_text("#!/bin/sh\necho ran\n")
    found["127"] = place / "not-there"
    return found


@pytest.mark.parametrize("name", PLAINLY)
def test_the_exit_code_is_what_every_shell_sees(name: str, seat: Seat, tmp_path: Path) -> None:
    """0, 7, 255, 137, 143 of a command that ran; 126, 127; and 4, 5, 6 of one that never did."""
    shell = shell_named(name)
    seat.cli("relock", "OPENAI_API_KEY", check=True)
    made = scripts(tmp_path)
    cases = [(int(code), "GITHUB_TOKEN", path) for code, path in made.items()]
    denied = "GITHUB_TOKEN=LD_PRELOAD"
    cases += [(code, key, made["0"]) for code, key in ((4, "OPENAI_API_KEY"), (5, "NOPE"), (6, denied))]
    script = ""
    for _, key, path in cases:
        script += f"{line(seat.cli, 'exec', '--key', key, '--', str(path))}; echo {STATUS.get(name, '$?')}\n"
    file = tmp_path / "script"
    file.write_text(script)
    out = seat.cli.with_prefix(*shell.words[:-1])(file, check=False).out.decode().split()
    expected = []
    for code, _, path in cases:
        expected += (["ran"] if path.name.startswith("exit-") and code not in (4, 5, 6) else []) + [str(code)]
    assert [word for word in out if word == "ran" or word.isdigit()] == expected


def test_at_a_terminal_stdout_is_still_the_commands(seat: Seat, tmp_path: Path) -> None:
    """stdin and stderr are a terminal, stdout a pipe: what exec tells a person isn't in it."""
    (tmp_path / "in").write_bytes(bytes(range(256)) * 300)
    words = shlex.join(os.fsdecode(word) for word in seat.cli.prefix)
    shell = seat.cli.with_prefix("sh", "-c")
    child = shell.on_tty(f"{words} exec -- cat {tmp_path}/in | cat >{tmp_path}/out; {words} exec -- sh -c 'tty <&2'")
    child.expect_exact(b"2 keys injected")
    child.expect_exact(b"2 keys injected")
    child.expect(rb"/dev/\S+\r\n")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()


def test_an_exec_inside_asks_the_agent_itself(seat: Seat, canary: Plant) -> None:
    """What the outer one left in the environment proves nothing: relocked meanwhile, the inner one runs nothing."""
    words = [os.fsdecode(word) for word in seat.cli.prefix]
    inner = shlex.join([*words, "exec", "--key", "GITHUB_TOKEN", "--", "echo", "ran"])
    done = seat.cli("exec", "--", "sh", "-c", f"{inner}; {shlex.join(words)} relock >&2; {inner}")
    assert (done.code, done.out) == (4, b"ran\n")


def test_help_asks_no_agent(seat: Seat) -> None:
    """Each verb's, of a frozen one, and some verbs' of one that isn't there: the same, and nothing waits."""
    verbs = [["--help"], *([verb, "--help"] for verb in FAMILIES)]
    process = seat.process
    texts = []
    process.suspend()
    try:
        texts.append([seat.cli(*args, check=True).out for args in verbs])
    finally:
        process.resume()
    env = {"AGENTKEYS_SOCK": "/nonexistent.sock", "AGENTKEYS_OWNER": "nobody", "AGENTKEYS_HOME": "/nonexistent"}
    some = verbs[:: len(verbs) // 6]
    texts.append([seat.cli(*args, env=env, check=True).out for args in some])
    assert texts[0][:: len(verbs) // 6] == texts[1]
    assert all(texts[0])


WAYS = {
    "su": (2, True),
    "su -p": (6, True),
    "su -": (2, False),
    "sudo": (0, False),
    "sudo -E": (6, True),
}
"""Ways to become another user: what a verb exits with as it is, and whether our socket's variable is kept.

su sets HOME from the account, whose directory isn't there; -p and -E keep root's, which is closed to that user.
"""


@pytest.mark.serial
@pytest.mark.parametrize("way", WAYS)
def test_su_takes_nobodys_agent_along(way: str, seat: Seat, other_user: User) -> None:
    """Root becomes another user: that one's rack and agent, or an error with a way out; root's agent isn't asked."""
    require(shutil.which("su"), "su (util-linux)")
    other_user.cli("init", check=True)
    other_user.cli("set", "TOKEN", input=b"the user's", check=True)
    other_user.cli("agent", check=True)
    other_user.cli("unlock", check=True)
    exported = {"AGENTKEYS_SOCK": str(seat.socket), "AGENTKEYS_AGENT_PID": str(seat.pid), "AGENTKEYS_OWNER": "human"}
    theirs = shlex.join(f"{name}={value}" for name, value in other_user.home.env.items())
    bare, kept = WAYS[way]
    before = len(seat.chain())

    def codes(prefix: str) -> list[int]:
        found = []
        for words in ("get TOKEN", "exec --key TOKEN -- printenv TOKEN", "list"):
            script = f"cd /; {prefix} {other_user.venv}/bin/agentkeys {words}"
            done = becoming(way, seat.cli, other_user)(script, env=exported)
            assert (b"TOKEN" if words == "list" else b"the user's") in done.out if done.code == 0 else not done.out
            assert done.code == 0 or b"\nagentkeys: hint: " in done.err
            found.append(done.code)
        return found

    assert codes("") == [bare] * 3
    assert codes(f"env {theirs}") == ([3, 3, 0] if kept else [0, 0, 0])
    assert codes(f"env -u AGENTKEYS_SOCK {theirs}") == [0, 0, 0]
    assert len(seat.chain()) == before


def becoming(way: str, cli: Runner, user: User) -> Runner:
    """Root's shell line as that user, in one of the ways; sudo is played by its documented treatment of variables."""
    name = user.home.user
    if way.startswith("su") and not way.startswith("sudo"):
        return cli.with_prefix("su", *way.split()[1:], "-s", "/bin/sh", name, "-c")
    reset = ["env", "-i", "PATH=/usr/bin:/bin", f"HOME={user.home.path}"] if way == "sudo" else []
    return cli.with_prefix(*user.run.prefix, *reset, "sh", "-c")
