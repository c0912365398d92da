"""Browsers' sessions allow only reading, only from this service, and only as long as the token that began them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from airflow_provider_partition_registry.domain.principals import Principal, PrincipalKind
from airflow_provider_partition_registry.server.access import sessions
from airflow_provider_partition_registry.server.access.sessions import COOKIE, LIFETIME, SECURE_COOKIE
from airflow_provider_partition_registry.server.api import following
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.service.calling import ADMINISTRATOR_TOKEN, bearer, served, sqlite_at

PRIVATE: dict[str, Any] = {"has_private_reads": True, "administrator_token": ADMINISTRATOR_TOKEN}
SOURCES = "/api/v1/sources"
Registry = tuple[httpx.Client, RegistryStore]


@pytest.fixture
def url(migrated_sqlite_url: str) -> str:
    return migrated_sqlite_url


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    with served(url, **PRIVATE, wrong_tokens_per_minute=3) as both:
        yield both


@pytest.fixture
def token(registry: Registry) -> str:
    """The access token of the source ``s``."""
    return registry[1].register_source("s", "ann").access_token


def sign_in(http: httpx.Client, token: str, **headers: str) -> SimpleCookie:
    answer = http.post("/sign-in", data={"access_token": token}, headers=headers)
    http.cookies.clear()  # Each call sends only what the test gives it.
    assert answer.status_code == 303
    return SimpleCookie(answer.headers["Set-Cookie"])


def session_of(http: httpx.Client, token: str) -> str:
    return sign_in(http, token)[COOKIE].value


def read(http: httpx.Client, session: str, path: str = SOURCES, name: str = COOKIE) -> int:
    return http.get(path, headers={"Cookie": f"{name}={session}"}).status_code


@pytest.mark.parametrize("whose", ["a source's", "the administrator's"])
def test_it_allows_only_reading(registry: Registry, token: str, whose: str) -> None:
    http, _ = registry
    session = session_of(http, ADMINISTRATOR_TOKEN if whose == "the administrator's" else token)
    assert [read(http, session, path) for path in (SOURCES, "/", "/source?name=s", "/api/v1/events")] == [
        200
    ] * 4
    principal = {"source_name": "s"}
    for method, path, given in (
        ("POST", SOURCES, {"json": {"source_name": "forged", "owner": "mallory"}}),
        ("POST", "/sources/register", {"params": {"source_name": "forged", "owner": "mallory"}}),
        ("POST", "/api/v1/tokens/rotate", {"json": principal}),
        ("POST", "/api/v1/readiness", {"json": {"questions": []}}),
        ("GET", "/api/v1/tokens", {"params": principal}),
        ("GET", "/api/v1/tokens/self", {}),
        ("GET", "/api/v1/token", {"params": {"token_id": token.split("_")[1]}}),
    ):
        answer = http.request(method, path, headers={"Cookie": f"{COOKIE}={session}"}, **given)
        assert (answer.status_code, path) == (401, path)
    for presented in (session, session.split(".")[2]):
        assert http.get(SOURCES, headers=bearer(presented)).status_code == 403
    assert http.post(
        "/sources/register", params={"source_name": "t", "owner": "m", "access_token": session}
    ).status_code in (403, 429)


@pytest.mark.parametrize("whose", ["a source's", "the administrator's"])
def test_no_token_is_in_it(registry: Registry, token: str, whose: str) -> None:
    http, _ = registry
    signed_in_with = ADMINISTRATOR_TOKEN if whose == "the administrator's" else token
    cookie = sign_in(http, signed_in_with)[COOKIE]
    assert re.fullmatch(r"(administrator|[0-9a-f]{16})\.\d{10}\.[0-9a-f]{64}", cookie.value)
    secret = re.sub(r"^[a-z]+_[0-9a-f]{16}_", "", signed_in_with)
    assert len(secret) >= len(ADMINISTRATOR_TOKEN)
    assert secret not in cookie.OutputString()
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.OutputString().split("; "))
    assert not {"Max-Age", "expires", "Domain"} & set(re.split(r"[=;] ?", cookie.OutputString()))


def test_over_tls_no_other_host_or_port_without_tls_can_set_it(registry: Registry, token: str) -> None:
    http, _ = registry
    over_tls = {"X-Forwarded-Proto": "https"}
    cookie = sign_in(http, token, **over_tls)[SECURE_COOKIE]
    assert {"HttpOnly", "SameSite=strict", "Secure", "Path=/"} <= set(cookie.OutputString().split("; "))
    for name, expected in ((SECURE_COOKIE, 200), (COOKIE, 401)):
        asked = http.get(SOURCES, headers={**over_tls, "Cookie": f"{name}={cookie.value}"})
        assert asked.status_code == expected
    forgotten = http.post("/sign-out", headers=over_tls).headers["Set-Cookie"]
    assert forgotten.startswith(f'{SECURE_COOKIE}=""; ')
    assert "Secure" in forgotten


def test_it_is_known_to_other_workers_and_after_a_restart(registry: Registry, token: str, url: str) -> None:
    http, _ = registry
    sessions_of_both = [session_of(http, each) for each in (token, ADMINISTRATOR_TOKEN)]
    with served(url, **PRIVATE) as (another, _):
        assert [read(another, session) for session in sessions_of_both] == [200, 200]


def test_another_service_does_not_know_it(registry: Registry, token: str, tmp_path: Path) -> None:
    http, _ = registry
    others = {**PRIVATE, "administrator_token": "of-another-administrator"}
    (tmp_path / "other").mkdir()
    with served(sqlite_at(tmp_path / "other"), **others) as (another, store):
        store.register_source("s", "ann")
        for each in (token, ADMINISTRATOR_TOKEN):
            assert read(another, session_of(http, each)) == 401


@pytest.mark.parametrize("how", ["revoked", "rotated", "expired"])
def test_it_ends_with_its_token(registry: Registry, token: str, how: str) -> None:
    http, store = registry
    source = Principal(PrincipalKind.SOURCE, "s")
    session = session_of(http, token)
    assert read(http, session) == 200
    if how == "revoked":
        store.revoke_token(store.identify_token(token).id, reason="leaked", by="ann")
    else:
        store.rotate_token(source)
    assert read(http, session) == 401


def test_it_ends_by_itself(registry: Registry, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    http, _ = registry
    session = session_of(http, token)
    began = time.time()
    for later, expected in ((LIFETIME - 60, 200), (LIFETIME + 60, 401)):
        monkeypatch.setattr(sessions, "time", SimpleNamespace(time=lambda later=later: began + later))
        assert read(http, session) == expected
    monkeypatch.undo()
    who, expires_at, signature = session.split(".")
    assert read(http, f"{who}.{int(expires_at) + 1}.{signature}") == 401


@pytest.mark.parametrize(
    "forged",
    [
        *(
            "",
            ".",
            "..",
            "administrator",
            "administrator.9999999999.",
            "administrator.9999999999." + "0" * 64,
        ),
        *("0123456789abcdef.9999999999." + "0" * 64, "\u00e9" * 20, "a" * 4000, "TOKEN", "ADMINISTRATOR"),
        "administrator.99999999999999.SIGNATURE",
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_a_forged_session_gives_no_access_and_does_not_count_as_a_wrong_token(
    registry: Registry, token: str, forged: str
) -> None:
    http, _ = registry
    signature = session_of(http, ADMINISTRATOR_TOKEN).split(".")[2]
    named = {"TOKEN": token, "ADMINISTRATOR": ADMINISTRATOR_TOKEN}
    cookie = named.get(forged, forged.replace("SIGNATURE", signature))
    for _ in range(10):
        asked = http.get(SOURCES, headers=[(b"Cookie", f"{COOKIE}={cookie}".encode("latin-1"))])
        assert asked.status_code == 401
    assert http.get(SOURCES, headers=bearer(ADMINISTRATOR_TOKEN)).status_code == 200


def test_a_stream_ends_with_the_session(
    registry: Registry, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    http, store = registry
    monkeypatch.setattr(following, "RECHECKED_EVERY", 0.1)
    cookie = {"Cookie": f"{COOKIE}={session_of(http, token)}"}
    with http.stream("GET", "/api/v1/events/stream", headers=cookie) as stream:
        assert stream.status_code == 200
        store.revoke_token(store.identify_token(token).id, reason="leaked", by="ann")
        store.register_source("secret", "ann")
        assert "secret" not in stream.read().decode()


@pytest.mark.parametrize("form", [b"access_token=%FF", b"access_token=\xff", b"back=%FF&access_token=x"])
def test_a_form_that_is_no_utf8(registry: Registry, form: bytes) -> None:
    http, _ = registry
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert http.post("/sign-in", content=form, headers=kind).status_code == 422


def test_several_authorization_headers_are_refused(registry: Registry, token: str) -> None:
    http, _ = registry
    several = [("Authorization", f"Bearer {each}") for each in (token, ADMINISTRATOR_TOKEN)]
    for headers in (several, several[::-1]):
        refused = http.get(SOURCES, headers=headers)
        assert (refused.status_code, "Send one" in refused.text) == (422, True)
