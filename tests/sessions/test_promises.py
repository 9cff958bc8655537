"""What users of other agents of this kind count on about sessions, row by row, and the tests that hold it here.

First what twenty robots on one host must show. What needs grants is left out until there are some.

    101 one master and N robots: N wallets, N slots, N tokens, none overwritten
        sessions/test_many.py::test_a_master_and_twenty_robots_with_a_keychain
    102 each reads its own keys
        sessions/test_many.py::test_a_master_and_twenty_robots_with_a_keychain
    105 restarted, each has the same wallet, and nobody is asked for anything
        sessions/test_many.py::test_a_master_and_twenty_robots_with_a_keychain
        sessions/test_robots.py::test_a_restart_keeps_the_wallet_and_the_session
    106 started with no name while there are several: refused, and they are listed
        sessions/test_many.py::test_a_master_and_twenty_robots_with_a_keychain
        sessions/test_robots.py::test_several_robots_are_refused_and_listed
    109 one is cleared: the others and the master are as they were
        sessions/test_many.py::test_a_master_and_twenty_robots_with_a_keychain
        sessions/test_store.py::test_clearing_one_touches_no_other
    110 the same on a headless host, without a master
        sessions/test_many.py::test_twenty_robots_on_a_headless_host

Then what the store of sessions owes.

    6 files are forced: the slot's file is there, 0600, and no keychain is asked
        sessions/test_store.py::test_file_mode_asks_no_keychain
        sessions/test_keychain.py::test_file_mode_doesnt_ask_a_keychain_that_is_there
    7 a keychain that works: no file, and it is listed all the same
        sessions/test_store.py::test_a_keychain_comes_first
        sessions/test_keychain.py::test_a_session_is_an_entry_by_wallet
    8 a keychain that hangs is given up after two seconds
        sessions/test_store.py::test_without_a_keychain_a_new_session_is_in_a_file
        sessions/test_store.py::test_a_silent_keychain_is_waited_for_once
        sessions/test_keychain.py::test_a_silent_service_costs_two_seconds_once
    9 two are saved: both load, and their tokens differ
        sessions/test_verbs.py::test_init_issues_a_session_once
    10 one is cleared: it is gone at once, the other and the master's load
        sessions/test_store.py::test_clearing_one_touches_no_other
        sessions/test_verbs.py::test_clear_by_wallet_in_any_case_clears_that_one
    11 saved in any order, listed by id
        sessions/test_store.py::test_sessions_are_listed_by_id_the_masters_first
    12 an id that could be a path, is empty, endless or holds NUL stays out
        sessions/test_store.py::test_an_id_that_could_be_a_path_is_refused
    13 no id is taken for another one: none is rewritten, and none differs in letter case alone
        sessions/test_store.py::test_an_id_that_could_be_a_path_is_refused
    14 the one session of an older program is found
        sessions/test_store.py::test_a_legacy_session_moves_into_its_slot
        sessions/test_store.py::test_a_legacy_session_is_never_preferred
    15 one slot is gone and one is good: the good one resumes
        sessions/test_robots.py::test_a_session_that_is_gone_doesnt_count
    16 two good ones and no name: refused, both listed
        sessions/test_robots.py::test_several_robots_are_refused_and_listed
    17 a start that failed leaves no session for the next one to believe in
        sessions/test_robots.py::test_a_start_that_found_nothing_leaves_nothing_to_resume
        sessions/test_verbs.py::test_before_the_wallet_is_known_there_is_no_session
    18 a session under a name that is no slot's is named
        sessions/test_robots.py::test_a_strange_session_is_named
        sessions/test_verbs.py::test_doctor_says_why_and_what_mends_it
    45 one's own is cleared: it is gone, `init` is named, and the next look says that there is none
        sessions/test_verbs.py::test_clear_by_wallet_in_any_case_clears_that_one
    46 cleared by its wallet in another letter case
        sessions/test_verbs.py::test_clear_by_wallet_in_any_case_clears_that_one
    47 another one's is cleared, and one's own stays
        sessions/test_verbs.py::test_clear_by_wallet_in_any_case_clears_that_one
        sessions/test_verbs.py::test_owner_remove_clears_the_session

And what a hostile or broken keychain and disk must not bring about.

    201 a service that accepts and never answers is given up, and nothing hangs at the exit
        sessions/test_keychain.py::test_a_frozen_keychain_is_given_up
        sessions/test_keychain.py::test_a_silent_service_costs_two_seconds_once
    203 a write that is acknowledged and dropped is found out
        sessions/test_store.py::test_a_keychain_that_drops_a_write_is_an_error
        sessions/test_store.py::test_a_keychain_that_drops_a_removal_is_an_error
    204 ids with a slash, dots, a newline, a thousand characters, or equal after folding are refused
        sessions/test_store.py::test_an_id_that_could_be_a_path_is_refused
    205 in the keychain, which is down, while an older file lies there: that isn't used
        sessions/test_store.py::test_an_older_file_is_not_used_while_the_keychain_is_away
        sessions/test_store.py::test_an_older_entry_put_back_is_refused
        sessions/test_keychain.py::test_an_entry_of_before_is_refused
        sessions/test_store.py::test_what_is_left_in_a_closed_keychain_never_comes_back
    206 ten processes save, load and clear at once: no cross-talk, and each change whole
        sessions/test_many.py::test_ten_processes_save_load_and_clear_again_and_again
        sessions/test_crash.py::test_killed_at_each_system_call_a_session_is_old_or_new
        sessions/test_crash.py::test_killed_between_file_and_keychain_one_of_them_counts
    207 whatever the umask and the directory's mode were, files are 0600 and directories 0700
        sessions/test_store.py::test_file_mode_asks_no_keychain
        sessions/test_store.py::test_a_directory_that_is_open_is_closed
        sessions/test_store.py::test_a_file_that_is_no_private_file_of_ours_is_not_read
    208 empty, cut short, no JSON, wrong types, a later version: an error with a way out, and the file is kept
        sessions/test_store.py::test_a_damaged_file_is_an_error_and_is_kept_aside
        sessions/test_store.py::test_a_later_versions_session_is_not_written_over
        sessions/test_robots.py::test_init_replaces_what_is_damaged_gone_or_expired
"""

from tests.support.tables import check_table

NUMBERS = (*(101, 102, 105, 106, 109, 110), *range(6, 19), 45, 46, 47, 201, *range(203, 209))


def test_each_promise_is_held_by_tests_that_there_are() -> None:
    """A test that is renamed or removed takes its row along."""
    check_table(__file__, __doc__, NUMBERS)
