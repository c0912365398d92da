"""The example DAGs that ask, run in this process; those that write are run by real instances, in tests/system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from tests.airflow.registries import Connect, publish
from tests.airflow.runs import Rerun, RunDag

EXAMPLES = Path(__file__).parents[2] / "example_dags"


@pytest.fixture
def registry(tmp_path: Path, connect: Connect) -> Iterator[RegistryStore]:
    """A registry with the source that they read."""
    url = f"sqlite:///{tmp_path}/registry.db"
    connect(url, extra={"instance": "here"})
    with open_store(url) as store:
        store.register_provider("loader", store.register_source("shop.sales", "ann").access_token)
        yield store


@pytest.fixture
def example(load_dags: Callable[[Path], Any]) -> Callable[[str], Any]:
    return lambda name: load_dags(EXAMPLES / f"{name}.py").dags[name]


def test_careful_reader(
    registry: RegistryStore, example: Callable[[str], Any], run_dag: RunDag, rerun: Rerun
) -> None:
    publish(registry, "shop.sales")
    run = run_dag(example("example_careful_reader"))
    assert set(run.states.values()) == {"success"}

    publish(registry, "shop.sales")
    again = rerun(run, "unchanged")
    assert (again.states["unchanged"], again.states["send_report"]) == ("failed", "upstream_failed")

    assert set(rerun(run, "wait_for_sales").states.values()) == {"success"}


def test_ask_once(registry: RegistryStore, example: Callable[[str], Any], run_dag: RunDag) -> None:
    dag = example("example_ask_once")
    assert run_dag(dag).states == {
        "is_ready": "success",
        "report": "skipped",
        "report_without_sales": "success",
    }
    publish(registry, "shop.sales")
    assert run_dag(dag).states == {
        "is_ready": "success",
        "report": "success",
        "report_without_sales": "skipped",
    }
