"""The pages without a browser: headers, refusals, and links that lead to other sites."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from airflow_provider_partition_registry.pages import wording
from testbed.service import ServiceThread
from tests.pages.conftest import ADMINISTRATOR_TOKEN
from tests.service.calling import caller

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def client(service: ServiceThread) -> Iterator[httpx.Client]:
    with caller(service.url) as client:
        yield client


@pytest.fixture
def stranger(private: ServiceThread) -> Iterator[httpx.Client]:
    """A client of a service where reading takes a token."""
    with caller(private.url) as client:
        yield client


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/", 200, "shop.sales"),
        ("/", 200, "<small>s3://bucket/sales</small>"),
        ("/source?name=shop.sales", 200, 'The data is at <span class="name">s3://bucket/sales</span>.'),
        ("/?prefix=nothing", 200, "No source here"),
        ("/?prefix=team00", 200, 'Ready up to</span>\n<span class="faint">never'),
        ("/?prefix=a%20b", 200, "must not contain white space"),
        ("/source?name=shop.sales&start=yesterday&end=2026-01-01", 200, "not an instant"),
        ("/source?name=shop.sales&start=0001-01-01&end=9999-12-31", 200, "Not ready."),
        ("/source?name=nowhere", 404, "nowhere"),
        ("/source?name=a%20b", 422, "white space"),
        ("/source", 422, "incomplete"),
        ("/source?name=shop.sales&before=x", 422, "incomplete"),
    ],
)
def test_pages_and_their_refusals(client: httpx.Client, address: str, status: int, said: str) -> None:
    answer = client.get(address)
    assert answer.status_code == status
    assert said in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_page_names_nothing_from_elsewhere(client: httpx.Client) -> None:
    home = client.get("/").text
    loaded = [part.split('"')[0] for part in home.split('src="')[1:] + home.split('<link rel="')[1:]]
    assert loaded
    assert "://" not in home.split("<main")[0]
    for part in home.split('href="')[1:3]:
        asset = client.get("/" + part.split('"')[0])
        assert asset.status_code == 200
        assert "immutable" in asset.headers["Cache-Control"]
    assert client.get("/pages/..%2Frendering.py").status_code == 404


def test_pages_are_no_part_of_the_api(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert not {"/", "/source", "/sign-in", "/pages/{name}"} & paths.keys()


@pytest.mark.parametrize("address", ["/", "/source?name=shop.sales", "/source?name=nowhere"])
def test_strangers_are_asked_who_they_are(stranger: httpx.Client, address: str) -> None:
    answer = stranger.get(address)
    assert answer.status_code == 401
    assert "Access token" in answer.text
    assert "sales team" not in answer.text


@pytest.mark.parametrize(
    "back", ["//evil.example.com/", "https://evil.example.com", "\\\\evil", "/\r\nX: y", ""]
)
def test_signing_in_leads_nowhere_else(stranger: httpx.Client, back: str) -> None:
    answer = stranger.post("/sign-in", data={"access_token": ADMINISTRATOR_TOKEN, "back": back})
    assert answer.status_code == 303
    assert answer.next_request is not None
    assert answer.next_request.url.host == "127.0.0.1"
    assert "X" not in answer.headers
    assert ADMINISTRATOR_TOKEN not in str(answer.headers)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=12, seconds=56), "12 min"),
        (timedelta(hours=3, minutes=20), "3 h 20 min"),
        (timedelta(days=2), "2 d"),
        (timedelta(days=400), "1 y 35 d"),
    ],
)
def test_lengths_of_time(length: timedelta, said: str) -> None:
    assert wording.duration(length) == said


def test_instants() -> None:
    assert ">2026-01-01 12:00<" in wording.instant(NOON)
    assert ">2026-01-01 12:00:05<" in wording.instant(NOON + timedelta(seconds=5))
    assert wording.relative(NOON, NOON + timedelta(hours=1)) == "1 h ago"
    assert wording.relative(NOON, NOON - timedelta(hours=1)) == "in 1 h"
    assert wording.for_input(datetime.min.replace(tzinfo=UTC)) == "0001-01-01T00:00:00"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://a.example/x?y=1#z", "https://a.example/x?y=1#z"),
        ("http://a.example", "http://a.example"),
        *[
            (each, None)
            for each in ("javascript:alert(1)", "data:text/html,x", "//a", "", "https:", "http://[")
        ],
        (None, None),
    ],
)
def test_which_logs_are_linked(text: str | None, address: str | None) -> None:
    assert wording.log_address(text) == address


def test_addresses_in_text_become_links() -> None:
    said = wording.linked("<b> (log: https://a.example/?x=1&y='2')")
    assert said.startswith('&lt;b&gt; (log: <a href="https://a.example/?x=1&amp;y=&#39;2&#39;"')
    assert said.endswith("</a>)")
