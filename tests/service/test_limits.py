"""What the service refuses: guessing, sizes, slowness, other origins, false proxies, careless options."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from airflow_provider_partition_registry.domain.errors import TooManyAttemptsError
from airflow_provider_partition_registry.domain.tokens import create_token
from airflow_provider_partition_registry.server import middleware
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.service_process import ServiceProcess
from tests.cli.test_process import call
from tests.service.calling import ADMINISTRATOR_TOKEN, bearer, caller, served, sqlite_at

LIMIT = 3
SELF = "/api/v1/tokens/self"
NOBODYS = create_token().text
Registry = tuple[httpx.Client, RegistryStore]


@pytest.fixture
def registry(migrated_sqlite_url: str) -> Iterator[Registry]:
    with served(
        migrated_sqlite_url, wrong_tokens_per_minute=LIMIT, administrator_token=ADMINISTRATOR_TOKEN
    ) as both:
        yield both


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(sqlite_at(tmp_path_factory.mktemp("open")), is_open=True) as (http, _):
        yield http


def exhaust(http: httpx.Client) -> None:
    for number in range(LIMIT):
        assert http.get(SELF, headers=bearer(f"prs_wrong_{number}")).status_code == 403


class TestWrongTokens:
    def test_after_too_many_wrong_ones_the_administrators_is_not_checked(self, registry: Registry) -> None:
        http, _ = registry
        assert http.get("/api/v1/tokens", headers=bearer(ADMINISTRATOR_TOKEN)).status_code == 422
        exhaust(http)
        for attempt in ("prs_wrong_again", NOBODYS, ADMINISTRATOR_TOKEN):
            refused = http.post(
                "/sources/register", params={"source_name": "t", "owner": "a"}, headers=bearer(attempt)
            )
            assert (refused.status_code, refused.json()["status_code"]) == (429, 429)
            assert 1 <= int(refused.headers["Retry-After"]) <= 60
        by_parameter = http.post(
            "/providers/register", params={"provider_name": "p", "access_token": NOBODYS}
        )
        assert by_parameter.status_code == 429

    def test_valid_tokens_from_the_same_address_are_let_through(self, registry: Registry) -> None:
        http, store = registry
        token = store.register_source("s", "ann").access_token
        exhaust(http)
        assert http.get(SELF, headers=bearer(NOBODYS)).status_code == 429
        assert http.get(SELF, headers=bearer(token)).status_code == 200

    def test_right_ones_are_never_counted(self, registry: Registry) -> None:
        http, store = registry
        token = store.register_source("s", "ann").access_token
        assert {http.get(SELF, headers=bearer(token)).status_code for _ in range(10 * LIMIT)} == {200}

    def test_a_valid_token_without_the_right_is_not_counted(self, registry: Registry) -> None:
        http, store = registry
        of_source = store.register_source("s", "ann").access_token
        of_provider = str(store.register_provider("p", of_source).access_token)
        new, taken = ({"provider_name": name} for name in ("new", "p"))
        of_other = store.register_source("t", "ann").access_token
        attempts = [
            ("/api/v1/providers", of_provider, new, "is that of provider 'p'"),
            ("/api/v1/providers", ADMINISTRATOR_TOKEN, new, "of the service's administrator"),
            ("/api/v1/providers", of_other, taken, "only if it agrees"),
            ("/api/v1/providers", of_other, {**taken, "provider_token": of_source}, "only if it agrees"),
            (
                "/api/v1/sources",
                of_source,
                {"source_name": "u", "owner": "a"},
                "administrator of this service",
            ),
            ("/api/v1/tokens/rotate", of_other, taken, "is that of source 't'"),
        ]
        for path, token, body, said in attempts * LIMIT:
            refused = http.post(path, json=body, headers=bearer(token))
            assert (refused.status_code, said in refused.text) == (403, True), refused.text
        listed = http.get("/api/v1/tokens", params=taken, headers=bearer(ADMINISTRATOR_TOKEN))
        assert listed.status_code == 200

    def test_the_consenting_token_cannot_be_used_to_guess_the_administrators(
        self, registry: Registry
    ) -> None:
        http, store = registry
        token = store.register_source("s", "ann").access_token
        store.register_provider("p", store.register_source("t", "ann").access_token)
        body = {"provider_name": "p", "provider_token": "a-guess-\ud800"}
        statuses = [
            http.post(
                "/api/v1/providers",
                content=json.dumps(body),
                headers={**bearer(token), "Content-Type": "application/json"},
            ).status_code
            for _ in range(LIMIT + 1)
        ]
        assert statuses == [403] * LIMIT + [429]
        right = {**body, "provider_token": ADMINISTRATOR_TOKEN}
        assert http.post("/api/v1/providers", json=right, headers=bearer(token)).status_code == 429

    def test_one_that_was_revoked_counts_again(self, registry: Registry) -> None:
        http, store = registry
        token = store.register_source("s", "ann").access_token
        assert http.get(SELF, headers=bearer(token)).status_code == 200
        store.revoke_token(store.identify_token(token).id, reason="leaked", by="ann")
        statuses = [http.get(SELF, headers=bearer(token)).status_code for _ in range(LIMIT + 1)]
        assert statuses == [403] * LIMIT + [429]

    def test_the_http_store_raises_the_same_error(self, registry: Registry) -> None:
        http, _ = registry
        exhaust(http)
        with (
            open_store(str(http.base_url), timeout=1) as store,
            pytest.raises(TooManyAttemptsError) as caught,
        ):
            store.identify_token("prs_wrong_again")
        assert caught.value.retry_after > 0


class TestProxies:
    def refused_by(self, url: str, trusted: str) -> list[int]:
        with (
            ServiceProcess(url, "--wrong-tokens-per-minute", "1", "--trusted-proxies", trusted) as service,
            caller(service.url) as http,
        ):
            return [
                http.get(SELF, headers={**bearer("wrong"), "X-Forwarded-For": address}).status_code
                for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2")
            ]

    def test_a_trusted_one_tells_clients_apart(self, migrated_sqlite_url: str) -> None:
        assert self.refused_by(migrated_sqlite_url, "127.0.0.1") == [403, 403, 429, 403, 429]

    def test_an_untrusted_proxy_is_not_believed(self, migrated_sqlite_url: str) -> None:
        assert self.refused_by(migrated_sqlite_url, "192.0.2.99") == [403, 429, 429, 429, 429]


class TestSizes:
    def test_a_body_that_announces_to_be_too_large(self, registry: Registry) -> None:
        http, _ = registry
        refused = http.post("/api/v1/readiness", content=b" " * (middleware.LARGEST_BODY + 1))
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "invalid_input")

    def test_a_body_that_grows_too_large(self, registry: Registry) -> None:
        http, _ = registry
        parts = (b" " * 65_536 for _ in range(middleware.LARGEST_BODY // 65_536 + 1))
        assert http.post("/api/v1/readiness", content=parts).status_code == 413

    @pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b"[]", b"null", b'{"questions": 1}', b'{"a": 1}'])
    def test_a_malformed_body_is_refused(self, registry: Registry, body: bytes) -> None:
        http, _ = registry
        refused = http.post("/api/v1/readiness", content=body, headers={"Content-Type": "application/json"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_input")

    def test_a_name_of_megabytes(self, registry: Registry) -> None:
        http, _ = registry
        body = {"source_name": "x" * 1_000_000, "owner": "ann"}
        refused = http.post("/api/v1/sources", json=body, headers=bearer(ADMINISTRATOR_TOKEN))
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_name")
        assert len(refused.content) < 1_000


def test_a_body_that_does_not_arrive_times_out(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    http, _ = registry
    monkeypatch.setattr(middleware, "BODY_TIMEOUT", 0.2)
    with socket.create_connection((http.base_url.host, http.base_url.port), timeout=60) as connection:
        connection.sendall(
            b"POST /api/v1/readiness HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert connection.recv(1_000).startswith(b"HTTP/1.1 408 ")


class TestBrowsers:
    @pytest.mark.parametrize("path", ["/docs", "/redoc", "/api/v1/sources", "/nowhere"])
    def test_every_answer_has_security_headers(self, registry: Registry, path: str) -> None:
        http, _ = registry
        headers = http.get(path, headers={"Origin": "https://evil.example"}).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert not any(name.startswith("access-control-") for name in headers)
        assert "Server" not in headers

    def test_no_other_origin_is_let_in(self, registry: Registry) -> None:
        http, _ = registry
        asking = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = http.options("/api/v1/sources", headers=asking)
        assert answer.status_code == 405
        assert not any(name.startswith("access-control-") for name in answer.headers)


class TestOtherSites:
    def register(self, open_service: httpx.Client, headers: dict[str, str]) -> httpx.Response:
        source = {"source_name": uuid4().hex, "owner": "ann"}
        return open_service.post("/sources/register", params=source, headers=headers)

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "http://127.0.0.1:1"},
            {"Origin": "null"},
            {"Origin": "http://["},
        ],
    )
    def test_no_other_site_makes_a_browser_write(
        self, open_service: httpx.Client, headers: dict[str, str]
    ) -> None:
        before = open_service.get("/api/v1/sources").text
        refused = self.register(open_service, headers)
        assert (refused.status_code, refused.json()["status_code"]) == (403, 403)
        assert "another site" in refused.json()["detail"]
        versioned = open_service.post(
            "/api/v1/sources",
            content='{"source_name": "s", "owner": "ann"}',
            headers={"Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"},
        )
        assert (versioned.status_code, versioned.json()["error"]["code"]) == (403, "access_denied")
        assert open_service.get("/api/v1/sources").text == before

    @pytest.mark.parametrize("site", ["own origin", "same-origin", "none"])
    def test_the_services_own_pages_may_write(self, open_service: httpx.Client, site: str) -> None:
        own = str(open_service.base_url).rstrip("/")
        headers = {"Origin": own} if site == "own origin" else {"Sec-Fetch-Site": site}
        assert self.register(open_service, headers).status_code == 200

    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:5498", "me.localhost", "127.0.0.2:1", "[::1]:1"]
    )
    def test_an_open_service_accepts_the_names_of_its_host(
        self, open_service: httpx.Client, host: str
    ) -> None:
        assert self.register(open_service, {"Host": host}).status_code == 200

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "192.0.2.1", "[", ""])
    def test_an_open_service_refuses_other_host_names(self, open_service: httpx.Client, host: str) -> None:
        assert self.register(open_service, {"Host": host}).status_code == 403
        assert open_service.get("/api/v1/sources", headers={"Host": host}).status_code == 403

    def test_a_service_with_tokens_accepts_any_host_name(self, registry: Registry) -> None:
        http, _ = registry
        assert http.get("/api/v1/sources", headers={"Host": "registry.example.com"}).status_code == 200


class TestCommand:
    def test_an_open_service_for_the_network_must_be_confirmed(self, sqlite_url: str) -> None:
        serve = ("serve", "--open", "--host", "0.0.0.0", "--database-url", sqlite_url)
        refused = call(*serve)
        assert refused.returncode == 2
        assert "--open-to-the-network" in refused.stderr
        with (
            ServiceProcess(sqlite_url, *serve[1:4], "--open-to-the-network") as service,
            caller(service.url) as http,
        ):
            source = {"source_name": "s", "owner": "ann"}
            named = {"Host": "registry.example.com"}
            assert http.post("/sources/register", params=source, headers=named).status_code == 200

    def test_secrets_in_files(self, migrated_sqlite_url: str, tmp_path: Path) -> None:
        url, token = tmp_path / "url", tmp_path / "token"
        url.write_text(f"{migrated_sqlite_url}\n")
        token.write_text(f"{ADMINISTRATOR_TOKEN}\n")
        files = ("--database-url-file", str(url), "--administrator-token-file", str(token))
        with ServiceProcess("sqlite:////nowhere/registry.db", *files) as service, caller(service.url) as http:
            source = {"source_name": "s", "owner": "ann"}
            assert http.post("/sources/register", params=source).status_code == 401
            allowed = http.post("/sources/register", params=source, headers=bearer(ADMINISTRATOR_TOKEN))
            assert allowed.status_code == 200
        assert ADMINISTRATOR_TOKEN not in service.log_text

    def test_a_service_needs_a_database_url(self) -> None:
        refused = call("serve")
        assert refused.returncode == 2
        assert "--database-url" in refused.stderr

    def test_a_service_needs_a_database_not_another_service(self) -> None:
        refused = call("serve", "--database-url", "http://127.0.0.1:5498")
        assert refused.returncode == 2
        assert "postgresql:// or sqlite:///" in refused.stderr
