"""What can be wrong with the registry of the fixture ``store``: statements, and what verify finds after them."""

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
    "a class of lengths gone": (
        {"length_class_missing"},
        ["DELETE FROM {length_class} WHERE length_class = 11"],
    ),
    "a class of lengths too many": (
        {"length_class_wrong"},
        ["INSERT INTO {length_class} VALUES (1, 3, 512)"],
    ),
    "a counter behind the history": ({"history_counter"}, ["UPDATE {history} SET last_position = 3"]),
    "an index gone": ({"index_missing"}, ["DROP INDEX ix_{partition_overlap}"]),
    "all indexes of a table gone": (
        {"index_missing"},
        ["DROP INDEX ix_{partition_overlap}", "DROP INDEX ix_{partition_lane}"],
    ),
    "no counter": ({"history_counter"}, ["DELETE FROM {history}"]),
}

FOR_A_PERSON = {
    "an event gone": ({"history_gap"}, ["DELETE FROM {event} WHERE position = 4"]),
    "the last event gone": (
        {"history_gap", "partition_history"},
        ["DELETE FROM {event} WHERE position = (SELECT max(position) FROM {event})"],
    ),
    "a state that its last event does not lead to": (
        {"partition_history"},
        [
            (
                "UPDATE {partition} SET state = 'failed', reason = 'x', former_state = NULL, "
                "former_changed_at = NULL WHERE state = 'locked'"
            )
        ],
    ),
    "a generation that its last event does not have": (
        {"partition_history"},
        ["UPDATE {partition} SET generation = 5 WHERE state = 'locked'"],
    ),
    "a last event of another type": (
        {"partition_history"},
        ["UPDATE {event} SET type = 'LOCK' WHERE type = 'FAIL'"],
    ),
    "a partition that the history does not know": (
        {"partition_history", "event_without_partition"},
        [
            (
                f"UPDATE {{event}} SET interval_start = {at(61)}, interval_end = {at(62)} "
                f"WHERE type = 'PARTITION_REGISTERED' AND interval_start = {at(60)}"
            )
        ],
    ),
    "a partition gone": ({"event_without_partition"}, ["DELETE FROM {partition} WHERE state = 'registered'"]),
    "an event's details in a list": (
        {"event_malformed"},
        ["UPDATE {event} SET details = '[]' WHERE position = 4"],
    ),
    "a holder's details in a list": (
        {"partition_details"},
        ["UPDATE {partition} SET holder_details = '[]' WHERE state = 'locked'"],
    ),
}
