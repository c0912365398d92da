"""The pages of several registries as an application that another one of FastAPI mounts, behind that one's own login.

Only what every FastAPI has is used here, as the other application decides which one is installed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request, Response

from airflow_provider_partition_registry.pages.embedding import EmbeddedPages, Reply, file_at


def create_app(
    pages: EmbeddedPages, may_read: Callable[..., Any], *, prefix: str, sign_in: str, threads: int
) -> FastAPI:
    """Make the application.

    :param may_read: a dependency that raises an :class:`HTTPException` for those who may not read.
    :param prefix: where it is mounted.
    :param sign_in: the path of the other application at which people sign in, and which leads to ``next`` then.
    :param threads: how many requests are answered at once. The others wait without a thread, so that a registry that
        does not respond takes none away from the other application.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    executor = ThreadPoolExecutor(threads, "partition-registry-pages")

    @app.get("/pages/{name}")
    @app.get("/{registry}/pages/{name}")
    async def file(request: Request) -> Response:
        found = file_at(_path(request))
        return Response(status_code=404) if found is None else _as_response(found)

    @app.get("/{path:path}", dependencies=[Depends(may_read)])
    async def answer(request: Request) -> Response:
        loop = asyncio.get_running_loop()
        query = dict(request.query_params)
        return _as_response(await loop.run_in_executor(executor, pages.answer, _path(request), query))

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        where = _address_of_sign_in(request) if error.status_code == 401 else None
        return _as_response(pages.refuse(_path(request), f"{error.detail}.", error.status_code, where))

    def _address_of_sign_in(request: Request) -> str:
        root = request.scope.get("root_path", "").removesuffix(prefix)
        query = f"?{request.url.query}" if request.url.query else ""
        back = f"{root}{prefix}/{quote(_path(request))}{query}"
        return f"{root}{sign_in}?next={quote(back)}"

    return app


def _path(request: Request) -> str:
    """The path below the one at which the application is mounted."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", "")).removeprefix("/")


def _as_response(reply: Reply) -> Response:
    return Response(reply.content, reply.status, dict(reply.headers), reply.media_type)
