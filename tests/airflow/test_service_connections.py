"""From an Airflow connection, in all its forms, to a registry behind a web service."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from threading import Thread
from typing import Any

import pytest
from airflow.models.connection import Connection as StoredConnection

from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    InvalidInputError,
    InvalidTokenError,
    StoreRefusedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
from airflow_provider_partition_registry.runtime.settings import ConnectionSettings
from testbed.processes import free_port
from testbed.service_process import ServiceProcess
from testbed.tls import TlsProxy, self_signed
from tests.airflow.registries import THE_DAY, Connect
from tests.airflow.services import ADMINISTRATOR_TOKEN, PYTHON, Place
from tests.airflow.test_connections import CONN_ID, STRANGE, as_json, as_uri, press_test_button, settings

TOKEN = "prs_a-token_that.opens~nothing"


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "https://registry.example.com"}, "https://registry.example.com"),
        ({"host": " https://registry.example.com/ "}, "https://registry.example.com"),
        ({"host": "HTTPS://registry.example.com"}, "https://registry.example.com"),
        ({"host": "http://registry:5498", "port": 1}, "http://registry:5498"),
        ({"host": "http://registry", "port": 5498}, "http://registry:5498"),
        ({"host": "http://registry", "port": 0}, "http://registry"),
        ({"host": "http://[::1]", "port": 5498}, "http://[::1]:5498"),
        ({"host": "https://example.com/registry/", "port": 8443}, "https://example.com:8443/registry"),
        (
            {"host": "https://registry", "schema": "s", "login": "me", "extra": {"sslmode": "x"}},
            "https://registry",
        ),
    ],
)
def test_the_connections_fields_make_the_services_url(fields: dict[str, Any], url: str) -> None:
    found = settings(password=TOKEN, **fields)
    assert (found.url, found.access_token, found.is_service, found.is_on_one_host) == (
        url,
        TOKEN,
        True,
        False,
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (None, True),
        ("", True),
        ("true", True),
        (True, True),
        ("false", False),
        (" False ", False),
        (False, False),
        ("/etc/ssl/ours.pem", "/etc/ssl/ours.pem"),
    ],
)
def test_verify(written: Any, read: bool | str) -> None:
    assert settings(host="https://registry", extra={"verify": written}).verify == read


@pytest.mark.parametrize(
    ("password", "token"), [(None, None), ("", None), (" \n", None), (f" {TOKEN}\n", TOKEN)]
)
def test_the_password_is_the_token(password: str | None, token: str | None) -> None:
    assert settings(host="https://registry", password=password).access_token == token


def test_a_database_gets_no_token() -> None:
    assert settings(host="db", login="me", password="pw").access_token is None


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("https://me:geheim@registry", "belongs in the connection's password"),
        ("https://registry:port", "is http://host:5498 or https://host"),
        ("https://", "is http://host:5498 or https://host"),
        ("https://registry?token=geheim", "is http://host:5498 or https://host"),
        ("https://registry#part", "is http://host:5498 or https://host"),
        ("https://[registry", "cannot be parsed"),
    ],
)
def test_an_invalid_url_is_refused(host: str, told: str, connect: Connect) -> None:
    connect(host)
    is_well, message = PartitionRegistryHook().test_connection()
    assert not is_well
    assert told in message
    assert "geheim" not in message


@pytest.mark.parametrize("written", [as_json, as_uri])
@pytest.mark.parametrize(
    "fields",
    [
        {"host": "https://registry.example.com", "password": TOKEN},
        {"host": "https://example.com:8443/registry", "password": STRANGE.strip()},
        {
            "host": "http://registry",
            "port": 5498,
            "password": TOKEN,
            "extra": {"provider": "loader", "instance": "eu", "verify": "/etc/ours.pem", "timeout": "3"},
        },
    ],
)
def test_connections_from_the_environment(
    written: Callable[..., str], fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", written(fields))
    assert PartitionRegistryHook().settings == settings(**fields)


def test_a_uri_as_people_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"partition-registry://:{TOKEN}@https%3A%2F%2Fregistry.example.com?instance=emea&provider=loader"
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", uri)
    assert PartitionRegistryHook().settings == ConnectionSettings(
        "https://registry.example.com", provider="loader", instance="emea", access_token=TOKEN
    )


def test_the_form_fits_databases_and_services(connection_form: dict[str, Any]) -> None:
    assert connection_form["labels"]["password"] == "Password or access token"
    assert connection_form["placeholders"]["host"].startswith("https://registry.example.com, ")
    label, description = connection_form["extra"]["verify"]
    assert label == "Verify"
    assert "a file with the authorities to trust" in description


def test_the_hook_asks_the_service(place: Place) -> None:
    hook = PartitionRegistryHook()
    key = PartitionKey(place.source, hook.settings.provider or "", THE_DAY)
    hook.get_conn().lock(key, register=True)
    answer = hook.check_readiness(**place.day)
    assert [str(each.lock.holder) for each in answer.blockers] == [hook.settings.provider]
    hook.get_conn().unlock(key)
    assert hook.check_readiness(**place.day).is_ready


class AnotherSite(BaseHTTPRequestHandler):
    """An HTTP server that is not a registry."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()
        self.wfile.write(b"<html>Nothing here</html>")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class AnotherProtocol(StreamRequestHandler):
    """A server of a protocol in which the server speaks first."""

    def handle(self) -> None:
        self.wfile.write(b"SSH-2.0-a_server\r\n")


