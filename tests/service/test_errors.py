"""Every error that a client can cause is sent with its status and raised as itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.wire.answers import error_from_data
from testbed.service import ServiceThread
from tests.service.calling import ADMINISTRATOR_TOKEN, DAY, bearer, caller, served, sqlite_at

PLACE = {"source_name": "s", "provider_name": "p", **DAY}
UNKNOWN = {**PLACE, "end": "2000-01-03"}
OTHERS = {**PLACE, "source_name": "t"}
RENEWED = {**PLACE, "generation": 7, "lease_seconds": 60}
INVALIDATED = {**PLACE, "reason": "bad", "by": "ann"}
ALL_DAY = {"source_name": "s", **DAY}

CASES: list[tuple[type[errors.RegistryError], int, str, dict[str, Any]]] = [
    (errors.InvalidInputError, 422, "POST /sources", {"source_name": "u", "owner": " "}),
    (errors.InvalidNameError, 422, "POST /sources", {"source_name": "a b", "owner": "ann"}),
    (errors.InvalidIntervalError, 422, "GET /readiness", {**ALL_DAY, "end": DAY["start"]}),
    (errors.UnknownSourceError, 404, "GET /source", {"source_name": "nobody"}),
    (errors.UnknownProviderError, 404, "GET /provider", {"provider_name": "nobody"}),
    (errors.UnknownPartitionError, 404, "POST /partitions/lock", UNKNOWN),
    (errors.UnknownTokenError, 404, "GET /token", {"token_id": "0123456789abcdef"}),
    (errors.SourceAlreadyRegisteredError, 409, "POST /sources", {"source_name": "s", "owner": "ann"}),
    (errors.ProviderAlreadyRegisteredError, 409, "POST /providers", {"provider_name": "p"}),
    (errors.PartitionAlreadyRegisteredError, 409, "POST /partitions", PLACE),
    (errors.PartitionLockedError, 409, "POST /partitions/lock", {**PLACE, "holder": "you"}),
    (errors.NotLockHolderError, 409, "POST /partitions/renew", RENEWED),
    (errors.PartitionStateError, 409, "POST /partitions/invalidate", INVALIDATED),
    (errors.NoGrantError, 403, "POST /partitions/lock", OTHERS),
    (errors.InvalidTokenError, 403, "GET /tokens/self", {}),
    (errors.AdministratorTokenError, 403, "GET /tokens/self", {}),
    (errors.AccessDeniedError, 403, "POST /sources", {"source_name": "u", "owner": "ann"}),
    (errors.TokenRequiredError, 401, "POST /partitions", PLACE),
]
OF_THE_SOURCE = {errors.ProviderAlreadyRegisteredError, errors.AccessDeniedError}
BROKEN = [
    (errors.SchemaNewerError, "UPDATE partition_registry_version SET version_num = '9999'"),
    (errors.SchemaDamagedError, "DROP TABLE partition_registry_event"),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, str]]:
    """A service, and the token of its source ``s``; provider ``p`` has locked the day."""
    settings = {"administrator_token": ADMINISTRATOR_TOKEN, "wrong_tokens_per_minute": 1000}
    with served(sqlite_at(tmp_path_factory.mktemp("errors")), **settings) as (client, store):
        token = store.register_source("s", "ann").access_token
        store.register_source("t", "ann")
        store.register_provider("p", token)
        store.lock(PartitionKey("s", "p", Interval(**DAY)), holder="me", register=True)
        yield client, token


def came_back(answer: httpx.Response) -> errors.RegistryError:
    return error_from_data(answer.json())


@pytest.mark.parametrize(("kind", "status", "route", "parameters"), CASES, ids=lambda each: str(each)[-60:])
def test_each_error_comes_back_as_itself(
    service: tuple[httpx.Client, str],
    kind: type[errors.RegistryError],
    status: int,
    route: str,
    parameters: dict[str, Any],
) -> None:
    client, token = service
    presented = token if kind in OF_THE_SOURCE else ADMINISTRATOR_TOKEN
    headers = {} if kind is errors.TokenRequiredError else bearer(presented)
    if kind is errors.InvalidTokenError:
        headers = bearer("prs_0123456789abcdef_wrong")
    method, path = route.split()
    given: dict[str, Any] = {"json": parameters} if method == "POST" else {"params": parameters}
    answer = client.request(method, f"/api/v1{path}", headers=headers, **given)
    assert (answer.status_code, type(came_back(answer))) == (status, kind), answer.text
    if isinstance(error := came_back(answer), errors.PartitionLockedError):
        assert error.partition.lock is not None
        assert error.partition.lock.holder.identity == "me"


@pytest.mark.parametrize(("kind", "damage"), BROKEN, ids=lambda each: getattr(each, "__name__", ""))
def test_what_is_wrong_with_the_schema_comes_back(
    migrated_sqlite_url: str, kind: type[errors.RegistryError], damage: str
) -> None:
    engine = create_engine(migrated_sqlite_url)
    with engine.begin() as connection:
        connection.execute(text(damage))
    engine.dispose()
    with served(migrated_sqlite_url) as (client, _):
        answer = client.get("/api/v1/sources")
        assert (answer.status_code, type(came_back(answer))) == (503, kind)
        assert int(answer.headers["Retry-After"]) > 0
        of_original = client.get("/sources/s/check_readiness", params=DAY)
        told = {"status_code": 503, "detail": came_back(answer).message}
        assert (of_original.status_code, of_original.json()) == (503, told)
        with open_store(str(client.base_url)) as store, pytest.raises(kind):
            store.list_sources()


def test_a_database_whose_name_nobody_knows_yet_is_an_outage_to_clients() -> None:
    """If containers start together, the host's name appears when the database starts."""
    with (
        ServiceThread(ServiceSettings(f"postgresql://{'x' * 70}/registry")) as service,
        caller(service.url) as http,
        open_store(service.url, timeout=2) as store,
    ):
        refused = http.get("/api/v1/sources")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "host_not_found")
        with pytest.raises(errors.StoreUnavailableError):
            store.list_sources()
