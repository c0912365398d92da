"""Code as users write it. Nothing runs it: ``make lint`` lets mypy and pyright check it as they check users' code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_type

from airflow_provider_partition_registry import (
    Answer,
    Event,
    Holder,
    Interval,
    Page,
    Partition,
    PartitionKey,
    PartitionLockedError,
    PartitionLockHeldNotifier,
    PartitionLockOperator,
    PartitionNotReadyNotifier,
    PartitionReadinessBranchOperator,
    PartitionReadinessSensor,
    PartitionRegistryHook,
    PartitionUnchangedOperator,
    PartitionWrite,
    Question,
    Readiness,
    RegistryError,
    RegistryStore,
    explain,
    open_store,
    partition_lock,
    write_partition,
)

DAY = Interval("2026-11-01", datetime(2026, 11, 2, tzinfo=UTC))
KEY = PartitionKey("shop.sales", "nightly-load", DAY)


def from_a_script(url: str) -> str:
    """Write from a script."""
    with open_store(url, access_token="prs_...") as store:
        assert_type(store, RegistryStore)
        try:
            locked = store.lock(
                KEY, holder=Holder("host-1", {"log": "https://..."}), lease=timedelta(hours=2)
            )
        except PartitionLockedError as error:
            assert_type(error.partition, Partition)
            return error.message
        assert_type(locked, Partition)
        assert_type(store.unlock(KEY, generation=locked.generation), Partition)
        assert_type(store.events(after=0, source_name="shop.sales"), Page[Event])
        return explain(store.check_readiness("shop.sales", DAY))


def from_a_task(many: Sequence[str]) -> bool:
    """Ask in a task."""
    hook = PartitionRegistryHook()
    assert_type(hook.check_readiness("shop.sales", "2026-11-01", "2026-11-02"), Readiness)
    answers = hook.check_readiness_many([Question(name, DAY) for name in many])
    assert_type(answers, list[Answer])
    are_ready = all(isinstance(each, Readiness) and each.is_ready for each in answers)
    result = {"source_name": "shop.sales", "start": "...", "end": "...", "is_ready": True, "as_of": 7}
    assert_type(hook.changed_since(result), bool)
    assert_type(hook.changed_since([result, result]), bool)
    assert_type(hook.changed_since("shop.sales", "2026-11-01", "2026-11-02", 7), bool)
    return are_ready


def in_a_dag_file() -> None:
    """Use operators, the sensor and the group, as a DAG file does."""
    PartitionLockOperator(task_id="lock", source_name="shop.sales", grain="day", lease=timedelta(hours=2))
    tell = PartitionNotReadyNotifier(source_name="shop.sales", grain="day", tell=print)
    wait = PartitionReadinessSensor(
        task_id="wait", source_name="shop.sales", grain="day", deferrable=True, on_failure_callback=tell
    )
    PartitionUnchangedOperator(task_id="unchanged", answers=wait.output)
    PartitionReadinessBranchOperator(
        task_id="branch", source_name="shop.sales", grain="day", follow_task_ids_if_ready="report"
    )
    PartitionLockHeldNotifier(longer_than=timedelta(hours=6))
    with partition_lock(source_name="shop.sales", grain="day"):
        pass


def inside_a_task() -> None:
    """Write a partition in one task."""
    with write_partition(source_name="shop.sales", start="2026-11-01", grain="day") as write:
        assert_type(write, PartitionWrite)
        assert_type(write.generation, int)
        write.require_lock()


def error_code(error: RegistryError) -> str:
    """Use an error's stable code."""
    return error.code
