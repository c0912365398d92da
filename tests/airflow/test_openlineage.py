"""What OpenLineage's own provider is told, as it writes it to a file: of a whole run, and with which names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_partition_registry.assets.partition_registry import (
    convert_asset_to_openlineage,
    source_asset,
)
from airflow_provider_partition_registry.decorators.partition_registry import write_partition
from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
from airflow_provider_partition_registry.runtime.lineage import (
    MOST_INTERVALS,
    dataset_at,
    report_writing,
    told_of,
)
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.processes import new_temporary_folder
from tests.airflow.registries import Connect, publish, the_partition
from tests.documents import DOCS, blocks

Json = dict[str, Any]
AS_A_SYMLINK = {"namespace": "partition-registry", "name": "sales", "type": "PARTITION_REGISTRY"}
DAY = {"start": "2026-11-01T00:00:00Z", "end": "2026-11-02T00:00:00Z"}


@pytest.fixture
def addressed(registry: RegistryStore) -> RegistryStore:
    registry.set_source_uri("sales", "postgres://warehouse/shop/public/sales")
    return registry


@pytest.fixture
def completed(airflow_home: Path, addressed: RegistryStore) -> dict[str, Json]:
    """What was told of each task that ended well, in a run of ``lineage_dag``, by task id."""
    file = new_temporary_folder("lineage") / "events"
    transport = {"type": "file", "log_file_path": str(file), "append": True}
    done = subprocess.run(
        [sys.executable, "-m", "tests.airflow.lineage_dag"],
        env={**os.environ, "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert file.exists(), done.stdout + done.stderr
    events = [json.loads(line) for line in file.read_text().splitlines()]
    return {
        each["job"]["name"].removeprefix("lineage."): each
        for each in events
        if each["eventType"] == "COMPLETE" and each["job"]["name"] != "lineage"
    }


def datasets(event: Json, which: str) -> list[tuple[str, str]]:
    return [(each["namespace"], each["name"]) for each in event[which]]


def ours(dataset: Json) -> Json:
    """What our facet says."""
    facet = dataset["facets"]["partitionRegistry"]
    return {name: value for name, value in facet.items() if not name.startswith("_")}


def test_a_whole_run(completed: dict[str, Json], addressed: RegistryStore) -> None:
    sales = ("postgres://warehouse:5432", "shop.public.sales")
    clicks = ("partition-registry", "clicks")

    for task_id in ("write.lock", "write.unlock"):
        event = completed[task_id]
        assert (datasets(event, "inputs"), datasets(event, "outputs")) == ([], [sales])
        (output,) = event["outputs"]
        assert output["facets"]["symlinks"]["identifiers"] == [AS_A_SYMLINK]
        told = ours(output)
        assert (told["source"], told["intervalCount"], len(told["intervals"])) == ("sales", 24, 24)
        assert told["intervals"][-1] == {
            "start": "2026-11-01T23:00:00Z",
            "end": "2026-11-02T00:00:00Z",
            "provider": "loader",
            "generation": 1,
        }

    event = completed["click"]
    assert (datasets(event, "inputs"), datasets(event, "outputs")) == ([], [clicks])
    assert ours(event["outputs"][0]) == {
        "source": "clicks",
        "intervals": [{**DAY, "provider": "loader", "generation": 1}],
        "intervalCount": 1,
    }
    (shown,) = blocks(DOCS / "how-to" / "lineage.md", "json")
    assert json.loads(shown).keys() == ours(event["outputs"][0]).keys()

    event = completed["wait"]
    assert (datasets(event, "inputs"), datasets(event, "outputs")) == ([sales, clicks], [])
    of_sales, of_clicks = map(ours, event["inputs"])
    assert of_sales == {"source": "sales", "intervals": [DAY], "intervalCount": 1, "asOf": of_sales["asOf"]}
    assert of_clicks["intervals"] == [DAY, {**DAY, "end": "2026-11-01T12:00:00Z"}]
    assert of_sales["asOf"] > 0

    assert datasets(completed["ask"], "inputs") == [sales]
    assert datasets(completed["ask_in_vain"], "inputs") == []

    event = completed["read"]  # what an inlet says of itself: it knows no registry
    assert datasets(event, "inputs") == [clicks, ("gs://by-hand", "sales")]

    assert datasets(completed["lock"], "outputs") == [sales]
    assert "unlock" not in completed
    assert the_partition(addressed, provider="other").state is PartitionState.FAILED
    assert completed.get("skip_clicks", {}).get("outputs", []) == []


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("s3://bucket/sales", "s3://bucket", "sales"),
        ("s3://bucket/a%20b/", "s3://bucket", "a b"),
        ("s3://bucket", "s3://bucket", "/"),
        ("abfss://container.account/x/y", "abfss://container.account", "x/y"),
        ("postgres://host/db/schema/table", "postgres://host:5432", "db.schema.table"),
        ("postgresql://host:6432/db/schema/table", "postgres://host:6432", "db.schema.table"),
        ("mysql://host/db/table", "mysql://host:3306", "db.table"),
        ("snowflake://org-account/db/schema/table", "snowflake://org-account", "db.schema.table"),
        ("bigquery://project/dataset/table", "bigquery", "project.dataset.table"),
        ("file:///data/sales", "file", "/data/sales"),
        ("file://host/data/sales", "file://host", "/data/sales"),
        ("kafka://broker:9092/topic", "kafka://broker:9092", "topic"),
    ],
)
def test_datasets_are_named_as_others_name_them(uri: str, namespace: str, name: str) -> None:
    assert dataset_at(uri) == (namespace, name)


def test_of_very_many_partitions_not_all_are_listed(registry: RegistryStore) -> None:
    publish(registry)
    told = told_of([the_partition(registry)] * (MOST_INTERVALS + 5))
    assert (len(told["intervals"]), told["intervalCount"]) == (MOST_INTERVALS, MOST_INTERVALS + 5)


@pytest.mark.usefixtures("as_task")
def test_where_nobody_listens_nothing_happens(
    registry: RegistryStore, caplog: pytest.LogCaptureFixture
) -> None:
    with write_partition(source_name="sales", start="2026-11-01", grain="day"):
        pass
    assert the_partition(registry).state is PartitionState.READY
    assert "lineage" not in caplog.text


def test_lineage_that_cannot_be_told_fails_no_task(
    registry: RegistryStore, caplog: pytest.LogCaptureFixture
) -> None:
    publish(registry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "airflow.providers.common.compat.lineage.hook", None)
        report_writing(PartitionRegistryHook(), the_partition(registry))
    assert "Airflow's lineage could not be told of partition" in caplog.text


def test_a_hook_tells_the_converter_where_the_data_is(addressed: RegistryStore) -> None:
    dataset = convert_asset_to_openlineage(source_asset("sales"), PartitionRegistryHook())
    assert (dataset.namespace, dataset.name) == ("postgres://warehouse:5432", "shop.public.sales")


def test_a_registry_that_does_not_answer_does_not_split_the_lineage(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    connect("http://127.0.0.1:1", extra={"timeout": "0.2"})
    assert convert_asset_to_openlineage(source_asset("sales"), PartitionRegistryHook()) is None
    assert "OpenLineage is not told of source 'sales'" in caplog.text
