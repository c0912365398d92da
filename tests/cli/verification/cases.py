"""What can be wrong with the registry of the fixture ``store``: which kinds are found after which statements."""

from __future__ import annotations

from tests.cli.verification.damage import at

REPAIRABLE = {
    "a ready interval gone": ({"ready_interval_missing"}, ["DELETE FROM {ready_interval}"]),
    "a ready interval too short": (
        {"ready_interval_missing"},
        [f"UPDATE {{ready_interval}} SET interval_end = {at(5)} WHERE interval_start = {at(0)}"],
    ),
    "a ready interval too long": (
        {"ready_interval_wrong"},
        [f"UPDATE {{ready_interval}} SET interval_end = {at(15)} WHERE interval_start = {at(0)}"],
    ),
    "a ready interval over a lock": (
        {"ready_interval_wrong"},
        [f"UPDATE {{ready_interval}} SET interval_end = {at(31)} WHERE interval_start = {at(20)}"],
    ),
    "a ready interval from nowhere": (
        {"ready_interval_wrong"},
        [f"INSERT INTO {{ready_interval}} VALUES (1, {at(100)}, {at(101)})"],
    ),
    "a ready interval moved": (
        {"ready_interval_missing", "ready_interval_wrong"},
        [
            (
                f"UPDATE {{ready_interval}} SET interval_start = {at(1)}, interval_end = {at(11)} "
                f"WHERE interval_start = {at(0)}"
            )
        ],
    ),
    "a ready interval in two that touch": (
        {"ready_interval_split"},
        [
            f"UPDATE {{ready_interval}} SET interval_end = {at(25)} WHERE interval_start = {at(20)}",
            f"INSERT INTO {{ready_interval}} VALUES (1, {at(25)}, {at(30)})",
        ],
    ),
    "a ready interval inside another": (
        {"ready_interval_split"},
        [f"INSERT INTO {{ready_interval}} VALUES (1, {at(21)}, {at(22)})"],
    ),
    "a ready interval backwards": (
        {"ready_interval_malformed"},
        [f"INSERT INTO {{ready_interval}} VALUES (1, {at(101)}, {at(100)})"],
    ),
    "a ready interval beyond all calendars": (
        {"ready_interval_malformed"},
        [f"INSERT INTO {{ready_interval}} VALUES (1, {at(101)}, {2**62})"],
    ),
    "a class of lengths gone": (
        {"length_class_missing"},
        ["DELETE FROM {length_class} WHERE length_class = 11"],
    ),
    "a class of lengths too many": (
        {"length_class_wrong"},
        ["INSERT INTO {length_class} VALUES (1, 3, 512)"],
    ),
    "a class of lengths with a wrong length": (
        {"length_class_wrong"},
        ["UPDATE {length_class} SET longest = longest - 1"],
    ),
    "a partition in a wrong class": (
        {"partition_length_class"},
        ["UPDATE {partition} SET length_class = 12 WHERE state = 'failed'"],
    ),
    "a counter behind the history": ({"history_counter"}, ["UPDATE {history} SET last_position = 3"]),
    "no counter": ({"history_counter"}, ["DELETE FROM {history}"]),
    "two counters": ({"history_counter"}, ["INSERT INTO {history} VALUES (2, 1)"]),
}