@pytest.fixture
def another_site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), AnotherSite) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def open_reads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service from which everybody may read."""
    with ServiceProcess(f"sqlite:///{tmp_path_factory.mktemp('open')}/registry.db", python=PYTHON) as running:
        yield running


@pytest.mark.usefixtures("airflow_home")
class TestButton:
    def test_with_a_providers_token(self, place: Place) -> None:
        provider = PartitionRegistryHook().settings.provider
        assert press_test_button(host=place.url, password=place.tokens["loader"]) == (
            True,
            f"The registry answers and knows the access token as that of provider {provider!r}.",
        )

    def test_with_the_administrators_token(self, place: Place) -> None:
        is_well, message = press_test_button(host=place.url, password=ADMINISTRATOR_TOKEN)
        assert is_well
        assert message.startswith("The registry answers and knows the access token as its administrator's")
        assert "the token of a provider of its own" in message

    def test_with_the_port_in_its_field(self, place: Place) -> None:
        host, _, port = place.url.rpartition(":")
        assert press_test_button(host=host, port=int(port), password=place.tokens["loader"])[0]

    @pytest.mark.parametrize("token", [TOKEN, "prs_\u00fc", "prs_1\n2"])
    def test_with_a_wrong_token(self, token: str, place: Place) -> None:
        is_well, message = press_test_button(host=place.url, password=token)
        assert not is_well
        assert message.startswith("The access token is not valid here")
        assert token not in message

    def test_without_a_token_where_reading_takes_one(self, place: Place) -> None:
        is_well, message = press_test_button(host=place.url)
        assert not is_well
        assert message.startswith("This call needs an access token")

    def test_without_a_token_where_everybody_reads(self, open_reads: ServiceProcess) -> None:
        is_well, message = press_test_button(host=open_reads.url)
        assert is_well
        assert "no access token, which writing takes" in message
        assert "no sources yet" in message

    def test_with_a_wrong_token_where_everybody_reads(self, open_reads: ServiceProcess) -> None:
        assert not press_test_button(host=open_reads.url, password=TOKEN)[0]

    def test_while_the_service_is_down(self) -> None:
        is_well, message = press_test_button(host=f"http://127.0.0.1:{free_port()}", password=TOKEN)
        assert not is_well
        assert message.startswith("The registry at http://127.0.0.1:")
        assert "does not respond" in message
        assert TOKEN not in message

    def test_with_a_server_that_is_not_a_registry(self, another_site: str) -> None:
        is_well, message = press_test_button(host=another_site, password=TOKEN)
        assert not is_well
        assert message.startswith(f"The server at {another_site} is not a partition registry")

    def test_with_a_port_that_speaks_no_http(self) -> None:
        with TCPServer(("127.0.0.1", 0), AnotherProtocol) as server:
            thread = Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            host = f"http://127.0.0.1:{server.server_address[1]}"
            is_well, message = press_test_button(host=host, extra={"timeout": "1"})
            server.shutdown()
            thread.join()
        assert not is_well
        assert f"The registry at {host} does not respond" in message


class TestCertificate:
    """A service behind a reverse proxy whose certificate is signed by a company's own authority."""

    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        return self_signed(tmp_path / "ours.pem")

    @pytest.fixture
    def url(self, place: Place, certificate: Path) -> Iterator[str]:
        with TlsProxy(int(place.url.rpartition(":")[2]), certificate) as proxy:
            yield proxy.url

    def test_an_untrusted_one_is_refused(self, url: str, place: Place, connect: Connect) -> None:
        connect(url, password=place.tokens["loader"])
        with pytest.raises(
            StoreRefusedError, match=f"certificate of the registry at {url} cannot be trusted: self.signed"
        ):
            PartitionRegistryHook().get_conn().list_sources()

    @pytest.mark.parametrize("verify", ["the file", "false"])
    def test_a_trusted_one_is_accepted(
        self, verify: str, url: str, place: Place, certificate: Path, connect: Connect
    ) -> None:
        verify = str(certificate) if verify == "the file" else verify
        connect(url, password=place.tokens["loader"], extra={"verify": verify})
        assert PartitionRegistryHook().get_conn().get_source(place.source).name == place.source

    @pytest.mark.parametrize("content", [None, "", "no certificate"])
    def test_an_unreadable_file_of_authorities_is_refused(
        self, content: str | None, url: str, tmp_path: Path, connect: Connect
    ) -> None:
        file = tmp_path / "authorities.pem"
        if content is not None:
            file.write_text(content)
        connect(url, extra={"verify": str(file)})
        with pytest.raises(InvalidInputError, match=f"authorities to trust cannot be read from '{file}'"):
            PartitionRegistryHook().get_conn().list_sources()


