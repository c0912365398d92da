"""What breaks, and what does not: killed processes, time-outs, a silent registry, and healthy runs."""

from __future__ import annotations

from airflow_provider_partition_registry.domain.models import PartitionState
from tests.system.accidents.scenario import (
    SINGLE,
    WRITTEN_ONCE,
    Accident,
    Outcome,
    fails,
)
from tests.system.accidents.steps import (
    begins,
    clear,
    fail_once,
    go,
    go_once,
    granted,
    is_in_state,
    kill,
    mark_run,
    registry_falls_silent,
    registry_speaks_again,
    run_ends,
)

READY = PartitionState.READY

# Airflow gives a task up whose supervisor has not told of itself for five minutes.
SECONDS_UNTIL_GIVEN_UP = 600.0

KILLED = (
    Accident(
        "w1 killed",
        "line",
        (begins("w1"), kill("w1"), run_ends()),
        fails("w1"),
        quick=("teardown",),
    ),
    Accident(
        "w1 and its supervisor killed",
        "line",
        (begins("w1"), kill("w1", with_supervisor=True), run_ends(SECONDS_UNTIL_GIVEN_UP)),
        fails("w1"),
    ),
    Accident(
        "lock task killed after the grant",
        "held_lock",
        (granted(), kill("lock"), run_ends()),
        fails("lock", not_begun=("w1",)),
        data=SINGLE,
        quick=("plain",),
    ),
    Accident(
        "lock task killed after the grant, and tried again",
        "held_lock_retried",
        (granted(), kill("lock"), granted(2), go("lock", "w1"), run_ends()),
        # 2.11 may find the first try dead only now, and then calls the lock task failed that has long succeeded.
        Outcome((READY, PartitionState.FAILED)),
        data=SINGLE,
    ),
    Accident(
        "dagrun_timeout while w2 runs",
        "timed_out",
        (go("w1"), begins("w2"), run_ends()),
        fails(),
    ),
    Accident(
        "unlock cleared alone after a dagrun_timeout",
        "timed_out",
        (
            go("w1"),
            begins("w2"),
            run_ends(),
            clear("unlock", downstream=False),
            is_in_state("unlock", "success", "failed", "skipped"),
            run_ends(),
        ),
        fails(),
    ),
)

SILENT = (
    Accident(
        "registry silent while unlocking",
        "frail",
        (
            go("w1"),
            begins("w2"),
            registry_falls_silent(),
            go("w2"),
            is_in_state("unlock", "up_for_retry"),
            registry_speaks_again(),
            run_ends(),
        ),
        Outcome(READY),
    ),
    Accident(
        "registry silent when the run is marked failed",
        "frail",
        (
            begins("w1"),
            registry_falls_silent(),
            mark_run("failed"),
            is_in_state("unlock", "up_for_retry", "skipped"),
            registry_speaks_again(),
            run_ends(),
        ),
        fails(),
    ),
)

HEALTHY = (
    Accident(
        "nothing happens",
        "line",
        (go("w1", "w2"), run_ends()),
        Outcome(READY, unlock=("success",), history=WRITTEN_ONCE),
    ),
    Accident(
        "w1 fails",
        "line",
        (fail_once("w1"), run_ends()),
        fails("w1", not_begun=("w2",)),
    ),
    Accident(
        "w2 fails once and is tried again",
        "retried",
        (go("w1"), fail_once("w2"), go_once("w2", 2), run_ends()),
        Outcome(READY, history=WRITTEN_ONCE),
    ),
    Accident(
        "deferred work",
        "deferred",
        (begins("w1"), is_in_state("w1", "deferred"), go_once("w1"), go("w2"), run_ends()),
        Outcome(READY, history=WRITTEN_ONCE),
    ),
)
