"""From a publication to the run that it starts, beside Airflow's own asset events: ``python -m benchmarks.event_runs``.

One Airflow 3.3 with its own PostgreSQL has three DAGs, which take turns. Two are scheduled by partitions of an asset:
one asset is watched for a source of the registry, the events of the other are created by Airflow's REST API. The asset
of the third has a watcher that does as good as nothing: what a triggerer adds to a start at least.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store import maintenance
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.database.engine import Database
from benchmarks.report import machine
from demo.options import ENVIRONMENTS, PROJECT
from demo.registry import CONNECTION_VARIABLE
from testbed.airflow import AirflowInstance
from testbed.postgres import PostgresServer
from testbed.processes import new_temporary_folder, wait_until

ROUNDS = 20
AT_MOST = 1.3  # times an own event
PATIENCE = 300.0
FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
WATCHING, WATCHED_SOURCE = "watching_runs", "bench.days"
OWN, OWN_ASSET = "own_runs", "bench.own"
BARE, BARE_ASSET = "bare_runs", "bench.bare"

DAGS = f'''
import os
from airflow.sdk import DAG, Asset, AssetWatcher, PartitionedAssetTimetable, task
from airflow_provider_partition_registry import PartitionEventTrigger
from benchmarks.bare_watcher import BareWatcher

days = AssetWatcher("days", trigger=PartitionEventTrigger("{WATCHED_SOURCE}", became_ready="day"))
bare = AssetWatcher("bare", trigger=BareWatcher(os.environ["BENCH_FILE"]))
schedules = {{
    "{WATCHING}": PartitionedAssetTimetable(assets=Asset("{WATCHED_SOURCE}", watchers=[days])),
    "{OWN}": PartitionedAssetTimetable(assets=Asset("{OWN_ASSET}")),
    "{BARE}": [Asset("{BARE_ASSET}", watchers=[bare])],
}}
for dag_id, schedule in schedules.items():
    with DAG(dag_id, schedule=schedule, is_paused_upon_creation=False) as dag:
        task(task_id="nothing")(lambda: None)()
    globals()[dag_id] = dag
'''


def main() -> int:
    """Measure; returns 0 if the target is met."""
    with ExitStack() as stack:
        postgres = stack.enter_context(
            PostgresServer(durable=False, folder=new_temporary_folder("bench-postgres"))
        )
        registry_url = postgres.create_database("registry")
        maintenance.upgrade(registry_url)
        store = stack.enter_context(open_store(registry_url))
        store.register_provider("loader", store.register_source(WATCHED_SOURCE, "bench").access_token)
        file = new_temporary_folder("bench-events") / "number"
        _write(file, 0)
        instance = _instance(postgres.create_database("airflow"), registry_url, file)
        stack.enter_context(instance)
        _begin(instance, store)
        (asset,) = instance.api.call("GET", f"/assets?name_pattern={OWN_ASSET}")["assets"]
        starts: dict[str, Callable[[int], None]] = {
            OWN: lambda number: _create_event(instance, asset["id"], _key(number)),
            WATCHING: lambda number: _publish(store, number),
            BARE: lambda number: _write(file, number),
        }
        seconds: dict[str, list[float]] = {dag_id: [] for dag_id in starts}
        for number in range(1, ROUNDS + 1):
            for dag_id, start in starts.items():
                begin = datetime.now(UTC)
                start(number)
                seconds[dag_id].append((_start_of_run(instance, dag_id, begin) - begin).total_seconds())
        with closing(Database(registry_url, pool_size=1, timeout=10)) as database:
            version = database.read(
                lambda connection: connection.execute(text("SHOW server_version")).scalar()
            )
        print(f"\n{machine(str(version))}\n")
        return _report(seconds)


def _report(seconds: Mapping[str, list[float]]) -> int:
    medians = {dag_id: statistics.median(each) for dag_id, each in seconds.items()}
    for dag_id, found in seconds.items():
        print(
            f"{dag_id}: median {medians[dag_id]:.2f} s of {ROUNDS}, from {min(found):.2f} to {max(found):.2f} s"
        )
    ratio = medians[WATCHING] / medians[BARE]
    print(f"from the unlock to the run: {ratio:.2f} x a bare watcher (target {AT_MOST}), ", end="")
    print(f"{medians[WATCHING] / medians[OWN]:.2f} x an own event")
    return 0 if ratio <= AT_MOST else 1


def _instance(metadata_url: str, registry_url: str, file: Path) -> AirflowInstance:
    connection = (
        f'{{"conn_type": "partition_registry", "host": "{registry_url}", "extra": {{"instance": "bench"}}}}'
    )
    instance = AirflowInstance(
        ENVIRONMENTS / "airflow-3" / "bin",
        name="bench",
        metadata_url=metadata_url,
        environment={
            CONNECTION_VARIABLE: connection,
            "BENCH_FILE": str(file),
            "PYTHONPATH": str(PROJECT),
        },
    )
    instance.dags_folder.mkdir(parents=True)
    Path(instance.dags_folder / "bench.py").write_text(DAGS)
    return instance


def _begin(instance: AirflowInstance, store: RegistryStore) -> None:
    """Start a first run of both, as these take longer than others."""
    instance.warm_up(PATIENCE)
    for dag_id in (OWN, WATCHING, BARE):
        instance.api.wait_until_parsed(dag_id, PATIENCE)
    assets = {
        each["name"]: each["id"] for each in instance.api.call("GET", "/assets?name_pattern=bench")["assets"]
    }
    states = f"/assets/{assets[WATCHED_SOURCE]}/state-store"
    wait_until(
        lambda: instance.api.call("GET", states)["asset_state_store"],
        what="the source to be followed",
        timeout=PATIENCE,
    )
    begin = datetime.now(UTC) - timedelta(hours=1)
    _publish(store, 0)
    _create_event(instance, assets[OWN_ASSET], _key(0))
    for dag_id in (OWN, WATCHING, BARE):
        _start_of_run(instance, dag_id, begin)
    time.sleep(5)


def _write(file: Path, number: int) -> None:
    written = file.with_suffix(".new")
    written.write_text(str(number))
    written.rename(file)


def _key(number: int) -> str:
    return f"{FIRST_DAY + timedelta(days=number):%Y-%m-%d}"


def _publish(store: RegistryStore, number: int) -> None:
    start = FIRST_DAY + timedelta(days=number)
    key = PartitionKey(WATCHED_SOURCE, "loader", Interval(start, start + timedelta(days=1)))
    store.unlock(key, generation=store.lock(key, register=True).generation)


def _create_event(instance: AirflowInstance, asset_id: int, key: str) -> None:
    instance.api.call("POST", "/assets/events", {"asset_id": asset_id, "partition_key": key, "extra": {}})


def _start_of_run(instance: AirflowInstance, dag_id: str, after: datetime) -> datetime:
    """When a run started after a moment, as Airflow recorded it."""
    found: list[datetime] = []

    def has_started() -> bool:
        runs = instance.api.call("GET", f"/dags/{dag_id}/dagRuns?limit=100&order_by=-run_after")["dag_runs"]
        starts = [datetime.fromisoformat(each["start_date"]) for each in runs if each["start_date"]]
        found[:] = [each for each in starts if each > after]
        return bool(found)

    wait_until(has_started, what=f"a run of {dag_id}", timeout=PATIENCE, interval=0.2)
    return min(found)


if __name__ == "__main__":
    sys.exit(main())
