"""DAG runs as tests see them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from airflow_provider_partition_registry.store import poller
from testbed.processes import until


@dataclass
class Run:
    """The outcome of a DAG run; tasks are named as in ``write`` or ``write[2]``."""

    dag: Any
    run_id: str
    state: str
    states: dict[str, str | None]
    results: dict[str, Any]
    errors: dict[str, list[BaseException]] = field(default_factory=dict)

    def error(self, task: str) -> BaseException:
        """The last error of the task."""
        return self.errors[task][-1]


NewDag = Callable[..., Any]
RunDag = Callable[..., Run]
Rerun = Callable[..., Run]


def task_label(ti: Any) -> str:
    return ti.task_id if ti.map_index is None or ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"


def a_context(**run: Any) -> dict[str, Any]:
    """The context of a task whose ``execute`` is called without Airflow around it."""
    ti = SimpleNamespace(
        dag_id="a_dag",
        run_id="a_run",
        task_id="a_task",
        map_index=-1,
        try_number=1,
        max_tries=0,
        log_url="",
        xcom_push=lambda key, value: None,
    )
    return {"ti": ti, "dag_run": SimpleNamespace(**run)}


def was_told(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether any waiter in an event loop has asked and got an answer."""
    pollers = poller._pollers.get(loop, {})
    return any(waiter._known is not None for each in pollers.values() for waiter in tuple(each._waiters))


def event_of(trigger: Any, meanwhile: Callable[[], Any] | None = None) -> Any:
    """The one event of the trigger; ``meanwhile`` is called while it waits."""

    async def run() -> Any:
        events = asyncio.create_task(collect())
        if meanwhile is not None:
            loop = asyncio.get_running_loop()
            await until(lambda: events.done() or was_told(loop), what="the trigger to have its first answer")
            assert not events.done()
            await asyncio.to_thread(meanwhile)
        return await asyncio.wait_for(events, 60)

    async def collect() -> Any:
        (event,) = [event async for event in trigger.run()]
        return event

    return asyncio.run(run())
