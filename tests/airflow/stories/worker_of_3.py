"""Airflow 3's execution of a task in this process: its own supervisor, task runner and API, all on this thread.

``dag.test()``, Airflow's own way to do this, passes every request through two other threads, which takes most of
the time.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any
from uuid import UUID

import fastapi.concurrency
import fastapi.dependencies.utils
import fastapi.routing
import httpx
import pytest
from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor, in_process_api_server

_REPORTS = {"TaskState", "RetryTask", "SucceedTask"}


class _OnThisThread(httpx.BaseTransport):
    """Airflow's execution API without another thread."""

    def __init__(self, app: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._app = httpx.ASGITransport(app)
        self._lifespan = app.router.lifespan_context(app)
        self._loop.run_until_complete(self._lifespan.__aenter__())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with pytest.MonkeyPatch.context() as patch:
            for module in (fastapi.concurrency, fastapi.dependencies.utils, fastapi.routing):
                patch.setattr(module, "run_in_threadpool", _run_at_once)
            return self._loop.run_until_complete(self._ask(request))

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        answer = await self._app.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


async def _run_at_once(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


@functools.cache
def _transport() -> httpx.BaseTransport:
    return _OnThisThread(in_process_api_server().app)


class _Supervisor(InProcessTestSupervisor):
    """A supervisor whose task may be dead, and then reports nothing."""

    is_dead: Callable[[], bool]

    def _handle_request(self, msg: Any, log: Any, req_id: int) -> None:
        if self.is_dead() and type(msg).__name__ in _REPORTS:
            self.comms.messages.append(None)
        else:
            super()._handle_request(msg, log, req_id)

    def update_task_state_if_needed(self) -> None:
        if not self.is_dead():
            super().update_task_state_if_needed()

    @staticmethod
    def _api_client(dag: Any = None) -> Any:
        from airflow.api_fastapi.common.dagbag import dag_bag_from_app
        from airflow.models.dagbag import DBDagBag

        bag = DBDagBag()
        in_process_api_server().app.dependency_overrides[dag_bag_from_app] = lambda: bag
        return InProcessTestSupervisor._Client(
            base_url="http://in-process.invalid./", token="", transport=_transport()
        )


def run_task(of_instance: dict[str, Any], task: Any, is_dead: Callable[[], bool]) -> None:
    """Run a queued task instance to the end of its try."""
    from airflow.sdk.api.datamodels._generated import TaskInstance

    _Supervisor.is_dead = staticmethod(is_dead)
    ids = {name: UUID(str(of_instance[name])) for name in ("id", "dag_version_id")}
    _Supervisor.start(what=TaskInstance(**of_instance | ids), task=task)
