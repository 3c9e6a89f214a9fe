"""The catalogue of bad inputs, and where each is tried.

Costs: `test_bad_requests` and `test_cost_of_answers` bound memory and processor time of the service for whole requests,
`test_cost_of_clients` and `test_cost_of_uploads` also the bytes that it reads and the connections that stay for slow,
vanished and guessing clients, `test_cost_of_bad_files` and `test_cost_of_bad_models` those of the process that looks
into files. All send a good one right after each bad one. What a model does when it runs is bounded by its sandbox.
"""

REQUESTS = "service/test_bad_requests.py::test_it_is_refused_at_little_cost_and_nothing_stays"
CLIENTS = "service/test_cost_of_clients.py"
UPLOADS = "service/test_cost_of_uploads.py"
FILES = "worker/test_cost_of_bad_files.py::test_it_is_refused_at_little_cost"
ANSWERS = "service/test_cost_of_answers.py"
MODELS = "worker/models/test_cost_of_bad_models.py::test_it_is_refused_at_little_cost"
ONNX = "worker/models/test_onnx.py"
SANDBOX = "worker/test_sandbox.py"

# what comes → the tests that send it; of tests over a dictionary of cases, the case
CATALOGUE: dict[str, tuple[str, ...]] = {
    "a body over the limit that says so": (f"{REQUESTS}[50 MB of JSON]", f"{REQUESTS}[as a file: too large]"),
    "a body over the limit without a length": (
        f"{CLIENTS}::TestConnections::test_an_endless_file_is_read_up_to_the_limit",
        f"{CLIENTS}::TestConnections::test_endless_json_is_read_up_to_the_limit",
        "service/test_problems.py::test_bodies",
        "service/test_connections.py::test_an_endless_body_is_not_read_after_its_refusal",
    ),
    "a body shorter than its length": (
        f"{CLIENTS}::TestConnections::test_clients_that_vanish_in_a_body",
        f"{CLIENTS}::TestConnections::test_clients_that_vanish_in_a_form",
        f"{UPLOADS}::TestUploads::test_clients_that_vanish_in_an_upload_leave_it_to_go_on",
        "service/test_artifacts.py::test_a_client_that_hangs_up_leaves_nothing",
    ),
    "a body longer than its length, two lengths, a negative one": (
        f"{CLIENTS}::TestConnections::test_what_is_not_http",
        f"{CLIENTS}::TestConnections::test_a_body_longer_than_its_length",
        f"{UPLOADS}::TestUploads::test_more_than_was_announced",
        "service/test_connections.py::test_a_body_longer_than_its_length_is_two_requests_of_which_one_is_none",
        "service/test_connections.py::test_what_is_not_http_is_refused",
    ),
    "headers that come byte by byte": (
        f"{CLIENTS}::TestConnections::test_headers_that_do_not_come",
        f"{CLIENTS}::TestConnections::test_endless_headers",
        "service/test_connections.py::test_headers_that_come_byte_by_byte_do_not_put_the_deadline_off",
    ),
    "a body that stops": (
        f"{CLIENTS}::TestConnections::test_bodies_that_stop",
        "service/test_connections.py::test_a_body_that_stops_ends_the_connection_and_leaves_nothing",
    ),
    "clients that wait for an end and vanish": (
        f"{CLIENTS}::TestConnections::test_nobody_waits_for_an_analysis_on_behalf_of_clients_that_have_vanished",
    ),
    "two thousand idle connections": (
        f"{CLIENTS}::TestConnections::test_two_thousand_silent_connections",
        "service/test_connections.py::test_two_thousand_silent_connections_hinder_nobody",
    ),
    "a form of very many parts, or with huge headers": (
        f"{REQUESTS}[a form of very many parts]",
        f"{REQUESTS}[a part with huge headers]",
    ),
    "a packed body": (f"{REQUESTS}[packed JSON]", f"{REQUESTS}[a packed file]"),
    "a wrong content type": (
        f"{REQUESTS}[a file that says it is text]",
        "service/test_problems.py::test_content_types",
    ),
    "JSON that is deep, large, NaN, or names a field twice": (
        f"{REQUESTS}[a deep body]",
        f"{REQUESTS}[50 MB of JSON]",
        f"{REQUESTS}[NaN]",
        f"{REQUESTS}[a name twice]",
    ),
    "an unknown field, a wrong type": (f"{REQUESTS}[an unknown field]", f"{REQUESTS}[a wrong type]"),
    "a million layer names": (f"{REQUESTS}[a million layers]", f"{REQUESTS}[10001 layers]"),
    "an Idempotency-Key that cannot be one": (
        f"{REQUESTS}[a long Idempotency-Key]",
        f"{REQUESTS}[an Idempotency-Key with a tab]",
    ),
    "an Idempotency-Key with another body": (
        f"{ANSWERS}::test_one_key_for_many_requests",
        "service/test_analyses.py::TestIdempotency::test_another_body_under_the_same_key_is_refused",
    ),
    "an upload offset behind or ahead": (
        f"{UPLOADS}::TestUploads::test_parts_elsewhere_than_the_upload_stands",
        "service/test_uploads_refused.py::TestRefused::test_an_upload_that_stands_elsewhere_says_where",
    ),
    "a part whose checksum differs": (
        f"{UPLOADS}::TestUploads::test_a_part_whose_checksum_differs",
        "service/test_uploads_refused.py::TestRefused::test_a_part",
    ),
    "a file whose digest differs": (
        f"{UPLOADS}::TestUploads::test_a_file_whose_digest_differs",
        "service/test_uploads_refused.py::TestRefused::test_another_file_than_announced_is_refused_and_nothing_kept",
        "service/test_artifacts.py::TestPut::test_a_wrong_digest_is_refused_and_nothing_kept",
    ),
    "two clients of one upload": (
        f"{UPLOADS}::TestUploads::test_two_clients_of_one_upload",
        "service/test_uploads.py::TestLife::test_two_clients_at_once_are_told_apart",
    ),
    "an input that is absent, foreign or expired": (
        f"{ANSWERS}::test_inputs_that_are_not_there",
        f"{REQUESTS}[an absent input]",
        "service/test_access.py::TestTenants::test_foreign_inputs_are_absent_inputs",
        "service/test_expiry.py::test_what_has_expired_is_gone_and_says_so",
    ),
    "more than the quota": (
        f"{UPLOADS}::TestUploads::test_more_than_the_quota_is_refused_before_a_byte_is_read",
        "service/test_bad_requests.py::test_no_way_in_stores_more_than_a_tenant_may",
        "contract/test_quotas.py::test_uploads_and_files_that_begin_and_end_at_once",
        "service/test_analyses.py::TestCreate::test_too_many_unfinished_analyses",
    ),
    "a full disk": (
        f"{UPLOADS}::TestUploads::test_a_disk_that_fills_up_meanwhile",
        "service/test_artifacts.py::test_a_full_disk_is_said_before_anything_is_read",
        "service/test_uploads_refused.py::TestRefused::test_a_disk_that_fills_up_meanwhile_loses_nothing",
    ),
    "a file name that is a path, or much else": (
        f"{UPLOADS}::TestUploads::test_names_of_files_are_text",
        "service/test_uploads.py::TestFile::test_the_name_of_a_file_is_text_and_no_path",
    ),
    "an id that is a path, or another tenant's": (
        f"{REQUESTS}[an id that is a path]",
        "service/test_openapi.py::test_a_foreign_id_is_answered_exactly_as_an_absent_one",
    ),
    "an empty file": (f"{REQUESTS}[an empty file]",),
    "a program, a page, an archive of something else": (
        f"{REQUESTS}[as a file: program]",
        f"{REQUESTS}[as a file: HTML]",
        f"{FILES}[nothing]",
    ),
    "a bare pickle": (f"{REQUESTS}[as a file: pickle]", "worker/test_bad_files.py::test_a_pickle_is_never_opened"),
    "an array of objects": (f"{FILES}[object array]", f"{FILES}[structured with objects]"),
    "7 TiB in 128 bytes": (f"{FILES}[7 TiB in 128 bytes]",),
    "2 GiB in 16 bytes": (f"{FILES}[2 GiB in 16 bytes]",),
    "an array that is too short or too long": (f"{FILES}[payload too short]", f"{FILES}[payload too long]"),
    "a shape that overflows, is negative, or has 70 axes": (
        f"{FILES}[overflowing shape]",
        f"{FILES}[negative shape]",
        f"{FILES}[70 dimensions]",
    ),
    "a header of 400 KB or 3000 brackets": (f"{FILES}[header of 400 KB]", f"{FILES}[3000 nested lists]"),
    "other versions, byte orders and memory orders": (
        "worker/test_activations.py::test_npz_layers_come_back_as_they_are",
        "worker/test_activations.py::test_every_npy_version_is_read",
    ),
    "types that are not numbers of ours": (
        f"{FILES}[booleans]",
        f"{FILES}[complex numbers]",
        f"{FILES}[bfloat16 as void]",
    ),
    "no rows, one row, no columns": (f"{FILES}[no rows]", f"{FILES}[a class of one]", f"{FILES}[columns: none]"),
    "NaN and infinities": ("worker/test_analysis_inputs.py::test_a_number_that_is_none_is_refused",),
    "a bomb that its directory admits": (f"{FILES}[bomb by its directory]",),
    "a bomb that lies": (f"{FILES}[bomb that lies]", f"{FILES}[zip64 lie]"),
    "a zip in a zip, 20,000 members": (f"{FILES}[a zip in a zip]", f"{FILES}[20000 members]"),
    "members that are paths": (
        f"{FILES}[a path upwards]",
        f"{FILES}[an absolute path]",
        f"{FILES}[backslashes]",
    ),
    "a member twice": (f"{FILES}[a member twice]",),
    "an archive that is damaged, encrypted, or packed otherwise": (
        f"{FILES}[checksum of the labels]",
        f"{FILES}[truncated]",
        f"{FILES}[encrypted]",
        f"{FILES}[bzip2]",
        f"{FILES}[LZMA]",
    ),
    "members that overlap": (f"{FILES}[overlapping members]",),
    "a tensor header of 2**63 bytes": (f"{FILES}[header of 2**63]", f"{FILES}[header of 101 MB]"),
    "very many tensors": (f"{FILES}[5000 tensors]",),
    "tensors that overlap, leave holes, or do not fit": (
        f"{FILES}[overlap]",
        f"{FILES}[hole]",
        f"{FILES}[short]",
        f"{FILES}[trailing]",
        f"{FILES}[overflow]",
        f"{FILES}[negative]",
    ),
    "a tensor twice": (f"{FILES}[a name twice]",),
    "tensor metadata of 10 MB, or of no text": (
        f"{FILES}[metadata of 10 MB]",
        f"{FILES}[metadata that is no text]",
    ),
    "HDF5": (f"{REQUESTS}[as a file: HDF5]",),
    "a checkpoint of torch": (f"{FILES}[torch.save]",),
    "a program of torch.export, or TorchScript": (
        f"{FILES}[torch.export.save]",
        f"{FILES}[torch.jit.save]",
        f"{SANDBOX}::test_nothing_is_got_hold_of",
        f"{SANDBOX}::test_there_is_no_network",
    ),
    "a model that never ends, or takes all memory": (
        f"{ONNX}::TestOnnx::test_a_loop_without_end",
        f"{ONNX}::TestOnnx::test_what_comes_out_cannot_be_used",
        f"{SANDBOX}::test_what_does_not_end_well_ends_alone",
        f"{SANDBOX}::test_what_grows_is_bounded",
    ),
    "operators of others": (
        f"{MODELS}[an operator of others]",
        "worker/models/test_scan.py::TestScan::test_what_is_refused",
    ),
    "weights in other files": (
        f"{MODELS}[weights upwards]",
        f"{MODELS}[weights at a path]",
        f"{MODELS}[weights nowhere]",
        f"{MODELS}[weights in two places]",
        f"{ONNX}::test_external_weights_are_refused_before_any_library",
    ),
    "weights in other files by odd keys, or of huge lengths": (
        f"{MODELS}[keys that nobody knows]",
        f"{MODELS}[keys of a megabyte]",
        f"{MODELS}[weights of a huge length]",
        f"{MODELS}[weights before the beginning]",
    ),
    "a model that is too large, cut off, or nested": (
        f"{MODELS}[2 GiB]",
        f"{MODELS}[cut off]",
        f"{MODELS}[graphs 10,000 deep]",
        f"{MODELS}[8 TiB in a few bytes]",
        "worker/models/test_scan.py::TestScan::test_damage_anywhere_is_refused_or_harmless",
    ),
    "operators that are too new, layers that are not there": (
        f"{ONNX}::TestOnnx::test_newer_operators",
        f"{ONNX}::TestOnnx::test_every_tensor_can_be_asked_for",
    ),
    "data that do not fit the model": (f"{ONNX}::TestOnnx::test_inputs_that_do_not_fit",),
    "a model that is another each time": (f"{ONNX}::TestOnnx::test_what_comes_out_cannot_be_used",),
    "a name that no model has": (
        "worker/models/test_jobs.py::test_what_is_refused_at_once",
        "worker/models/test_jobs.py::test_addresses_and_paths_are_no_models",
    ),
    "weights that are not there, or others": (
        "worker/models/test_models.py::TestRegistered::test_what_cannot_be_run",
        "worker/models/test_models.py::TestRegistered::test_weights_that_have_changed",
    ),
    "an address, or a path, for a model": ("worker/models/test_jobs.py::test_addresses_and_paths_are_no_models",),
    "layers of the same name, or of the same values": (
        "worker/test_ambiguous_inputs.py::test_layers_with_similar_names_are_different_layers",
        "worker/test_ambiguous_inputs.py::test_two_layers_of_the_same_values_have_the_same_numbers",
    ),
    "inputs with other numbers of rows": (
        "worker/test_ambiguous_inputs.py::test_states_with_other_numbers_of_rows_are_warned_of",
        "worker/test_ambiguous_inputs.py::test_more_rows_than_one_input_has_are_refused",
    ),
    "a million pairs of classes": (
        "service/test_operations.py::test_a_hopelessly_large_analysis_is_refused_with_its_estimate",
    ),
    "a priority or a deadline that nobody may have": (
        f"{REQUESTS}[a priority beyond all bounds]",
        f"{REQUESTS}[an unknown field]",
    ),
    "the report of an analysis that has none": (
        f"{ANSWERS}::test_reports_that_there_are_none_of",
        "service/test_reports.py::test_an_analysis_without_a_report",
    ),
    "ten thousand ranges": (
        f"{ANSWERS}::test_ten_thousand_ranges",
        "service/test_bad_requests.py::test_ten_thousand_ranges_are_ignored",
    ),
    "a forged cursor": (
        f"{ANSWERS}::test_forged_cursors",
        f"{REQUESTS}[a forged cursor]",
        "service/test_bad_requests.py::test_a_forged_cursor_shows_no_more_than_ones_own",
    ),
    "a cancel of what has ended, a deletion of what runs": (
        f"{ANSWERS}::test_cancels_and_deletions_that_come_too_late_or_too_early",
        "service/test_analyses.py::TestCancel::test_a_finished_analysis_stays",
        "service/test_analyses.py::TestDelete::test_only_finished_ones",
    ),
    "a key that is absent, wrong, expired, revoked, or in the address": (
        f"{CLIENTS}::TestKeys::test_keys_that_open_nothing",
        f"{CLIENTS}::TestKeys::test_a_file_is_read_once_at_most_for_a_key_that_opens_nothing",
        f"{CLIENTS}::TestKeys::test_guesses_of_very_many_keys_take_no_memory",
        f"{REQUESTS}[a key in the address]",
        "service/test_access.py::test_without_a_key_everything_is_closed",
        "service/test_access.py::TestKeys::test_an_expired_key_is_refused",
        "service/test_access.py::TestKeys::test_a_key_is_made_used_listed_and_revoked",
    ),
    "a key without the scope": (
        f"{CLIENTS}::TestKeys::test_keys_that_open_nothing",
        "service/test_access.py::test_a_key_opens_what_its_scope_says",
    ),
    "a webhook": (f"{REQUESTS}[a webhook, which there is none of]",),
    "a pickled message in the broker": ("faults/trials_broker.py::duplicates",),
    "a clock that is an hour wrong": (
        "faults/trials.py::wrong_clocks",
        "faults/trials_moments.py::clock_jumps",
        "faults/trials_storage.py::expiry",
    ),
    "the same file of two tenants": (
        f"{ANSWERS}::test_a_file_that_another_tenant_has",
        "service/test_artifacts.py::TestPut::test_another_tenant_cannot_tell_that_the_bytes_were_there",
    ),
}
