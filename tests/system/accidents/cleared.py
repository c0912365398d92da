"""What people clear or delete."""

from __future__ import annotations

from airflow_provider_partition_registry.domain.models import PartitionState
from tests.system.accidents.scenario import (
    WRITTEN_TWICE,
    Accident,
    Outcome,
    fails,
)
from tests.system.accidents.steps import (
    becomes,
    begins,
    clear,
    clear_and_delete_dag,
    clear_run,
    delete_dag,
    delete_run,
    ends,
    fail_once,
    generation,
    go,
    go_once,
    is_in_state,
    mark_run,
    published,
    run_ends,
)

READY = PartitionState.READY
FAILED = PartitionState.FAILED

CLEARED = (
    Accident(
        "w1 cleared with downstream after publication, and fails",
        "line",
        (
            go_once("w1"),
            go_once("w2"),
            published(),
            run_ends(),
            clear("w1"),
            begins("w1", 2),
            fail_once("w1", 2),
            run_ends(),
        ),
        fails("w1"),
        quick=("plain", "group"),
    ),
    Accident(
        "w1 cleared with downstream after publication, and succeeds",
        "line",
        (
            go_once("w1"),
            go_once("w2"),
            published(),
            run_ends(),
            clear("w1"),
            begins("w1", 2),
            go("w1", "w2"),
            ends("w2", 2),
            run_ends(),
        ),
        Outcome(READY, history=WRITTEN_TWICE),
    ),
    Accident(
        "w1 alone cleared after publication, and fails",
        "line",
        (
            go_once("w1"),
            go_once("w2"),
            published(),
            run_ends(),
            clear("w1", downstream=False),
            begins("w1", 2),
            fail_once("w1", 2),
            run_ends(),
        ),
        fails("w1"),
        # A plain unlock is not cleared along with it, so whoever sees the run end says so.
        plain=fails("held this lock"),
    ),
    Accident(
        "w1 alone cleared after publication, and succeeds",
        "line",
        (
            go_once("w1"),
            go_once("w2"),
            published(),
            run_ends(),
            clear("w1", downstream=False),
            begins("w1", 2),
            go("w1"),
            ends("w1", 2),
            run_ends(),
        ),
        # w2 was not begun again, and wrote under an earlier lock: there is no proof.
        fails(),
    ),
    Accident(
        "unlock cleared alone after a run marked failed",
        "line",
        (
            go("w1"),
            begins("w2"),
            mark_run("failed"),
            run_ends(),
            clear("unlock", downstream=False),
            is_in_state("unlock", "success", "failed", "skipped"),
            run_ends(),
        ),
        fails(),
    ),
    Accident(
        "failed work cleared with downstream",
        "line",
        (
            go("w1"),
            fail_once("w2"),
            becomes(FAILED),
            run_ends(),
            clear("w2"),
            begins("w2", 2),
            go("w2"),
            ends("w2"),
            run_ends(),
        ),
        # R12 to the letter: w1 wrote under an earlier lock.
        fails("w1"),
    ),
    Accident(
        "w1 cleared with downstream while w2 runs",
        "line",
        (
            go("w1"),
            begins("w2"),
            clear("w1"),
            ends("w1", 2),
            begins("w2", 2),
            go("w2"),
            ends("w2"),
            run_ends(),
        ),
        Outcome(READY),
    ),
    Accident(
        "lock cleared alone while w1 runs",
        "line",
        (begins("w1"), clear("lock", downstream=False), generation(2), go("w1", "w2"), run_ends()),
        fails("w1"),
        forms=("plain", "group"),
    ),
    Accident(
        "the whole run cleared after publication",
        "line",
        (
            go_once("w1"),
            go_once("w2"),
            published(),
            run_ends(),
            clear_run(),
            begins("w1", 2),
            go("w1", "w2"),
            ends("w2", 2),
            run_ends(),
        ),
        Outcome(READY, history=WRITTEN_TWICE),
    ),
    Accident(
        "the whole run cleared while w1 runs",
        "line",
        (
            begins("w1"),
            clear_run(),
            begins("w1", 2),
            go("w1", "w2"),
            ends("w2"),
            run_ends(),
        ),
        Outcome(READY),
    ),
    Accident(
        "run deleted while w1 runs",
        "line",
        (begins("w1"), delete_run()),
        fails(),
        versions=(2,),  # 3.x refuses to
    ),
    # Of a running task Airflow lets nobody delete the DAG; of one that is about to run again it does.
    Accident(
        "DAG deleted, w2 waiting for its retry",
        "deleted",
        (go("w1"), fail_once("w2"), is_in_state("w2", "up_for_retry"), delete_dag()),
        fails("was deleted"),
    ),
    Accident(
        "DAG deleted, the running w1 cleared a moment before",
        "cleared_and_deleted",
        (begins("w1"), clear_and_delete_dag("w1")),
        fails("was deleted"),
    ),
)