FOR_A_PERSON = {
    "a partition backwards": (
        {"partition_interval", "partition_history", "event_without_partition"},
        [f"UPDATE {{partition}} SET interval_end = {at(59)} WHERE state = 'registered'"],
    ),
    "a partition beyond all calendars": (
        {"partition_interval", "partition_history", "event_without_partition"},
        [f"UPDATE {{partition}} SET interval_end = {2**62} WHERE state = 'registered'"],
    ),
    "a state that is not stored": (
        {"partition_state", "partition_history"},
        ["UPDATE {partition} SET state = 'expired' WHERE state = 'registered'"],
    ),
    "published at no time": (
        {"partition_columns"},
        ["UPDATE {partition} SET published_at = NULL WHERE state = 'ready'"],
    ),
    "published though locked": (
        {"partition_columns"},
        ["UPDATE {partition} SET published_at = 0 WHERE state = 'locked'"],
    ),
    "locked by nobody": (
        {"partition_columns"},
        ["UPDATE {partition} SET holder = NULL WHERE state = 'locked'"],
    ),
    "failed without a reason": (
        {"partition_columns"},
        ["UPDATE {partition} SET reason = NULL WHERE state = 'failed'"],
    ),
    "a lock without a generation": (
        {"partition_columns", "partition_history"},
        ["UPDATE {partition} SET generation = 0 WHERE state = 'locked'"],
    ),
    "a release that would give back nothing": (
        {"partition_columns"},
        ["UPDATE {partition} SET former_state = NULL WHERE state = 'locked'"],
    ),
    "a release that would give back a lock": (
        {"partition_columns"},
        ["UPDATE {partition} SET former_state = 'locked' WHERE state = 'locked'"],
    ),
    "a release that would give back what was published at no time": (
        {"partition_columns"},
        ["UPDATE {partition} SET former_state = 'ready' WHERE state = 'locked'"],
    ),
    "a release that would give back a failure without a reason": (
        {"partition_columns"},
        ["UPDATE {partition} SET former_state = 'failed' WHERE state = 'locked'"],
    ),
    "a release of what is not locked": (
        {"partition_columns"},
        ["UPDATE {partition} SET former_state = 'registered', former_changed_at = 0 WHERE state = 'failed'"],
    ),
    "released though locked": (
        {"partition_columns"},
        ["UPDATE {partition} SET released_by = 'x' WHERE state = 'locked'"],
    ),
    "an event gone": ({"history_gap"}, ["DELETE FROM {event} WHERE position = 4"]),
    "the last event gone": (
        {"history_gap", "partition_history"},
        ["DELETE FROM {event} WHERE position = (SELECT max(position) FROM {event})"],
    ),
    "a state that its last event does not lead to": (
        {"partition_history", "partition_columns"},
        ["UPDATE {partition} SET state = 'failed', reason = 'x' WHERE state = 'locked'"],
    ),
    "a generation that its last event does not have": (
        {"partition_history"},
        ["UPDATE {partition} SET generation = 5 WHERE state = 'locked'"],
    ),
    "a last event of another type": (
        {"partition_history"},
        ["UPDATE {event} SET type = 'LOCK' WHERE type = 'FAIL'"],
    ),
    "a last event of a type that nobody knows": (
        {"event_malformed", "partition_history"},
        ["UPDATE {event} SET type = 'fail' WHERE type = 'FAIL'"],
    ),
    "a partition that the history does not know": (
        {"partition_history"},
        ["UPDATE {event} SET interval_start = NULL, interval_end = NULL WHERE position = 20"],
    ),
    "a partition gone": ({"event_without_partition"}, ["DELETE FROM {partition} WHERE state = 'registered'"]),
    "an event below the first": (
        {"event_malformed", "history_gap"},
        ["UPDATE {event} SET position = -4 WHERE position = 4"],
    ),
    "half an interval of an event": (
        {"event_malformed", "event_without_partition"},
        ["UPDATE {event} SET interval_end = NULL WHERE position = 4"],
    ),
    "an event's interval backwards": (
        {"event_malformed", "event_without_partition"},
        ["UPDATE {event} SET interval_end = interval_start WHERE position = 4"],
    ),
    "an event about a partition of no source": (
        {"event_malformed", "partition_history"},
        ["UPDATE {event} SET source_id = NULL WHERE position = 20"],
    ),
    "an event about nobody": (
        {"event_malformed"},
        ["UPDATE {event} SET source_id = NULL, type = 'TOKEN_ROTATED' WHERE type = 'SOURCE_REGISTERED'"],
    ),
    "an event's details in a list": (
        {"event_malformed"},
        ["UPDATE {event} SET details = '[]' WHERE position = 4"],
    ),
    "a holder's details in a list": (
        {"partition_details"},
        ["UPDATE {partition} SET holder_details = '[]' WHERE state = 'locked'"],
    ),
    "a lease beyond all calendars": (
        {"instant"},
        [f"UPDATE {{partition}} SET expires_at = {2**62} WHERE state = 'locked'"],
    ),
    "published beyond all calendars": (
        {"instant"},
        [f"UPDATE {{partition}} SET published_at = {2**62} WHERE state = 'ready'"],
    ),
    "locked before all calendars": (
        {"instant"},
        [f"UPDATE {{partition}} SET locked_at = {-(2**62)} WHERE state = 'locked'"],
    ),
    "changed beyond all calendars": (
        {"instant"},
        [f"UPDATE {{partition}} SET changed_at = {2**62} WHERE state = 'registered'"],
    ),
    "a source from beyond all calendars": ({"instant"}, [f"UPDATE {{source}} SET registered_at = {2**62}"]),
    "an event beyond all calendars": ({"instant"}, [f"UPDATE {{event}} SET at = {2**62} WHERE position = 4"]),
}
