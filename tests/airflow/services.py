"""A web service for the Airflow tests, and what they need in its registry: a source, writers, a connection.

The service runs in the environment without Airflow, as it cannot be installed beside Airflow 2.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.service_process import ServiceProcess
from tests.airflow.registries import IN_CONNECTION, PROVIDERS, Connect

PYTHON = Path(__file__).parents[2] / ".venvs" / "core" / "bin" / "python"
ADMINISTRATOR_TOKEN = "of-the-administrator"
STRICT = {
    "PARTITION_REGISTRY_ADMINISTRATOR_TOKEN": ADMINISTRATOR_TOKEN,
    "PARTITION_REGISTRY_PRIVATE_READS": "true",
}
_numbers = itertools.count(1)


def service_on(database_url: str) -> ServiceProcess:
    """A service that requires a token of everybody."""
    assert PYTHON.exists(), f"no environment in {PYTHON.parent}: run make environments"
    return ServiceProcess(database_url, python=PYTHON, variables=STRICT)


def administrator_of(service: ServiceProcess) -> RegistryStore:
    return open_store(service.url, access_token=ADMINISTRATOR_TOKEN)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for all tests that do not harm it."""
    with service_on(f"sqlite:///{tmp_path_factory.mktemp('service')}/registry.db") as running:
        yield running


@dataclass(frozen=True)
class Place:
    """A source of the test's own.

    :param store: the registry as its administrator sees it
    :param tokens: of the source's providers
    """

    url: str
    source: str
    store: RegistryStore
    tokens: dict[str, str]

    @property
    def day(self) -> dict[str, str]:
        """The parameters by which operators and sensors name the one day that most tests are about."""
        return {"source_name": self.source, "start": "2026-11-01", "end": "2026-11-02"}


@pytest.fixture
def new_place(connect: Connect) -> Iterator[Callable[..., Place]]:
    """Makes places, and points the default connection at the last one, with the token of its provider "loader"."""
    opened: list[RegistryStore] = []

    def make(service: ServiceProcess, **extra: Any) -> Place:
        opened.append(administrator_of(service))
        number = next(_numbers)
        source = f"sales-{number}"
        owners_token = opened[-1].register_source(source, "a-team").access_token
        tokens = {
            name: opened[-1].register_provider(f"{name}-{number}", owners_token).access_token
            for name in PROVIDERS
        }
        extra = IN_CONNECTION | {"provider": f"loader-{number}"} | extra
        connect(service.url, password=tokens["loader"], extra=extra)
        return Place(service.url, source, opened[-1], tokens)

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def place(service: ServiceProcess, new_place: Callable[..., Place]) -> Place:
    """A place in the registry of the shared service."""
    return new_place(service)
