"""What people mark by hand: runs and tasks, as success or failed."""

from __future__ import annotations

from airflow_provider_partition_registry.domain.models import PartitionState
from tests.system.accidents.scenario import (
    PARTS,
    SINGLE,
    Accident,
    Outcome,
    fails,
)
from tests.system.accidents.steps import (
    begins,
    begins_or_fails,
    fail_once,
    go,
    granted,
    is_in_state,
    mark,
    mark_run,
    run_ends,
    somebody_else_locks,
    somebody_else_unlocks,
    vouch_for,
)

READY = PartitionState.READY
FAILED = PartitionState.FAILED
LOCKED = PartitionState.LOCKED

MARKED = (
    Accident(
        "run marked failed, w2 waiting for its retry",
        "waiting_for_retry",
        (go("w1"), fail_once("w2"), is_in_state("w2", "up_for_retry"), mark_run("failed"), run_ends()),
        fails("w2"),
        plain=fails("failed", "held this lock"),  # by whoever sees the run end, as Airflow skips the unlock
        quick=("teardown",),
    ),
    Accident(
        "run marked failed, w1 running",
        "line",
        (begins("w1"), mark_run("failed"), run_ends()),
        fails(),
        quick=("plain",),
    ),
    Accident(
        "run marked failed, w2 running",
        "line",
        (go("w1"), begins("w2"), mark_run("failed"), run_ends()),
        fails(),
    ),
    Accident(
        "run marked success, w1 running, w2 not begun",
        "line",
        (begins("w1"), mark_run("success"), run_ends()),
        fails(),
        quick=("teardown", "group"),
    ),
    Accident(
        "run marked success, the sole work task running",
        "single",
        (begins("w1"), mark_run("success"), run_ends()),
        fails(),
        data=SINGLE,
    ),
    Accident(
        "run marked success, deferred work waiting",
        "deferred",
        (begins("w1"), is_in_state("w1", "deferred"), mark_run("success"), run_ends()),
        fails(),
    ),
    Accident(
        "run marked failed, deferred work waiting",
        "deferred",
        (begins("w1"), is_in_state("w1", "deferred"), mark_run("failed"), run_ends()),
        fails(),
    ),
    Accident(
        "running w2 marked success by a person",
        "line",
        (go("w1"), begins("w2"), vouch_for("w2"), run_ends()),
        Outcome(READY, unlock=("success",)),
        quick=("teardown",),
    ),
    Accident(
        "running w1 marked failed",
        "line",
        (begins("w1"), mark("w1", "failed"), run_ends()),
        fails("w1"),
    ),
    Accident(
        "w2 marked success before it began",
        "line",
        (begins("w1"), mark("w2", "success"), go("w1"), run_ends()),
        fails("w2"),
    ),
    Accident(
        "w2 marked skipped while it runs",
        "line",
        (go("w1"), begins("w2"), mark("w2", "skipped"), run_ends()),
        fails("w2"),
        versions=(3,),  # 2.11 has no such button
    ),
    Accident(
        "unlock marked success before it began",
        "line",
        (begins("w1"), mark("unlock", "success"), go("w1", "w2"), run_ends()),
        fails(),
    ),
    Accident(
        "lock marked failed while w1 runs",
        "line",
        (begins("w1"), mark("lock", "failed"), go("w1", "w2"), run_ends()),
        fails(),
    ),
    Accident(
        "run marked failed, the lock granted and not told yet",
        "held_lock",
        (granted(), mark_run("failed"), run_ends()),
        fails(not_begun=("w1",)),
        data=SINGLE,
    ),
    Accident(
        "run marked success, the lock granted and not told yet",
        "held_lock",
        (granted(), mark_run("success"), run_ends()),
        fails(not_begun=("w1",)),
        data=SINGLE,
    ),
    Accident(
        "lock marked success though somebody else holds it",
        "line",
        (is_in_state("lock", "failed"), mark("lock", "success"), go("w1", "w2"), run_ends()),
        Outcome(LOCKED, not_begun=("w1", "w2")),
        before=(somebody_else_locks(),),
    ),
    Accident(
        "lock marked success, the other one unlocks meanwhile",
        "line",
        (
            is_in_state("lock", "failed"),
            mark("lock", "success"),
            begins_or_fails("w1"),
            somebody_else_unlocks(),
            go("w1", "w2"),
            run_ends(),
        ),
        # Ready is what the other one wrote, if w1 did not begin.
        Outcome((FAILED, READY)),
        forms=PARTS,
        before=(somebody_else_locks(),),
    ),
)
