"""A triggerer: one event loop with all the triggers that wait. Each that ends is replaced by one for a later partition.

``python -m soak.triggerer PLAN JOURNAL``, with an Airflow connection for each way to the registry in the environment.
SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from pathlib import Path

from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.triggers.partition_registry import PartitionReadinessTrigger
from soak.journal import WAITS, EndedWait, Journal, Presence, Surprise
from soak.plan import WAYS, Plan, key_of

NOTED_EVERY = 1.0  # seconds


class Triggerer:
    """Waits for what is published."""

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self._plan = plan
        self._journal = journal
        self._waiting: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Wait until cancelled."""
        for number in range(self._plan.ahead):
            for source in range(self._plan.sources):
                for way in WAYS:
                    waiting = asyncio.create_task(self._wait_again_and_again(way, source, number))
                    self._waiting.add(waiting)
                    waiting.add_done_callback(self._waiting.discard)
        while True:
            self._journal.note(Presence(WAITS, time.monotonic(), len(self._waiting)))
            await asyncio.sleep(NOTED_EVERY)

    async def _wait_again_and_again(self, way: str, source: int, number: int) -> None:
        """Wait for a partition, then for the one after those that others wait for; until a wait ends badly."""
        try:
            while await self._wait(way, source, number) == "ready":
                number += self._plan.ahead
        except Exception as error:
            self._journal.note(Surprise("a trigger", repr(error)))

    async def _wait(self, way: str, source: int, number: int) -> str:
        key = key_of(source, number)
        trigger = PartitionReadinessTrigger(
            partition_registry_conn_id=connection_id(way),
            source_name=key.source_name,
            start=format_instant(key.interval.start),
            end=format_instant(key.interval.end),
        )
        began = time.monotonic()
        (status,) = [event.payload["status"] async for event in trigger.run()]
        self._journal.note(EndedWait(way, source, number, began, time.monotonic(), status))
        return str(status)


def connection_id(way: str) -> str:
    """The id of the Airflow connection for a way to the registry."""
    return f"soak_{way}"


async def main(plan: Plan, journal: Journal) -> None:
    """Wait until told to end."""
    running = asyncio.ensure_future(Triggerer(plan, journal).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await asyncio.wait([running])
    if not running.cancelled():
        await running


if __name__ == "__main__":
    # Each trigger says what it waits for, which would be thousands of lines.
    logging.disable(logging.INFO)
    asyncio.run(main(Plan.from_json(sys.argv[1]), Journal(Path(sys.argv[2]))))
