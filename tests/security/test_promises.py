"""What an attacker tries and what goes wrong by itself, case by case, and the tests that hold against it.

S is the socket and who is at its other end, M what rests on the disk, K the keychain, E the command line and what it
starts, X processes and memory, R what fails. docs/explanation/threat-model.md says the same in prose.

    S01 another user connects through modes that somebody opened: closed before a byte, and on record
        security/test_other_users.py::test_an_agent_closes_another_users_connection_before_any_byte
        security/test_other_users.py::test_another_user_can_not_even_look
    S02 root is another user, unless the operator says otherwise
        security/test_other_users.py::test_root_is_another_user
        security/test_other_users.py::test_root_is_served_when_the_users_config_says_so
        security/test_other_users.py::test_root_is_let_in_and_turned_away_by_a_reload
        agent/test_peer.py::test_other_users_are_not_spoken_to
    S03 a path of XDG_RUNTIME_DIR that can't be trusted: the system's own, or refused; never the current directory
        agent/test_runtime_dir.py::test_a_runtime_directory_that_is_not_ours_is_not_used
        agent/test_runtime_dir.py::test_a_runtime_directory_open_to_others_is_not_used
        agent/test_runtime_dir.py::test_a_runtime_directory_of_another_user_is_not_used
        agent/test_runtime_dir.py::test_a_runtime_directory_that_is_a_symlink_is_not_used
        cli/test_socket_quoting.py::test_a_path_that_no_shell_line_can_carry_is_not_printed
    S04 kill -9, again and again: each start serves without a hand
        agent/test_start.py::test_a_start_after_kill_9_needs_no_hand
        agent/test_private.py::test_what_dead_agents_left_is_swept
    S05 a second agent, or a link in the socket's place: the live one stays, and the link's target is not touched
        agent/test_start.py::test_fifty_first_starts_at_once_make_one_agent
        agent/test_start_trouble.py::test_a_symlink_in_the_way_is_not_followed
        agent/test_start_trouble.py::test_a_live_strangers_socket_is_left_alone
        agent/test_leaving.py::test_an_agent_that_nobody_can_reach_leaves
    S06 no socket or directory is wider for an instant than it ends up
        security/test_socket_exposure.py::test_a_socket_is_never_wider_than_it_ends_up
        agent/test_start.py::test_a_umask_changes_no_mode
    S07 a runtime path of any length: a short form that both sides know, or an error
        agent/test_runtime_dir.py::test_a_path_too_long_for_a_socket_is_shortened_alike_on_both_sides
        agent/test_private.py::test_a_path_too_long_for_a_socket_row_25
    S08 one path's socket is all that listens
        security/test_socket_exposure.py::test_the_only_listener_is_the_path_socket
    S09 a caller of another login session may only make the agent forget
        agent/test_login_session.py::test_a_private_agent_of_a_login_is_bound_as_well
        agent/test_login_session.py::test_lock_and_reload_reach_every_login
        core/test_agent_verbs.py::test_a_limited_peer_gets_nothing
        agent/test_peer.py::test_whom_a_bound_agent_serves
    S10 no login session on one side or both: unknown, never equal; the uid decides, or under strict nobody is served
        agent/test_login_session.py::test_an_unknown_session_is_served_unless_strict
        agent/test_login_session.py::test_an_agent_of_the_user_serves_every_login
        agent/test_login_session.py::test_strict_refuses_an_agent_of_the_user
        agent/test_reload.py::test_strict_wants_an_agent_of_a_login_session
    S11 the caller is hidden, by a pid namespace or by /proc: nothing is guessed, and nothing falls over
        security/test_namespaces.py::test_a_caller_in_a_container_is_known_by_the_pid_it_has_here
        security/test_namespaces.py::test_a_caller_outside_an_agents_container_is_nobody_by_pid
        security/test_namespaces.py::test_a_caller_without_a_pid_is_of_no_known_login
        security/test_namespaces.py::test_whom_proc_hides_is_of_no_known_login
        security/test_namespaces.py::test_without_a_proc_nobodys_login_is_known
    S12 the caller ends, and its pid is another's: what is read of the number doesn't count
        agent/test_peer.py::test_a_pid_that_is_somebody_else_s_now_is_not_believed
        agent/test_peer.py::test_a_peer_that_has_ended_has_no_session
        agent/test_peer.py::test_without_so_peerpidfd_the_number_is_opened
    S13 lengths of 0, 2^31, 2^32-1, a frame too large, a body cut short: closed, without memory or others' time
        agent/test_wire_malformed.py::test_a_broken_frame_closes_its_connection_only
        agent/test_wire_malformed.py::test_random_bytes_never_hurt
        wire/test_inbox.py::test_an_endless_message_is_refused
    S14 deep nesting, endless numbers, duplicate names and broken text in JSON
        left out: no JSON comes over the socket; M05 has the files
    S15 no descriptor left: the agent neither spins nor exits, and serves again
        agent/test_patience.py::test_out_of_descriptors_it_neither_dies_nor_spins
        agent/test_patience.py::test_without_a_descriptor_for_anybody_it_rests_and_comes_back
        agent/test_patience.py::test_a_full_queue_is_waited_for
    S16 a client vanishes at any byte: no descriptor and no thread is left of it
        agent/test_wire_malformed.py::test_a_client_may_vanish_at_every_byte
    S17 requests without reading: back-pressure within 8 MiB, and others are served
        agent/test_patience.py::test_pipelining_without_reading_is_bounded
    S18 clients that owe a byte or their reading are closed in bounded time; nine hundred idle ones are no burden
        agent/test_patience.py::test_those_who_stall_are_closed_and_others_are_served
        agent/test_patience.py::test_nine_hundred_idle_clients_are_no_burden_to_a_live_one
    S19 verbs in capitals, with spaces, of look-alike letters, with unknown or repeated fields: refused
        agent/test_wire.py::test_a_request_that_makes_no_sense_costs_nothing
        core/test_agent_verbs.py::test_what_cannot_be_is_refused_and_changes_nothing
    S20 a request that says who it is from: the kernel's word is what counts and what is on record
        agent/test_audit.py::test_who_asks_is_the_kernels_word
    S21 an owner that is a path, empty, long, odd or a look-alike: refused, and nothing is created
        cli/test_owner_choice.py::test_a_name_that_can_not_be_an_owners_creates_nothing
        cli/test_owner_choice.py::test_no_verb_takes_what_can_not_be_an_owners_name
        core/test_refs.py::test_an_owner_is_what_the_design_says
    S22 a variable leads to another user's listener: not a byte is sent
        security/test_other_users.py::test_a_listener_of_another_user_gets_no_byte
        security/test_other_users.py::test_a_squatter_in_our_socket_directory_is_not_asked
        security/test_other_users.py::test_the_clients_own_check_refuses_another_users_agent
    S23 a socket that a service manager hands over: ours alone, of the right kind, still at its path, listened on by us
        agent/test_activation.py::test_the_server_a_client_sees_is_the_agent
        agent/test_activation.py::test_what_is_not_plainly_ours_is_refused
        agent/test_activation.py::test_a_socket_of_another_kind_is_refused
        agent/test_activation.py::test_a_path_that_leads_elsewhere_is_not_announced
    S24 a wrong passphrase of a locked agent delays its own connection, and no second one guesses meanwhile
        agent/test_padlock.py::test_a_wrong_passphrase_delays_its_own_connection_alone
        core/test_padlock.py::test_one_attempt_is_judged_at_a_time
    M01 the published age vectors, and those of each primitive that is called directly
        stores/test_age_vectors.py::test_a_vector_does_as_it_should
        stores/test_age_vectors.py::test_nothing_else_is_refused
        core/test_derive.py::test_hkdf_is_rfc_5869
    M02 each bit changed, each length cut, bytes added: an error with a type, and nothing changed
        stores/test_age.py::test_any_changed_bit_is_refused
        stores/test_age.py::test_any_cut_and_any_addition_is_refused
        stores/test_rack.py::test_any_damage_is_refused_and_changes_nothing
        stores/test_bundle.py::test_any_changed_bit_is_refused
    M03 a rack made with the public key alone, by whoever knows it: refused
        stores/test_rack.py::test_a_rack_made_with_the_public_key_alone_is_refused
        core/test_sealed_json.py::test_another_key_s_text_is_refused
    M04 another owner's rack, or an older one: refused
        stores/test_rack.py::test_a_rack_of_another_owner_is_refused
        stores/test_rack.py::test_an_older_rack_put_back_is_refused
        stores/test_bundle.py::test_another_bundle_of_the_same_owner_is_refused
    M05 a text of other members, other types, any nesting or length: one error each
        core/test_manifest.py::test_a_member_out_of_shape_is_refused
        core/test_sealed_json.py::test_any_other_bytes_are_refused
        stores/test_rack.py::test_a_deeply_nested_memory_is_refused
    M06 a FIFO, device, directory, link, or another user's file in a file's place: refused by name, without waiting
        stores/test_atomic_read.py::test_what_is_no_file_of_ours_is_refused
        stores/test_atomic_read.py::test_a_device_is_refused
        stores/test_atomic_write.py::test_a_hard_link_elsewhere_keeps_the_old_bytes
    M07 the path is swapped between the look and the use: what is read is what was judged
        stores/test_atomic_read.py::test_what_is_read_is_what_was_judged
    M08 a recipient or identity that names a program: none of PATH or the current directory is run
        stores/test_age.py::test_no_program_is_run_for_a_recipient_s_name
        owners/test_plugin.py::test_a_plugin_of_the_callers_path_is_never_run
        owners/test_plugin.py::test_a_plugin_that_others_could_replace_is_not_run
    M09 values of any bytes and any length come back exactly, or are refused
        cli/test_set_sources.py::test_a_file_comes_back_byte_for_byte
        cli/test_set_sources.py::test_a_file_over_the_limit_is_refused_unread
        stores/test_bundle.py::test_a_value_is_exact_bytes
    M10 an identity that others can read, or of another user: refused, and nothing of it shown
        stores/test_identity.py::test_an_identity_that_others_can_reach_is_refused
        stores/test_identity.py::test_an_identity_of_another_user_is_refused
    M11 leftovers of a crash are sealed, 0600, never loaded and gone at the next change
        stores/test_atomic_write.py::test_leftovers_are_removed_and_nothing_else
        stores/test_bundle.py::test_leftovers_go_with_the_next_write_or_sweep
        worker/test_crash.py::test_what_a_killed_worker_left_goes_with_the_next_change
    M12 a file that would stretch a passphrase for hours: refused from its header
        owners/test_passphrase.py::test_a_factor_over_20_is_refused_from_the_header
        worker/test_process.py::test_a_worker_can_leave_no_core_and_gain_nothing
    K01 a service that accepts and never answers is given up
        owners/test_keychain.py::test_a_service_that_never_answers_is_given_up
        owners/test_keychain.py::test_a_rack_whose_keychain_hangs_is_given_up
    K02 a keychain that drops what it acknowledged is found out
        owners/test_keychain.py::test_a_keychain_that_drops_writes_is_found_out
        vaults/test_keychain.py::test_a_write_that_does_not_stay_is_a_fault
    K03 locked is not absent: no second identity, no copy of before
        owners/test_keychain.py::test_a_locked_keychain_is_locked_and_nothing_is_made_or_written
        owners/test_keychain.py::test_init_never_makes_a_second_identity_beside_a_locked_one
        owners/test_keychain.py::test_an_entry_that_was_removed_is_exit_7
    K04 no name that others chose becomes a slot's
        owners/test_keychain.py::test_a_slot_has_a_plain_name
    K05 no variable or file of another program chooses the backend
        owners/test_keychain.py::test_a_variable_or_config_file_of_keyrings_chooses_no_backend
    K06 files are 0600 in 0700 under any umask, and a damaged one is said
        stores/test_atomic_write.py::test_a_file_is_0600_under_any_umask
        stores/test_identity.py::test_what_is_no_identity_is_refused
    K07 sessions of paired hosts
        left out: there is no pairing yet
    E01 no value is in a command line, at any verb
        cli/test_set_sources.py::test_set_shows_no_value_in_any_command_line
        cli/test_exec_privacy.py::test_no_command_line_shows_a_value
        shell/test_source.py::test_no_command_line_shows_a_value
        security/test_socket_exposure.py::test_the_agents_command_line_is_fit_to_be_seen
    E02 a command gets the names that were asked for, nothing of our own, and descriptors 0 to 2
        cli/test_exec_keys.py::test_only_what_is_named_is_given
        cli/test_exec_environment.py::test_of_ours_a_command_learns_owner_and_socket_only
        cli/test_exec_command.py::test_a_command_inherits_no_descriptor_of_ours
    E03 exit codes, signals, job control and a missing command are as without us
        cli/test_exec_command.py::test_every_exit_code_is_the_commands_own
        cli/test_exec_command.py::test_a_signals_death_is_the_commands_own
        cli/test_exec_terminal.py::test_ctrl_z_and_fg_are_the_shells
        cli/test_exec_command.py::test_a_command_that_can_not_run_asks_for_no_key
    E04 what is no variable's name is never exported
        cli/test_exec_keys.py::test_a_name_that_is_no_variable_is_refused
        shell/test_dialects.py::test_what_is_no_variables_name_is_never_printed
    E05 no variable that makes programs load code, unless the operator allows it by name
        cli/test_exec_keys.py::test_names_that_load_code_are_never_given
        cli/test_exec_keys.py::test_only_the_operators_config_allows_such_a_name
        core/test_environment.py::test_a_name_that_changes_how_code_is_loaded_is_denied
        shell/test_dialects.py::test_a_shells_own_variable_is_refused
    E06 no text of others moves the cursor, sets the title or hides itself
        security/test_no_value_in_output.py::test_what_was_typed_is_shown_without_its_control_characters
        security/test_no_value_in_output.py::test_a_terminal_gets_no_control_character_either
        security/test_no_value_in_output.py::test_an_agent_that_answers_nonsense_causes_no_traceback
    E07 a repository's manifest that is hostile, or changes after it was allowed
        left out: a repository's manifest is a later change
    E08 fakes first in PATH and in the current directory are never run
        security/test_programs_of_path.py::test_no_program_of_the_callers_path_is_run
        worker/test_process.py::test_a_worker_sees_nothing_of_its_caller_s_environment
        setup/test_launcher.py::test_it_does_not_import_from_the_current_directory
    E09 stdout closed, full or without a reader: a failure, no traceback, no half success
        cli/test_output_trouble.py::test_an_answer_that_nobody_gets_is_a_failure
        cli/test_output_trouble.py::test_a_value_goes_to_stdout_or_nowhere
        cli/test_output_trouble.py::test_a_reader_that_left_costs_no_traceback
    E10 bytes are bytes in every locale
        cli/test_output_trouble.py::test_bytes_are_bytes_in_every_locale
    E11 a value on the command line is refused; a typed one isn't shown, and the terminal is as it was
        cli/test_set_sources.py::test_a_value_on_the_command_line_is_refused_and_never_repeated
        cli/test_hidden_prompt.py::test_a_typed_value_is_not_shown
        cli/test_hidden_prompt.py::test_ctrl_c_stores_nothing_and_restores_echo
    X01 no channel of the kernel leads into an agent or a worker: /proc, ptrace, process_vm_readv, pidfd_getfd
        security/test_memory.py::test_no_channel_leads_into_an_agent
        security/test_memory.py::test_no_channel_leads_into_a_worker
    X02 no core file, whatever the limit and the pattern
        security/test_memory.py::test_an_agent_that_crashes_leaves_no_core
    X03 no start under a tracer, and no new values once there is one
        security/test_memory.py::test_an_agent_does_not_start_under_a_tracer
        security/test_memory.py::test_a_traced_agent_takes_no_more_values
    X04 after relock, lock, del and expiry root finds no copy in the agent's memory
        security/test_memory.py::test_what_is_forgotten_is_nowhere_in_memory
        security/test_memory.py::test_what_expired_is_nowhere_in_memory
        core/test_agent_verbs.py::test_nothing_wiped_is_ever_served
    X05 a secret in our environment gets into no agent's or worker's
        owners/test_env.py::test_the_identity_is_in_no_process_of_ours_and_on_no_disk
        owners/test_env.py::test_the_identity_is_not_in_a_workers_environment
    X06 an exception anywhere, and Python at its loudest, show no value
        security/test_no_value_in_output.py::test_a_loud_python_shows_no_value
        security/test_no_value_in_output.py::test_an_exception_that_nobody_catches_shows_no_value
        security/test_no_value_in_output.py::test_out_of_memory_anywhere_shows_no_value
        worker/test_process.py::test_no_fault_repeats_a_value
    X07 a storm of signals in the middle of requests: whole answers or none, and one clean end
        agent/test_leaving.py::test_a_storm_of_signals_is_one_end
        agent/test_leaving.py::test_a_signal_ends_it_cleanly
    X08 memory that can't be locked: it works, and says so
        security/test_memory.py::test_values_are_kept_out_of_swap
        security/test_memory.py::test_an_agent_that_may_lock_nothing_works_and_says_so
    X09 no code is taken from the caller's directory or variables
        worker/test_process.py::test_a_worker_is_started_by_itself_and_from_nowhere
        cli/test_agent_output.py::test_home_of_the_caller_does_not_leak_into_the_agent
        setup/test_launcher.py::test_it_is_deaf_to_pythons_variables
    X10 Python's remote debugging, from 3.14 on
        left out: it writes into the memory that X01 has closed; 3.14 is not among the tested versions yet
    R01 kill -9 at any instant: the old state or the new, what was acknowledged is kept, the lock is free
        cli/test_crash_safety.py::test_a_change_killed_at_a_random_instant_happened_or_did_not
        cli/test_crash_safety.py::test_a_killed_set_frees_its_lock_at_once
        stores/test_crash.py::test_a_kill_at_any_instant_leaves_the_last_acknowledged_or_the_next
    R02 kill -9 before each system call that changes something
        cli/test_crash_safety.py::test_a_change_killed_before_any_of_its_system_calls_happened_or_did_not
        stores/test_crash.py::test_a_kill_at_each_system_call_leaves_old_or_new
        worker/test_crash.py::test_a_set_killed_at_each_system_call_leaves_old_or_new
        stores/test_audit_unsealed.py::test_a_kill_at_each_system_call_of_an_unlock_loses_no_line
    R03 an error at each system call: said, and the old state is whole
        stores/test_crash.py::test_an_error_at_each_system_call_is_said_and_leaves_old_or_new
        worker/test_crash.py::test_an_error_at_each_system_call_of_a_set_is_said
    R04 a full or read-only disk, no process, no memory: an error with a way out, and the agent lives
        cli/test_crash_safety.py::test_a_disk_without_room_keeps_the_old_state
        agent/test_audit.py::test_a_full_disk_stops_reads_until_there_is_room
        agent/test_homes.py::test_a_home_that_becomes_read_only_does_not_keep_an_agent
        security/test_limits.py::test_without_a_process_each_verb_says_so
        security/test_limits.py::test_an_agent_that_can_not_fork_says_so
    R05 a lock's holder is killed, or stopped: free at once, or named
        stores/test_lock.py::test_a_killed_holder_frees_it_at_once
        cli/test_crash_safety.py::test_a_stopped_set_is_waited_for_and_named
    R06 the wall clock jumps: no key lives longer
        agent/test_expiry.py::test_the_wall_clock_does_not_matter
        core/test_agent_time.py::test_what_is_due_is_not_served_although_the_timer_did_not_fire
    R07 a client and an agent of different versions: a clear word, and no value before it
        agent/test_skew.py::test_an_agent_of_another_protocol_is_said_to_be_one
        agent/test_skew.py::test_a_value_is_not_told_to_one
    R08 half an hour of mixed load with a client killed every 100 ms: memory, descriptors and threads stay flat
        soak/test_mixed_load.py::test_memory_descriptors_and_threads_stay_flat
    R09 the agent dies in the middle of a question: the outcome is said to be unknown
        cli/test_exec_fails_closed.py::test_nothing_runs_when_the_agent_dies_meanwhile
    R10 the power is cut: the old state or the new, and what was acknowledged is kept
        worker/test_power_cut.py::test_after_a_power_cut_a_deed_is_done_or_not
        stores/test_power_cut.py::test_a_file_that_is_replaced_is_the_old_or_the_new_one
        stores/test_power_cut.py::test_a_synced_line_of_the_audit_log_is_kept
    R11 any bytes for whatever reads a stranger's: an error, in bounded time
        fuzz/test_fuzz.py::test_the_kept_corpus_breaks_nothing
        fuzz/test_fuzz.py::test_what_is_near_the_corpus_breaks_nothing
"""

from tests.support.tables import check_table

GROUPS = {"S": 24, "M": 12, "K": 7, "E": 11, "X": 10, "R": 11}


def test_each_case_names_tests_that_there_are() -> None:
    """Every case, each with its tests or the reason why it has none."""
    check_table(
        __file__, __doc__, [f"{group}{number:02}" for group, count in GROUPS.items() for number in range(1, count + 1)]
    )
