"""The assets that sources are to Airflow: one way to write each, and what Airflow does with them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector
from airflow.providers.common.compat.sdk import Asset, task

from airflow_provider_partition_registry.assets import partition_registry as assets
from airflow_provider_partition_registry.assets.partition_registry import source_asset
from airflow_provider_partition_registry.domain.errors import InvalidNameError
from tests.airflow.runs import NewDag
from tests.airflow.versions import IS_AIRFLOW_3

SCHEME = "partition-registry"
IMPORT_OURS = """
import json, sys
before = set(sys.modules)
import airflow_provider_partition_registry.assets.partition_registry
print(json.dumps(sorted(set(sys.modules) - before)))
"""
GRAPH = """
from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_partition_registry import source_asset

start = datetime(2026, 1, 1, tzinfo=timezone.utc)
with DAG("reads_and_writes", schedule=[source_asset("shop.stock")], start_date=start):

    @task(inlets=[source_asset("shop.sales")], outlets=[source_asset("shop.report")])
    def report(): ...

    report()
"""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Airflow's collector of lineage, as it is where somebody reads it."""
    if IS_AIRFLOW_3:
        from airflow.sdk.lineage import HookLineageCollector
    else:
        from airflow.lineage.hook import HookLineageCollector
    found = HookLineageCollector()
    monkeypatch.setattr("airflow.providers.common.compat.sdk.get_hook_lineage_collector", lambda: found)
    return get_hook_lineage_collector()


def test_the_asset_of_a_source() -> None:
    asset = source_asset("shop.sales", extra={"uri": "s3://bucket/sales"})
    assert (asset.uri, asset.extra) == ("partition-registry://shop.sales", {"uri": "s3://bucket/sales"})
    if IS_AIRFLOW_3:
        assert asset.name == "shop.sales"


@pytest.mark.parametrize("source_name", ["bucket/prefix/", "Größe", "s3://bucket/a", "a@b:c", "100%"])
def test_any_source_has_an_asset(source_name: str) -> None:
    asset = source_asset(source_name)
    assert asset.uri.isascii()
    assert Asset(uri=asset.uri).uri == asset.uri


@pytest.mark.parametrize("uri", ["partition-registry://shop.sales/", "Partition-Registry://shop.sales"])
def test_airflow_knows_one_way_to_write_it(uri: str) -> None:
    assert Asset(uri=uri).uri == source_asset("shop.sales").uri


def test_plain_slashes_are_the_same() -> None:
    assert Asset(uri="partition-registry://bucket/sales").uri == source_asset("bucket/sales").uri


@pytest.mark.parametrize("uri", ["partition-registry:///sales", "partition-registry://sales?day=1"])
def test_a_uri_that_names_no_source_is_refused(uri: str) -> None:
    if IS_AIRFLOW_3:
        with pytest.raises(ValueError, match="the name of a source"):
            Asset(uri=uri)
    else:  # Airflow 2 only warns, and takes it as it is.
        with pytest.warns(UserWarning, match="the name of a source"):
            Asset(uri=uri)


def test_a_name_that_no_source_can_have() -> None:
    with pytest.raises(InvalidNameError):
        source_asset("two words")


def test_airflow_finds_what_makes_and_converts_them(uri_resources: tuple[dict[str, Any], ...]) -> None:
    handlers, factories, converters = uri_resources
    assert handlers[SCHEME] is assets.sanitize_uri
    assert factories[SCHEME] is source_asset
    assert converters[SCHEME] is assets.convert_asset_to_openlineage


def test_hooks_may_make_them_by_their_scheme(collector: Any) -> None:
    """As those do that report what they read and write."""
    collector.add_input_asset(context=object(), scheme=SCHEME, asset_kwargs={"source_name": "shop.sales"})
    (read,) = collector.collected_assets.inputs
    assert read.asset.uri == "partition-registry://shop.sales"


def test_making_one_imports_nothing_heavy() -> None:
    """Airflow imports the handler in every process that makes any asset."""
    done = subprocess.run([sys.executable, "-c", IMPORT_OURS], capture_output=True, text=True, check=True)
    imported = json.loads(done.stdout.splitlines()[-1])
    ours = {
        name.partition(".")[2] for name in imported if name.startswith("airflow_provider_partition_registry.")
    }
    assert ours == {
        *("assets", "assets.partition_registry"),
        *("domain", "domain.invalid_input", "domain.names", "domain.uris"),
    }
    assert not {name.partition(".")[0] for name in imported} & {
        "airflow",
        "sqlalchemy",
        "openlineage",
        "pydantic",
    }


def test_inlets_outlets_and_schedules(tmp_path: Path, load_dags: Callable[[Path], Any]) -> None:
    (tmp_path / "graph.py").write_text(GRAPH)
    dag_bag = load_dags(tmp_path)
    assert dag_bag.import_errors == {}
    assert dag_bag.captured_warnings == {}
    (dag,) = dag_bag.dags.values()
    report = dag.get_task("report")
    assert [each.uri for each in report.inlets] == ["partition-registry://shop.sales"]
    assert [each.uri for each in report.outlets] == ["partition-registry://shop.report"]


def test_they_survive_the_database(new_dag: NewDag, through_the_database: Callable[[Any], Any]) -> None:
    with new_dag() as dag:
        task(inlets=[source_asset("bucket/a")])(lambda: None).override(task_id="read")()
    (inlet,) = through_the_database(dag).get_task("read").inlets
    assert inlet.uri == source_asset("bucket/a").uri
