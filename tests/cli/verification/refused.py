"""Statements that the database refuses on the registry of the fixture ``store``, and the constraints that do so."""

from __future__ import annotations

from tests.cli.verification.damage import at

NEVER = 2**62
"""Microseconds beyond the calendar."""

REFUSED = {
    "a source without a name": ("source_named", "UPDATE {source} SET name = ''"),
    "a source without an owner": ("source_named", "UPDATE {source} SET owner = ''"),
    "a source at no place": ("source_addressed", "UPDATE {source} SET uri = ''"),
    "a source from beyond all calendars": (
        "source_instants",
        f"UPDATE {{source}} SET registered_at = {NEVER}",
    ),
    "a provider without a name": ("provider_named", "UPDATE {provider} SET name = ''"),
    "a provider from before all calendars": (
        "provider_instants",
        f"UPDATE {{provider}} SET registered_at = {-NEVER}",
    ),
    "granted beyond all calendars": ("grant_instants", f"UPDATE {{grant}} SET granted_at = {NEVER}"),
    "a token of two": (
        "access_token_one_principal",
        "UPDATE {access_token} SET source_id = 1, provider_id = 1",
    ),
    "a token of nobody": (
        "access_token_one_principal",
        "UPDATE {access_token} SET source_id = NULL, provider_id = NULL",
    ),
    "a token's secret": ("access_token_hashed_secret", "UPDATE {access_token} SET secret_hash = 'a secret'"),
    "a token that expires beyond all calendars": (
        "access_token_instants",
        f"UPDATE {{access_token}} SET expires_at = {NEVER}",
    ),
    "a partition backwards": (
        "partition_start_before_end partition_class_of_length",
        f"UPDATE {{partition}} SET interval_end = {at(59)} WHERE state = 'registered'",
    ),
    "a partition of no length": (
        "partition_start_before_end partition_class_of_length",
        "UPDATE {partition} SET interval_end = interval_start WHERE state = 'registered'",
    ),
    "a partition beyond all calendars": (
        "partition_instants partition_class_of_length",
        f"UPDATE {{partition}} SET interval_end = {NEVER} WHERE state = 'registered'",
    ),
    "a partition in a class that is too long": (
        "partition_class_of_length",
        "UPDATE {partition} SET length_class = length_class + 1 WHERE state = 'failed'",
    ),
    "a partition in a class that is too short": (
        "partition_class_of_length",
        "UPDATE {partition} SET length_class = length_class - 1 WHERE state = 'failed'",
    ),
    "a partition in no class": (
        "partition_class_of_length",
        "UPDATE {partition} SET length_class = 0 WHERE state = 'failed'",
    ),
    "a state that nobody knows": (
        "partition_state",
        "UPDATE {partition} SET state = 'banana' WHERE state = 'failed'",
    ),
    "a state that is not stored": (
        "partition_state",
        "UPDATE {partition} SET state = 'expired' WHERE state = 'failed'",
    ),
    "a generation below zero": (
        "partition_generation",
        "UPDATE {partition} SET generation = -5 WHERE state = 'registered'",
    ),
    "a lock without a generation": (
        "partition_whole_lock",
        "UPDATE {partition} SET generation = 0 WHERE state = 'locked'",
    ),
    "a lock from no time": (
        "partition_whole_lock",
        "UPDATE {partition} SET locked_at = NULL WHERE state = 'locked'",
    ),
    "a holder without a name": (
        "partition_whole_lock",
        "UPDATE {partition} SET holder = '' WHERE state = 'locked'",
    ),
    "a holder without details": (
        "partition_whole_lock",
        "UPDATE {partition} SET holder_details = NULL WHERE state = 'locked'",
    ),
    "a lease of no lock": (
        "partition_whole_lock",
        "UPDATE {partition} SET expires_at = 0 WHERE state = 'registered'",
    ),
    "exclusive without a lock": (
        "partition_whole_lock",
        "UPDATE {partition} SET exclusive = TRUE WHERE state = 'registered'",
    ),
    "locked by nobody": (
        "partition_state",
        "UPDATE {partition} SET holder = NULL, holder_details = NULL, locked_at = NULL WHERE state = 'locked'",
    ),
    "locked for a reason": (
        "partition_state",
        "UPDATE {partition} SET reason = 'x' WHERE state = 'locked'",
    ),
    "registered with a lock": (
        "partition_state",
        (
            "UPDATE {partition} SET holder = 'x', holder_details = '[]', locked_at = 0, generation = 1 "
            "WHERE state = 'registered'"
        ),
    ),
    "failed without a reason": (
        "partition_state",
        "UPDATE {partition} SET reason = NULL WHERE state = 'failed'",
    ),
    "ready since no time": (
        "partition_state",
        "UPDATE {partition} SET published_at = NULL WHERE state = 'ready'",
    ),
    "published though locked": (
        "partition_state",
        "UPDATE {partition} SET published_at = 0 WHERE state = 'locked'",
    ),
    "a release that would give back nothing": (
        "partition_whole_former_state",
        "UPDATE {partition} SET former_state = NULL WHERE state = 'locked'",
    ),
    "a release that would give back a lock": (
        "partition_whole_former_state",
        "UPDATE {partition} SET former_state = 'locked' WHERE state = 'locked'",
    ),
    "a release that would give back what was published at no time": (
        "partition_whole_former_state",
        "UPDATE {partition} SET former_state = 'ready' WHERE state = 'locked'",
    ),
    "a release that would give back a failure without a reason": (
        "partition_whole_former_state",
        "UPDATE {partition} SET former_state = 'failed' WHERE state = 'locked'",
    ),
    "a release of what is not locked": (
        "partition_whole_former_state",
        "UPDATE {partition} SET former_state = 'registered', former_changed_at = 0 WHERE state = 'failed'",
    ),
    "released though locked": (
        "partition_released_without_lock",
        "UPDATE {partition} SET released_by = 'x' WHERE state = 'locked'",
    ),
    "a lease beyond all calendars": (
        "partition_instants",
        f"UPDATE {{partition}} SET expires_at = {NEVER} WHERE state = 'locked'",
    ),
    "published beyond all calendars": (
        "partition_instants",
        f"UPDATE {{partition}} SET published_at = {NEVER} WHERE state = 'ready'",
    ),
    "a class of lengths with a wrong length": (
        "length_class_longest_of_class",
        "UPDATE {length_class} SET longest = longest - 1",
    ),
    "a class of lengths beyond the last": (
        "length_class_longest_of_class",
        f"INSERT INTO {{length_class}} VALUES (1, 21, {2**62})",
    ),
    "a ready interval backwards": (
        "ready_interval_start_before_end",
        f"INSERT INTO {{ready_interval}} VALUES (1, {at(101)}, {at(100)})",
    ),
    "a ready interval beyond all calendars": (
        "ready_interval_instants",
        f"INSERT INTO {{ready_interval}} VALUES (1, {at(101)}, {NEVER})",
    ),
    "an event below the first": ("event_position", "UPDATE {event} SET position = -4 WHERE position = 4"),
    "an event of a type that nobody knows": (
        "event_type",
        "UPDATE {event} SET type = 'fail' WHERE type = 'FAIL'",
    ),
    "half an interval of an event": (
        "event_type",
        "UPDATE {event} SET interval_end = NULL WHERE position = 4",
    ),
    "an event about no partition": (
        "event_type",
        "UPDATE {event} SET interval_start = NULL, interval_end = NULL WHERE type = 'FAIL'",
    ),
    "an event about a partition of no source": (
        "event_type",
        "UPDATE {event} SET source_id = NULL WHERE type = 'FAIL'",
    ),
    "an event about a partition of no provider": (
        "event_type",
        "UPDATE {event} SET provider_id = NULL WHERE type = 'FAIL'",
    ),
    "an event about nobody": (
        "event_type",
        "UPDATE {event} SET source_id = NULL, type = 'TOKEN_ROTATED' WHERE type = 'SOURCE_REGISTERED'",
    ),
    "an event's interval backwards": (
        "event_start_before_end",
        "UPDATE {event} SET interval_end = interval_start WHERE type = 'FAIL'",
    ),
    "an event of no generation": (
        "event_generation",
        "UPDATE {event} SET generation = 0 WHERE type = 'FAIL'",
    ),
    "an event beyond all calendars": (
        "event_instants",
        f"UPDATE {{event}} SET at = {NEVER} WHERE position = 4",
    ),
    "two counters": ("history_one_row", "INSERT INTO {history} (id, last_position) VALUES (2, 1)"),
    "a restored backup that lost nothing": (
        "restoration_lost_positions",
        "INSERT INTO {restoration} VALUES (7, 7, 0)",
    ),
    "a backup restored beyond all calendars": (
        "restoration_instants",
        f"INSERT INTO {{restoration}} VALUES (9, 7, {NEVER})",
    ),
    "a heartbeat that nobody counted": ("heartbeat_number", "INSERT INTO {heartbeat} VALUES ('p', 0, 0)"),
    "a heartbeat beyond all calendars": (
        "heartbeat_instants",
        f"INSERT INTO {{heartbeat}} VALUES ('p', 1, {NEVER})",
    ),
    "pruned of nothing": ("pruning_events", f"INSERT INTO {{pruning}} VALUES (1, 0, 7, {at(0)}, 0, 0)"),
    "pruned up to nowhere": ("pruning_events", f"INSERT INTO {{pruning}} VALUES (1, 3, 0, {at(0)}, 0, 0)"),
    "partitions pruned further than events": (
        "pruning_partitions",
        f"INSERT INTO {{pruning}} VALUES (1, 3, 7, {at(0)}, 8, 1)",
    ),
    "a generation of no pruned partition": (
        "pruning_partitions",
        f"INSERT INTO {{pruning}} VALUES (1, 3, 7, {at(0)}, 0, 1)",
    ),
    "pruned beyond all calendars": (
        "pruning_instants",
        f"INSERT INTO {{pruning}} VALUES (1, 3, 7, {NEVER}, 0, 0)",
    ),
    "a turn to prune beyond all calendars": (
        "history_instants",
        f"UPDATE {{history}} SET pruned_at = {NEVER}",
    ),
    "a counter below zero": ("history_last_position", "UPDATE {history} SET last_position = -1"),
}
"""The statements that the database refuses, and the constraint that refuses each (one of them if there are several)."""
