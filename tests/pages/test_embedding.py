"""The pages inside another program: what they answer, whom they let in, and that they only read."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Request
from starlette.routing import Route

from airflow_provider_partition_registry.domain.errors import UnknownError
from airflow_provider_partition_registry.pages.embedding import EmbeddedPages, Reply, file_at
from airflow_provider_partition_registry.pages.files import FILES
from airflow_provider_partition_registry.server.embedding import create_app
from airflow_provider_partition_registry.store.contract import RegistryReader, RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.service import ServiceThread
from tests.pages.conftest import NASTY, SCRIPT

DAY = {"source_name": "shop.sales", "start": "2026-01-01", "end": "2026-01-02"}
PASSWORD = "geheim-geheim"


class Some:
    """Registries by name."""

    def __init__(self, **readers: RegistryReader) -> None:
        self._readers = readers

    def names(self) -> Sequence[str]:
        return list(self._readers)

    def reader(self, name: str) -> RegistryReader:
        if name not in self._readers:
            raise UnknownError(f"There is no {name}.")
        return self._readers[name]


@pytest.fixture(scope="module")
def pages(store: RegistryStore, private: ServiceThread) -> EmbeddedPages:
    return EmbeddedPages(
        Some(
            main=store,
            service=open_store(private.url),  # without a token, which reading takes there
            down=open_store(f"postgresql://me:{PASSWORD}@127.0.0.1:1/registry"),
        )
    )


@pytest.mark.parametrize(
    ("path", "query", "status", "said"),
    [
        ("main/", {}, 200, "shop.sales"),
        ("main/", {"prefix": "team5"}, 200, "team59.events"),
        ("main/", {"after": "team10.events"}, 200, "First page"),
        ("main/source", {"name": "shop.sales"}, 200, "disk full"),
        (
            "main/source",
            {"name": "shop.sales", "start": "2026-01-01", "end": "2026-01-02"},
            200,
            "Not ready.",
        ),
        ("main/source", {"name": "nowhere"}, 404, "nowhere"),
        ("main/source", {}, 422, "incomplete"),
        ("main/source", {"name": "shop.sales", "before": "x"}, 422, "is a number"),
        ("main/docs", {}, 404, "no such page"),
        ("main/sign-in", {}, 404, "no such page"),
        ("elsewhere/", {}, 404, "There is no elsewhere."),
        ("down/", {}, 503, "cannot be read at present (store_unavailable)"),
        ("service/", {}, 503, "cannot be read at present (token_required)"),
    ],
)
def test_pages(pages: EmbeddedPages, path: str, query: dict[str, str], status: int, said: str) -> None:
    reply = pages.answer(path, query)
    assert (reply.status, reply.media_type) == (status, "text/html")
    assert said in reply.content
    assert reply.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in reply.headers["Content-Security-Policy"]
    assert "unsafe" not in reply.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("path", "query", "status", "said"),
    [
        ("timeline", DAY, 200, '"lists_all":true'),
        ("timeline", DAY | {"resolution": "0"}, 422, "A resolution is"),
        ("timeline", DAY | {"end": "soon"}, 422, "not an instant"),
        ("timeline", {}, 422, "lacks 'source_name'"),
        ("events/last", {}, 200, '"position":'),
        ("events/latest", {"source_name": "shop.sales"}, 200, '"type":"FAIL"'),
        ("events/stream", {}, 404, "no such page"),
        ("sources", {}, 404, "no such page"),
        ("tokens", {}, 404, "no such page"),
    ],
)
def test_what_scripts_ask_for(
    pages: EmbeddedPages, path: str, query: dict[str, str], status: int, said: str
) -> None:
    reply = pages.answer(f"main/api/v1/{path}", query)
    assert (reply.status, reply.media_type) == (status, "application/json")
    text = reply.content if isinstance(reply.content, str) else reply.content.decode()
    assert said in text
    if status != 200:
        assert set(json.loads(text)["error"]) == {"code", "message", "details"}


def test_nobody_learns_where_a_registry_is(pages: EmbeddedPages, caplog: pytest.LogCaptureFixture) -> None:
    for path in ("down/", "down/api/v1/events/last", "service/"):
        reply = pages.answer(path, {})
        assert "127.0.0.1" not in str(reply.content)
        assert PASSWORD not in str(reply.content)
    assert "127.0.0.1" in caplog.text  # for those who operate Airflow
    assert PASSWORD not in caplog.text


def test_texts_of_others_are_escaped(pages: EmbeddedPages) -> None:
    reply = pages.answer("main/source", {"name": NASTY})
    assert SCRIPT not in reply.content
    assert 'href="javascript' not in reply.content


def test_a_visitor_chooses_among_several(pages: EmbeddedPages) -> None:
    text = pages.answer("main/", {}).content
    assert '<a href="../main/" aria-current="true">main</a>' in text
    assert '<a href="../down/" >down</a>' in text


def test_where_there_is_one_nobody_has_to_choose(store: RegistryStore) -> None:
    assert "Connections" not in EmbeddedPages(Some(only=store)).answer("only/", {}).content


@pytest.mark.parametrize(("path", "leads_to"), [("", "main/"), ("down", "down/")])
def test_an_address_that_is_not_complete(pages: EmbeddedPages, path: str, leads_to: str) -> None:
    reply = pages.answer(path, {})
    assert (reply.status, reply.headers["Location"]) == (307, leads_to)


def test_where_there_is_none_it_says_how_to_begin() -> None:
    assert "This Airflow has no connection" in EmbeddedPages(Some()).answer("", {}).content


@pytest.mark.parametrize("place", ["pages/pages.css", "main/pages/airflow.js"])
def test_files(place: str) -> None:
    found = file_at(place)
    assert found is not None
    assert found.content == FILES[place.rpartition("/")[2]].content


@pytest.mark.parametrize("place", ["", "main/", "main/source", "pages.css", "main/pages/../../etc/passwd"])
def test_nothing_else_is_a_file(place: str) -> None:
    assert file_at(place) is None


# As an application that another one mounts

MOUNTED_AT = "/registry"


async def let_friends_in(request: Request) -> None:
    if request.headers.get("friend") != "yes":
        raise HTTPException(401, "Not authenticated")


def around(pages: Any, threads: int = 2) -> FastAPI:
    app = FastAPI()

    @app.get("/own")
    def own() -> str:
        return "of the program itself"

    app.mount(
        MOUNTED_AT,
        create_app(pages, let_friends_in, prefix=MOUNTED_AT, sign_in="/login", threads=threads),
    )
    return app


def talk(app: FastAPI, conversation: Callable[[httpx.AsyncClient], Awaitable[None]], root: str = "") -> None:
    async def run() -> None:
        transport = httpx.ASGITransport(app, root_path=root)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            await conversation(client)

    asyncio.run(run())


FRIEND = {"friend": "yes"}


class TestMounted:
    def test_friends_get_in(self, pages: EmbeddedPages) -> None:
        async def look(client: httpx.AsyncClient) -> None:
            answer = await client.get(f"{MOUNTED_AT}/main/source?name=shop.sales", headers=FRIEND)
            assert (answer.status_code, "disk full" in answer.text) == (200, True)
            assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
            answer = await client.get(f"{MOUNTED_AT}/", headers=FRIEND)
            assert (answer.status_code, answer.headers["Location"]) == (307, "main/")

        talk(around(pages), look)

    @pytest.mark.parametrize("path", ["", "main/", "main/source?name=shop.sales", "main/api/v1/events/last"])
    def test_nobody_else_does(self, pages: EmbeddedPages, path: str) -> None:
        async def look(client: httpx.AsyncClient) -> None:
            answer = await client.get(f"{MOUNTED_AT}/{path}")
            assert answer.status_code == 401
            assert "Not authenticated." in answer.text
            assert "shop.sales" not in answer.text.replace("shop.sales", "", 1)  # once: where to return to

        talk(around(pages), look)

    def test_who_signs_in_comes_back(self, pages: EmbeddedPages) -> None:
        async def look(client: httpx.AsyncClient) -> None:
            answer = await client.get(f"/airflow{MOUNTED_AT}/main/source?name=shop.sales")
            back = "/airflow/registry/main/source%3Fname%3Dshop.sales"
            assert f'<a href="/airflow/login?next={back}">' in answer.text
            assert '<a href="../../" class="leaves-frame">Airflow</a>' in answer.text

        talk(around(pages), look, root="/airflow")

    def test_files_are_for_everybody(self, pages: EmbeddedPages) -> None:
        async def look(client: httpx.AsyncClient) -> None:
            for folder in ("", "main/"):
                answer = await client.get(f"{MOUNTED_AT}/{folder}pages/pages.css?1")
                assert answer.headers["Content-Type"].startswith("text/css")
                assert (await client.get(f"{MOUNTED_AT}/{folder}pages/other")).status_code == 404

        talk(around(pages), look)

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_nothing_can_be_written(self, pages: EmbeddedPages, method: str) -> None:
        async def look(client: httpx.AsyncClient) -> None:
            for path in ("main/", "main/api/v1/sources", "main/api/v1/lock", "main/sign-in"):
                answer = await client.request(method, f"{MOUNTED_AT}/{path}", headers=FRIEND)
                assert answer.status_code == 405

        talk(around(pages), look)

    def test_there_are_no_other_routes(self, pages: EmbeddedPages) -> None:
        app = create_app(pages, let_friends_in, prefix=MOUNTED_AT, sign_in="/login", threads=1)
        assert all(isinstance(each, Route) and each.methods == {"GET"} for each in app.routes)
        assert len(app.routes) == 3

    def test_a_registry_that_hangs_takes_no_thread_of_the_program(self) -> None:
        go_on = threading.Event()

        class Hanging:
            def answer(self, path: str, query: Any) -> Reply:
                go_on.wait(30)
                return Reply("late")

        async def look(client: httpx.AsyncClient) -> None:
            hanging = [
                asyncio.create_task(client.get(f"{MOUNTED_AT}/main/", headers=FRIEND)) for _ in range(100)
            ]
            await asyncio.sleep(0.2)
            for _ in range(5):
                assert (await asyncio.wait_for(client.get("/own"), 5)).status_code == 200
            go_on.set()
            assert {(await each).text for each in hanging} == {"late"}

        talk(around(Hanging()), look)