class TestSecrets:
    def test_the_token_is_nowhere(
        self,
        place: Place,
        connect: Connect,
        redact: Callable[[str], str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        token = place.tokens["other"]
        connect(place.url, password=token, extra={"provider": "somebody-else"})
        hook = PartitionRegistryHook()
        with pytest.raises(AccessDeniedError) as refused:
            hook.get_conn().lock(PartitionKey(place.source, "somebody-else", THE_DAY))
        seen = [str(refused.value), repr(refused.value), repr(hook.settings), caplog.text]
        assert not [text for text in seen if token in text]
        assert redact(f"Bearer {token}") == "Bearer ***"

    def test_the_token_is_not_in_errors_of_an_outage(
        self, connect: Connect, redact: Callable[[str], str], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        connect(f"http://127.0.0.1:{free_port()}", password=TOKEN)
        with pytest.raises(StoreUnavailableError) as raised:
            PartitionRegistryHook().get_conn().list_sources()
        assert not [text for text in (str(raised.value), repr(raised.value), caplog.text) if TOKEN in text]
        assert redact(f"Bearer {TOKEN}") == "Bearer ***"

    def test_the_token_is_not_in_the_rest_api(
        self, shown_by_rest_api: Callable[[StoredConnection], dict[str, Any]]
    ) -> None:
        stored = StoredConnection(
            conn_id="x", conn_type="partition_registry", host="https://registry", password=TOKEN
        )
        shown = shown_by_rest_api(stored)
        assert shown["host"] == "https://registry"
        assert TOKEN not in json.dumps(shown)


def test_a_wrong_token_is_reported_as_such(place: Place, connect: Connect) -> None:
    connect(place.url, password=TOKEN)
    with pytest.raises(InvalidTokenError, match="is unknown, has expired or was revoked"):
        PartitionRegistryHook().check_readiness(**place.day)
