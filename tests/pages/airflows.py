"""Real Airflows of both versions, with two connections to registries, and two users: Ada, and Vera, who only looks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.airflow import AirflowInstance
from testbed.postgres import PostgresServer

VENVS = Path(__file__).parents[2] / ".venvs"
USERS = {"ada": "admin", "vera": "viewer"}
ORDERS = PartitionKey("shop.orders", "orders-load", Interval("2026-01-02", "2026-01-03"))
PASSWORD = "geheim-geheim"


@pytest.fixture(scope="module")
def orders_url(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("orders") / "registry.db"
    shutil.copy(migrated_sqlite_file, file)
    return f"sqlite:///{file}"


@pytest.fixture(scope="module")
def orders(orders_url: str) -> Iterator[RegistryStore]:
    """A registry in which the first of January is published, and the second is not."""
    with open_store(orders_url) as store:
        token = store.register_source("shop.orders", "shop team").access_token
        store.register_provider("orders-load", token)
        store.register_partition(
            PartitionKey("shop.orders", "orders-load", Interval("2026-01-01", "2026-01-02"))
        )
        store.unlock(PartitionKey("shop.orders", "orders-load", Interval("2026-01-01", "2026-01-02")))
        yield store


@pytest.fixture(scope="module")
def variables(orders_url: str) -> dict[str, str]:
    """The connections, as environment variables."""
    found = {"conn_type": "partition_registry", "host": orders_url, "extra": {"instance": "shop-airflow"}}
    down = found | {"host": "127.0.0.1", "port": 1, "schema": "registry", "login": "me", "password": PASSWORD}
    return {
        "AIRFLOW_CONN_PARTITION_REGISTRY_DEFAULT": json.dumps(found),
        "AIRFLOW_CONN_OUT_OF_ORDER": json.dumps(down),
    }


@pytest.fixture(scope="module")
def airflow_3(orders: RegistryStore, variables: dict[str, str]) -> Iterator[AirflowInstance]:
    with AirflowInstance(VENVS / "airflow-3" / "bin", users=USERS, environment=variables) as airflow:
        yield ready(airflow)


@pytest.fixture(scope="module")
def airflow_2(orders: RegistryStore, variables: dict[str, str]) -> Iterator[AirflowInstance]:
    with (
        PostgresServer() as server,
        AirflowInstance(
            VENVS / "airflow-2" / "bin",
            users=USERS,
            environment=variables,
            metadata_url=server.create_database("airflow"),
        ) as airflow,
    ):
        yield ready(airflow)


def ready(airflow: AirflowInstance) -> AirflowInstance:
    airflow.add_dags(Path(__file__).parent / "dags")
    airflow.warm_up()
    for dag_id in ("waits", "writes"):
        airflow.api.wait_until_parsed(dag_id)
        airflow.api.unpause(dag_id)
    return airflow


def visitor(browser: Browser, airflow: AirflowInstance) -> Page:
    """Somebody who has not signed in."""
    return browser.new_context(base_url=airflow.ui_url, viewport={"width": 1280, "height": 900}).new_page()


def sign_in(page: Page, name: str) -> None:
    page.locator("[name=username]").fill(name)
    page.locator("[name=password]").fill(name)
    page.locator("[type=submit]").click()
