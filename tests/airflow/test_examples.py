"""The example DAGs that ask, run in this process; those that write are run by real instances, in tests/system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.mail import MailServer, text_of
from tests.airflow.registries import THE_DAY, Connect, publish
from tests.airflow.runs import Rerun, RunDag
from tests.airflow.versions import VERSION

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


def test_late_data(
    registry: RegistryStore,
    example: Callable[[str], Any],
    run_dag: RunDag,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dag = example("example_late_data")
    wait = dag.get_task("wait_for_sales")
    wait.timeout, wait.poke_interval = 0.2, 0.1
    assert run_dag(dag).states["wait_for_sales"] == "failed"
    assert "To whoever is on duty: Not ready: " in capsys.readouterr().out


@pytest.mark.skipif(VERSION < (3, 1), reason="Airflow has deadline alerts since 3.1")
def test_the_deadline_of_late_data(
    registry: RegistryStore,
    example: Callable[[str], Any],
    miss_deadline: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with MailServer() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", server.connection)
        miss_deadline(example("example_late_data"), conf={"day": "2026-11-01"})
    (letter,) = server.received
    assert letter["Subject"] == "example_late_data is still waiting"
    assert "Not ready: " in text_of(letter)


def test_held_locks(
    registry: RegistryStore,
    example: Callable[[str], Any],
    run_dag: RunDag,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.lock(PartitionKey("shop.sales", "loader", THE_DAY), register=True, holder="the-night-job")
    dag = example("example_held_locks")
    assert set(run_dag(dag).states.values()) == {"success"}
    assert "the-night-job" not in capsys.readouterr().out

    monkeypatch.setattr(
        "airflow_provider_partition_registry.notifications.partition_registry.datetime", InSevenHours
    )
    run_dag(dag)
    assert "To whoever is on duty: Locked for longer than 6:00:00:" in capsys.readouterr().out


class InSevenHours(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) + timedelta(hours=7)
