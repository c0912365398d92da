"""Lineage on real instances: what OpenLineage's listener sends from workers, and what asset events there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from airflow_provider_partition_registry.store.factory import open_store
from demo.options import ENVIRONMENTS
from demo.registry import CONNECTION_VARIABLE
from testbed.airflow import AirflowInstance
from testbed.postgres import PostgresServer
from testbed.processes import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

RUN_TIMEOUT = 240.0
DAGS = """
from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry import (
    PartitionReadinessSensor, partition_lock, source_asset, writes_partition,
)

DAY = {"start": "2026-11-01", "grain": "day"}
WAIT = {"source_name": "shop.sales", **DAY, "deferrable": True, "poke_interval": 1, "timeout": 200}
START = datetime(2026, 1, 1, tzinfo=timezone.utc)

with DAG("lineage", schedule=None, start_date=START):
    with partition_lock("write", source_name="shop.sales", **DAY) as write:

        @task
        def load(): ...

        load()
    write.unlock.add_outlets([source_asset("shop.sales")])

    @task
    @writes_partition(source_name="shop.clicks", **DAY)
    def click(): ...

    @task(inlets=[source_asset("shop.sales")])
    def report(): ...

    there = PartitionReadinessSensor(task_id="wait_in_the_triggerer", **WAIT)
    here = PartitionReadinessSensor(task_id="wait_with_inlets", inlets=[source_asset("shop.sales")], **WAIT)
    [write, click()]
    [there, here] >> report()

with DAG("started", schedule=[source_asset("shop.sales")], start_date=START, catchup=False):

    @task
    def run(): ...

    run()
"""
SALES = ("s3://warehouse", "sales")
CLICKS = ("partition-registry", "shop.clicks")


@contextmanager
def openlineage_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What OpenLineage's transport sends to, and all that has come."""
    events: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", events
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def registry_url(tmp_path: Path) -> str:
    """A registry whose source ``shop.sales`` has an address, and ``shop.clicks`` has none."""
    url = f"sqlite:///{tmp_path}/registry.db"
    with open_store(url) as store:
        for source, uri in (("shop.sales", "s3://warehouse/sales"), ("shop.clicks", None)):
            token = store.register_source(source, "ann", uri=uri).access_token
            store.register_provider("lineage", token)
    return url


def instance_of(major: int, postgres: PostgresServer, registry_url: str, sent_to: str) -> AirflowInstance:
    connection = {"conn_type": "partition_registry", "host": registry_url, "extra": {"instance": "here"}}
    return AirflowInstance(
        ENVIRONMENTS / f"airflow-{major}" / "bin",
        name=f"lineage-{major}",
        metadata_url=postgres.create_database(f"lineage_{major}"),
        settings={
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": sent_to}),
        },
        environment={CONNECTION_VARIABLE: json.dumps(connection)},
    )


@pytest.mark.parametrize("major", [2, 3])
def test_what_is_sent(major: int, postgres: PostgresServer, registry_url: str, tmp_path: Path) -> None:
    (tmp_path / "lineage_dags.py").write_text(DAGS)
    with openlineage_server() as (url, events):
        airflow = instance_of(major, postgres, registry_url, url)
        airflow.add_dags(tmp_path / "lineage_dags.py")
        with airflow:
            for dag_id in ("lineage", "started"):
                airflow.api.wait_until_parsed(dag_id)
                airflow.api.unpause(dag_id)
            run_id = airflow.api.trigger_run("lineage")
            assert airflow.api.wait_for_run("lineage", run_id, RUN_TIMEOUT) == "success"
            wait_until(
                lambda: is_started_once(airflow),
                what="the outlet's event to start a DAG",
                timeout=RUN_TIMEOUT,
            )
    told = {
        each["job"]["name"]: (datasets(each, "inputs"), datasets(each, "outputs"))
        for each in events
        if each["eventType"] == "COMPLETE"
    }
    assert told["lineage.write.lock"] == ([], [SALES])
    assert told["lineage.write.unlock"] == ([], [SALES])
    assert told["lineage.click"] == ([], [CLICKS])
    assert told["lineage.wait_with_inlets"] == ([SALES], [])
    if major == 3:
        assert "lineage.wait_in_the_triggerer" not in told  # No listener hears of it.
    else:
        assert told["lineage.wait_in_the_triggerer"] == ([SALES], [])
    assert told["lineage.report"] == ([("partition-registry", "shop.sales")], [])


def datasets(event: dict[str, Any], which: str) -> list[tuple[str, str]]:
    return [(each["namespace"], each["name"]) for each in event[which]]


def is_started_once(airflow: AirflowInstance) -> bool:
    runs = airflow.api.call("GET", "/dags/started/dagRuns")["dag_runs"]
    assert len(runs) <= 1
    return [each["state"] for each in runs] == ["success"]
