"""Which interval a run is about."""

# ruff: noqa: DTZ001 - naive datetimes are what users write, and taken as UTC

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidIntervalError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.operators.partition_registry import PartitionLockOperator
from airflow_provider_partition_registry.runtime.interval import interval_of_run
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.registries import THE_DAY
from tests.airflow.runs import NewDag, RunDag, a_context

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DATA_INTERVAL = {"data_interval_start": THE_DAY.start, "data_interval_end": THE_DAY.end}


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({}, {"start": "2026-11-01", "end": "2026-11-02"}),
        ({}, {"start": datetime(2026, 11, 1), "end": datetime(2026, 11, 2)}),
        ({}, {"start": "2026-11-01T12:34:56", "grain": "day"}),
        ({}, {"start": NOON, "grain": timedelta(days=1)}),
        ({"partition_date": NOON}, {"grain": "day"}),
        (DATA_INTERVAL, {}),
        (DATA_INTERVAL, {"grain": "month"}),
        ({"partition_date": NOON, "data_interval_start": NOON, "data_interval_end": NOON}, {"grain": "day"}),
        ({"partition_date": datetime(2020, 1, 1)}, {"start": "2026-11-01", "grain": "day"}),
    ],
)
def test_parameters_partition_date_or_data_interval_give_the_interval(
    run: dict[str, Any], said: dict[str, Any]
) -> None:
    assert interval_of_run(a_context(**run), **said) == THE_DAY
    assert interval_of_run(a_context() | run, **said) == THE_DAY


@pytest.mark.parametrize(
    ("run", "said", "remedy"),
    [
        ({}, {}, "no data interval.*by hand without a date.*dag_run.run_after"),
        (
            {"data_interval_start": NOON, "data_interval_end": NOON},
            {},
            "is empty.*Airflow 3.*ds_add.*CronDataIntervalTimetable",
        ),
        (DATA_INTERVAL, {"start": "", "grain": "day"}, "start is empty: its template rendered to nothing"),
        (DATA_INTERVAL, {"start": NOON, "end": ""}, "end is empty"),
        ({"partition_date": NOON}, {}, 'set grain, for example grain="day"'),
        ({}, {"start": NOON}, "set end as well, or a grain"),
        ({}, {"end": NOON}, "set start as well"),
        ({}, {"start": "2026-11-02", "end": "2026-11-01"}, "2026-11-02"),
    ],
)
def test_an_error_says_how_to_give_the_interval(
    run: dict[str, Any], said: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(InvalidIntervalError, match=remedy):
        interval_of_run(a_context(**run), **said)


@pytest.mark.parametrize(
    ("day", "grain", "zone", "start", "end"),
    [
        ("2026-03-29", "day", "Europe/Paris", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        ("2026-10-25", "day", "Europe/Paris", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
        ("2026-03-08T12:00", "day", "America/New_York", "2026-03-08T05:00Z", "2026-03-09T04:00Z"),
        ("2026-10-25T12:00", "month", "Europe/Paris", "2026-09-30T22:00Z", "2026-10-31T23:00Z"),
        ("2026-10-25T01:30Z", "hour", "Europe/Paris", "2026-10-25T01:00Z", "2026-10-25T02:00Z"),
    ],
)
def test_days_on_which_the_clock_changes(day: str, grain: str, zone: str, start: str, end: str) -> None:
    found = interval_of_run(a_context(), start=day, grain=grain, timezone=zone)
    assert found == interval_of_run(a_context(), start=start, end=end)


@pytest.mark.parametrize("partition", [{}, {"grain": "day"}])
def test_a_real_run_has_its_data_interval(
    partition: dict[str, str],
    registry: RegistryStore,
    new_dag: NewDag,
    run_dag: RunDag,
    daily_timetable: Any,
) -> None:
    with new_dag(schedule=daily_timetable) as dag:
        PartitionLockOperator(task_id="lock", source_name="sales", **partition)
    run = run_dag(dag, logical_date=datetime(2026, 11, 2, 3, tzinfo=UTC))
    assert run.state == "success", run.errors
    assert registry.get_partition(PartitionKey("sales", "loader", THE_DAY)).generation == 1


def test_a_manual_run_without_a_data_interval_fails(
    registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
) -> None:
    """Without a schedule the interval of a manual run is empty, in both versions."""
    with new_dag() as dag:
        PartitionLockOperator(task_id="lock", source_name="sales")
    run = run_dag(dag, logical_date=NOON)
    assert run.state == "failed"
    assert isinstance(run.error("lock"), InvalidIntervalError)
    assert "Set the interval" in str(run.error("lock"))
    assert not registry.list_partitions("sales").items


def test_a_run_without_a_date(
    registry: RegistryStore,
    new_dag: NewDag,
    run_dag: RunDag,
    no_logical_date: dict[str, Any],
) -> None:
    with new_dag() as dag:
        PartitionLockOperator(task_id="lock", source_name="sales")
        PartitionLockOperator(task_id="explicit", source_name="sales", start="2026-11-01", grain="day")
    run = run_dag(dag, **no_logical_date)
    assert run.states == {"lock": "failed", "explicit": "success"}
    assert "no data interval" in str(run.error("lock"))
