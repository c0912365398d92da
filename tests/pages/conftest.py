"""A service with a few sources in a SQLite registry, and a browser to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page

from airflow_provider_partition_registry.domain.models import Holder, PartitionKey
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.browser import chromium
from testbed.service import ServiceThread
from tests.contract.homes import hours
from tests.pages.airflows import (  # noqa: F401 - fixtures
    airflow_2,
    airflow_3,
    orders,
    orders_url,
    variables,
)

ADMINISTRATOR_TOKEN = "of the administrator; ü"
NASTY = "\"><img/src=x/onerror=alert(1)>/..?a=b&c#d'%2F{{7*7}}"
"""A name that the registry accepts, with everything that could break a page."""
SCRIPT = "<script>alert('reason')</script>"


# Not for the session: Playwright keeps an event loop in the thread, in which other modules run loops of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("pages") / "registry.db"
    shutil.copy(migrated_sqlite_file, file)
    return f"sqlite:///{file}"


@pytest.fixture(scope="module")
def store(url: str) -> Iterator[RegistryStore]:
    with open_store(url) as store:
        fill(store)
        yield store


@pytest.fixture(scope="module")
def service(url: str, store: RegistryStore) -> Iterator[ServiceThread]:
    with ServiceThread(ServiceSettings(url)) as service:
        yield service


@pytest.fixture(scope="module")
def private(url: str, store: RegistryStore) -> Iterator[ServiceThread]:
    settings = ServiceSettings(url, administrator_token=ADMINISTRATOR_TOKEN, has_private_reads=True)
    with ServiceThread(settings) as service:
        yield service


@pytest.fixture
def page(browser: Browser, service: ServiceThread) -> Iterator[Page]:
    """A page of the service. The test fails if the browser reports any problem."""
    with browser.new_context(base_url=service.url, viewport={"width": 1100, "height": 800}) as context:
        page = context.new_page()
        complaints = watch(page)
        yield page
        assert complaints == []


def watch(page: Page) -> list[str]:
    """Collect the problems that the browser reports: errors, blocked scripts and styles, dialogs."""
    complaints: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", dismiss)
    page.on("console", lambda told: complaints.extend([told.text] if told.type == "error" else []))
    return complaints


def fill(store: RegistryStore) -> None:
    """Fill the registry: ``shop.sales`` has a gap, a lock and a failure; the other one's texts could break a page."""
    token = store.register_source("shop.sales", "sales team", uri="s3://bucket/sales").access_token
    for provider in ("loader", "fixer"):
        store.register_provider(provider, token)
    for hour in (0, 1, 2, 5, 6):
        _publish(store, "shop.sales", "loader", hour)
    holder = Holder("airflow/loader/run", {"log_url": "https://airflow.example.com/log?a=1&b=2"})
    store.lock(PartitionKey("shop.sales", "loader", hours(7, 8)), register=True, holder=holder)
    store.lock(PartitionKey("shop.sales", "fixer", hours(1, 2)), lease=timedelta(hours=1), register=True)
    store.fail(PartitionKey("shop.sales", "fixer", hours(1, 2)), reason="disk full")

    token = store.register_source(NASTY, SCRIPT).access_token
    store.register_provider(NASTY, token)
    _publish(store, NASTY, NASTY, 0)
    holder = Holder(NASTY, {"log_url": "javascript:alert('log')"})
    store.lock(PartitionKey(NASTY, NASTY, hours(1, 2)), register=True, holder=holder)
    store.fail(PartitionKey(NASTY, NASTY, hours(1, 2)), reason=SCRIPT, holder=holder)
    store.set_source_uri(NASTY, "javascript://<script>alert('uri')</script>")
    for number in range(60):
        store.register_source(f"team{number:02}.events", "some team")


def _publish(store: RegistryStore, source: str, provider: str, hour: int) -> None:
    store.lock(PartitionKey(source, provider, hours(hour, hour + 1)), register=True)
    store.unlock(PartitionKey(source, provider, hours(hour, hour + 1)))
