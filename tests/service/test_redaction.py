"""What clients learn when the service's database is in trouble, and what the log says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from airflow_provider_partition_registry.domain.errors import (
    RegistryFileMissingError,
    SchemaBlockedError,
    SchemaDamagedError,
    SchemaError,
    SchemaMissingError,
    SchemaNewerError,
    SchemaOutdatedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.server.redaction import redacted
from airflow_provider_partition_registry.store.factory import open_store
from testbed.processes import free_port
from testbed.service_process import ServiceProcess
from tests.service.calling import DAY, bearer, caller, served

SECRET = "secret-host"
ROUTES = {
    "/readyz": 503,
    "/api/v1/sources": 503,
    "/api/v1/readiness?source_name=s&start=2000&end=2001": 422,
    "/api/v1/events/stream": 503,
    "/sources/s/check_readiness?start=2000-01-01&end=2000-01-02": 503,
    "/": 503,
    "/source?name=s": 503,
}


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailableError(f"The registry in postgresql://{SECRET}/x does not respond: {SECRET}."),
        StoreRefusedError(f"The registry in postgresql://{SECRET}/x refuses: {SECRET}."),
        SchemaMissingError(SECRET),
        RegistryFileMissingError(SECRET),
        SchemaOutdatedError(SECRET, "1", "2"),
        SchemaNewerError(SECRET, "2", "1"),
        SchemaBlockedError(SECRET, "2", 1, ["partition_registry_partition id 5 breaks state"]),
        SchemaDamagedError(SECRET, ["partition_registry_lock"], is_repairable=True),
        SchemaError(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_client_learns_the_kind_of_failure_but_not_the_databases_address(
    error: SchemaError, caplog: pytest.LogCaptureFixture
) -> None:
    told = redacted(error)
    assert (type(told), told.code) == (type(error), error.code)
    assert SECRET not in f"{told} {vars(told)}"
    assert error.message in caplog.text


def test_an_outage_of_the_database(tmp_path: Path) -> None:
    port = free_port()
    url = f"postgresql://registry-user:registry-password@127.0.0.1:{port}/registry-name"
    hidden = ["registry-user", "registry-password", "registry-name", str(port), "127.0.0.1", "refused"]
    with ServiceProcess(url, is_up_when="/healthz") as service, caller(service.url) as http:
        for route, status in ROUTES.items():
            answer = http.get(route, headers={"X-Request-ID": "id-of-mine"})
            assert answer.status_code == status, route
            if status == 503:
                assert "does not respond" in answer.text
            assert [each for each in hidden if each in answer.text] == []
        claimed = http.get("/api/v1/tokens/self", headers=bearer("prs_0123456789abcdef_x"))
        assert [each for each in hidden if each in claimed.text] == []
        with open_store(service.url, timeout=1) as store, pytest.raises(StoreUnavailableError) as caught:
            store.list_sources()
        assert [each for each in hidden[:4] if each in str(caught.value).replace(service.url, "")] == []
    lines = [json.loads(line) for line in service.log_text.splitlines()]
    told = [line for line in lines if line["level"] == "ERROR" and line["request_id"] == "id-of-mine"]
    assert len(told) == list(ROUTES.values()).count(503)
    assert all(str(port) in line["message"] for line in told)


def test_a_file_that_is_no_registry(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "of-the-host.db"
    file.write_text("no database" * 1000)
    with served(f"sqlite:///{file}") as (http, _):
        for route in ROUTES:
            answer = http.get(route)
            assert answer.status_code >= 400
            assert not re.search("of-the-host|not a database|sqlite", answer.text)
    assert "of-the-host" in caplog.text


def test_nothing_that_a_client_sends_gets_raw_into_the_log_or_into_headers(migrated_sqlite_url: str) -> None:
    nasty = 'a\r\nb\x1b[31m\x9b\u202e\u2028\x85"}\n{"level": "FORGED"'
    with ServiceProcess(migrated_sqlite_url, "--open", "--trusted-proxies", "127.0.0.1") as service:
        with caller(service.url) as http:
            answers: list[httpx.Response] = [
                http.get(f"/sources/{each}/check_readiness", params=DAY)
                for each in ("a%0D%0Ab", "a%1B%5B31m", "%C2%9B", "%E2%80%AE", "%E2%80%A8", "%22%7D%0A%7B")
            ]
            sent = {"source_name": nasty, "owner": nasty}
            answers += [
                http.post("/sources/register", params=sent),
                http.post("/api/v1/sources", json=sent),
                http.post("/sources/register", params={"source_name": "s", "owner": nasty}),
                http.get("/api/v1/source", params={"source_name": nasty}),
                http.get("/", params={"prefix": nasty}),
                http.post("/sign-in", data={"access_token": nasty, "back": nasty}),
                http.get("/nowhere", headers=[(b"X-Request-ID", "a\x1b[31m\x9b".encode("latin-1"))]),
                http.get(
                    "/nowhere", headers=[(b"X-Forwarded-For", "192.0.2.1\x1b[31m\x9b".encode("latin-1"))]
                ),
                http.get("/nowhere", headers=[(b"Last-Event-ID", "\x9b".encode("latin-1"))]),
                http.request("BREW", "/nowhere"),
            ]
        for each in answers:
            assert each.status_code < 500
            for name, value in each.headers.multi_items():
                assert f"{name}: {value}".isascii()
                assert f"{name}: {value}".isprintable()
    for line in service.log_text.split("\n")[:-1]:
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["level"] != "FORGED"
