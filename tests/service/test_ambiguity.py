"""Requests that could mean one source or another are refused, wherever the name is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.service.calling import DAY, END, START, served, sqlite_at

Registry = tuple[httpx.Client, RegistryStore]
A_DAY = f"start={START}&end={END}"
PLACE = f"provider_name=p&{A_DAY}"
JSON = {"Content-Type": "application/json"}
# Bytes that some decoders would turn into "gr\ufffdn": three names in Latin-1, half a character, half a surrogate pair.
NO_UTF8 = ["gr%FCn", "gr%E4n", "gr%D6n", "gr%C3n", "gr%ED%A0%80n", "gr%C0%AFn"]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An open service whose source ``grün`` is ready, as are ``s`` and ``a/b``."""
    with served(sqlite_at(tmp_path_factory.mktemp("ambiguity")), is_open=True) as (http, store):
        for name in ("grün", "s", "a/b"):
            store.register_provider("p", store.register_source(name, "ann").access_token)
            store.register_partition(PartitionKey(name, "p", Interval(START, END)))
            store.unlock(PartitionKey(name, "p", Interval(START, END)))
        yield http, store


@pytest.mark.parametrize("name", NO_UTF8)
@pytest.mark.parametrize(
    "request_line",
    [
        "GET /sources/{}/check_readiness?" + A_DAY,
        "GET /api/v1/readiness?source_name={}&" + A_DAY,
        "GET /api/v1/readiness?source_name={}&wait_seconds=0&" + A_DAY,
        "GET /api/v1/source?source_name={}",
        "GET /api/v1/sources?after={}",
        "GET /api/v1/events/stream?source_name={}",
        "GET /source?name={}",
        "GET /?prefix={}",
        "POST /sources/register?owner=ann&source_name={}",
        "POST /sources/register?owner={}&source_name=new",
        "POST /partitions/lock?source_name={}&" + PLACE,
        "POST /partitions/unlock?source_name=s&holder={}&" + PLACE,
        "GET /nowhere/{}",
    ],
)
def test_names_that_are_not_utf8_are_refused(registry: Registry, request_line: str, name: str) -> None:
    http, store = registry
    before = store.events(limit=1000)
    method, address = request_line.format(name).split()
    refused = http.request(method, address)
    told = refused.json()
    assert refused.status_code == 422
    assert "not valid UTF-8" in (told["error"]["message"] if address.startswith("/api/") else told["detail"])
    assert store.events(limit=1000) == before


@pytest.mark.parametrize("name", ["gr%C3%BCn", "gr%c3%bcn", "gr%C3%BC%6E", "grün"])
def test_utf8_is_read_however_it_is_encoded(registry: Registry, name: str) -> None:
    http, _ = registry
    for address in (
        f"/sources/{name}/check_readiness?{A_DAY}",
        f"/api/v1/readiness?source_name={name}&{A_DAY}",
    ):
        assert http.get(address).json()["is_ready"]


@pytest.mark.parametrize(
    "address",
    [
        "/api/v1/readiness?source_name=s&source_name=nobody&" + A_DAY,
        "/api/v1/readiness?source_name=nobody&source_name=s&" + A_DAY,
        "/api/v1/readiness?source_name=s&source%5Fname=nobody&" + A_DAY,
        "/sources/s/check_readiness?start=1999-01-01&" + A_DAY,
        "/source?name=s&name=grün",
    ],
)
def test_a_parameter_given_twice_is_refused(registry: Registry, address: str) -> None:
    http, _ = registry
    refused = http.get(address)
    assert refused.status_code == 422
    assert "more than once" in refused.text


