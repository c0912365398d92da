"""Two real Airflow instances and one registry on PostgreSQL, shared by all system tests.

Airflow 2.11 reaches the registry's database, Airflow 3.3 a web service in front of it: the DAGs are the same.
Whoever changes something in the registry uses a source or a day of their own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from demo.options import ENVIRONMENTS, PROJECT
from demo.registry import CONNECTION_VARIABLE
from testbed.airflow import AirflowInstance
from testbed.mail import MailServer
from testbed.postgres import PostgresServer
from testbed.processes import stop_together
from testbed.proxy import LosingProxy
from testbed.service_process import ServiceProcess
from tests.conftest import TEMPLATE

START_TIMEOUT = 400.0
EXAMPLES = PROJECT / "example_dags"

# The DAGs of one connection act as several providers here, which no provider's token would allow.
ADMINISTRATOR_TOKEN = "of-the-administrator"

PROVIDERS = {
    "shop.sales": ("example_producer",),
    "shop.stock": ("stock-loader",),
    "shop.returns": ("example_writes_partition",),
    "shop.estimates": ("estimate-loader",),
    "shop.bookings": ("booking-loader",),
    "shop.visits": ("morning-loader", "afternoon-loader"),
    "shop.clicks": ("click-loader",),
    "system.final": ("final-loader",),
    "system.early": ("early-loader",),
    "system.accidents": ("accident-writer",),
    "system.failing": ("failing-loader",),
    "system.deferred": ("night-loader",),
    "system.events": ("day-loader",),
    "system.ended": ("ended-loader",),
    "system.hundred": ("hundred-loader",),
    "system.late": ("slow-loader",),
    "system.rescheduled": ("night-loader",),
}

# Most tasks of the accidents wait for their cue, each in a slot of its own.
SLOTS = "16"

# The DAG files stay as they are, and a machine with much to do needs long to parse them: they need not be parsed
# again soon, and a DAG that was parsed long ago is not gone.
SECONDS_BETWEEN_PARSES = SECONDS_UNTIL_STALE = "3600"
# Nor is one given up after half a minute, which would be for as long.
SECONDS_TO_PARSE = "600"

SETTINGS: dict[int, Mapping[str, str | None]] = {
    2: {
        "AIRFLOW__CORE__PARALLELISM": SLOTS,
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": SECONDS_TO_PARSE,
        "AIRFLOW__CORE__DAG_FILE_PROCESSOR_TIMEOUT": SECONDS_TO_PARSE,
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": SECONDS_BETWEEN_PARSES,
        "AIRFLOW__SCHEDULER__STALE_DAG_THRESHOLD": SECONDS_UNTIL_STALE,
    },
    # What is tested must work with Airflow's own interval, not only with one that is kind to deferred tasks.
    3: {
        "AIRFLOW__CORE__PARALLELISM": SLOTS,
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": SECONDS_TO_PARSE,
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": SECONDS_TO_PARSE,
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": SECONDS_BETWEEN_PARSES,
        "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": SECONDS_UNTIL_STALE,
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": None,
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # of the first task, on a machine with much to do
    },
}


DEMO = [sys.executable, "-m", "demo"]
DEMO_ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if key not in {"KEEP", "REGISTRY_URL", "REGISTRY_DATABASE_URL"}
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The demo's tests come last: meanwhile it is played beside others, which mostly wait."""
    items.sort(key=_looks_at_the_demo)


