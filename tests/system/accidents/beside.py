"""What else wants to write the partition while a run writes it: another run, or a backfill."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_partition_registry.domain.models import PartitionState
from tests.system.accidents.scenario import WRITTEN_ONCE, WRITTEN_TWICE, Accident, Outcome
from tests.system.accidents.steps import (
    another_run_is_refused,
    backfill,
    backfill_ends,
    backfill_is_told_who_writes,
    begins,
    go,
    go_once,
    lock_is_held_by_run,
    locked_in_turn,
    run_ends,
)

READY = PartitionState.READY

# The date of the run; its backfill has midnight's. Airflow has one run for each date of a DAG, which 3.x lets nobody
# backfill while it goes on: what writes beside it is a run of another date that means the same partition.
NOON = timedelta(hours=12)

BESIDE = (
    Accident(
        "two runs on one partition",
        "line",
        (begins("w1"), another_run_is_refused(), go("w1", "w2"), run_ends()),
        Outcome(READY),
    ),
    Accident(
        "backfill beside a run is refused",
        "daily_fail",
        (
            begins("w1"),
            backfill(),
            backfill_is_told_who_writes(),
            backfill_ends("failed"),
            lock_is_held_by_run(),
            go("w1", "w2"),
            run_ends(),
        ),
        Outcome(READY, unlock=("success",), history=WRITTEN_ONCE),
        time=NOON,
    ),
    Accident(
        "backfill beside a run waits for its turn",
        "daily_wait",
        (
            begins("w1"),
            backfill(),
            backfill_is_told_who_writes(),
            lock_is_held_by_run(),
            go_once("w1"),
            begins("w2"),
            lock_is_held_by_run(),
            go_once("w2"),
            run_ends(),
            begins("w1", 2),
            locked_in_turn(),
            go("w1", "w2"),
            backfill_ends("success"),
        ),
        Outcome(READY, unlock=("success",), history=WRITTEN_TWICE),
        time=NOON,
    ),
)