@pytest.mark.parametrize(
    ("request_line", "unknown"),
    [
        # If it were ignored, the answer would call data ready that is older than required.
        (f"GET /api/v1/readiness?source_name=s&{A_DAY}&publised_after=2100-01-01", "publised_after"),
        (f"GET /api/v1/readiness?source_name=s&{A_DAY}&explain=1", "explain"),
        ("GET /api/v1/events?sourcename=s", "sourcename"),
        ("GET /api/v1/overviews?name=s", "name"),
        ("POST /api/v1/partitions/lock?lease_seconds=60", "lease_seconds"),
    ],
)
def test_an_unknown_parameter_is_refused(registry: Registry, request_line: str, unknown: str) -> None:
    http, store = registry
    before = store.events(limit=1000)
    body = {"source_name": "s", "provider_name": "p", **DAY}
    method, address = request_line.split()
    refused = http.request(method, address, json=body if method == "POST" else None)
    assert refused.status_code == 422
    assert f"no parameter {unknown!r}" in refused.json()["error"]["message"]
    assert store.events(limit=1000) == before


@pytest.mark.parametrize(
    ("path", "named"),
    [
        # A client that resolves folders in a path, and one that leaves the name as it is.
        ("/sources/s/check_readiness", "x/../s"),
        ("/sources/a%2Fb/check_readiness", "a%2Fb"),
    ],
)
def test_a_name_that_the_path_did_not_keep_is_refused(registry: Registry, path: str, named: str) -> None:
    """The original's documented call names the source in the query as well."""
    http, _ = registry
    refused = http.get(path, params={**DAY, "source_name": named})
    assert refused.status_code == 422
    assert repr(named) in refused.json()["detail"]
    assert http.get("/sources/a/b/check_readiness", params={**DAY, "source_name": "a/b"}).json()["is_ready"]


def test_the_path_alone_names_the_source(registry: Registry) -> None:
    http, _ = registry
    answer = http.get("/sources/a%2Fb/check_readiness", params={**DAY, "source_name": "grün"})
    assert answer.json()["is_ready"]


SOURCE = {"source_name": "new", "owner": "ann"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"source_name": "gr\xfcn", "owner": "ann"}',
        b'{"source_name": "gr\xed\xa0\x80n", "owner": "ann"}',
        b'{"source_name": "gr\\udcfcn", "owner": "ann"}',
        b'{"source_name": "gr\\ufffdn", "owner": "ann"}',
        b'{"source_name": "new", "owner": "\\ud800"}',
        json.dumps(SOURCE).encode("utf-16"),
        json.dumps(SOURCE).encode("utf-32-le"),
        b'{"source_name": "new", "source_name": "s", "owner": "ann"}',
        b'{"source_name": "new", "\\u0073ource_name": "s", "owner": "ann"}',
    ],
)
def test_an_ambiguous_body_is_refused(registry: Registry, body: bytes) -> None:
    http, store = registry
    before = store.list_sources()
    refused = http.post("/api/v1/sources", content=body, headers=JSON)
    assert (refused.status_code, refused.json()["error"]["code"][:8]) == (422, "invalid_")
    assert store.list_sources() == before


def test_an_ambiguous_nested_object_is_refused(registry: Registry) -> None:
    http, _ = registry
    body = '{"questions": [{"source_name": "nobody", "source_name": "s", "start": "%s", "end": "%s"}]}'
    refused = http.post("/api/v1/readiness", content=body % (START, END), headers=JSON)
    assert refused.status_code == 422
    assert "twice" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("name", "is_ready"),
    [
        ("grün", True),
        ("Grün", False),  # capital and small letters differ
        ("gru\u0308n", None),  # decomposed: the same to the eye, so it is no name
        ("grün ", None),
        ("\ufeffgrün", None),
        ("ｇrün", False),  # noqa: RUF001 - a wide letter is another letter
    ],
    ids=ascii,
)
def test_only_the_exact_name_is_the_same_name(registry: Registry, name: str, is_ready: bool | None) -> None:
    http, _ = registry
    answers: list[httpx.Response] = [
        http.get("/api/v1/readiness", params={"source_name": name, **DAY}),
        http.post("/api/v1/readiness", json={"questions": [{"source_name": name, **DAY}]}),
    ]
    expected: dict[bool | None, Any] = {True: [200, 200], False: [404, 200], None: [422, 422]}
    assert [each.status_code for each in answers] == expected[is_ready]
    assert ('"is_ready":true' in answers[1].text) is bool(is_ready)
