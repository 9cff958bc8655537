"""What a shell's hook owes its user, row by row, and the tests that hold it.

A row is a promise; below it stand the tests that hold it. tests/shell/test_conformance.py has the other rows.

    45 the status of the last command is the user's
        ::test_the_status_is_the_users_row_45
    46 a reader of it behind the hook sees it
        ::test_a_reader_behind_the_hook_sees_the_status_row_46
    47 an array of prompt commands stays one
        ::test_an_array_stays_one_row_47
    48 loaded twice, it is there once
        ::test_loaded_twice_it_is_there_once_row_48
    49 whatever stands in PROMPT_COMMAND, the shell lives
        ::test_whatever_is_at_the_prompt_the_shell_lives_row_49
    50 bash-preexec and starship go on, loaded before or after
        ::test_others_at_the_prompt_go_on_row_50
    51 a shell within that has no hook says nothing
        ::test_a_shell_within_without_the_hook_is_quiet_row_51
    52 a trap stays
        ::test_a_users_trap_is_still_theirs_rows_52_53
    53 TRAPINT stays
        ::test_a_users_trap_is_still_theirs_rows_52_53
    54 Ctrl-C at a read
        ::test_ctrl_c_at_a_read_leaves_the_shell_row_54
    55 nounset
        ::test_nounset_says_nothing_row_55
    56 errexit, with no agent
        ::test_errexit_ends_no_shell_row_56
    57 xtrace shows no secret
        shell/conformance/test_keys.py::test_a_trace_shows_no_value_row_57
    58 allexport exports no helper
        ::test_allexport_exports_no_helper_row_58
    59 no secret in variables that aren't exported
        shell/conformance/test_keys.py::test_a_value_is_in_its_exported_variable_alone_row_59
    60 zsh's options
        ::test_zsh_options_do_not_matter_and_stay_row_60
    61 IFS, aliases, functions
        ::test_names_that_the_user_took_do_not_matter_row_61
    62 in and out again: everything as it was
        shell/conformance/test_keys.py::test_keys_come_and_go_with_the_directory_row_62
    63 what the user changed stays theirs
        shell/conformance/test_keys.py::test_what_the_user_changed_stays_theirs_row_63
    64 cd twice and a command on one line
        shell/conformance/test_keys.py::test_a_command_behind_two_cds_sees_the_second_row_64
    65 zsh's directory stack, and subshells
        ::test_zsh_directory_stack_and_subshells_row_65
    66 fish -c
        ::test_fish_asks_only_where_a_person_is_row_66
    67 a shell that starts in a project
        shell/conformance/test_keys.py::test_a_shell_that_starts_in_a_project_knows_it_row_67
    68 a shell within lets go
        shell/conformance/test_keys.py::test_a_shell_within_lets_go_row_68
    69 a new pane after a relock
        shell/conformance/test_keys.py::test_a_new_pane_has_no_old_value_row_69
    70 a thousand prompts, no process
        shell/conformance/test_cost.py::test_prompts_start_no_process_row_70
    71 a frozen agent, a dead one
        ::test_a_frozen_agent_holds_no_prompt_row_71
    72 one error, and no second try
        ::test_what_fails_is_not_tried_at_each_prompt_row_72
    73 Ctrl-C while it asks
        ::test_ctrl_c_while_it_asks_gives_the_prompt_back_row_73
    74 taken off
        ::test_it_can_be_taken_off_row_74
    83 direnv: no secret in what it remembers, either half
        direnv/test_use.py::test_use_agentkeys_exports_references_only
    84 direnv: locked is a state, under strict_env and without a terminal
        direnv/test_use.py::test_locked_is_a_state_and_no_failure
    85 direnv: each change is seen
        direnv/test_use.py::test_direnv_sees_each_change
    86 a manifest that was edited, is a foreigner's or anybody's to write
        repo/test_use.py::test_what_is_not_allowed_as_it_is_runs_nothing
        repo/test_allow.py::test_a_manifest_from_an_enemy_shows_one_line
"""

from pathlib import Path

from tests.support.tables import check_table

MANNERS = Path(__file__).parent / "test_manners.py"


def test_each_row_names_tests_that_there_are() -> None:
    """Each with its tests or the reason why it has none."""
    check_table(str(MANNERS), __doc__, [*range(45, 75), *range(83, 87)])
