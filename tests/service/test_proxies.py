"""The HTTP store behind a proxy that the environment names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError, StoreUnavailableError
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.factory import open_store
from testbed.http_proxy import HttpProxy
from testbed.service import ServiceThread

CREDENTIALS = "Basic YW5uOnA6c3M="  # user ann, password p:ss
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def plain(migrated_sqlite_url: str) -> Iterator[ServiceThread]:
    with ServiceThread(ServiceSettings(migrated_sqlite_url, is_open=True)) as service:
        yield service


@pytest.fixture
def encrypted(migrated_sqlite_url: str, certificate: tuple[Path, Path]) -> Iterator[ServiceThread]:
    with ServiceThread(ServiceSettings(migrated_sqlite_url, is_open=True), tls=certificate) as service:
        yield service


def use(url: str, **options: Any) -> None:
    """Read from the registry, and write to it."""
    with open_store(url, **options) as store:
        before = store.last_position()
        store.register_source("s", "ann")
        assert store.last_position() == before + 1


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_forwards_what_is_not_encrypted(
    plain: ServiceThread, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with HttpProxy() as proxy:
        monkeypatch.setenv(variable, f"http://{proxy.address}")
        use(plain.url)
        assert proxy.requests == [
            f"GET {plain.url}/api/v1/events/last",
            f"POST {plain.url}/api/v1/sources",
            f"GET {plain.url}/api/v1/events/last",
        ]


def test_a_proxy_tunnels_what_is_encrypted(
    encrypted: ServiceThread, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpProxy(CREDENTIALS) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ann:p%3Ass@{proxy.address}")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        use(encrypted.url, verify=str(certificate[0]))
        assert proxy.requests == [f"CONNECT {encrypted.url.removeprefix('https://')}"]


def test_a_proxy_is_told_who_asks(plain: ServiceThread, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpProxy(CREDENTIALS) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"ann:p%3Ass@{proxy.address}")  # without a scheme, which is optional
        use(plain.url)


@pytest.mark.parametrize("exception", ["127.0.0.1", "example.com, 127.0.0.1", "*"])
def test_a_host_is_excepted(plain: ServiceThread, monkeypatch: pytest.MonkeyPatch, exception: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", exception)
    use(plain.url)


def test_a_port_of_a_host_is_excepted(plain: ServiceThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", plain.url.removeprefix("http://"))
    use(plain.url)


def test_a_proxy_that_is_down_is_named_and_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with (
        open_store("https://registry.example.com", timeout=1) as store,
        pytest.raises(StoreUnavailableError, match=r"no way through the proxy: .*refused\.$"),
    ):
        store.register_source("s", "ann")


def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpProxy(CREDENTIALS) as proxy, open_store("https://registry.example.com", timeout=1) as store:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        with pytest.raises(StoreUnavailableError, match="407 Proxy Authentication Required"):
            store.last_position()


def test_a_proxy_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://ann:secret@127.0.0.1:1")
    with (
        open_store("https://registry.example.com") as store,
        pytest.raises(
            InvalidInputError, match=r"HTTPS_PROXY, or except registry\.example\.com in NO_PROXY"
        ) as refused,
    ):
        store.last_position()
    assert "secret" not in str(refused.value)