def _looks_at_the_demo(item: pytest.Item) -> bool:
    return "playing_demo" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def demo_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo says."""
    return tmp_path_factory.mktemp("demo") / "output"


@pytest.fixture(scope="session")
def playing_demo(demo_output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The demo on its default, which goes on by itself."""
    with (
        demo_output.open("wb") as output,
        subprocess.Popen(
            DEMO, cwd=PROJECT, env=DEMO_ENVIRONMENT, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        yield process
        process.terminate()


@pytest.fixture(scope="session")
def demo_beside(request: pytest.FixtureRequest) -> None:
    """For tests that mostly wait: the demo is played meanwhile, if its tests are still to come."""
    if any(_looks_at_the_demo(item) for item in request.session.items):
        request.getfixturevalue("playing_demo")


@pytest.fixture(scope="session")
def registry_url(postgres: PostgresServer) -> str:
    return postgres.create_database("system_registry", TEMPLATE)


@pytest.fixture(scope="session")
def registry(registry_url: str) -> Iterator[RegistryStore]:
    """The registry, with everything registered that the DAGs need."""
    with open_store(registry_url, pool_size=8) as store:
        for source_name, providers in PROVIDERS.items():
            access_token = store.register_source(source_name, "system-tests").access_token
            for provider in providers:
                store.register_provider(provider, access_token)
        yield store


@pytest.fixture(scope="session")
def service(registry_url: str, registry: RegistryStore) -> Iterator[ServiceProcess]:
    """A web service in front of the registry."""
    variables = {
        "PARTITION_REGISTRY_ADMINISTRATOR_TOKEN": ADMINISTRATOR_TOKEN,
        "PARTITION_REGISTRY_PRIVATE_READS": "true",
    }
    with ServiceProcess(
        registry_url, python=ENVIRONMENTS / "core" / "bin" / "python", variables=variables
    ) as running:
        yield running


@pytest.fixture(scope="session")
def mail() -> Iterator[MailServer]:
    """A mail server for both instances."""
    with MailServer() as server:
        yield server


@pytest.fixture(scope="session")
def networks(postgres: PostgresServer, service: ServiceProcess) -> Iterator[Mapping[int, LosingProxy]]:
    """What the connection ``frail`` of each instance goes through, by major version."""
    with LosingProxy(postgres.port) as to_database, LosingProxy(service.port) as to_service:
        yield {2: to_database, 3: to_service}


@pytest.fixture(scope="session")
def instances(
    postgres: PostgresServer,
    registry_url: str,
    service: ServiceProcess,
    networks: Mapping[int, LosingProxy],
    mail: MailServer,
) -> Iterator[Mapping[int, AirflowInstance]]:
    """Both instances, by major version, warm and with all DAGs of the examples and of these tests."""
    by_service = {"host": service.url, "password": ADMINISTRATOR_TOKEN}
    started = {
        2: _instance(2, {"host": registry_url}, networks[2], postgres.create_database("airflow_2"), mail),
        3: _instance(3, by_service, networks[3], postgres.create_database("airflow_3"), mail),
    }
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(_start, started.values()))
        yield started
    finally:
        stop_together([child for each in started.values() for child in each.components.values()])


def _instance(
    major: int, address: Mapping[str, str], network: LosingProxy, metadata_url: str, mail: MailServer
) -> AirflowInstance:
    programs = ENVIRONMENTS / f"airflow-{major}" / "bin"
    assert programs.is_dir(), f"no environment in {programs}: run make environments"
    extra = {"instance": f"airflow-{major}"}
    connection = {"conn_type": "partition_registry", **address, "extra": extra}
    behind_proxy = urlsplit(address["host"])
    behind_proxy = behind_proxy._replace(netloc=re.sub(r":\d+$", f":{network.port}", behind_proxy.netloc))
    frail = connection | {"host": behind_proxy.geturl()}
    instance = AirflowInstance(
        programs,
        name=f"airflow-{major}",
        metadata_url=metadata_url,
        settings=SETTINGS[major],
        environment={
            CONNECTION_VARIABLE: json.dumps(connection),
            "AIRFLOW_CONN_FRAIL": json.dumps(frail),
            "AIRFLOW_CONN_SMTP_DEFAULT": mail.connection,
        },
    )
    here = Path(__file__).parent
    instance.add_dags(
        *EXAMPLES.glob("*.py"),
        here / "dags",
        *here.glob(f"dags_airflow_{major}"),
        *EXAMPLES.glob(f"airflow_{major}"),
    )
    return instance


def _start(instance: AirflowInstance) -> None:
    instance.start(START_TIMEOUT)
    instance.warm_up(START_TIMEOUT)
